//! Tests that need to see or spoil what is inside a state: cheating dealers, and what the masks do under split views.
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "counts of a handful of clients")]

mod coalitions;
#[allow(dead_code, unreachable_pub, reason = "shared with the tests outside, which use all of it")]
#[path = "../tests/protocol/driver.rs"]
mod driver;
mod views;

use driver::{Cohort, WORDS};
use sottovoce_types::RingVec;

use crate::keys::self_mask;
use crate::mask::{Prg, Sign, expand_into};
use crate::shamir::Quad;
use crate::{Advertised, CollectingAdverts, DealerFault, OpenFailed, SecureSum, SpoiltShares};

/// A round of four (f = 0, q = 3) in which client 3 cheats with its keys before it advertises; only those in `arrived` get
/// their inputs to the coordinator.
fn round_with_cheat(
    arrived: &[usize],
    cheat: impl Fn(&mut Advertised, &mut Cohort),
) -> (Cohort, Result<SecureSum, OpenFailed>) {
    round_of_with_cheat(4, arrived, cheat)
}

/// The same of n clients.
fn round_of_with_cheat(
    n: usize,
    arrived: &[usize],
    cheat: impl Fn(&mut Advertised, &mut Cohort),
) -> (Cohort, Result<SecureSum, OpenFailed>) {
    round_in(Cohort::new(n, 0), arrived, cheat)
}

/// The same in this cohort.
fn round_in(
    mut c: Cohort,
    arrived: &[usize],
    cheat: impl Fn(&mut Advertised, &mut Cohort),
) -> (Cohort, Result<SecureSum, OpenFailed>) {
    let n = c.n();
    let mut server = CollectingAdverts::new(c.session.clone(), &c.coordinator);
    let mut states = Vec::new();
    for i in 0..n {
        let (mut state, _) = Advertised::start(c.session.clone(), &c.sites[i], &mut c.rng).unwrap();
        if i == 3 {
            cheat(&mut state, &mut c);
        }
        server.advert(c.id(i), state.own().clone()).unwrap();
        states.push(state);
    }
    let (server, roster) = server.close(&c.coordinator).unwrap();
    let mut server = server.complete().unwrap();
    let mut shared = Vec::new();
    for (i, state) in states.into_iter().enumerate() {
        let (state, message) = state.roster(roster.clone(), &c.sites[i], &mut c.rng).unwrap().complete().unwrap();
        server.shares(c.id(i), message).unwrap();
        shared.push(state);
    }
    let (mut server, envelopes) = server.close().unwrap();
    let mut submitted = Vec::new();
    for (i, (state, (_, message))) in shared.into_iter().zip(envelopes).enumerate() {
        let state = state.envelopes(message).unwrap();
        let (state, input) = state.submit(c.pack(&c.input(i)), &c.sites[i]).unwrap();
        if arrived.contains(&i) {
            server.input(c.id(i), input).unwrap();
            submitted.push((i, state));
        }
    }
    let (mut server, survivors) = server.close().unwrap();
    let mut consistent = Vec::new();
    for (i, state) in submitted {
        let (state, signature) = state.survivors(survivors.clone(), &c.sites[i]).unwrap();
        server.signature(c.id(i), signature).unwrap();
        consistent.push((i, state));
    }
    let (mut server, quorum) = server.close().unwrap();
    for (i, state) in consistent {
        server.opening(c.id(i), state.quorum(quorum.clone(), &c.sites[i]).unwrap()).unwrap();
    }
    let sum = server.close();
    (c, sum)
}

/// Shares of an s that does not belong to its mask key: found when it drops out and the coordinator derives the key again.
#[test]
fn claim_a_dealer_whose_shares_do_not_give_its_mask_key_is_blamed() {
    let cheat = |state: &mut Advertised, c: &mut Cohort| state.keys_mut().s = Quad::random(&mut c.rng).unwrap();
    let (c, sum) = round_with_cheat(&[0, 1, 2], cheat);
    assert_eq!(sum, Err(OpenFailed::Dealer { dealer: c.id(3), fault: DealerFault::MaskKey }));
    // While it stays, its s is never opened, and the sum is right.
    let (c, sum) = round_with_cheat(&[0, 1, 2, 3], cheat);
    assert_eq!(sum.unwrap().sum().unpack(6), c.plain_sum(0..4));
}

