//! Lies about who picked whom (R0″), and starved or flooded clients.
use std::collections::BTreeSet;
use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sottovoce_secagg::graph::{MaskGraph, choose_neighbours};
use sottovoce_secagg::*;
use sottovoce_types::{Digest, RingVec};

use crate::driver::Cohort;
use crate::sparse::two_of_24;

/// Honest clients that picked, in roster order, and the coordinator with their lists.
struct PickedRound {
    cohort: Cohort,
    roster: RosterMsg,
    states: Vec<Picked>,
    server: CollectingPicks,
}

impl PickedRound {
    /// All lists but those of `liars`, which are not sent.
    fn of(mut cohort: Cohort, liars: &BTreeSet<usize>) -> Self {
        let mut server = CollectingAdverts::new(cohort.session.clone(), &cohort.coordinator);
        let mut advertised = Vec::new();
        for site in &cohort.sites {
            let (state, advert) = Advertised::start(cohort.session.clone(), site, &mut cohort.rng).unwrap();
            server.advert(site.client_id(), advert).unwrap();
            advertised.push(state);
        }
        let (server, roster) = server.close(&cohort.coordinator).unwrap();
        let mut server = server.sparse().unwrap();
        let checked = CheckedRoster::new(cohort.session.clone(), &roster).unwrap();
        let mut states = Vec::new();
        for (i, state) in advertised.into_iter().enumerate() {
            let (state, list) = state.on_roster(&checked, &cohort.sites[i], &mut cohort.rng).unwrap().sparse().unwrap();
            if !liars.contains(&i) {
                server.picks(cohort.id(i), list).unwrap();
            }
            states.push(state);
        }
        Self { cohort, roster, states, server }
    }

    fn honest(cohort: Cohort) -> Self {
        Self::of(cohort, &BTreeSet::new())
    }

    /// Everybody dealt.
    fn dealt(self) -> (Cohort, Vec<Shared>, CollectingShares, GraphMsg) {
        let Self { mut cohort, states, server, .. } = self;
        let (mut server, graph) = server.close().unwrap();
        let checked = states[0].check(&graph).unwrap();
        let mut shared = Vec::new();
        for (i, state) in states.into_iter().enumerate() {
            let (state, message) = state.on_graph(&checked, &cohort.sites[i], &mut cohort.rng).unwrap();
            server.shares(cohort.id(i), message).unwrap();
            shared.push(state);
        }
        (cohort, shared, server, graph)
    }
}

/// Whole cohorts up to the shares, for tests of what follows.
pub(crate) fn dealt(cohort: Cohort) -> (Cohort, Vec<Shared>, CollectingShares, GraphMsg) {
    PickedRound::honest(cohort).dealt()
}

fn picks_of(graph: &GraphMsg, i: u32) -> Vec<u32> {
    graph.lists.iter().find(|l| l.picker == i).unwrap().list.picks.clone()
}

/// What client 0 says to a graph that `lie` changed.
fn graph_shown(lie: impl FnOnce(&mut Vec<PickedBy>, &Cohort, &Digest)) -> Result<(), Abort> {
    let PickedRound { mut cohort, states, server, .. } = PickedRound::honest(two_of_24());
    let (_, mut graph) = server.close().unwrap();
    let state = states.into_iter().next().unwrap();
    lie(&mut graph.lists, &cohort, &state.ctx1());
    state.graph(graph, &cohort.sites[0], &mut cohort.rng).map(|_| ())
}

