//! Two of the three ways in which Flower's SecAgg+ was broken, each first on a small model of its rule (the control: there it
//! works) and then against this protocol. The third, sums that overflow in silence, is in `crates/encode/tests/overflow.rs`.
//!
//! The rules are those of flwr 1.42.0, `common/secure_aggregation/secaggplus_utils.py` (`pseudo_rand_gen`) and
//! `client/mod/secure_aggregation/secaggplus_mod.py` (`check_configs`, `_unmask`), read and run in 2026; the first is also
//! reported as flwrlabs/flower#7522.
use std::collections::BTreeSet;

use sottovoce_secagg::mask::{MaskKey, Prg, Sign, expand_into};
use sottovoce_secagg::*;

use crate::driver::{Cohort, WORDS};

// ── Seeds folded to 32 bits ──

/// Flower's `pseudo_rand_gen`: the words of the seed, XORed to 32 bits, seed the generator. (There a Mersenne Twister; which one
/// makes no difference to what is lost before it.)
fn flower_mask(seed: &[u8], words: usize) -> Vec<u64> {
    let fold = seed.chunks(4).fold(0u32, |sum, chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        sum ^ u32::from_le_bytes(word)
    });
    let mut state = u64::from(fold);
    (0..words)
        .map(|_| {
            // SplitMix64 (Steele, Lea and Flood 2014).
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        })
        .collect()
}

/// Base64 of 32 bytes: what Flower's pairwise seed is, 44 characters of ASCII.
fn base64(bytes: &[u8; 32]) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = Vec::new();
    for chunk in bytes.chunks(3) {
        let mut three = [0u8; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        let letter = |k: u32| LETTERS[(bits >> (18 - 6 * k) & 63) as usize];
        out.extend((0..4).map(|k| if k as usize <= chunk.len() { letter(k) } else { b'=' }));
    }
    out
}

fn our_mask(prg: Prg, key: [u8; 32], words: usize) -> Vec<u64> {
    let mut out = vec![0; words];
    expand_into(prg, &MaskKey::from_bytes(key), Sign::Add, 0, &mut out);
    out
}

/// Two of the words exchanged: another seed of the same fold.
fn exchanged(mut seed: [u8; 32]) -> [u8; 32] {
    let (a, b) = seed.split_at_mut(8);
    a[..4].swap_with_slice(&mut b[..4]);
    seed
}

fn key(i: u32) -> [u8; 32] {
    labels::MASK_PAIR.hasher().number(i.into()).finish().0
}

#[test]
fn control_flowers_rule_folds_two_seeds_to_one_mask_and_a_search_finds_the_mask_of_a_pair() {
    let seed = key(1);
    assert_ne!(seed, exchanged(seed));
    assert_eq!(flower_mask(&seed, 64), flower_mask(&exchanged(seed), 64), "two seeds, one mask");
    // A pairwise seed is text, whose bytes never have their top bit: 28 bits at most are left of 256.
    let folds: Vec<u32> = (0..3000)
        .map(|i| {
            let words = base64(&key(i));
            words.chunks(4).fold(0u32, |sum, c| sum ^ u32::from_le_bytes(c.try_into().unwrap()))
        })
        .collect();
    assert_eq!(folds.iter().fold(0, |or, fold| or | fold), 0x7f7f_7f7f);
    // Two clients: the server knows both self masks after the round, and searches the one pairwise seed. Here 2^14 of the 2^28
    // candidates, those that agree with the right one in the first two bytes; all of them take minutes. A hit shows itself: small
    // inputs in a large ring.
    let input: Vec<u64> = vec![17, 3, 250, 41];
    let text = base64(&key(7));
    let masked: Vec<u64> = input.iter().zip(flower_mask(&text, 4)).map(|(x, m)| x.wrapping_add(m)).collect();
    let fold = folds[7];
    let guesses = (0..1u32 << 14).map(|g| (fold & 0xffff_0000) | (g & 0x7f) | (g >> 7) << 8);
    let hits: Vec<Vec<u64>> = guesses
        .filter_map(|guess| {
            let mask = flower_mask(&guess.to_le_bytes(), 4);
            let plain: Vec<u64> = masked.iter().zip(mask).map(|(y, m)| y.wrapping_sub(m)).collect();
            plain.iter().all(|v| *v < 1 << 22).then_some(plain)
        })
        .collect();
    assert_eq!(hits, [input]);
}

/// Here the key goes into the cipher whole: seeds that fold alike have different masks, and each bit of the key matters.
#[test]
fn seeds_that_fold_alike_have_different_masks_and_every_bit_of_a_key_matters() {
    for prg in Prg::ALL {
        let seed = key(1);
        assert_ne!(our_mask(prg, seed, 64), our_mask(prg, exchanged(seed), 64), "{prg:?}");
        // AES-128 takes the first half of what HKDF gives.
        let bits = if prg == Prg::Aes128Ctr { 128 } else { 256 };
        let masks: BTreeSet<Vec<u64>> = (0..bits)
            .map(|bit| {
                let mut other = seed;
                other[bit / 8] ^= 1 << (bit % 8);
                our_mask(prg, other, 4)
            })
            .chain([our_mask(prg, seed, 4)])
            .collect();
        assert_eq!(masks.len(), bits + 1, "{prg:?}");
    }
}

