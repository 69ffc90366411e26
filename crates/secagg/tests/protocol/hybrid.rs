//! The hybrid key agreement: the same sums, whoever drops out, and wrong ciphertexts blamed.
use std::collections::BTreeSet;

use sottovoce_secagg::*;
use sottovoce_types::{Digest, RingVec};
use sottovoce_wire::{Encode, Kind};

use crate::driver::{Cohort, Drops, Outcome, VALUES, run_round};

fn round(cohort: &mut Cohort, drops: &Drops) -> Outcome {
    let inputs: Vec<RingVec> = (0..cohort.n()).map(|i| cohort.pack(&cohort.input(i))).collect();
    run_round(cohort, &inputs, drops)
}

/// Five clients (f = 1, q = 4): each of them drops out before its input in turn, so that recovery meets pairs in which the dropout is
/// the earlier and the later one.
#[test]
fn claim_both_key_agreements_give_the_exact_sum_whoever_drops_out() {
    for hybrid in [false, true] {
        for gone in 0..6 {
            let mut cohort = Cohort::new(5, 1);
            if hybrid {
                cohort = cohort.hybrid();
            }
            let drops = Drops { inputs: (gone..(gone + 1).min(5)).collect(), ..Drops::default() };
            let Outcome::Sum(sum) = round(&mut cohort, &drops) else { panic!("hybrid {hybrid}, {gone} gone") };
            let left: Vec<usize> = (0..5).filter(|i| *i != gone).collect();
            assert_eq!(sum.sum().unpack(VALUES), cohort.plain_sum(left), "hybrid {hybrid}, {gone} gone");
            // And whoever audits it computes the same.
            let auditor = ChunkAuditor::new(cohort.session.clone(), sum.certificate(), sum.revealed());
            auditor.expect("what was revealed opened the sum");
            assert_eq!(sum.revealed().ciphertexts.len(), if hybrid && gone < 5 { 4 } else { 0 });
        }
    }
    // Dropouts in every other phase, in a hybrid agreement.
    let one: BTreeSet<usize> = [2].into();
    for drops in [
        Drops { adverts: one.clone(), ..Drops::default() },
        Drops { shares: one.clone(), ..Drops::default() },
        Drops { signatures: one.clone(), ..Drops::default() },
        Drops { openings: one.clone(), ..Drops::default() },
    ] {
        let mut cohort = Cohort::new(5, 1).hybrid();
        let Outcome::Sum(sum) = round(&mut cohort, &drops) else { panic!("{drops:?}") };
        let late = !drops.signatures.is_empty() || !drops.openings.is_empty();
        assert_eq!(sum.sum().unpack(VALUES), cohort.plain_sum((0..5).filter(|i| late || *i != 2)), "{drops:?}");
    }
}

/// Two dropouts of seven (f = 2, q = 5), neighbours and ends of the roster.
#[test]
fn claim_two_dropouts_of_a_hybrid_round_are_recovered() {
    for gone in [[0, 1], [0, 6], [3, 4], [5, 6]] {
        let mut cohort = Cohort::new(7, 2).hybrid();
        let drops = Drops { inputs: gone.into(), ..Drops::default() };
        let Outcome::Sum(sum) = round(&mut cohort, &drops) else { panic!("{gone:?}") };
        assert_eq!(sum.sum().unpack(VALUES), cohort.plain_sum((0..7).filter(|i| !gone.contains(i))), "{gone:?}");
    }
}