/// Shares of a b that is not the one it committed to: found when its self mask is to be taken off.
#[test]
fn claim_a_dealer_whose_shares_do_not_give_its_committed_seed_is_blamed() {
    let (c, sum) = round_with_cheat(&[0, 1, 2, 3], |state, c| {
        state.keys_mut().b = Quad::random(&mut c.rng).unwrap();
    });
    assert_eq!(sum, Err(OpenFailed::Dealer { dealer: c.id(3), fault: DealerFault::SelfMask }));
    let (c, sum) = round_with_cheat(&[0, 1, 2], |state, c| {
        state.keys_mut().b = Quad::random(&mut c.rng).unwrap();
    });
    assert_eq!(sum.unwrap().sum().unpack(6), c.plain_sum(0..3), "while it is away, its b is never opened");
}

/// Seven clients (q = 4), all there: one wrong share of seven is corrected, two leave e = ⌊(7 − 4)/2⌋ = 1 behind.
#[test]
fn claim_a_dealer_that_spoils_a_few_shares_is_named_and_cannot_stop_the_sum() {
    let all: Vec<usize> = (0..7).collect();
    let spoiling =
        |holders: &'static [u32]| move |state: &mut Advertised, _: &mut Cohort| state.spoil_shares_of(holders);
    // Control: nobody is named where nobody cheats.
    let (c, sum) = round_of_with_cheat(7, &all, spoiling(&[]));
    let sum = sum.unwrap();
    assert_eq!((sum.spoilt(), sum.sum().unpack(6)), (&[][..], c.plain_sum(0..7)));
    // Among the first t holders, so that plain interpolation gives another secret.
    let (c, sum) = round_of_with_cheat(7, &all, spoiling(&[1]));
    let sum = sum.unwrap();
    let named = |c: &Cohort, holder| vec![SpoiltShares { dealer: c.id(3), holders: vec![c.id(holder)] }];
    assert_eq!((sum.spoilt(), sum.sum().unpack(6)), (&named(&c, 1)[..], c.plain_sum(0..7)));
    let (c, sum) = round_of_with_cheat(7, &all, spoiling(&[1, 2]));
    assert_eq!(sum, Err(OpenFailed::Dealer { dealer: c.id(3), fault: DealerFault::SelfMask }));
    // It drops out: its mask key, from six shares with one of them wrong.
    let there: Vec<usize> = all.into_iter().filter(|i| *i != 3).collect();
    let (c, sum) = round_of_with_cheat(7, &there, spoiling(&[0]));
    let sum = sum.unwrap();
    assert_eq!((sum.spoilt(), sum.sum().unpack(6)), (&named(&c, 0)[..], c.plain_sum(there)));
}

/// What is left of the sum of all five masked inputs when all self masks are taken off: the plain sum, if the pairwise masks
/// cancel. `told` says which dealer, if any, is hidden from a client.
fn sum_without_self_masks(told: impl Fn(usize) -> Option<usize>) -> (Cohort, RingVec) {
    let mut c = Cohort::new(5, 1);
    let (states, _, messages) = c.until_envelopes();
    let mut sum = RingVec::zeros(WORDS, c.session.lanes);
    for (i, (state, mut message)) in states.into_iter().zip(messages).enumerate() {
        if let Some(hidden) = told(i) {
            std::sync::Arc::make_mut(&mut message.dealers).remove(hidden);
            message.dealt.retain(|d| d.dealer as usize != hidden);
        }
        let state = state.envelopes(message).unwrap();
        let key = self_mask(&state.ctx2(), &c.id(i), state.self_seed());
        let (_, input) = state.submit(c.pack(&c.input(i)), &c.sites[i]).unwrap();
        sum.add(&RingVec::from_words(input.words, c.session.lanes));
        expand_into(Prg::Aes256Ctr, &key, Sign::Subtract, 0, sum.words_mut());
    }
    (c, sum)
}

#[test]
fn claim_masks_of_different_dealer_sets_do_not_cancel() {
    // Control: one view for all, and what is left is the plain sum.
    let (c, sum) = sum_without_self_masks(|_| None);
    assert_eq!(sum.unpack(6), c.plain_sum(0..5));
    // Even with every self mask in hand, two views leave masks in every word that nobody can compute.
    let (c, sum) = sum_without_self_masks(|i| (i >= 3).then_some(1));
    let plain = c.pack(&c.plain_sum(0..5));
    assert!(sum.words().iter().zip(plain.words()).all(|(a, b)| a != b));
}

