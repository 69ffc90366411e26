//! Dealers that sign unusable envelopes: holders treat the share as absent and say so.
use sottovoce_secagg::*;

use crate::driver::Cohort;

/// A round of five (f = 0, q = 3) in which client 4 signs garbage for these holders.
fn round_with_garbage_for(holders: &[usize]) -> (Cohort, Result<SecureSum, OpenFailed>) {
    let mut cohort = Cohort::new(5, 0);
    let (states, mut server, roster) = cohort.until_roster();
    let mut shared = Vec::new();
    for (i, state) in states.into_iter().enumerate() {
        let (state, mut message) =
            state.roster(roster.clone(), &cohort.sites[i], &mut cohort.rng).unwrap().complete().unwrap();
        if i == 4 {
            for holder in holders {
                // Of another length or with another hash it would not get past the coordinator; so the hash is right.
                let honest_hash = message.dealing.entries[*holder].envelope;
                message.envelopes[*holder].0 = vec![0xa5; ENVELOPE_LEN];
                message.dealing.entries[*holder].envelope = hash_of(&message.envelopes[*holder]);
                assert_ne!(message.dealing.entries[*holder].envelope, honest_hash);
            }
            message.dealing.sign(&state.ctx1(), &cohort.sites[4]);
        }
        server.shares(cohort.id(i), message).unwrap();
        shared.push(state);
    }
    let (mut server, envelopes) = server.close().unwrap();
    let mut submitted = Vec::new();
    for (i, (state, (_, message))) in shared.into_iter().zip(envelopes).enumerate() {
        // The cheat does not know its own altered dealing, so it leaves here, as a dropout after dealing.
        if i == 4 {
            continue;
        }
        let state = state.envelopes(message).unwrap();
        let (state, input) = state.submit(cohort.pack(&cohort.input(i)), &cohort.sites[i]).unwrap();
        server.input(cohort.id(i), input).unwrap();
        submitted.push(state);
    }
    let (mut server, survivors) = server.close().unwrap();
    let mut consistent = Vec::new();
    for (i, state) in submitted.into_iter().enumerate() {
        let (state, signature) = state.survivors(survivors.clone(), &cohort.sites[i]).unwrap();
        server.signature(cohort.id(i), signature).unwrap();
        consistent.push(state);
    }
    let (mut server, quorum) = server.close().unwrap();
    for (i, state) in consistent.into_iter().enumerate() {
        let opening = state.quorum(quorum.clone(), &cohort.sites[i]).unwrap();
        assert_eq!(opening.opened[4].is_none(), holders.contains(&i));
        server.opening(cohort.id(i), opening).unwrap();
    }
    (cohort, server.close())
}

/// The hash that a dealer signs for an envelope, as an outsider computes it from the label list.
fn hash_of(envelope: &Envelope) -> sottovoce_types::Digest {
    labels::ENVELOPE.hasher().field(&envelope.0).finish()
}

#[test]
fn claim_an_envelope_that_does_not_open_is_treated_as_absent_and_complained_about() {
    let (cohort, sum) = round_with_garbage_for(&[1]);
    let sum = sum.unwrap();
    assert_eq!(sum.sum().unpack(6), cohort.plain_sum(0..4));
    assert_eq!(sum.complaints(), [Complaint { holder: cohort.id(1), dealer: cohort.id(4) }]);
}

#[test]
fn claim_a_dealer_whose_shares_nobody_can_open_is_named_and_nothing_is_opened() {
    let (cohort, sum) = round_with_garbage_for(&[0, 1]);
    assert_eq!(sum, Err(OpenFailed::SharesMissing { dealer: cohort.id(4), have: 2, need: 3 }));
}