#[test]
fn claim_a_list_that_is_altered_forged_or_missing_is_refused() {
    let cohort = two_of_24();
    assert_eq!(graph_shown(|_, _, _| ()), Ok(()));
    let own = Err(Abort::Graph(GraphRefused::OwnListAltered { client: cohort.id(0) }));
    assert_eq!(
        graph_shown(|lists, _, _| {
            lists.remove(0);
        }),
        own
    );
    // Another list that this client itself signed on this roster, should the coordinator have one.
    let resigned = graph_shown(|lists, c, ctx1| lists[0].list = PicksMsg::new((1..=9).collect(), ctx1, &c.sites[0]));
    assert_eq!(resigned, own);
    let forged = |i: usize| Err(Abort::PicksSignature { picker: cohort.id(i) });
    assert_eq!(graph_shown(|lists, _, _| lists[0].list.picks = (1..=9).collect()), own);
    // Lists by which somebody is this one's neighbour, or not; those of the rest are looked at before it opens (`vouched`).
    let mut strangers = 0;
    for i in 1..24usize {
        let mut neighbour = false;
        let shown = graph_shown(|lists, _, _| {
            let unused = (1..24).find(|p| *p as usize != i && !lists[i].list.picks.contains(p)).unwrap();
            *lists[i].list.picks.last_mut().unwrap() = unused;
            lists[i].list.picks.sort_unstable();
            neighbour = lists[i].list.picks.contains(&0) || lists[0].list.picks.contains(&(i as u32));
        });
        assert_eq!(shown, if neighbour { forged(i) } else { Ok(()) }, "client {i}");
        strangers += usize::from(!neighbour);
    }
    assert!((1..22).contains(&strangers), "{strangers} strangers: both kinds are there");
    let mut picks = Vec::new();
    assert_eq!(graph_shown(|lists, _, _| picks = lists[0].list.picks.clone()), Ok(()));
    let (one, other) = (picks[0] as usize, picks[1] as usize);
    let of_another = graph_shown(|lists, _, _| lists[one].list.signature = lists[other].list.signature);
    assert_eq!(of_another, forged(one));
    let other_roster = |lists: &mut Vec<PickedBy>, c: &Cohort, _: &Digest| {
        lists[one].list = PicksMsg::new(lists[one].list.picks.clone(), &Digest::of(b"another roster"), &c.sites[one]);
    };
    assert_eq!(graph_shown(other_roster), forged(one));
    // Nobody is blamed for a list that it did not sign, whoever's neighbour it is.
    for i in 1..24usize {
        assert_eq!(graph_shown(|lists, _, _| lists[i].list.picks.truncate(2)), forged(i));
    }
    let twice = graph_shown(|lists, _, _| lists.insert(5, lists[5].clone()));
    assert_eq!(twice, Err(Abort::GraphMalformed));
    assert_eq!(graph_shown(|lists, _, _| lists.swap(5, 6)), Err(Abort::GraphMalformed));
    assert_eq!(graph_shown(|lists, _, _| lists[23].picker = 24), Err(Abort::GraphMalformed));
    // n_min is 22 here.
    let few = graph_shown(|lists, _, _| lists.truncate(21));
    assert_eq!(few, Err(Abort::TooFewPickers { have: 21, need: 22 }));
    let short = graph_shown(|lists, c, ctx1| lists[7].list = PicksMsg::new(vec![0, 1], ctx1, &c.sites[7]));
    assert_eq!(short, Err(Abort::Graph(GraphRefused::Malformed { picker: cohort.id(7), k: 9 })));
    assert_eq!(short.unwrap_err().about(), Some(cohort.id(7)));
}

