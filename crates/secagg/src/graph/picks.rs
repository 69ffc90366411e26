//! A client's own choice of neighbours, and the list that it signs.
use std::collections::BTreeSet;

use rand_core::CryptoRng;
use sottovoce_types::{ClientId, Digest};

use crate::identity::{BadSignature, Identity, verify};
use crate::labels;

/// Why no neighbours were chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickFailed {
    /// More neighbours than there are others, or a position that is not on the roster.
    #[error("client {me} of {n} cannot pick {k} neighbours; take k from 1 to n − 1 and a position below n")]
    Degree {
        /// Position of the client.
        me: u32,
        /// Clients on the roster.
        n: u32,
        /// Neighbours asked for.
        k: u32,
    },
    /// The generator repeats itself.
    #[error("the random number generator is broken (constant output); no neighbours were picked")]
    RandomnessFailed,
}

/// k of the other n − 1 roster positions, uniform among all such sets, ascending (R. W. Floyd's sampling; Bentley & Floyd,
/// "A sample of brilliance", 1987). Draw them once the roster is fixed and from a generator that the coordinator knows
/// nothing of: a graph that it can influence, it can draw again until it likes it.
///
/// # Errors
/// [`PickFailed`].
pub fn choose_neighbours(me: u32, n: u32, k: u32, rng: &mut (impl CryptoRng + ?Sized)) -> Result<Vec<u32>, PickFailed> {
    let degree = PickFailed::Degree { me, n, k };
    let others = n.checked_sub(1).filter(|others| me < n && (1..=*others).contains(&k)).ok_or(degree)?;
    let mut words = Vec::new();
    let mut chosen = BTreeSet::new();
    for last in others.saturating_sub(k)..others {
        let pick = up_to(last, &mut words, rng).ok_or(PickFailed::RandomnessFailed)?;
        if !chosen.insert(pick) {
            chosen.insert(last);
        }
    }
    // Two equal words in a row are nothing; nothing but equal words is 2^−64 for two and less for more.
    if words.len() > 1 && words.windows(2).all(|pair| pair.first() == pair.last()) {
        return Err(PickFailed::RandomnessFailed);
    }
    Ok(chosen.into_iter().map(|other| if other < me { other } else { other.saturating_add(1) }).collect())
}

/// Uniform from 0 to `last`, by rejection; the words drawn are kept for the health test. `None` after eight rejections:
/// 2^−256 for a sound generator.
fn up_to(last: u32, words: &mut Vec<u64>, rng: &mut (impl CryptoRng + ?Sized)) -> Option<u32> {
    let size = u64::from(last).saturating_add(1);
    // Words from the last whole multiple of `size` on would favour small results.
    let whole = u64::MAX.checked_div(size)?.saturating_mul(size);
    for _ in 0..8 {
        let word = rng.next_u64();
        words.push(word);
        if word < whole {
            return u32::try_from(word.checked_rem(size)?).ok();
        }
    }
    None
}

/// R0″, client to coordinator, and on to all: a list of picks under the identity's signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PicksMsg {
    /// k roster positions, ascending.
    pub picks: Vec<u32>,
    /// By the sender, over ctx1, itself and the picks.
    pub signature: [u8; 64],
}

impl PicksMsg {
    /// Signs the picks of the owner of `id` for the roster of `ctx1`.
    pub fn new(picks: Vec<u32>, ctx1: &Digest, id: &Identity) -> Self {
        let signature = id.sign(labels::NBRS, signed(&picks, ctx1, &id.client_id()).as_bytes());
        Self { picks, signature }
    }

    /// Checks that `client`, the owner of `public_key`, picked these on the roster of `ctx1`.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, ctx1: &Digest, client: &ClientId, public_key: &[u8; 32]) -> Result<(), BadSignature> {
        verify(public_key, labels::NBRS, signed(&self.picks, ctx1, client).as_bytes(), &self.signature)
    }
}

