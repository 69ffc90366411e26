//! Noise in layers: the seeds of the surplus are opened, those of no other layer ever are, and the surplus follows from the signed sets alone.
use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use sottovoce_secagg::chunks::{ChunkTree, Owner};
use sottovoce_secagg::*;
use sottovoce_types::{Digest, LayerSet, RingVec};
use sottovoce_wire::{Decode, Encode, Kind};

use crate::driver::{Cohort, Drops, Outcome, run_round, stand_in};

/// Those of n clients that are not in `gone`.
fn but(n: usize, gone: &[usize]) -> Vec<usize> {
    (0..n).filter(|i| !gone.contains(i)).collect()
}

fn add(sum: &mut RingVec, key: &LayerKey, sign: i64) {
    let noise = stand_in(key, sum.words().len());
    for (word, noise) in sum.words_mut().iter_mut().zip(noise) {
        *word = if sign > 0 { word.wrapping_add(noise) } else { word.wrapping_sub(noise) };
    }
}

/// Checks that the surplus of a sum is what its sets say, and that without it the sum is, to the bit, the inputs and the layers that stay.
fn assert_exact(cohort: &Cohort, sum: &SecureSum, contributors: &[usize], dealers: usize, what: &str) {
    let rule = sum.layer_rule().unwrap();
    assert_eq!(rule.dealers() as usize, dealers, "{what}");
    let surplus = rule.surplus((dealers - contributors.len()) as u32).unwrap();
    let places = |set: LayerSet| -> BTreeSet<_> {
        contributors.iter().flat_map(|i| set.iter().map(move |layer| (cohort.id(*i), layer))).collect()
    };
    assert_eq!(
        sum.surplus().iter().map(|key| (key.client, key.layer)).collect::<BTreeSet<_>>(),
        places(surplus),
        "{what}"
    );
    let mut left = sum.sum().clone();
    for key in sum.surplus() {
        add(&mut left, key, -1);
    }
    let mut expected = cohort.pack(&cohort.plain_sum(contributors.iter().copied()));
    let stays = places(LayerSet::of_bits(((1 << rule.layers()) - 1) & !surplus.bits()));
    let keys = cohort.layer_keys.borrow();
    let kept: Vec<_> = keys.iter().filter(|key| stays.contains(&(key.client, key.layer))).collect();
    assert_eq!(kept.len(), stays.len(), "{what}");
    for key in kept {
        add(&mut expected, key, 1);
    }
    assert_eq!(left, expected, "{what}");
}

fn round(mut cohort: Cohort, drops: &Drops) -> (Cohort, Outcome) {
    let inputs: Vec<RingVec> = (0..cohort.n()).map(|i| cohort.pack(&cohort.input(i))).collect();
    let outcome = run_round(&mut cohort, &inputs, drops);
    (cohort, outcome)
}

/// n = 10, f = 3: q = 7, T = 3, two layers; surplus 3, 2, 1, 0 for 0 to 3 dropouts.
#[test]
fn claim_the_sum_without_the_surplus_is_exact_whoever_drops_out_in_whichever_phase() {
    for k in 0..=3usize {
        let gone: BTreeSet<usize> = (2..2 + k).collect();
        let left = but(10, &gone.iter().copied().collect::<Vec<_>>());
        let all = but(10, &[]);
        let cases = [
            ("shares", Drops { shares: gone.clone(), ..Drops::default() }, &left, 10 - k),
            ("inputs", Drops { inputs: gone.clone(), ..Drops::default() }, &left, 10),
            ("signatures", Drops { signatures: gone.clone(), ..Drops::default() }, &all, 10),
            // They signed and fell silent: their seeds come from shares.
            ("openings", Drops { openings: gone.clone(), ..Drops::default() }, &all, 10),
        ];
        for (phase, drops, contributors, dealers) in cases {
            for cohort in [Cohort::new(10, 3).layered(), Cohort::new(10, 3).hybrid().layered()] {
                let what = format!("{k} silent from {phase} on");
                let (cohort, outcome) = round(cohort, &drops);
                let Outcome::Sum(sum) = outcome else { panic!("{what}: {outcome:?}") };
                assert_exact(&cohort, &sum, contributors, dealers, &what);
            }
        }
        // A smaller roster: q = 6 of nine, and the layers that it does not need stay unused.
        if k <= 2 {
            let (cohort, outcome) =
                round(Cohort::new(10, 3).layered(), &Drops { adverts: [9].into(), inputs: gone, ..Drops::default() });
            let Outcome::Sum(sum) = outcome else { panic!("{outcome:?}") };
            assert_exact(&cohort, &sum, &left[..left.len() - 1], 9, "a smaller roster");
        }
    }
}