#[test]
fn claim_the_coordinator_takes_one_list_of_k_others_from_each() {
    let PickedRound { mut cohort, roster, states, .. } = PickedRound::honest(two_of_24());
    let mut adverts = CollectingAdverts::new(cohort.session.clone(), &cohort.coordinator);
    for advert in roster.adverts {
        adverts.advert(advert.client, advert).unwrap();
    }
    let mut server = adverts.close(&cohort.coordinator).unwrap().0.sparse().unwrap();
    let (client, ctx1) = (cohort.id(0), states[0].ctx1());
    assert_eq!((server.parameters().neighbours, server.expected().len()), (9, 24));
    for picks in [vec![], (1..=8).collect(), (1..=10).collect(), (0..=8).collect(), (16..=24).collect(), vec![1; 9]] {
        let list = PicksMsg::new(picks, &ctx1, &cohort.sites[0]);
        assert_eq!(server.picks(client, list), Err(PeerFault::Picks { client, k: 9 }));
    }
    let good = PicksMsg::new((1..=9).collect(), &ctx1, &cohort.sites[0]);
    let other = PicksMsg::new((1..=9).collect(), &Digest::of(b"another roster"), &cohort.sites[0]);
    assert_eq!(server.picks(client, other), Err(PeerFault::Signature { client }));
    assert_eq!(server.count(), 0);
    server.picks(client, good.clone()).unwrap();
    assert_eq!(server.picks(client, good.clone()), Err(PeerFault::Repeated { client }));
    let stranger = Identity::generate(&mut cohort.rng).client_id();
    assert_eq!(server.picks(stranger, good), Err(PeerFault::Stranger { client: stranger }));
    assert!(server.has(&client) && server.expected().len() == 23);
    let lost = QuorumLost { phase: Phase::Picks, have: 1, need: 22 };
    assert!(matches!(server.close(), Err(CloseFailed::Lost(l)) if l == lost));
}

/// Case 46. With k = 8 a client takes 24 pickers; 25 corrupt ones pick client 0.
#[test]
fn claim_a_flood_of_picks_ends_the_attempt_and_names_the_pickers() {
    let cohort = || Cohort::sparse(50, 0, 0.0, 0);
    let k = cohort().session.graph.on(50, 0).unwrap().unwrap().neighbours;
    let flooders: BTreeSet<usize> = (1..50).rev().take(3 * k as usize + 1).collect();
    let PickedRound { mut cohort, states, mut server, .. } = PickedRound::of(cohort(), &flooders);
    let ctx1 = states[0].ctx1();
    let mut lists = Vec::new();
    for i in &flooders {
        // 0, and otherwise the clients after itself, so that nobody else is flooded.
        let mut picks: Vec<u32> = (1..k).map(|step| (*i as u32 + step - 1) % 49 + 1).collect();
        picks.retain(|p| *p != *i as u32);
        picks.extend(
            (1..50)
                .filter(|p| !picks.contains(p) && *p != *i as u32)
                .take(k as usize - 1 - picks.len())
                .collect::<Vec<_>>(),
        );
        picks.push(0);
        picks.sort_unstable();
        let list = PicksMsg::new(picks, &ctx1, &cohort.sites[*i]);
        server.picks(cohort.id(*i), list.clone()).unwrap();
        lists.push(PickedBy { picker: *i as u32, list });
    }
    let refused = server.close().map(|_| ()).unwrap_err();
    let CloseFailed::Graph(GraphRefused::Flooded { victim, pickers, cap }) = refused else { panic!("{refused}") };
    assert_eq!((victim, cap), (cohort.id(0), 3 * k));
    assert!(flooders.iter().all(|i| pickers.contains(&cohort.id(*i))), "the flooders are among those named");
    // A coordinator that shows it all the same gets no shares, from the victim or from anybody else.
    for place in [0usize, 1] {
        let PickedRound { states, server, cohort: other, .. } =
            PickedRound::of(Cohort::sparse(50, 0, 0.0, 49), &flooders);
        assert_eq!(other.id(0), cohort.id(0));
        let mut all: Vec<PickedBy> = Vec::new();
        drop(server);
        let ctx1 = states[0].ctx1();
        for (i, state) in states.iter().enumerate() {
            assert_eq!(state.ctx1(), ctx1);
            let picks = match lists.iter().find(|l| l.picker == i as u32) {
                Some(flood) => flood.list.picks.clone(),
                None => choose_neighbours(i as u32, 50, k, &mut cohort.rng).unwrap(),
            };
            all.push(PickedBy { picker: i as u32, list: PicksMsg::new(picks, &ctx1, &cohort.sites[i]) });
        }
        let state = states.into_iter().nth(place).unwrap();
        let refused = state.graph(GraphMsg { lists: all }, &cohort.sites[place], &mut cohort.rng).map(|_| ());
        assert!(matches!(refused, Err(Abort::Graph(GraphRefused::Flooded { victim, .. })) if victim == cohort.id(0)));
    }
}