fn signed(picks: &[u32], ctx1: &Digest, client: &ClientId) -> Digest {
    let mut hasher = labels::NBRS.hasher();
    hasher.field(ctx1.as_bytes()).field(&client.0);
    for pick in picks {
        hasher.number(u64::from(*pick));
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng, TryCryptoRng, TryRng};

    use super::*;

    proptest! {
        #[test]
        fn picks_are_k_other_positions(seed: u64, n in 2u32..200, me: u32, k: u32) {
            let (me, k) = (me % n, 1 + k % (n - 1));
            let picks = choose_neighbours(me, n, k, &mut ChaCha20Rng::seed_from_u64(seed)).unwrap();
            prop_assert_eq!(picks.len(), k as usize);
            prop_assert!(picks.is_sorted_by(|a, b| a < b) && picks.iter().all(|p| *p < n && *p != me));
        }
    }

    /// Chi-square over the ten sets of three of five others: nine degrees of freedom, exceeded at 60 with probability 1e-9.
    fn chi_square(mut sampler: impl FnMut() -> Vec<u32>) -> f64 {
        let draws = 20_000;
        let mut counts: BTreeMap<Vec<u32>, u32> = BTreeMap::new();
        for _ in 0..draws {
            *counts.entry(sampler()).or_default() += 1;
        }
        let expected = f64::from(draws) / 10.0;
        let seen: f64 = counts.values().map(|c| (f64::from(*c) - expected).powi(2) / expected).sum();
        seen + expected * (10.0 - f64::from(u32::try_from(counts.len()).unwrap()))
    }

    /// Control samplers: one that steps on from a place already taken, and Floyd's with its range short by one.
    fn stepping(rng: &mut ChaCha20Rng) -> Vec<u32> {
        let mut chosen = BTreeSet::new();
        while chosen.len() < 3 {
            let mut pick = rng.next_u32() % 5;
            while !chosen.insert(pick) {
                pick = (pick + 1) % 5;
            }
        }
        chosen.into_iter().collect()
    }

    fn short_by_one(rng: &mut ChaCha20Rng) -> Vec<u32> {
        let mut chosen = BTreeSet::new();
        for last in 2..5 {
            let pick = rng.next_u32() % last;
            if !chosen.insert(pick) {
                chosen.insert(last);
            }
        }
        chosen.into_iter().collect()
    }

    #[test]
    fn claim_every_set_of_neighbours_is_as_likely() {
        let rng = &mut ChaCha20Rng::seed_from_u64(3);
        let chi2 = chi_square(|| choose_neighbours(2, 6, 3, rng).unwrap());
        assert!(chi2 < 60.0, "{chi2}");
        for (name, sampler) in [("stepping", stepping as fn(&mut _) -> _), ("short by one", short_by_one)] {
            let chi2 = chi_square(|| sampler(rng));
            assert!(chi2 > 300.0, "{name}: {chi2}");
        }
    }

    #[test]
    fn a_choice_that_cannot_be_made_is_refused() {
        let rng = &mut ChaCha20Rng::seed_from_u64(4);
        for (me, n, k) in [(0, 0, 1), (0, 1, 1), (3, 3, 1), (0, 3, 3), (0, 3, 0), (u32::MAX, u32::MAX, 1)] {
            assert_eq!(choose_neighbours(me, n, k, rng), Err(PickFailed::Degree { me, n, k }));
        }
        assert_eq!(choose_neighbours(1, 3, 2, rng), Ok(vec![0, 2]));
    }

    struct Stuck(u64);
    impl TryRng for Stuck {
        type Error = core::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            Ok(7)
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Ok(self.0)
        }
        fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Self::Error> {
            dst.fill(7);
            Ok(())
        }
    }
    impl TryCryptoRng for Stuck {}

    #[test]
    fn a_stuck_generator_is_refused() {
        for stuck in [0, 7, u64::MAX] {
            assert_eq!(choose_neighbours(0, 100, 10, &mut Stuck(stuck)), Err(PickFailed::RandomnessFailed), "{stuck}");
        }
    }

    #[test]
    fn a_list_holds_for_its_picker_roster_and_picks_only() {
        let (id, other) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
        let (ctx1, key) = (Digest([3; 32]), id.public_key());
        let list = PicksMsg::new(vec![1, 4, 9], &ctx1, &id);
        assert_eq!(list.verify(&ctx1, &id.client_id(), &key), Ok(()));
        assert_eq!(list.verify(&Digest([4; 32]), &id.client_id(), &key), Err(BadSignature));
        assert_eq!(list.verify(&ctx1, &other.client_id(), &key), Err(BadSignature));
        assert_eq!(list.verify(&ctx1, &id.client_id(), &other.public_key()), Err(BadSignature));
        let altered = PicksMsg { picks: vec![1, 4, 8], ..list };
        assert_eq!(altered.verify(&ctx1, &id.client_id(), &key), Err(BadSignature));
    }
}
