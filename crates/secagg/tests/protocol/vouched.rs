//! Who speaks for itself, and when: before a client opens, everyone on the roster has, by its last signature or by an earlier one, and
//! no signature is looked at that a later one of the same client covers.
use std::collections::BTreeSet;
use std::sync::Arc;

use sottovoce_secagg::*;
use sottovoce_types::Digest;

use crate::driver::Cohort;
use crate::sparse::two_of_24;

/// Client 0 of five (q = 4), all of whom sent an input, and client 2 is silent since: what 0 says to survivors that `lie` changed, under
/// the signatures that the others give over the same.
fn silent_since(lie: impl Fn(&mut Vec<InputRoot>)) -> Result<(), Abort> {
    let mut cohort = Cohort::new(5, 1);
    let (states, _, mut message) = cohort.until_survivors(&[0, 1, 2, 3, 4]);
    lie(&mut message.inputs);
    let (mut signed, mut signatures) = (Vec::new(), Vec::new());
    for (i, state) in states.into_iter().enumerate().filter(|(i, _)| *i != 2) {
        let (state, said) = state.survivors(message.clone(), &cohort.sites[i]).unwrap();
        signatures.push(SignedBy { index: i as u32, signature: said.signature });
        signed.push(state);
    }
    signed.remove(0).quorum(SurvivorQuorumMsg { signatures }, &cohort.sites[0]).map(|_| ())
}

#[test]
fn claim_an_input_that_its_silent_owner_did_not_sign_is_not_opened() {
    assert_eq!(silent_since(|_| ()), Ok(()));
    let forged = Err(Abort::InputSignature { owner: Cohort::new(5, 1).id(2) });
    assert_eq!(silent_since(|i| i[2].root = Digest([0; 32])), forged);
    assert_eq!(silent_since(|i| i[2].signature[0] ^= 1), forged);
    assert_eq!(silent_since(|i| (i[2].root, i[2].signature) = (i[3].root, i[3].signature)), forged, "of another");
    // Client 1 signed ctx3: that it does not do for another input than its own, so the signature under its input says no more.
    assert_eq!(silent_since(|i| i[1].signature[0] ^= 1), Ok(()));
}

/// Where the root is another, its owner signs nothing, so that it is not among those whose signature stands for them.
#[test]
fn claim_who_signs_the_survivors_found_its_own_input_unaltered() {
    let mut cohort = Cohort::new(5, 1);
    let (states, _, mut message) = cohort.until_survivors(&[0, 1, 2, 3, 4]);
    message.inputs[1].root = Digest([0; 32]);
    for (i, state) in states.into_iter().enumerate() {
        let answer = state.survivors(message.clone(), &cohort.sites[i]).map(|_| ());
        assert_eq!(answer, if i == 1 { Err(Abort::OwnInputAltered) } else { Ok(()) }, "client {i}");
    }
}

/// What the coordinator forged of client [`GONE`], which takes no part in the attempt from the shares on.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Lie {
    /// Nothing. Whether it sent a list of picks.
    Nothing { list: bool },
    /// Its advert: with keys of the coordinator's own, under a signature of somebody else. It sent no list.
    Advert,
    /// The signature under its list.
    List,
}

const GONE: usize = 5;

/// What each client said last.
type Said = Vec<(usize, Result<(), Abort>)>;

