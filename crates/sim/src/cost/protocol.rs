//! The attempt itself, one function a phase.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::num::NonZeroUsize;

use rand_core::CryptoRng;
use sottovoce_secagg::{
    Abort, Advertised, AfterAdverts, CheckedRoster, CollectingAdverts, CollectingInputs, CollectingOpenings,
    CollectingPicks, CollectingShares, CollectingSignatures, Consistent, EnvelopesMsg, GraphMsg, Masking, OnRoster,
    Picked, RosterMsg, Shared, Submitted, SurvivorQuorumMsg, SurvivorsMsg,
};
use sottovoce_types::{ClientId, RingVec};
use sottovoce_wire::Encode;

use super::{Clock, Cohort, CostError, CostSpec, PhaseCost, input, seconds};

/// One phase while it runs.
struct Stopwatch<'a> {
    clock: Clock<'a>,
    cost: PhaseCost,
}

impl<'a> Stopwatch<'a> {
    fn new(name: &'static str, clock: Clock<'a>) -> Self {
        let cost = PhaseCost { name, client_seconds: 0.0, server_seconds: 0.0, bytes_up: 0, bytes_down: 0 };
        Self { clock, cost }
    }

    /// The coordinator's work.
    fn server<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = (self.clock)();
        let made = work();
        self.cost.server_seconds += seconds(self.clock, start);
        made
    }

    /// A client's work; its time counts if the client is the measured one.
    fn client<T>(&mut self, measured: bool, work: impl FnOnce() -> T) -> T {
        let start = (self.clock)();
        let made = work();
        if measured {
            self.cost.client_seconds += seconds(self.clock, start);
        }
        made
    }

    fn refused<E: Display>(&self) -> impl Fn(E) -> CostError + use<E> {
        let phase = self.cost.name;
        move |e| CostError::Protocol { phase, reason: e.to_string() }
    }

    fn up(&mut self, measured: bool, message: &impl Encode) {
        if measured {
            self.cost.bytes_up += message.to_bytes().len();
        }
    }

    fn down(&mut self, measured: bool, message: &impl Encode) {
        if measured {
            self.cost.bytes_down += message.to_bytes().len();
        }
    }
}

/// Along which edges of the graph work was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Edges {
    /// Clients that the measured one masks with.
    pub(super) peers: u32,
    /// Masks that dropouts left in the inputs of others.
    pub(super) left: u64,
}

/// Runs all phases and compares the sum.
///
/// What does not depend on who checks it (the roster, the graph, the quorum) the measured client checks for itself; the others share
/// one check, or n clients would check n adverts each in this one process.
pub(super) fn run(
    spec: &CostSpec,
    cohort: &Cohort,
    clock: Clock<'_>,
    rng: &mut impl CryptoRng,
) -> Result<(Vec<PhaseCost>, Edges), CostError> {
    let [mut advertise, mut pick, mut share, mut mask, mut sign, mut open, mut unmask] =
        ["advertise", "pick", "share", "mask", "sign", "open", "unmask"].map(|name| Stopwatch::new(name, clock));
    let (clients, server, roster) = advertised(cohort, &mut advertise, rng)?;
    let (clients, server, envelopes, edges) = match server {
        AfterAdverts::Shares(server) => {
            let (clients, server, envelopes) = shared(cohort, &mut share, clients, *server, &roster, rng)?;
            let n = u64::try_from(cohort.sites.len()).expect("few clients");
            let stay = u64::try_from(cohort.stay).expect("few clients");
            let edges = Edges { peers: spec.clients.saturating_sub(1), left: (n - stay) * stay };
            (clients, server, envelopes, edges)
        }
        AfterAdverts::Picks(server) => {
            let (clients, server, graph) = picked(cohort, &mut pick, clients, *server, &roster, rng)?;
            let edges = edges(cohort, &graph);
            let (clients, server, envelopes) = joined(cohort, &mut share, clients, server, &graph, rng)?;
            (clients, server, envelopes, edges)
        }
    };
    drop(roster);
    let clients = received(cohort, &mut share, clients, envelopes)?;
    let (clients, server, survivors, expected) = masked(spec, cohort, &mut mask, clients, server)?;
    let (clients, server, quorum) = signed(cohort, &mut sign, clients, server, &survivors)?;
    let server = opened(cohort, &mut open, clients, server, &quorum)?;
    let sum = unmask.server(|| server.close_on(NonZeroUsize::MIN)).map_err(unmask.refused())?;
    if *sum.sum() != expected {
        return Err(CostError::WrongSum);
    }
    let mut phases = vec![advertise.cost];
    if spec.is_sparse() {
        phases.push(pick.cost);
    }
    phases.extend([share, mask, sign, open, unmask].map(|phase| phase.cost));
    Ok((phases, edges))
}