#[test]
fn claim_on_a_sparse_graph_the_sum_without_the_surplus_is_exact() {
    for drops in [
        Drops::default(),
        Drops { inputs: [3].into(), ..Drops::default() },
        Drops { inputs: [3].into(), openings: [7].into(), ..Drops::default() },
    ] {
        let (cohort, outcome) = round(Cohort::sparse(40, 2, 0.1, 2).layered(), &drops);
        let Outcome::Sum(sum) = outcome else { panic!("{drops:?}: {outcome:?}") };
        let gone: Vec<usize> = drops.inputs.iter().copied().collect();
        assert_exact(&cohort, &sum, &but(40, &gone), 40, &format!("{drops:?}"));
    }
}

/// Design, case 30: a coordinator that understates dropouts to have more noise taken off.
#[test]
fn claim_understated_dropouts_strip_no_layer() {
    // One drops out: layer 1 alone is surplus. Without the lie both are.
    let mut cohort = Cohort::new(10, 3).layered();
    let (states, _, quorum) = cohort.until_quorum(&but(10, &[4]));
    assert_eq!(states[0].surplus(), LayerSet::of_bits(2));
    assert_eq!((states[0].dealers(), states[0].contributors().len()), (10, 9));
    let first = states.into_iter().next().unwrap();
    let opening = cohort.pass(Kind::Opening, &first.quorum(quorum, &cohort.sites[0]).unwrap());
    // One seed of its own, and one share of each of the nine survivors: none of layer 0, and none of the one that dropped out.
    let layers = opening.layers.as_ref().unwrap();
    assert_eq!((layers.own.len(), layers.shares[4].len()), (1, 0));
    assert!(but(10, &[4]).into_iter().all(|i| layers.shares[i].len() == 1));

    // The lie: the set has the missing input in it, under another's signature. All sign it, and nobody opens: neither a signature over the set
    // nor one under the input is client 4's.
    let mut cohort = Cohort::new(10, 3).layered();
    let (states, _, told) = cohort.until_survivors(&but(10, &[4]));
    let mut lie = told.clone();
    lie.inputs.insert(4, InputRoot { index: 4, ..told.inputs[3] });
    let (mut consistent, mut signatures) = (Vec::new(), Vec::new());
    for (i, state) in states.into_iter().enumerate().filter(|(i, _)| *i != 4) {
        let (state, said) = state.survivors(lie.clone(), &cohort.sites[i]).unwrap();
        signatures.push(SignedBy { index: i as u32, signature: said.signature });
        consistent.push((i, state));
    }
    for (i, state) in consistent {
        let refused = state.quorum(SurvivorQuorumMsg { signatures: signatures.clone() }, &cohort.sites[i]);
        assert_eq!(refused, Err(Abort::InputSignature { owner: cohort.id(4) }));
    }

    // Another lie: after nine signed their set, the quorum of a larger one, in which the coordinator has the tenth input after all. It needs seven
    // signatures over the other ctx3, and an honest client has none to give.
    let mut cohort = Cohort::new(10, 3).layered();
    let (states, mut server) = cohort.until_masking();
    let mut late = None;
    let mut submitted = Vec::new();
    for (i, state) in states.into_iter().enumerate() {
        let (state, message) = state.submit(cohort.pack(&cohort.input(i)), &cohort.sites[i]).unwrap();
        if i == 4 {
            late = Some(message);
        } else {
            server.input(cohort.id(i), message).unwrap();
        }
        submitted.push(state);
    }
    let (server, told) = server.close().unwrap();
    let message = late.unwrap();
    let root = ChunkTree::of(Owner::Input(cohort.id(4)), &message.words, NonZeroUsize::MIN).root();
    let mut larger = told.clone();
    larger.inputs.insert(4, InputRoot { index: 4, root, signature: message.signature });
    let mut consistent = Vec::new();
    let mut of_larger = Vec::new();
    for (i, state) in submitted.into_iter().enumerate() {
        // The three corrupt clients sign whatever they are told; 4 sees the larger set.
        let corrupt = i >= 7;
        let set = if corrupt || i == 4 { &larger } else { &told };
        let (state, signature) = state.survivors(set.clone(), &cohort.sites[i]).unwrap();
        if corrupt || i == 4 {
            of_larger.push(SignedBy { index: i as u32, signature: signature.signature });
        } else {
            consistent.push((i, state));
        }
    }
    let forged = SurvivorQuorumMsg { signatures: of_larger };
    assert_eq!(forged.signatures.len(), 4, "the corrupt and the late one are no quorum");
    drop(server);
    for (i, state) in consistent {
        let refused = state.quorum(forged.clone(), &cohort.sites[i]).map(|_| ()).unwrap_err();
        assert_eq!(refused, Abort::QuorumTooSmall { have: 4, need: 7 });
    }
}