/// An attempt of 24 clients over a graph that they pick, with what each of the 23 others said last, and who are neighbours of [`GONE`].
/// The `corrupt` know of the lie and go along.
fn attempt(lie: Lie, corrupt: &BTreeSet<usize>) -> (Said, BTreeSet<usize>) {
    let mut cohort = two_of_24();
    cohort.session.n_min = 15;
    let impostor = Identity::from_seed([99; 32]);
    let mut lying = cohort.session.clone();
    if lie == Lie::Advert {
        Arc::make_mut(&mut lying.members).insert(cohort.id(GONE), impostor.public_key());
    }
    let mut server = CollectingAdverts::new(lying.clone(), &cohort.coordinator);
    let mut advertised = Vec::new();
    for (i, site) in cohort.sites.iter().enumerate() {
        let session = if corrupt.contains(&i) { &lying } else { &cohort.session };
        let (state, mut advert) = Advertised::start(session.clone(), site, &mut cohort.rng).unwrap();
        if lie == Lie::Advert && i == GONE {
            advert.sign(&impostor);
        }
        server.advert(site.client_id(), advert).unwrap();
        advertised.push(state);
    }
    let (server, roster) = server.close(&cohort.coordinator).unwrap();
    let mut server = server.sparse().unwrap();
    let mut picked = Vec::new();
    for (i, state) in advertised.into_iter().enumerate() {
        if i == GONE && matches!(lie, Lie::Advert | Lie::Nothing { list: false }) {
            continue;
        }
        let answer = state.roster(roster.clone(), &cohort.sites[i], &mut cohort.rng).unwrap();
        let (state, list) = answer.sparse().unwrap();
        server.picks(cohort.id(i), list).unwrap();
        picked.push((i, state));
    }
    let (mut server, graph) = server.close().unwrap();
    let mut said = Vec::new();
    let mut neighbours = BTreeSet::new();
    for PickedBy { picker, list } in &graph.lists {
        if *picker as usize == GONE {
            neighbours.extend(list.picks.iter().map(|i| *i as usize));
        } else if list.picks.contains(&(GONE as u32)) {
            neighbours.insert(*picker as usize);
        }
    }
    let mut shared = Vec::new();
    for (i, state) in picked.into_iter().filter(|(i, _)| *i != GONE) {
        let mut shown = graph.clone();
        if lie == Lie::List && !corrupt.contains(&i) {
            shown.lists[GONE].list.signature[0] ^= 1;
        }
        match state.graph(shown, &cohort.sites[i], &mut cohort.rng) {
            Ok((state, message)) => {
                server.shares(cohort.id(i), message).unwrap();
                shared.push((i, state));
            }
            Err(refused) => said.push((i, Err(refused))),
        }
    }
    let Ok((mut server, envelopes)) = server.close() else { return (said, neighbours) };
    let mut submitted = Vec::new();
    for ((i, state), (_, message)) in shared.into_iter().zip(envelopes) {
        let state = state.envelopes(message).unwrap();
        let (state, input) = state.submit(cohort.pack(&cohort.input(i)), &cohort.sites[i]).unwrap();
        server.input(cohort.id(i), input).unwrap();
        submitted.push((i, state));
    }
    let (mut server, survivors) = server.close().unwrap();
    let mut consistent = Vec::new();
    for (i, state) in submitted {
        let (state, signature) = state.survivors(survivors.clone(), &cohort.sites[i]).unwrap();
        server.signature(cohort.id(i), signature).unwrap();
        consistent.push((i, state));
    }
    let (_, quorum) = server.close().unwrap();
    said.extend(
        consistent.into_iter().map(|(i, state)| (i, state.quorum(quorum.clone(), &cohort.sites[i]).map(|_| ()))),
    );
    (said, neighbours)
}

fn refusal(lie: Lie) -> Abort {
    let client = two_of_24().id(GONE);
    match lie {
        Lie::Advert => Abort::Advert { client, fault: AdvertFault::Signature },
        _ => Abort::PicksSignature { picker: client },
    }
}

#[test]
fn claim_whoever_would_share_or_mask_with_a_forged_client_leaves_before_it_deals() {
    for lie in [Lie::Advert, Lie::List] {
        let (said, neighbours) = attempt(lie, &BTreeSet::new());
        let left: BTreeSet<usize> = said.iter().map(|(i, _)| *i).collect();
        assert!((4..20).contains(&neighbours.len()) && left.is_superset(&neighbours), "{lie:?}: {neighbours:?}");
        for (i, answer) in said.into_iter().filter(|(i, _)| neighbours.contains(i)) {
            assert_eq!(answer, Err(refusal(lie)), "{lie:?}, client {i}");
        }
    }
}