/// Those of a graph that clients picked.
fn edges(cohort: &Cohort, graph: &GraphMsg) -> Edges {
    let position = |i: usize| u32::try_from(i).expect("few clients");
    let mut peers: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for list in &graph.lists {
        for pick in &list.list.picks {
            peers.entry(list.picker).or_default().insert(*pick);
            peers.entry(*pick).or_default().insert(list.picker);
        }
    }
    let of = |i: u32| peers.get(&i).map_or(0, BTreeSet::len);
    let stay = position(cohort.stay);
    let gone = peers.iter().filter(|(i, _)| **i >= stay);
    let left: usize = gone.map(|(_, peers)| peers.iter().filter(|peer| **peer < stay).count()).sum();
    Edges { peers: position(of(position(cohort.measured))), left: u64::try_from(left).expect("few clients") }
}

fn advertised(
    cohort: &Cohort,
    watch: &mut Stopwatch<'_>,
    rng: &mut impl CryptoRng,
) -> Result<(Vec<Advertised>, AfterAdverts, RosterMsg), CostError> {
    let mut server = CollectingAdverts::new(cohort.session.clone(), &cohort.coordinator);
    let mut clients = Vec::with_capacity(cohort.sites.len());
    for (i, site) in cohort.sites.iter().enumerate() {
        let started = watch.client(i == cohort.measured, || Advertised::start(cohort.session.clone(), site, rng));
        let (state, advert) = started.map_err(watch.refused())?;
        watch.up(i == cohort.measured, &advert);
        watch.server(|| server.advert(site.client_id(), advert)).map_err(watch.refused())?;
        clients.push(state);
    }
    let (server, roster) = watch.server(|| server.close(&cohort.coordinator)).map_err(watch.refused())?;
    watch.down(true, &roster);
    Ok((clients, server, roster))
}

type Addressed<M> = Vec<(ClientId, M)>;

/// What each client does with the roster.
fn on_roster<'a, R: CryptoRng>(
    cohort: &'a Cohort,
    watch: &Stopwatch<'_>,
    roster: &RosterMsg,
) -> Result<impl Fn(usize, Advertised, &mut R) -> Result<OnRoster, Abort> + use<'a, R>, CostError> {
    let checked = CheckedRoster::new(cohort.session.clone(), roster).map_err(watch.refused())?;
    let roster = roster.clone();
    let (measured, sites) = (cohort.measured, &cohort.sites);
    Ok(move |i: usize, state: Advertised, rng: &mut R| {
        let Some(site) = sites.get(i) else { return Err(Abort::NotAMember) };
        if i == measured { state.roster(roster.clone(), site, rng) } else { state.on_roster(&checked, site, rng) }
    })
}

/// On the complete graph.
fn shared(
    cohort: &Cohort,
    watch: &mut Stopwatch<'_>,
    clients: Vec<Advertised>,
    mut server: CollectingShares,
    roster: &RosterMsg,
    rng: &mut impl CryptoRng,
) -> Result<(Vec<Shared>, CollectingInputs, Addressed<EnvelopesMsg>), CostError> {
    let on_roster = on_roster(cohort, watch, roster)?;
    let mut next = Vec::with_capacity(clients.len());
    for (i, (state, site)) in clients.into_iter().zip(&cohort.sites).enumerate() {
        let dealt = watch.client(i == cohort.measured, || on_roster(i, state, rng)).map_err(watch.refused())?;
        let (state, message) = dealt.complete().ok_or(another_graph(watch))?;
        watch.up(i == cohort.measured, &message);
        watch.server(|| server.shares(site.client_id(), message)).map_err(watch.refused())?;
        next.push(state);
    }
    let (server, envelopes) = watch.server(|| server.close()).map_err(watch.refused())?;
    Ok((next, server, envelopes))
}

fn another_graph(watch: &Stopwatch<'_>) -> CostError {
    watch.refused()("client and coordinator differ on the graph")
}

/// On a sparse graph: the lists of picks.
fn picked(
    cohort: &Cohort,
    watch: &mut Stopwatch<'_>,
    clients: Vec<Advertised>,
    mut server: CollectingPicks,
    roster: &RosterMsg,
    rng: &mut impl CryptoRng,
) -> Result<(Vec<Picked>, CollectingShares, GraphMsg), CostError> {
    let on_roster = on_roster(cohort, watch, roster)?;
    let mut next = Vec::with_capacity(clients.len());
    for (i, (state, site)) in clients.into_iter().zip(&cohort.sites).enumerate() {
        let picked = watch.client(i == cohort.measured, || on_roster(i, state, rng)).map_err(watch.refused())?;
        let (state, message) = picked.sparse().ok_or(another_graph(watch))?;
        watch.up(i == cohort.measured, &message);
        watch.server(|| server.picks(site.client_id(), message)).map_err(watch.refused())?;
        next.push(state);
    }
    let (server, graph) = watch.server(|| server.close()).map_err(watch.refused())?;
    watch.down(true, &graph);
    Ok((next, server, graph))
}