/// Case 28. t = 7 of 9 picks must be among the dealers that client 0 is shown: withholding the third makes it leave.
#[test]
fn claim_a_client_that_is_starved_of_its_neighbours_leaves_before_it_masks() {
    for withheld in 0..4usize {
        let mut cohort = two_of_24();
        cohort.session.n_min = 15;
        let (cohort, states, server, graph) = PickedRound::honest(cohort).dealt();
        let (_, messages) = server.close().unwrap();
        let mut message = messages[0].1.clone();
        let starved: Vec<u32> = picks_of(&graph, 0).into_iter().take(withheld).collect();
        Arc::make_mut(&mut message.dealers).retain(|d| !starved.contains(&d.dealer));
        message.dealt.retain(|d| !starved.contains(&d.dealer));
        let answer = states.into_iter().next().unwrap().envelopes(message).map(|_| ());
        let live = 9 - withheld as u32;
        let expected = if live >= 7 {
            Ok(())
        } else {
            Err(Abort::Graph(GraphRefused::Starved { client: cohort.id(0), live, need: 7 }))
        };
        assert_eq!(answer, expected, "{withheld} withheld");
    }
    // Withheld though the dealer is named, or dealt by a client that did not pick this one.
    let (_, states, server, _) = PickedRound::honest(two_of_24()).dealt();
    let (_, messages) = server.close().unwrap();
    let mut message = messages[0].1.clone();
    let stray = messages[1].1.dealt.iter().find(|d| message.dealt.iter().all(|own| own.dealer != d.dealer)).unwrap();
    message.dealt.push(stray.clone());
    message.dealt.sort_by_key(|d| d.dealer);
    let refused = states.into_iter().next().unwrap().envelopes(message).map(|_| ());
    assert_eq!(refused, Err(Abort::DealersMalformed));
}

/// Case 50. All that client 0 picked fall silent.
#[test]
fn claim_a_client_whose_neighbours_all_drop_is_left_out_before_it_masks_or_nothing_is_signed() {
    let of_150 = || Cohort::sparse(150, 0, 0.1, 60);
    // Before they deal: client 0 gets no envelopes, and so sends no vector. The others go on.
    let PickedRound { mut cohort, states, server, .. } = PickedRound::honest(of_150());
    let (mut server, graph) = server.close().unwrap();
    let checked = states[0].check(&graph).unwrap();
    let gone = picks_of(&graph, 0);
    for (i, state) in states.into_iter().enumerate().filter(|(i, _)| !gone.contains(&(*i as u32))) {
        let (_, message) = state.on_graph(&checked, &cohort.sites[i], &mut cohort.rng).unwrap();
        server.shares(cohort.id(i), message).unwrap();
    }
    let (server, messages) = server.close().unwrap();
    assert!(messages.iter().all(|(client, _)| *client != cohort.id(0)), "it is no dealer");
    assert_eq!(messages.len(), 150 - gone.len() - 1, "and nobody else is starved");
    assert!(!server.expected().contains(&cohort.id(0)));

    // After they dealt: it has masked. An honest coordinator ends the attempt, and a lying one gets no signature.
    let (cohort, states, server, graph) = PickedRound::honest(of_150()).dealt();
    let (mut server, messages) = server.close().unwrap();
    let gone = picks_of(&graph, 0);
    let (mut submitted, mut inputs) = (Vec::new(), Vec::new());
    let there = |i: &usize| !gone.contains(&(*i as u32));
    for ((i, state), (_, message)) in states.into_iter().enumerate().zip(messages).filter(|((i, _), _)| there(i)) {
        let state = state.envelopes(message).unwrap();
        let (state, input) = state.submit(cohort.pack(&cohort.input(i)), &cohort.sites[i]).unwrap();
        let owner = chunks::Owner::Input(cohort.id(i));
        let root = chunks::ChunkTree::of(owner, &input.words, std::num::NonZeroUsize::MIN).root();
        inputs.push(InputRoot { index: i as u32, root, signature: input.signature });
        server.input(cohort.id(i), input).unwrap();
        submitted.push((i, state));
    }
    let starved = GraphRefused::Starved { client: cohort.id(0), live: 0, need: 12 };
    let refused = server.close().map(|_| ()).unwrap_err();
    assert_eq!(refused, CloseFailed::Graph(starved.clone()));
    for (i, state) in submitted {
        // Itself, or another that goes without neighbours of its own.
        let refused = state.survivors(SurvivorsMsg { inputs: inputs.clone() }, &cohort.sites[i]).map(|_| ());
        assert_eq!(refused, Err(Abort::Graph(starved.clone())), "client {i}");
    }
}