#[test]
fn claim_nothing_is_opened_while_a_signature_of_anybody_on_the_roster_does_not_hold() {
    for (lie, honest) in [(Lie::Advert, Lie::Nothing { list: false }), (Lie::List, Lie::Nothing { list: true })] {
        let (said, neighbours) = attempt(honest, &BTreeSet::new());
        assert_eq!(said.len(), 23);
        assert!(said.iter().all(|(_, answer)| *answer == Ok(())), "{honest:?}: {said:?}");
        // All neighbours are in the plot. Who has nothing to do with the forged client goes on, and opens nothing.
        let (said, again) = attempt(lie, &neighbours);
        assert_eq!((said.len(), &again), (23, &neighbours), "the same picks");
        for (i, answer) in said {
            let expected = if neighbours.contains(&i) { Ok(()) } else { Err(refusal(lie)) };
            assert_eq!(answer, expected, "{lie:?}, client {i}");
        }
    }
}

/// Of a sum that a client opened, it has seen all signatures; one byte of them changed, and it looks again.
#[test]
fn claim_a_certificate_is_known_again_by_whoever_checked_its_signatures_and_only_to_the_byte() {
    let mut c = Cohort::new(5, 1);
    let (states, mut server, quorum) = c.until_quorum(&[0, 1, 2, 4]);
    let checked = states[0].check(&quorum).unwrap();
    for (i, state) in [0, 1, 2, 4].into_iter().zip(states) {
        server.opening(c.id(i), state.on_quorum(checked, &c.sites[i]).unwrap()).unwrap();
    }
    let genuine = server.close().unwrap().certificate().clone();
    let shown = genuine.verify(&c.session).unwrap();
    assert_eq!(genuine.verify_after(&c.session, &checked).unwrap(), shown);
    // The control: that it looks at no signature again shows where none can hold.
    let mut other_keys = c.session.clone();
    for key in Arc::make_mut(&mut other_keys.members).values_mut() {
        *key = Identity::from_seed([98; 32]).public_key();
    }
    assert_eq!(genuine.verify(&other_keys), Err(CertificateRefused::Signature(c.id(0))));
    assert_eq!(genuine.verify_after(&other_keys, &checked).unwrap(), shown);
    let mut altered = genuine.clone();
    altered.signatures[2].signature[9] ^= 1;
    assert_eq!(altered.verify_after(&c.session, &checked), Err(CertificateRefused::Signature(c.id(2))));
    let mut altered = genuine.clone();
    altered.inputs[2].root = Digest([0; 32]);
    assert!(altered.verify_after(&c.session, &checked).is_err());
    // A signature under the input of a client that signed ctx3 says no more than that: looked at or not, the certificate holds.
    let mut altered = genuine.clone();
    altered.inputs[2].signature[9] ^= 1;
    assert_eq!(altered.verify_after(&c.session, &checked).unwrap(), shown);
    // That of a survivor which fell silent is all there is of it.
    let mut silent = genuine;
    silent.signatures.remove(1);
    assert!(matches!(
        silent.verify(&c.session),
        Err(CertificateRefused::TooFew { what: "signatures", have: 3, need: 4 })
    ));
}

/// Five survivors, four of whom signed: the fifth stands for its input by the signature under it.
#[test]
fn claim_a_certificate_needs_the_input_signature_of_a_survivor_that_fell_silent() {
    let mut c = Cohort::new(5, 1);
    let (states, mut server, survivors) = c.until_survivors(&[0, 1, 2, 3, 4]);
    let mut signed = Vec::new();
    for (i, state) in states.into_iter().enumerate().filter(|(i, _)| *i != 2) {
        let (state, signature) = state.survivors(survivors.clone(), &c.sites[i]).unwrap();
        server.signature(c.id(i), signature).unwrap();
        signed.push((i, state));
    }
    let (mut server, quorum) = server.close().unwrap();
    let checked = signed[0].1.check(&quorum).unwrap();
    for (i, state) in signed {
        server.opening(c.id(i), state.on_quorum(checked, &c.sites[i]).unwrap()).unwrap();
    }
    let genuine = server.close().unwrap().certificate().clone();
    assert_eq!(genuine.verify(&c.session).unwrap().contributors.len(), 5);
    let mut altered = genuine;
    altered.inputs[2].signature = altered.inputs[3].signature;
    assert_eq!(altered.verify(&c.session), Err(CertificateRefused::InputSignature(c.id(2))));
    assert_eq!(altered.verify_after(&c.session, &checked), Err(CertificateRefused::InputSignature(c.id(2))));
}