/// Design, case 31: a coordinator that leaves out clients that are there. Fewer layers are opened, and the sum is over those that it names.
#[test]
fn claim_overstated_dropouts_leave_more_noise_and_a_right_sum() {
    let mut opened = Vec::new();
    for left_out in [&[][..], &[2], &[2, 5], &[2, 5, 8]] {
        let mut cohort = Cohort::new(10, 3).layered();
        let present = but(10, left_out);
        let (states, mut server, quorum) = cohort.until_quorum(&present);
        opened.push(states[0].surplus().bits());
        for (i, state) in present.iter().zip(states) {
            server.opening(cohort.id(*i), state.quorum(quorum.clone(), &cohort.sites[*i]).unwrap()).unwrap();
        }
        let sum = server.close().unwrap();
        assert_exact(&cohort, &sum, &present, 10, &format!("{left_out:?} left out"));
        let certified = sum.certificate().verify(&cohort.session).unwrap();
        assert_eq!(
            (certified.dealers, certified.surplus.bits()),
            (10, *opened.last().unwrap()),
            "the certificate says it"
        );
    }
    assert_eq!(opened, [3, 2, 1, 0]);
}

/// What all of the openings of an attempt together give away of each layer: how many shares of its seed, and whether its owner showed it.
#[test]
fn claim_no_share_of_a_layer_that_stays_is_ever_opened() {
    for gone in [&[][..], &[1], &[1, 2], &[1, 2, 3]] {
        let mut cohort = Cohort::new(10, 3).layered();
        let present = but(10, gone);
        let (states, _, quorum) = cohort.until_quorum(&present);
        let surplus = states[0].surplus();
        let keys = cohort.layer_keys.borrow().clone();
        let stays = keys.iter().filter(|key| !surplus.contains(key.layer));
        assert_eq!(stays.count(), 10 * (2 - surplus.len()));
        for (i, state) in present.iter().zip(states) {
            let opening = state.quorum(quorum.clone(), &cohort.sites[*i]).unwrap();
            let layers = opening.layers.as_ref().unwrap();
            assert_eq!(layers.own.len(), surplus.len());
            for (dealer, shares) in layers.shares.iter().enumerate() {
                assert_eq!(shares.len(), if gone.contains(&dealer) { 0 } else { surplus.len() });
            }
        }
    }
}

/// Ten who signed the full set, with what each opens.
fn openings() -> (Cohort, CollectingOpenings, Vec<OpeningMsg>) {
    let mut cohort = Cohort::new(10, 3).layered();
    let (states, server, quorum) = cohort.until_quorum(&but(10, &[]));
    let open = |(i, state): (usize, Consistent)| state.quorum(quorum.clone(), &cohort.sites[i]).unwrap();
    let openings = states.into_iter().enumerate().map(open).collect();
    (cohort, server, openings)
}

