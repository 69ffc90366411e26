//! Who draws the noise.
#![allow(
    clippy::disallowed_types,
    reason = "OsNoise is the one place of this crate that asks the operating system for randomness"
)]
use rand::rngs::SysRng;
use rand_chacha::ChaCha20Rng;
use rand_core::{SeedableRng as _, TryRng as _};
use sottovoce_encode::SiteSum;
use zeroize::{Zeroize as _, Zeroizing};

use super::layers::LayerPlan;
use super::share::NoiseShare;
use crate::private::Noised;

/// Noise was not added, and nothing was made that could be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoiseError {
    /// No randomness from the operating system.
    #[error("the operating system gave no randomness, so no noise was drawn and nothing may be sent")]
    Entropy,
    /// The share was calibrated for another sensitivity than the sum's.
    #[error(
        "the noise share is for a squared sensitivity of {share} grid steps, the sum for {sum}: make both from one plan"
    )]
    OtherGrid {
        /// Of the share.
        share: u128,
        /// Of the sum.
        sum: u128,
    },
    /// Layers without a seed, or seeds without a layer.
    #[error("there are {have} seeds for {need} layers of noise: make both for the same set of dealers")]
    Seeds {
        /// Seeds given.
        have: usize,
        /// Layers of the plan.
        need: usize,
    },
}

/// Which source made a run's noise. A report says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum NoiseKind {
    /// From the operating system: private.
    Os,
    /// From a seed that somebody knows: reproducible, not private.
    Seeded,
}

/// Adds one client's share of the noise to its sum.
pub trait NoiseSource: Send {
    /// Adds fresh noise to every coordinate, of an empty site too.
    ///
    /// # Errors
    /// [`NoiseError`]; the sum is then dropped.
    fn add(&mut self, sum: SiteSum, share: &NoiseShare) -> Result<Noised, NoiseError>;

    /// Adds fresh noise for the base, and the layers of these seeds: one for each of the plan's layers, in their order. Whoever is given a seed can
    /// subtract its layer, and nothing else.
    ///
    /// # Errors
    /// [`NoiseError`]; the sum is then dropped.
    fn add_layered(&mut self, sum: SiteSum, plan: &LayerPlan, seeds: &[&[u8; 32]]) -> Result<Noised, NoiseError> {
        let (have, need) = (seeds.len(), plan.layers().len());
        if have != need {
            return Err(NoiseError::Seeds { have, need });
        }
        let mut noised = self.add(sum, plan.base())?;
        plan.add_layers(seeds, &mut noised);
        Ok(noised)
    }

    /// What it is.
    fn kind(&self) -> NoiseKind;
}

/// Noise for deployment: ChaCha20 under a fresh key from the operating system for every call. It keeps nothing between calls,
/// so no crash or restart can repeat noise.
#[derive(Debug, Default)]
pub struct OsNoise;

impl NoiseSource for OsNoise {
    fn add(&mut self, sum: SiteSum, share: &NoiseShare) -> Result<Noised, NoiseError> {
        let mut seed = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(seed.as_mut_slice()).map_err(|_| NoiseError::Entropy)?;
        add_noise(&mut Keystream::new(&seed), sum, share)
    }

    fn kind(&self) -> NoiseKind {
        NoiseKind::Os
    }
}

/// The same sampler on one running stream from a caller's seed: for tests and simulations, which must be repeatable. Whoever
/// knows the seed can subtract the noise.
pub struct SeededNoise(Keystream);

impl SeededNoise {
    /// From 32 bytes, which must differ from client to client. They are wiped here; the caller wipes its own copy.
    pub fn new(mut seed: [u8; 32]) -> Self {
        let source = Self(Keystream::new(&seed));
        seed.zeroize();
        source
    }
}

impl NoiseSource for SeededNoise {
    fn add(&mut self, sum: SiteSum, share: &NoiseShare) -> Result<Noised, NoiseError> {
        add_noise(&mut self.0, sum, share)
    }

    fn kind(&self) -> NoiseKind {
        NoiseKind::Seeded
    }
}

/// A keystream whose key and buffer are overwritten when it goes.
pub(super) struct Keystream(pub(super) ChaCha20Rng);

impl Keystream {
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(*seed))
    }

    /// Stream `number` of the 2^64 that a key has: the nonce of ChaCha20.
    pub(super) fn numbered(seed: &[u8; 32], number: u64) -> Self {
        let mut stream = Self::new(seed);
        stream.0.set_stream(number);
        stream
    }
}

impl Drop for Keystream {
    fn drop(&mut self) {
        // rand_chacha has no zeroize support. black_box keeps the compiler from dropping the store as dead; copies that it
        // may have spilled to the stack are out of reach.
        self.0 = ChaCha20Rng::from_seed([0; 32]);
        std::hint::black_box(&mut self.0);
    }
}

/// Coordinates whose noise is drawn in one call.
pub(super) const AT_A_TIME: usize = 4096;

fn add_noise(stream: &mut Keystream, sum: SiteSum, share: &NoiseShare) -> Result<Noised, NoiseError> {
    let plan = *sum.plan();
    if share.squared_sensitivity() != plan.squared_sensitivity() {
        return Err(NoiseError::OtherGrid { share: share.squared_sensitivity(), sum: plan.squared_sensitivity() });
    }
    let law = share.law();
    let mut coords = sum.into_coords();
    // Some at a time, so that the noise by itself is never more of this process's memory than that, and is overwritten.
    let mut noise = Zeroizing::new(vec![0i64; AT_A_TIME]);
    for some in coords.chunks_mut(AT_A_TIME) {
        let noise = &mut noise[..some.len()];
        law.fill(&mut stream.0, noise);
        for (x, r) in some.iter_mut().zip(noise) {
            // Wrapping, not refusing: a refusal would depend on the data (see Noised::wrap).
            *x = x.wrapping_add(*r);
        }
    }
    Ok(Noised::new(coords, plan))
}