/// A hybrid round of five (f = 0, q = 3) in which client 3 encapsulates with other randomness than its s gives. Client 4, to whom it
/// encapsulates, cannot tell, and while client 3 stays, nobody needs to.
#[test]
fn claim_a_dropout_whose_ciphertexts_are_not_made_from_its_secret_is_blamed() {
    let cheat = |state: &mut Advertised, _: &mut Cohort| state.keys_mut().mask.use_other_coins();
    let (c, sum) = round_in(Cohort::new(5, 0).hybrid(), &[0, 1, 2, 4], cheat);
    assert_eq!(sum, Err(OpenFailed::Dealer { dealer: c.id(3), fault: DealerFault::MaskCiphertext }));
    let (c, sum) = round_in(Cohort::new(5, 0).hybrid(), &[0, 1, 2, 3, 4], cheat);
    assert_eq!(sum.unwrap().sum().unpack(6), c.plain_sum(0..5));
    // Control: with its own randomness it drops out without harm.
    let (c, sum) = round_in(Cohort::new(5, 0).hybrid(), &[0, 1, 2, 4], |_, _| ());
    assert_eq!(sum.unwrap().sum().unpack(6), c.plain_sum([0, 1, 2, 4]));
}

/// Ten (f = 3, q = 7, two layers): client 3 commits to one seed and deals shares of another. While it reveals its own seed, nobody needs the shares;
/// what it reveals is the wrong one, and is refused; and what comes from the shares is not what it committed to either.
#[test]
fn claim_a_dealer_whose_shares_do_not_give_the_seed_of_its_layer_is_blamed() {
    for cheats in [false, true] {
        let mut c = Cohort::new(10, 3).layered();
        let (states, _, _) = c.until_roster();
        let mut adverts = CollectingAdverts::new(c.session.clone(), &c.coordinator);
        let mut states: Vec<Advertised> = states;
        for (i, state) in states.iter_mut().enumerate() {
            if i == 3 && cheats {
                state.keys_mut().layers[1] = Quad::random(&mut c.rng).unwrap();
            }
            adverts.advert(c.id(i), state.own().clone()).unwrap();
        }
        let (server, roster) = adverts.close(&c.coordinator).unwrap();
        let mut server = server.complete().unwrap();
        let mut shared = Vec::new();
        for (i, state) in states.into_iter().enumerate() {
            let (state, message) = state.roster(roster.clone(), &c.sites[i], &mut c.rng).unwrap().complete().unwrap();
            server.shares(c.id(i), message).unwrap();
            shared.push(state);
        }
        let (mut server, envelopes) = server.close().unwrap();
        let mut submitted = Vec::new();
        for (i, (state, (_, message))) in shared.into_iter().zip(envelopes).enumerate() {
            let (state, input) = state.envelopes(message).unwrap().submit(c.pack(&c.input(i)), &c.sites[i]).unwrap();
            server.input(c.id(i), input).unwrap();
            submitted.push(state);
        }
        let (mut server, survivors) = server.close().unwrap();
        let mut consistent = Vec::new();
        for (i, state) in submitted.into_iter().enumerate() {
            let (state, signature) = state.survivors(survivors.clone(), &c.sites[i]).unwrap();
            server.signature(c.id(i), signature).unwrap();
            consistent.push(state);
        }
        let (mut server, quorum) = server.close().unwrap();
        for (i, state) in consistent.into_iter().enumerate() {
            let taken = server.opening(c.id(i), state.quorum(quorum.clone(), &c.sites[i]).unwrap());
            let blamed = crate::PeerFault::WrongLayerSeed { client: c.id(3), layer: 1 };
            assert_eq!(taken, if i == 3 && cheats { Err(blamed) } else { Ok(()) });
        }
        let sum = server.close();
        if cheats {
            assert_eq!(sum, Err(OpenFailed::Dealer { dealer: c.id(3), fault: DealerFault::LayerSeed(1) }));
        } else {
            assert_eq!(
                sum.unwrap().sum().unpack(6),
                c.plain_sum(0..10),
                "control: no noise was added, and none is taken off here"
            );
        }
    }
}
