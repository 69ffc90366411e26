//! What is left when nobody checks: split views without any of the checks that end such an attempt. The mask keys alone make the
//! sum noise.
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sottovoce_types::{ClientId, Digest};

use crate::KeyAgreement;
use crate::keys::{OneTimeKeys, self_mask};
use crate::mask::{Prg, Sign, expand_into};

const WORDS: usize = 4096;
/// As in `tests/protocol/uniform.rs`: exceeded by uniform bytes with probability 1.6e-8.
const CRITICAL: f64 = 400.0;

fn chi_square(words: &[u64]) -> f64 {
    let mut counts = [0u32; 256];
    for byte in words.iter().flat_map(|w| w.to_le_bytes()) {
        counts[usize::from(byte)] += 1;
    }
    let expected = f64::from(u32::try_from(words.len() * 8).unwrap()) / 256.0;
    counts.iter().map(|c| (f64::from(*c) - expected).powi(2) / expected).sum()
}

/// Four clients mask small inputs, each under the context that it was shown; self masks are taken off, under the same contexts.
/// The sum of what they sent, and the sum of their inputs.
fn sum_under(contexts: [Digest; 4]) -> (Vec<u64>, Vec<u64>) {
    let rng = &mut ChaCha20Rng::from_seed([12; 32]);
    let cfg = Digest::of(b"a configuration");
    let ids: Vec<ClientId> = (0..4u8).map(|i| ClientId([i; 32])).collect();
    let keys: Vec<OneTimeKeys> =
        ids.iter().map(|id| OneTimeKeys::draw(&cfg, id, KeyAgreement::X25519, 0, rng).unwrap()).collect();
    let (mut sum, mut plain) = (vec![0u64; WORDS], vec![0u64; WORDS]);
    for (i, ctx2) in contexts.iter().enumerate() {
        let input = (0..WORDS as u64).map(|k| (k * (i as u64 + 3)) % 11);
        let mut sent: Vec<u64> = input.clone().collect();
        let own = self_mask(ctx2, &ids[i], &keys[i].b);
        expand_into(Prg::Aes256Ctr, &own, Sign::Add, 0, &mut sent);
        for j in (0..4).filter(|j| *j != i) {
            let key = keys[i].mask.agree(&keys[j].mask.public()).unwrap().pair_mask(ctx2, &ids[i], &ids[j]);
            let sign = if j > i { Sign::Add } else { Sign::Subtract };
            expand_into(Prg::Aes256Ctr, &key, sign, 0, &mut sent);
        }
        expand_into(Prg::Aes256Ctr, &own, Sign::Subtract, 0, &mut sent);
        sum.iter_mut().zip(&sent).for_each(|(s, w)| *s = s.wrapping_add(*w));
        plain.iter_mut().zip(input).for_each(|(s, w)| *s += w);
    }
    (sum, plain)
}

/// Pasquini et al. 2022, "Eluding secure aggregation": one client gets another model. The hash of the model is under every mask
/// key, so even with all checks off and all self masks opened the coordinator holds uniform noise.
#[test]
fn a_model_shown_to_one_client_only_leaves_uniform_noise_even_where_nobody_checks() {
    let (model, other) = (Digest::of(b"model"), Digest::of(b"model for the victim"));
    // Control: one model for all, and the sum is the sum, which is nothing like uniform.
    let (sum, plain) = sum_under([model; 4]);
    assert_eq!(sum, plain);
    assert!(chi_square(&sum) > 100.0 * CRITICAL);
    for contexts in [[other, model, model, model], [other, other, model, model]] {
        let (sum, plain) = sum_under(contexts);
        assert!(chi_square(&sum) < CRITICAL, "the sum: {}", chi_square(&sum));
        // To who knows the plain sum, too.
        let left: Vec<u64> = sum.iter().zip(&plain).map(|(a, b)| a.wrapping_sub(*b)).collect();
        assert!(chi_square(&left) < CRITICAL, "what is left: {}", chi_square(&left));
    }
}