#[test]
fn claim_a_wrong_seed_is_caught_by_its_commitment_and_the_layer_comes_off_all_the_same() {
    let (cohort, mut server, mut openings) = openings();
    let ctx3 = ctx3_of(&cohort);
    let other = openings[0].layers.as_ref().unwrap().own[0];
    openings[6].layers.as_mut().unwrap().own[1] = other;
    openings[6].sign(&ctx3, &cohort.sites[6]);
    let blamed = PeerFault::WrongLayerSeed { client: cohort.id(6), layer: 1 };
    assert_eq!(server.opening(cohort.id(6), openings[6].clone()), Err(blamed));
    assert!(!server.has(&cohort.id(6)), "nothing of it is kept");
    for i in but(10, &[6]) {
        server.opening(cohort.id(i), openings[i].clone()).unwrap();
    }
    assert!(server.ready());
    assert_exact(&cohort, &server.close().unwrap(), &but(10, &[]), 10, "from shares");
}

/// The context that these openings are over: from a second run of the same attempt.
fn ctx3_of(of: &Cohort) -> Digest {
    let mut again = Cohort::new(10, 3).layered();
    assert_eq!(again.session, of.session);
    let (states, ..) = again.until_quorum(&but(10, &[]));
    states[0].ctx3()
}

/// What is done to an opening, in words and in deed.
type Change = (&'static str, fn(&mut OpeningMsg));

#[test]
fn claim_openings_of_other_layers_than_the_surplus_are_refused_and_named() {
    let changes: [Change; 6] = [
        ("no layers", |m| m.layers = None),
        ("a seed fewer", |m| _ = m.layers.as_mut().unwrap().own.pop()),
        ("a seed more", |m| m.layers.as_mut().unwrap().own.push([0; 32])),
        ("a share fewer", |m| _ = m.layers.as_mut().unwrap().shares[3].pop()),
        ("a dealer fewer", |m| _ = m.layers.as_mut().unwrap().shares.pop()),
        ("shares beside a complaint", |m| m.opened[3] = None),
    ];
    for (what, change) in changes {
        let (cohort, mut server, mut openings) = openings();
        let ctx3 = ctx3_of(&cohort);
        change(&mut openings[5]);
        openings[5].sign(&ctx3, &cohort.sites[5]);
        let refused = server.opening(cohort.id(5), openings[5].clone());
        assert_eq!(refused, Err(PeerFault::Shape { client: cohort.id(5) }), "{what}");
    }
    // A share that is not the one committed to names its holder and its dealer.
    let (cohort, mut server, mut openings) = openings();
    let ctx3 = ctx3_of(&cohort);
    let layers = openings[5].layers.as_mut().unwrap();
    layers.shares[3].swap(0, 1);
    openings[5].sign(&ctx3, &cohort.sites[5]);
    let blamed = PeerFault::WrongShare { client: cohort.id(5), dealer: cohort.id(3) };
    assert_eq!(server.opening(cohort.id(5), openings[5].clone()), Err(blamed));
    // What is opened is under the signature.
    openings[5].layers.as_mut().unwrap().shares[3].swap(0, 1);
    assert_eq!(server.opening(cohort.id(5), openings[5].clone()), Err(PeerFault::Signature { client: cohort.id(5) }));
}

#[test]
fn an_advert_with_another_number_of_layers_is_refused() {
    let mut cohort = Cohort::new(10, 3).layered();
    let mut server = CollectingAdverts::new(cohort.session.clone(), &cohort.coordinator);
    let (_, mut advert) = Advertised::start(cohort.session.clone(), &cohort.sites[0], &mut cohort.rng).unwrap();
    assert_eq!(advert.commit_layers.len(), 2);
    advert.commit_layers.pop();
    let unsigned = server.advert(cohort.id(0), advert.clone());
    assert!(matches!(unsigned, Err(PeerFault::Advert { fault: AdvertFault::Signature, .. })), "commitments are signed");
    advert.sign(&cohort.sites[0]);
    let refused = server.advert(cohort.id(0), advert);
    assert!(matches!(refused, Err(PeerFault::Advert { fault: AdvertFault::OtherLayers, .. })));
}

/// The law of the layers is in ctx1: clients of two laws sign different things.
#[test]
fn claim_parties_with_another_law_of_layers_cannot_share() {
    let mut cohort = Cohort::new(5, 0).layered();
    let theirs = Session { layers: Some(Digest::of(b"another law")), ..cohort.session.clone() };
    let mut server = CollectingAdverts::new(cohort.session.clone(), &cohort.coordinator);
    let mut states = Vec::new();
    for (i, site) in cohort.sites.iter().enumerate() {
        let session = if i == 0 { theirs.clone() } else { cohort.session.clone() };
        let (state, advert) = Advertised::start(session, site, &mut cohort.rng).unwrap();
        server.advert(site.client_id(), advert).unwrap();
        states.push(state);
    }
    let (server, roster) = server.close(&cohort.coordinator).unwrap();
    let mut server = server.complete().unwrap();
    for (i, state) in states.into_iter().enumerate() {
        let (_, message) = state.roster(roster.clone(), &cohort.sites[i], &mut cohort.rng).unwrap().complete().unwrap();
        let taken = server.shares(cohort.id(i), message);
        assert_eq!(taken, if i == 0 { Err(PeerFault::Signature { client: cohort.id(0) }) } else { Ok(()) });
    }
}

/// R5: the auditor has the same surplus, each seed checked against the roster that the quorum signed for.
#[test]
fn claim_an_auditor_takes_the_same_layers_off_and_no_seed_that_was_not_committed_to() {
    for gone in [&[][..], &[4]] {
        let drops = Drops { inputs: gone.iter().copied().collect(), openings: [7].into(), ..Drops::default() };
        let (cohort, outcome) = round(Cohort::new(10, 3).layered(), &drops);
        let Outcome::Sum(sum) = outcome else { panic!("{outcome:?}") };
        let audit = |revealed: &Revealed| ChunkAuditor::new(cohort.session.clone(), sum.certificate(), revealed);
        let auditor = audit(sum.revealed()).unwrap();
        assert_eq!((auditor.surplus(), auditor.layer_rule()), (sum.surplus(), sum.layer_rule()));
        let ctx = cohort.session.message_ctx().unwrap();
        let back = Revealed::decode_exact(&ctx, &sum.revealed().to_bytes()).unwrap();
        assert_eq!(back, *sum.revealed());
        let refused = |change: &dyn Fn(&mut Vec<[u8; 32]>)| {
            let mut revealed = sum.revealed().clone();
            change(revealed.layers.as_mut().unwrap());
            audit(&revealed).map(|_| ()).unwrap_err()
        };
        let per_client = auditor.surplus().len() / auditor.contributors().len();
        let wrong = RevealedRefused::LayerSeed(cohort.id(1));
        assert_eq!(refused(&|seeds| seeds[per_client] = seeds[0]), wrong);
        assert_eq!(refused(&|seeds| seeds[per_client] = [0xff; 32]), wrong, "no field elements");
        assert!(matches!(refused(&|seeds| _ = seeds.pop()), RevealedRefused::Count { .. }));
        assert!(matches!(refused(&Vec::clear), RevealedRefused::Count { have: 0, .. }));
        let mut none = sum.revealed().clone();
        none.layers = None;
        assert!(matches!(audit(&none).map(|_| ()), Err(RevealedRefused::Count { .. })));
    }
}

/// Every attempt has seeds of its own, and so noise of its own.
#[test]
fn claim_no_layer_key_is_used_twice() {
    let mut cohort = Cohort::new(10, 3).layered();
    for _ in 0..5 {
        for state in cohort.until_masking().0 {
            cohort.layer_keys.borrow_mut().extend(state.layer_keys());
        }
    }
    let keys = cohort.layer_keys.borrow();
    assert_eq!(keys.len(), 5 * 10 * 2);
    assert_eq!(keys.iter().map(|key| *key.bytes()).collect::<BTreeSet<_>>().len(), keys.len());
    assert!(!format!("{keys:?}").contains(&format!("{:?}", keys[0].bytes())), "Debug shows no key");
}