/// Two graphs: clients 12 to 23 are not shown the list of client 3, which then deals nothing. All are shown the same U2, and still: what one
/// half masks with is not what the other takes off.
#[test]
fn claim_clients_that_are_shown_different_graphs_share_no_context() {
    let mut cohort = two_of_24();
    cohort.session.n_min = 15;
    let PickedRound { mut cohort, states, server, .. } = PickedRound::honest(cohort);
    let (mut server, graph) = server.close().unwrap();
    let mut part = graph.clone();
    part.lists.remove(3);
    let (whole, part) = (states[0].check(&graph).unwrap(), states[0].check(&part).unwrap());
    let mut shared = Vec::new();
    for (i, state) in states.into_iter().enumerate().filter(|(i, _)| *i != 3) {
        let shown = if i < 12 { &whole } else { &part };
        let (state, message) = state.on_graph(shown, &cohort.sites[i], &mut cohort.rng).unwrap();
        server.shares(cohort.id(i), message).unwrap();
        shared.push((i, state));
    }
    let (mut server, messages) = server.close().unwrap();
    let mut contexts = BTreeSet::new();
    for ((i, state), (_, message)) in shared.into_iter().zip(messages) {
        let state = state.envelopes(message).unwrap();
        contexts.insert((i >= 12, state.ctx2()));
        let (_, input) = state.submit(cohort.pack(&cohort.input(i)), &cohort.sites[i]).unwrap();
        let client = cohort.id(i);
        let taken = server.input(client, input);
        assert_eq!(taken.map(|_| ()), if i < 12 { Ok(()) } else { Err(PeerFault::Signature { client }) });
    }
    assert_eq!(contexts.len(), 2, "one context a graph: {contexts:?}");
    assert!(server.close().is_err(), "neither half is a quorum");
}

/// A dealer that sent no list can have dealt to nobody.
#[test]
fn claim_a_dealer_outside_the_graph_is_refused() {
    let mut cohort = two_of_24();
    cohort.session.n_min = 15;
    let PickedRound { mut cohort, states, server, .. } = PickedRound::of(cohort, &[3].into());
    let (mut server, graph) = server.close().unwrap();
    let checked = states[0].check(&graph).unwrap();
    let mut first = None;
    for (i, state) in states.into_iter().enumerate().filter(|(i, _)| *i != 3) {
        let (state, message) = state.on_graph(&checked, &cohort.sites[i], &mut cohort.rng).unwrap();
        server.shares(cohort.id(i), message).unwrap();
        first.get_or_insert(state);
    }
    let (_, messages) = server.close().unwrap();
    let mut message = messages[0].1.clone();
    Arc::make_mut(&mut message.dealers).insert(3, DealerDigest { dealer: 3, digest: Digest::of(b"nothing") });
    assert_eq!(first.unwrap().envelopes(message).map(|_| ()), Err(Abort::DealersMalformed));
}