// ── One client named alive and dead ──

/// Shamir's sharing mod p = 2^61 − 1, as small as the attack needs it.
mod model {
    const P: u128 = (1 << 61) - 1;

    pub(super) fn share(secret: u64, coefficients: &[u64], n: u64) -> Vec<u64> {
        let at = |x: u64| {
            let higher = coefficients.iter().rev().fold(0, |v, c| (v * u128::from(x) + u128::from(*c)) % P);
            (higher * u128::from(x) + u128::from(secret)) % P
        };
        (1..=n).map(|x| u64::try_from(at(x)).unwrap()).collect()
    }

    fn power(base: u128, mut exponent: u128) -> u128 {
        let (mut base, mut result) = (base, 1);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = result * base % P;
            }
            base = base * base % P;
            exponent >>= 1;
        }
        result
    }

    pub(super) fn combine(shares: &[(u64, u64)]) -> u64 {
        let sum = shares.iter().fold(0, |sum, (x, y)| {
            let weight = shares.iter().filter(|(other, _)| other != x).fold(u128::from(*y), |w, (other, _)| {
                let difference = (P + u128::from(*other) - u128::from(*x)) % P;
                w * u128::from(*other) % P * power(difference, P - 2) % P
            });
            (sum + weight) % P
        });
        u64::try_from(sum).unwrap()
    }
}

/// A client of Flower's in the unmasking stage: the shares that it holds, by dealer.
struct FlowerClient {
    private_key_shares: Vec<u64>,
    seed_shares: Vec<u64>,
    threshold: usize,
}

impl FlowerClient {
    /// `_unmask`: of the two lists only the length of the first is looked at. Nothing says that they are disjoint.
    fn unmask(&self, active: &[usize], dead: &[usize]) -> Option<(Vec<(usize, u64)>, Vec<(usize, u64)>)> {
        if active.len() < self.threshold {
            return None;
        }
        let of = |list: &[usize], shares: &[u64]| list.iter().map(|i| (*i, shares[*i])).collect();
        Some((of(active, &self.seed_shares), of(dead, &self.private_key_shares)))
    }
}

/// What a pair's mask is made of in the model: both can compute it, and so can whoever has one private key.
fn pair_seed(private_key: u64, other_public: u64) -> u64 {
    private_key ^ other_public
}

#[test]
fn control_flowers_rule_gives_a_client_named_alive_and_dead_away() {
    let (n, threshold, victim) = (5usize, 3usize, 1usize);
    let private: Vec<u64> = (0..n as u64).map(|i| 1000 + i * 77).collect();
    let seeds: Vec<u64> = (0..n as u64).map(|i| 9000 + i * 131).collect();
    let coefficients = [123_456_789, 987_654_321];
    let of_keys: Vec<Vec<u64>> = private.iter().map(|s| model::share(*s, &coefficients, n as u64)).collect();
    let of_seeds: Vec<Vec<u64>> = seeds.iter().map(|s| model::share(*s, &coefficients, n as u64)).collect();
    let held = |by: usize, all: &[Vec<u64>]| all.iter().map(|shares| shares[by]).collect();
    let clients: Vec<FlowerClient> = (0..n)
        .map(|i| FlowerClient { private_key_shares: held(i, &of_keys), seed_shares: held(i, &of_seeds), threshold })
        .collect();
    // A public key that the server relays; in this model it is the private one under a mask that everybody knows.
    let public = |i: usize| private[i];
    let mask = |seed: u64| flower_mask(&seed.to_le_bytes(), WORDS);
    let input = [345u64, 821, 330];
    let mut sent = input.to_vec();
    for i in (0..n).filter(|i| *i != victim) {
        for (word, m) in sent.iter_mut().zip(mask(pair_seed(private[victim], public(i)))) {
            *word = if i > victim { word.wrapping_add(m) } else { word.wrapping_sub(m) };
        }
    }
    for (word, m) in sent.iter_mut().zip(mask(seeds[victim])) {
        *word = word.wrapping_add(m);
    }
    // One request: all five are alive, and client 1 is dead as well. Three answer.
    let (mut of_seed, mut of_key) = (Vec::new(), Vec::new());
    for (i, client) in clients.iter().enumerate().filter(|(i, _)| *i != victim).take(threshold) {
        let (seed_shares, key_shares) = client.unmask(&[0, 1, 2, 3, 4], &[victim]).unwrap();
        of_seed.push((i as u64 + 1, seed_shares[victim].1));
        of_key.push((i as u64 + 1, key_shares[0].1));
    }
    let (seed, key) = (model::combine(&of_seed), model::combine(&of_key));
    assert_eq!((seed, key), (seeds[victim], private[victim]));
    for (word, m) in sent.iter_mut().zip(mask(seed)) {
        *word = word.wrapping_sub(m);
    }
    for i in (0..n).filter(|i| *i != victim) {
        for (word, m) in sent.iter_mut().zip(mask(pair_seed(key, public(i)))) {
            *word = if i > victim { word.wrapping_sub(m) } else { word.wrapping_add(m) };
        }
    }
    assert_eq!(sent, input, "the victim's input, exactly");
}