/// Bytes of a hybrid round beside those of a plain one, as computed: two keys an advert; a ciphertext an envelope, and a byte that
/// says whether one for the mask is there; ciphertext and confirmation in those to later clients.
#[test]
fn the_bytes_of_a_hybrid_round_are_as_computed() {
    for n in [3usize, 6] {
        let (mut plain, mut hybrid) = (Cohort::new(n, 0), Cohort::new(n, 0).hybrid());
        let (plain_states, _, plain_roster) = plain.until_roster();
        let (states, _, roster) = hybrid.until_roster();
        let more = |a: &dyn Encode, b: &dyn Encode| a.to_bytes().len() - b.to_bytes().len();
        assert_eq!(more(&roster.adverts[0], &plain_roster.adverts[0]), 2 * ENCAPSULATION_KEY_LEN);
        assert_eq!(more(&roster, &plain_roster), n * 2 * ENCAPSULATION_KEY_LEN);
        for (i, (state, plain_state)) in states.into_iter().zip(plain_states).enumerate() {
            let (_, message) =
                state.roster(roster.clone(), &hybrid.sites[i], &mut hybrid.rng).unwrap().complete().unwrap();
            let (_, before) =
                plain_state.roster(plain_roster.clone(), &plain.sites[i], &mut plain.rng).unwrap().complete().unwrap();
            let later = n - 1 - i;
            let expected = (n - 1) * (CIPHERTEXT_LEN + 1) + later * (CIPHERTEXT_LEN + 32);
            assert_eq!(more(&message, &before), expected, "client {i} of {n}");
            hybrid.pass(Kind::Shares, &message);
        }
    }
}

/// The hash of an envelope that its dealer signs.
fn digest(envelope: &Envelope) -> Digest {
    let mut hasher = labels::ENVELOPE.hasher();
    hasher.field(&envelope.0);
    if let Some(kem) = &envelope.1 {
        hasher.field(&kem.channel);
        if let Some(mask) = &kem.mask {
            hasher.field(&mask.ciphertext).field(&mask.confirmation);
        }
    }
    hasher.finish()
}

/// What a change left: the cohort, its clients, what the coordinator said to the dealer, and what comes next.
type Dealt = (Cohort, Vec<Shared>, Result<(), PeerFault>, Option<(CollectingInputs, Vec<EnvelopesMsg>)>);

/// The roster and the shares of a hybrid round of five, with one envelope changed by its dealer, who signs it all the same.
fn envelopes_with(dealer: usize, holder: usize, change: impl Fn(&mut Envelope)) -> Dealt {
    let mut cohort = Cohort::new(5, 1).hybrid();
    let (states, mut server, roster) = cohort.until_roster();
    let (mut shared, mut taken) = (Vec::new(), Ok(()));
    for (i, state) in states.into_iter().enumerate() {
        let (state, mut message) =
            state.roster(roster.clone(), &cohort.sites[i], &mut cohort.rng).unwrap().complete().unwrap();
        if i == dealer {
            let slot = if holder < dealer { holder } else { holder - 1 };
            change(&mut message.envelopes[slot]);
            message.dealing.entries[holder].envelope = digest(&message.envelopes[slot]);
            message.dealing.sign(&state.ctx1(), &cohort.sites[i]);
        }
        let result = server.shares(cohort.id(i), message);
        if i == dealer {
            taken = result;
        } else {
            result.unwrap();
        }
        shared.push(state);
    }
    let envelopes = server.close().ok();
    let envelopes = envelopes.map(|(next, messages)| (next, messages.into_iter().map(|(_, m)| m).collect()));
    (cohort, shared, taken, envelopes)
}

#[test]
fn claim_a_wrong_mask_ciphertext_is_refused_by_its_receiver_who_names_the_dealer() {
    let altered = |envelope: &mut Envelope| {
        envelope.1.as_mut().unwrap().mask.as_mut().unwrap().ciphertext[3] ^= 1;
    };
    let (cohort, shared, taken, next) = envelopes_with(1, 3, altered);
    assert_eq!(taken, Ok(()), "the coordinator cannot tell");
    let (mut server, envelopes) = next.unwrap();
    let blamed = Abort::MaskCiphertext { dealer: cohort.id(1) };
    assert_eq!(blamed.about(), Some(cohort.id(1)));
    let mut submitted = Vec::new();
    for (i, (state, message)) in shared.into_iter().zip(envelopes).enumerate() {
        if i == 1 {
            continue; // Its own state knows the dealing that it made first.
        }
        match state.envelopes(message) {
            Err(fault) => assert_eq!((i, fault), (3, blamed.clone())),
            Ok(state) => {
                assert_ne!(i, 3);
                let (state, input) = state.submit(cohort.pack(&cohort.input(i)), &cohort.sites[i]).unwrap();
                server.input(cohort.id(i), input).unwrap();
                submitted.push((i, state));
            }
        }
    }
    assert_eq!(submitted.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [0, 2, 4]);
}