#[test]
fn claim_what_was_checked_for_another_attempt_is_refused() {
    let PickedRound { mut cohort, roster, states, server, .. } = PickedRound::honest(two_of_24());
    let (_, graph) = server.close().unwrap();
    let graph = states[0].check(&graph).unwrap();
    let mut other = PickedRound::honest(two_of_24().reseeded(7, &cohort));
    let refused = other.states.remove(0).on_graph(&graph, &cohort.sites[0], &mut cohort.rng).map(|_| ());
    assert_eq!(refused, Err(Abort::OtherSession), "a graph of another roster");
    let checked = CheckedRoster::new(cohort.session.clone(), &roster).unwrap();
    let (state, _) = Advertised::start(cohort.session.clone(), &cohort.sites[0], &mut cohort.rng).unwrap();
    let refused = state.on_roster(&checked, &cohort.sites[0], &mut cohort.rng).map(|_| ());
    assert_eq!(refused, Err(Abort::OwnAdvertAltered), "a roster with an earlier advert of this client");
    let terms = Session { n_min: 23, ..cohort.session.clone() };
    let (state, _) = Advertised::start(terms, &cohort.sites[0], &mut cohort.rng).unwrap();
    let refused = state.on_roster(&checked, &cohort.sites[0], &mut cohort.rng).map(|_| ());
    assert_eq!(refused, Err(Abort::OtherSession), "other terms");
}

/// What a holder of shares sends has one place for each dealer that picked it, and a dealer commits to its k picks alone.
#[test]
fn claim_shares_go_to_the_picks_alone() {
    let PickedRound { mut cohort, states, server, .. } = PickedRound::honest(two_of_24());
    let (mut server, graph) = server.close().unwrap();
    let checked = states[0].check(&graph).unwrap();
    let state = states.into_iter().next().unwrap();
    let (_, good) = state.on_graph(&checked, &cohort.sites[0], &mut cohort.rng).unwrap();
    assert_eq!((good.dealing.entries.len(), good.envelopes.len()), (9, 9));
    let client = cohort.id(0);
    for (entries, envelopes) in [(8, 9), (9, 8), (8, 8), (0, 0)] {
        let mut bad = good.clone();
        bad.dealing.entries.truncate(entries);
        bad.envelopes.truncate(envelopes);
        assert_eq!(server.shares(client, bad), Err(PeerFault::Shape { client }));
    }
    let mut bad = good.clone();
    bad.envelopes.swap(0, 1);
    assert_eq!(server.shares(client, bad), Err(PeerFault::EnvelopeHash { client }));
    server.shares(client, good).unwrap();
}