/// Here a client names nobody dead on request: it opens one share a dealer, and which kind follows from the set that a quorum
/// signed. The coordinator, with client 3 in its pocket, shows the four others sets with and without the victim, in every way to
/// split them: it never has t shares of both kinds of any client. Nor can it name the victim twice in one set.
#[test]
fn a_client_shown_alive_to_some_and_dead_to_others_is_opened_by_nobody() {
    let victim = 4u32;
    for split in 0u32..16 {
        let mut cohort = Cohort::new(5, 1);
        let t = cohort.q();
        let (states, _, alive) = cohort.until_survivors(&[0, 1, 2, 3, 4]);
        let mut dead = alive.clone();
        dead.inputs.retain(|i| i.index != victim);
        let mut both = alive.clone();
        both.inputs.push(both.inputs[victim as usize]);
        let mut signers = [Vec::new(), Vec::new()];
        let mut contexts = [None, None];
        let mut signed = Vec::new();
        for (turn, (i, state)) in states.into_iter().enumerate().filter(|(i, _)| *i != 3).enumerate() {
            let side = (split >> turn & 1) as usize;
            let shown = if side == 0 { alive.clone() } else { dead.clone() };
            // The victim itself signs no set without itself.
            match state.survivors(shown, &cohort.sites[i]) {
                Ok((state, message)) => {
                    contexts[side] = Some(state.ctx3());
                    signers[side].push(SignedBy { index: i as u32, signature: message.signature });
                    signed.push((side, i, state));
                }
                Err(e) => assert_eq!((i as u32, e), (victim, Abort::NotASurvivor)),
            }
        }
        for side in [0, 1] {
            if let Some(ctx3) = contexts[side] {
                let signature = cohort.sites[3].sign(labels::CTX3, ctx3.as_bytes());
                signers[side].push(SignedBy { index: 3, signature });
                signers[side].sort_by_key(|s| s.index);
            }
        }
        // Shares of the victim that were opened: of b by those who take it for alive, of s by those who take it for gone.
        let mut opened = [0usize, 0];
        for (side, i, state) in signed {
            if let Ok(message) = state.quorum(SurvivorQuorumMsg { signatures: signers[side].clone() }, &cohort.sites[i])
            {
                assert_eq!(message.opened.len(), 5, "one share a dealer");
                opened[side] += 1;
            }
        }
        // Client 3 gives its shares of both kinds.
        assert!(opened.iter().any(|count| count + 1 < t), "split {split:04b}: {opened:?} shares of both kinds");
        assert!(opened[0] == 0 || opened[1] == 0, "split {split:04b}: both sets were opened");
        // Twice in one list.
        let (states, ..) = Cohort::new(5, 1).until_survivors(&[0, 1, 2, 3, 4]);
        let answer = states.into_iter().next().unwrap().survivors(both, &cohort.sites[0]).map(|_| ());
        assert_eq!(answer, Err(Abort::SurvivorsMalformed));
    }
}

/// Where more than f sign twice the promise ends: f = 0 and one colluder. Of the four honest, two are shown each set; with the
/// colluder's signature both reach the quorum of three, and both are opened. The test above could have failed.
#[test]
fn control_with_more_colluders_than_f_both_sets_are_opened() {
    let mut cohort = Cohort::new(5, 0);
    assert_eq!(cohort.q(), 3);
    let (states, _, alive) = cohort.until_survivors(&[0, 1, 2, 3, 4]);
    let mut dead = alive.clone();
    dead.inputs.retain(|i| i.index != 4);
    let (mut shown, mut signers) = (Vec::new(), [Vec::new(), Vec::new()]);
    for (i, state) in states.into_iter().enumerate().filter(|(i, _)| *i != 3) {
        let side = usize::from(i == 1 || i == 2);
        let set = if side == 0 { alive.clone() } else { dead.clone() };
        let (state, message) = state.survivors(set, &cohort.sites[i]).unwrap();
        signers[side].push(SignedBy { index: i as u32, signature: message.signature });
        shown.push((side, i, state));
    }
    for (side, signed) in signers.iter_mut().enumerate() {
        let ctx3 = shown.iter().find(|(s, ..)| *s == side).unwrap().2.ctx3();
        signed.push(SignedBy { index: 3, signature: cohort.sites[3].sign(labels::CTX3, ctx3.as_bytes()) });
        signed.sort_by_key(|s| s.index);
    }
    let mut opened = [0, 0];
    for (side, i, state) in shown {
        let quorum = SurvivorQuorumMsg { signatures: signers[side].clone() };
        opened[side] += usize::from(state.quorum(quorum, &cohort.sites[i]).is_ok());
    }
    assert_eq!(opened, [2, 2], "with the colluder's own, t = 3 shares of both kinds");
}
