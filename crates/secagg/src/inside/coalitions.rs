//! The whole view of a coordinator and of corrupt clients that pool everything, used against one honest client: below t shares it
//! does not give the client's input, from t on it does. That is the control, and what the bound f < t is for.
use sottovoce_types::{ClientId, Digest, RingVec};

use super::driver::{Cohort, VALUES};
use crate::KeyAgreement;
use crate::client::Masking;
use crate::envelope::{SealOnce, SharePair};
use crate::keys::{OneTimeKeys, OneTimeSecret, Share, self_mask};
use crate::mask::{Prg, Sign, expand_into};
use crate::shamir::{Lagrange, Quad};

const VICTIM: usize = 0;

/// What the coalition makes of the victim's masked input: both secrets from the shares it holds, then all masks off.
fn attack(cohort: &Cohort, corrupt: &[(usize, &Masking)], pks: &[[u8; 32]], ctx2: &Digest, sent: &RingVec) -> Vec<i64> {
    let holders: Vec<u32> = corrupt.iter().map(|(i, _)| *i as u32).collect();
    let weights = Lagrange::at_zero(&holders).unwrap();
    let held: Vec<&SharePair> = corrupt.iter().map(|(_, state)| state.held(VICTIM as u32)).collect();
    let s = weights.combine(held.iter().map(|pair| &pair.s.value));
    let b = weights.combine(held.iter().map(|pair| &pair.b.value));
    let victim = cohort.id(VICTIM);
    let secret = OneTimeSecret::for_masks(&cohort.session.cfg, &victim, &s, cohort.session.key_agreement);
    let mut left = sent.clone();
    expand_into(Prg::Aes256Ctr, &self_mask(ctx2, &victim, &b), Sign::Subtract, 0, left.words_mut());
    for (j, pk) in pks.iter().enumerate().filter(|(j, _)| *j != VICTIM) {
        let key = secret.agree(pk).unwrap().pair_mask(ctx2, &victim, &cohort.id(j));
        // The victim is first on the roster: it added.
        expand_into(Prg::Aes256Ctr, &key, Sign::Subtract, 0, left.words_mut());
    }
    left.unpack(VALUES)
}

#[test]
fn colluders_with_the_coordinator_open_one_client_with_t_shares_and_never_with_fewer() {
    for (n, f) in [(4, 1), (7, 2), (9, 0)] {
        let mut cohort = Cohort::new(n, f);
        let t = cohort.q();
        assert!((f as usize) < t);
        let (states, _, envelopes) = cohort.until_envelopes();
        let mut states: Vec<Masking> =
            states.into_iter().zip(envelopes).map(|(state, m)| state.envelopes(m).unwrap()).collect();
        let victim = states.remove(VICTIM);
        let pks = victim.public_mask_keys();
        let ctx2 = victim.ctx2();
        let input = cohort.input(VICTIM);
        let (_, message) = victim.submit(cohort.pack(&input), &cohort.sites[VICTIM]).unwrap();
        let sent = RingVec::from_words(message.words, cohort.session.lanes);
        for size in 1..n {
            // The first ones and the last ones.
            for first in [true, false] {
                let from = if first { 1 } else { n - size };
                let corrupt: Vec<(usize, &Masking)> = (from..from + size).map(|i| (i, &states[i - 1])).collect();
                let guess = attack(&cohort, &corrupt, &pks, &ctx2, &sent);
                if size >= t {
                    assert_eq!(guess, input, "n {n}: {size} of t = {t} shares are enough");
                } else {
                    assert!(guess.iter().zip(&input).all(|(g, x)| g != x), "n {n}: opened with {size} of t = {t}");
                }
            }
        }
    }
}

/// A dealer that seals, properly, a share that is no canonical element: it does not open, as if the tag were wrong.
#[test]
fn an_envelope_with_a_share_that_is_not_canonical_does_not_open() {
    let mut cohort = Cohort::new(2, 0);
    let (ctx1, a, b) = (Digest([1; 32]), ClientId([1; 32]), ClientId([2; 32]));
    let dealer = OneTimeKeys::draw(&ctx1, &a, KeyAgreement::X25519, 0, &mut cohort.rng).unwrap();
    let holder = OneTimeKeys::draw(&ctx1, &b, KeyAgreement::X25519, 0, &mut cohort.rng).unwrap();
    let agreed = |mine: &OneTimeKeys, other: &OneTimeKeys| mine.channel.agree(&other.channel.public()).unwrap();
    let open = |envelope| SealOnce::new(&agreed(&holder, &dealer), &ctx1, &a, &b).open(&envelope);
    let share = |rng: &mut _| Share::with_opener(Quad::random(rng).unwrap(), rng);
    let pair = SharePair { s: share(&mut cohort.rng), b: share(&mut cohort.rng), layers: Vec::new() };
    let mut plain = [0u8; 128];
    plain[..32].copy_from_slice(pair.s.value.to_bytes().as_ref());
    plain[64..96].copy_from_slice(pair.b.value.to_bytes().as_ref());
    let seal = |plain: &[u8; 128]| SealOnce::new(&agreed(&dealer, &holder), &ctx1, &a, &b).seal_bytes(plain);
    assert!(open(seal(&plain)).is_some(), "control: canonical shares open");
    for (element, half) in [(0, 0), (3, 0), (0, 64), (3, 64)] {
        let mut bad = plain;
        // p itself, the least value that is none.
        bad[half + 8 * element..][..8].copy_from_slice(&0xffff_ffff_0000_0001u64.to_le_bytes());
        assert!(open(seal(&bad)).is_none(), "element {element} of the half at {half}");
    }
}