/// On a sparse graph: shares for the picks.
fn joined(
    cohort: &Cohort,
    watch: &mut Stopwatch<'_>,
    clients: Vec<Picked>,
    mut server: CollectingShares,
    graph: &GraphMsg,
    rng: &mut impl CryptoRng,
) -> Result<(Vec<Shared>, CollectingInputs, Addressed<EnvelopesMsg>), CostError> {
    let checked = clients.first().ok_or(another_graph(watch))?.check(graph).map_err(watch.refused())?;
    let mut next = Vec::with_capacity(clients.len());
    for (i, (state, site)) in clients.into_iter().zip(&cohort.sites).enumerate() {
        let own = (i == cohort.measured).then(|| graph.clone());
        let dealt = watch.client(i == cohort.measured, || match own {
            Some(graph) => state.graph(graph, site, rng),
            None => state.on_graph(&checked, site, rng),
        });
        let (state, message) = dealt.map_err(watch.refused())?;
        watch.up(i == cohort.measured, &message);
        watch.server(|| server.shares(site.client_id(), message)).map_err(watch.refused())?;
        next.push(state);
    }
    let (server, envelopes) = watch.server(|| server.close()).map_err(watch.refused())?;
    if envelopes.len() != cohort.sites.len() {
        return Err(watch.refused()("a client was left without t live picks, though all are alive"));
    }
    Ok((next, server, envelopes))
}

fn received(
    cohort: &Cohort,
    watch: &mut Stopwatch<'_>,
    clients: Vec<Shared>,
    envelopes: Addressed<EnvelopesMsg>,
) -> Result<Vec<Masking>, CostError> {
    let mut next = Vec::with_capacity(clients.len());
    for (i, (state, (_, message))) in clients.into_iter().zip(envelopes).enumerate() {
        watch.down(i == cohort.measured, &message);
        let received = watch.client(i == cohort.measured, || state.envelopes(message));
        next.push(received.map_err(watch.refused())?);
    }
    Ok(next)
}

type Masked = (Vec<Submitted>, CollectingSignatures, SurvivorsMsg, RingVec);

/// All mask and submit that stay; each vector goes to the coordinator and is gone before the next is made.
fn masked(
    spec: &CostSpec,
    cohort: &Cohort,
    watch: &mut Stopwatch<'_>,
    clients: Vec<Masking>,
    mut server: CollectingInputs,
) -> Result<Masked, CostError> {
    let mut expected = RingVec::zeros(spec.words(), spec.lanes);
    let mut next = Vec::with_capacity(cohort.stay);
    for (i, (state, site)) in clients.into_iter().zip(&cohort.sites).enumerate().take(cohort.stay) {
        let input = input(spec, i)?;
        expected.add(&input);
        let submitted = watch.client(i == cohort.measured, || state.submit(input, site));
        let (state, message) = submitted.map_err(watch.refused())?;
        watch.up(i == cohort.measured, &message);
        watch.server(|| server.input_on(site.client_id(), message, NonZeroUsize::MIN)).map_err(watch.refused())?;
        next.push(state);
    }
    let (server, survivors) = watch.server(|| server.close()).map_err(watch.refused())?;
    Ok((next, server, survivors, expected))
}

fn signed(
    cohort: &Cohort,
    watch: &mut Stopwatch<'_>,
    clients: Vec<Submitted>,
    mut server: CollectingSignatures,
    survivors: &SurvivorsMsg,
) -> Result<(Vec<Consistent>, CollectingOpenings, SurvivorQuorumMsg), CostError> {
    let mut next = Vec::with_capacity(clients.len());
    watch.down(true, survivors);
    for (i, (state, site)) in clients.into_iter().zip(&cohort.sites).enumerate() {
        let message = survivors.clone();
        let signed = watch.client(i == cohort.measured, || state.survivors(message, site));
        let (state, message) = signed.map_err(watch.refused())?;
        watch.up(i == cohort.measured, &message);
        watch.server(|| server.signature(site.client_id(), message)).map_err(watch.refused())?;
        next.push(state);
    }
    let (server, quorum) = watch.server(|| server.close()).map_err(watch.refused())?;
    Ok((next, server, quorum))
}

fn opened(
    cohort: &Cohort,
    watch: &mut Stopwatch<'_>,
    clients: Vec<Consistent>,
    mut server: CollectingOpenings,
    quorum: &SurvivorQuorumMsg,
) -> Result<CollectingOpenings, CostError> {
    watch.down(true, quorum);
    let first = clients.first().ok_or(another_graph(watch))?;
    let checked = first.check(quorum).map_err(watch.refused())?;
    for (i, (state, site)) in clients.into_iter().zip(&cohort.sites).enumerate() {
        let own = (i == cohort.measured).then(|| quorum.clone());
        let opening = watch.client(i == cohort.measured, || match own {
            Some(quorum) => state.quorum(quorum, site),
            None => state.on_quorum(checked, site),
        });
        let opening = opening.map_err(watch.refused())?;
        watch.up(i == cohort.measured, &opening);
        watch.server(|| server.opening(site.client_id(), opening)).map_err(watch.refused())?;
    }
    Ok(server)
}