/// Case 27. The coordinator begins 1000 attempts, each with a roster that it likes; whatever it leaves out, an honest client picks every
/// other one on the roster as often. Chi-square over 15 others, exceeded at 70 with probability 4e-9.
#[test]
fn claim_an_honest_clients_picks_stay_uniform_whichever_rosters_the_coordinator_makes() {
    let mut cohort = Cohort::sparse(16, 0, 0.0, 3);
    let mut others = Vec::new();
    for site in &cohort.sites[1..] {
        others.push(Advertised::start(cohort.session.clone(), site, &mut cohort.rng).unwrap().1);
    }
    let mut tally = Tally::default();
    for attempt in 0..1000usize {
        let (state, own) = Advertised::start(cohort.session.clone(), &cohort.sites[0], &mut cohort.rng).unwrap();
        // It leaves out up to three: those that the victim picked most so far, so that the one it wants stands out.
        let mut adverts = vec![own];
        let dropped: Vec<usize> = (0..attempt % 4).map(|step| (attempt / 4 + 5 * step) % 15).collect();
        adverts.extend(others.iter().enumerate().filter(|(i, _)| !dropped.contains(i)).map(|(_, a)| a.clone()));
        let mut roster = RosterMsg { adverts, signature: [0; 64] };
        roster.sign(&cohort.session.cfg, &cohort.coordinator);
        let present: Vec<_> = roster.adverts.iter().map(|a| a.client).collect();
        let (_, list) = state.roster(roster, &cohort.sites[0], &mut cohort.rng).unwrap().sparse().unwrap();
        tally.add(&cohort, &present, &list.picks);
    }
    assert!(tally.chi_square() < 70.0, "{}", tally.chi_square());
    // Control: picks from a seed that the roster gives. A coordinator that tries three rosters and keeps the one that suits it has
    // client 5 picked far more often.
    let mut tally = Tally::default();
    for attempt in 0..1000u32 {
        let rosters = (0..3u32).map(|lost| {
            let present: Vec<usize> = (0..16).filter(|i| *i == 0 || *i != 13 + lost as usize).collect();
            let seed = Digest::of(&[&attempt.to_le_bytes()[..], &lost.to_le_bytes()].concat());
            let n = present.len() as u32;
            let picks = choose_neighbours(0, n, 5, &mut ChaCha20Rng::from_seed(seed.0)).unwrap();
            (present, picks)
        });
        let (present, picks) = rosters.max_by_key(|(_, picks)| picks.contains(&5)).unwrap();
        let present: Vec<_> = present.into_iter().map(|i| cohort.id(i)).collect();
        tally.add(&cohort, &present, &picks);
    }
    assert!(tally.chi_square() > 200.0, "{}", tally.chi_square());
}

/// How often each other was picked, and how often it would be by chance.
#[derive(Default)]
struct Tally {
    picked: [f64; 16],
    expected: [f64; 16],
    variance: [f64; 16],
}

impl Tally {
    fn add(&mut self, cohort: &Cohort, present: &[sottovoce_types::ClientId], picks: &[u32]) {
        let chance = picks.len() as f64 / (present.len() - 1) as f64;
        for (position, client) in present.iter().enumerate().skip(1) {
            let i = (0..16).find(|i| cohort.id(*i) == *client).unwrap();
            self.picked[i] += f64::from(u8::from(picks.contains(&(position as u32))));
            self.expected[i] += chance;
            self.variance[i] += chance * (1.0 - chance);
        }
    }

    /// Picks of one attempt exclude each other a little, which makes the sum smaller than chi-square's, if anything.
    fn chi_square(&self) -> f64 {
        (1..16).map(|i| (self.picked[i] - self.expected[i]).powi(2) / self.variance[i]).sum()
    }
}

/// Masked inputs over a graph are uniform, too, for who sees all of them: sums of neighbours take nothing off but pair masks.
#[test]
fn claim_a_masked_input_over_a_graph_of_picks_shows_nothing_of_a_zero_input() {
    let mut cohort = two_of_24();
    cohort.session.words = 4096;
    let (cohort, states, server, _) = PickedRound::honest(cohort).dealt();
    let (_, messages) = server.close().unwrap();
    let mut ones = 0u32;
    for ((i, state), (_, message)) in states.into_iter().enumerate().zip(messages) {
        let zero = RingVec::zeros(4096, cohort.session.lanes);
        let (_, input) = state.envelopes(message).unwrap().submit(zero, &cohort.sites[i]).unwrap();
        ones += input.words.iter().map(|w| w.count_ones()).sum::<u32>();
    }
    // Of 24 · 4096 · 64 coin flips: seven standard deviations of half their root.
    let flips = 24.0 * 4096.0 * 64.0;
    assert!((f64::from(ones) - flips / 2.0).abs() < 7.0 * flips.sqrt() / 2.0, "{ones} of {flips}");
    assert!(matches!(cohort.session.graph, MaskGraph::Sparse(_)));
}