#[test]
fn claim_a_wrong_channel_ciphertext_makes_an_envelope_that_does_not_open() {
    let altered = |envelope: &mut Envelope| envelope.1.as_mut().unwrap().channel[3] ^= 1;
    let (cohort, shared, taken, next) = envelopes_with(1, 3, altered);
    assert_eq!(taken, Ok(()));
    let (state, message) = shared.into_iter().zip(next.unwrap().1).nth(3).unwrap();
    // Treated as absent, as any envelope that does not open: the opening complains.
    assert!(state.envelopes(message).is_ok());
    assert_eq!(cohort.n(), 5);
}

#[test]
fn claim_ciphertexts_that_are_missing_or_too_many_are_refused() {
    type Change = fn(&mut Envelope);
    let changes: [(usize, usize, Change); 4] = [
        (1, 3, |e| e.1 = None),
        (1, 3, |e| e.1.as_mut().unwrap().mask = None),
        (3, 1, |e| {
            let channel = e.1.as_ref().unwrap().channel;
            e.1.as_mut().unwrap().mask = Some(MaskCiphertext { ciphertext: channel, confirmation: [0; 32] });
        }),
        (3, 1, |e| e.1 = None),
    ];
    for (dealer, holder, change) in changes {
        let (cohort, _, taken, _) = envelopes_with(dealer, holder, change);
        assert_eq!(taken, Err(PeerFault::Shape { client: cohort.id(dealer) }));
    }
}

#[test]
fn claim_an_advert_of_another_key_agreement_or_with_an_unsound_kem_key_is_refused() {
    let mut cohort = Cohort::new(3, 0).hybrid();
    let (_, _, roster) = cohort.until_roster();
    let refused = |change: &dyn Fn(&mut AdvertMsg)| {
        let mut server = CollectingAdverts::new(cohort.session.clone(), &cohort.coordinator);
        let mut advert = roster.adverts[0].clone();
        change(&mut advert);
        advert.sign(&cohort.sites[0]);
        server.advert(cohort.id(0), advert)
    };
    let fault = |fault| Err(PeerFault::Advert { client: cohort.id(0), fault });
    assert_eq!(refused(&|_| ()), Ok(()), "control");
    assert_eq!(refused(&|a| a.kem = None), fault(AdvertFault::OtherKeyAgreement));
    assert_eq!(refused(&|a| a.kem.as_mut().unwrap().mask[..3].fill(0xff)), fault(AdvertFault::WeakKey));
    assert_eq!(
        refused(&|a| a.kem.as_mut().unwrap().channel = a.kem.as_ref().unwrap().mask),
        fault(AdvertFault::WeakKey)
    );
    // A key of somebody else's.
    let mut server = CollectingAdverts::new(cohort.session.clone(), &cohort.coordinator);
    server.advert(cohort.id(0), roster.adverts[0].clone()).unwrap();
    let mut copied = roster.adverts[1].clone();
    copied.kem.as_mut().unwrap().mask = roster.adverts[0].kem.as_ref().unwrap().mask;
    copied.sign(&cohort.sites[1]);
    let repeated = Err(PeerFault::Advert { client: cohort.id(1), fault: AdvertFault::RepeatedKey });
    assert_eq!(server.advert(cohort.id(1), copied), repeated);
    // And one with keys where none were agreed on.
    let plain = Session { key_agreement: KeyAgreement::X25519, ..cohort.session.clone() };
    let mut server = CollectingAdverts::new(plain, &cohort.coordinator);
    assert_eq!(server.advert(cohort.id(0), roster.adverts[0].clone()), fault(AdvertFault::OtherKeyAgreement));
}
