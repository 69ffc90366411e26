//! Noise in layers, of which the surplus is taken off an opened sum exactly: `layers.md`.
//!
//! Which layers are surplus, [`LayerRule`] says, from the signed sets alone. Here are their standard deviations, in exact integers, and the noise
//! itself: layer k of a client is round(σ_k·X) from a ChaCha20 stream for each chunk of 64 KiB of the packed vector, so that a single chunk can be made
//! again without the rest.
use num_bigint::BigUint;
use sottovoce_types::{Lanes, LayerRule, LayerSet, NoiseMultiplier};
use zeroize::Zeroizing;

use super::rounded_gaussian::{RoundedGaussian, Sigma};
use super::share::{NoiseShare, SMALLEST, ShareError, ceil_div_power_of_two, ceil_sqrt, smallest_raw, target};
use super::source::{AT_A_TIME, Keystream};
use crate::private::{Noised, words_of};

/// Words of the packed vector whose noise comes from one stream: the chunk of secure aggregation.
pub const NOISE_CHUNK_WORDS: usize = 8192;

/// The noise cannot be split.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// The base alone cannot be made.
    #[error(transparent)]
    Base(#[from] ShareError),
    /// Below 4 grid steps a layer is too coarse for the theorem of `sum_of_shares.md`, which is of the least share in a sum.
    #[error(
        "the smallest of {layers} noise layers has a standard deviation of {sigma} grid steps with {dealers} dealers, and the proof needs 4: \
         raise clip_bits by {more_clip_bits}, or set aggregation.noise_removal = \"none\""
    )]
    TooFine {
        /// Layers.
        layers: u32,
        /// |U2|.
        dealers: u32,
        /// Standard deviation of the smallest, in grid steps.
        sigma: f64,
        /// How much finer the grid must be.
        more_clip_bits: u32,
    },
}

/// The noise that each client adds in one attempt: a base that stays, and layers of which the surplus is taken off.
#[derive(Clone, PartialEq, Debug)]
pub struct LayerPlan {
    rule: LayerRule,
    base: NoiseShare,
    layers: Vec<Sigma>,
}

impl LayerPlan {
    /// The smallest standard deviations in steps of 2^−16 whose squares reach σ*²/N for the base and 2^k·u for layer k ([`LayerRule`]), with
    /// σ* = z·C for the noise multiplier `z` and a squared L2 sensitivity C² of `squared_sensitivity` grid steps.
    ///
    /// # Errors
    /// [`LayerError`] when one of them is below 4 or above 2^40 grid steps.
    pub fn new(z: NoiseMultiplier, squared_sensitivity: u128, rule: LayerRule) -> Result<Self, LayerError> {
        let base = NoiseShare::joint(z, squared_sensitivity, rule.honest())?;
        let (honest, tolerated) = (u128::from(rule.honest()), u128::from(rule.tolerated()));
        let units = (1u128 << rule.layers()) - 1;
        let layers = (0..rule.layers())
            .map(|k| {
                let fraction = (tolerated << k, (honest - tolerated) * honest * units);
                let raw = u64::try_from(smallest_raw(z, squared_sensitivity, fraction));
                let raw = raw.map_err(|_| ShareError::TooLarge)?;
                let sigma = Sigma::from_raw(raw).map_err(|_| ShareError::TooLarge)?;
                if raw < SMALLEST {
                    let more_clip_bits = u64::BITS - (SMALLEST.div_ceil(raw) - 1).leading_zeros();
                    let (layers, dealers) = (rule.layers(), rule.dealers());
                    return Err(LayerError::TooFine { layers, dealers, sigma: sigma.to_f64(), more_clip_bits });
                }
                Ok(sigma)
            })
            .collect::<Result<_, LayerError>>()?;
        Ok(Self { rule, base, layers })
    }

    /// Checks the noise of every attempt that rosters of `n_min` to `members` clients can come to, f of them corrupt.
    ///
    /// With more members there is more to tolerate: q − f and T do not fall in n, and the least layer, of variance u, falls in both for T a power of two,
    /// and for other T lies above that of the power of two below it. So the least one of all is that of all members with one of these T, or with
    /// the T that everybody makes; and the least base is that of all members dealing.
    ///
    /// # Errors
    /// [`LayerError`].
    pub fn check(
        z: NoiseMultiplier,
        squared_sensitivity: u128,
        (members, quorum, corrupt): (u32, u32, u32),
    ) -> Result<(), LayerError> {
        let most = members.saturating_sub(quorum);
        let powers = (0..u32::BITS).map(|digit| 1u32 << digit).take_while(|power| *power <= most);
        for tolerated in powers.chain([0, most]) {
            if let Some(rule) = LayerRule::new(quorum + tolerated, quorum, corrupt) {
                Self::new(z, squared_sensitivity, rule)?;
            }
        }
        Ok(())
    }

    /// Which layers are surplus.
    pub fn rule(&self) -> LayerRule {
        self.rule
    }

    /// Standard deviation of each layer.
    pub fn layers(&self) -> &[Sigma] {
        &self.layers
    }

    /// Standard deviation of the base.
    pub fn base_sigma(&self) -> Sigma {
        self.base.sigma()
    }

    /// The base. *Not* enough noise by itself where anybody drops out.
    pub(super) fn base(&self) -> &NoiseShare {
        &self.base
    }

    /// What the accountant charges: the honest noise reaches it after any number of dropouts that is tolerated.
    pub fn noise_multiplier(&self) -> NoiseMultiplier {
        self.base.noise_multiplier()
    }

    /// The variance of what one client's noise keeps when these layers are taken off, in squares of 2^−16 grid steps.
    pub fn kept(&self, off: LayerSet) -> BigUint {
        let square = |sigma: Sigma| BigUint::from(sigma.raw()) * sigma.raw();
        let kept = (0u32..).zip(&self.layers).filter(|(k, _)| !off.contains(*k));
        kept.map(|(_, sigma)| square(*sigma)).sum::<BigUint>() + square(self.base.sigma())
    }

    /// The variance that the honest survivors' noise keeps at least, in squares of 2^−16 grid steps, when these layers are taken off after so many
    /// dropouts; `None` where more drop out than are tolerated.
    pub fn honest_variance(&self, dropouts: u32, off: LayerSet) -> Option<BigUint> {
        self.rule.surplus(dropouts)?;
        Some(self.kept(off) * (self.rule.honest() - dropouts))
    }

    /// Whether a variance of the honest noise is what the accountant charges for, or more: (z·C)², compared in exact integers.
    pub fn reaches_target(&self, honest_variance: &BigUint) -> bool {
        let (numerator, denominator) = target(self.base.noise_multiplier(), self.base.squared_sensitivity());
        honest_variance * denominator >= numerator
    }

    /// Grid steps that `sigmas` standard deviations of the sum of the noise of all of so many clients stay within, before anything is taken off,
    /// whatever part of a roster of them deals: the noise tail of an encoding plan.
    ///
    /// Rounding each σ up adds 2^−16 at most to each, and so √(ℓ+1)·2^−16 to the root of the sum of their squares, which without it is that of one
    /// share for `honest_floor` survivors.
    ///
    /// # Errors
    /// [`ShareError`].
    pub fn tail_of_sum(
        z: NoiseMultiplier,
        squared_sensitivity: u128,
        honest_floor: u32,
        (layers, clients, sigmas): (u32, u32, u32),
    ) -> Result<u64, ShareError> {
        let share = NoiseShare::joint(z, squared_sensitivity, honest_floor)?;
        let raw = BigUint::from(share.sigma().raw()) + (layers + 1);
        let scaled = raw * sigmas;
        let steps = ceil_div_power_of_two(ceil_sqrt(&(&scaled * &scaled * clients)), Sigma::FRACTION_BITS);
        let rounding = u64::from(clients).saturating_mul(u64::from(layers) + 1).div_ceil(2);
        Ok(u64::try_from(steps + rounding).unwrap_or(u64::MAX))
    }

    /// Adds the layers of these seeds, one a layer.
    pub(super) fn add_layers(&self, seeds: &[&[u8; 32]], noised: &mut Noised) {
        let chunk = NOISE_CHUNK_WORDS * noised.plan().lanes().count();
        for (sigma, seed) in self.layers.iter().zip(seeds) {
            for (number, coords) in (0u64..).zip(noised.coords_mut().chunks_mut(chunk)) {
                each_part(*sigma, seed, number, coords.len(), |start, noise| {
                    for (x, r) in coords[start..].iter_mut().zip(noise) {
                        *x = x.wrapping_add(*r);
                    }
                });
            }
        }
    }

    /// Takes layer `layer` of the client with this seed off chunk `chunk` of a packed sum of `coords` coordinates: exactly what it added, mod 2^64.
    /// A layer that the plan does not have takes nothing off.
    pub fn take_off(
        &self,
        layer: u32,
        seed: &[u8; 32],
        (chunk, words): (usize, &mut [u64]),
        lanes: Lanes,
        coords: usize,
    ) {
        let Some(sigma) = usize::try_from(layer).ok().and_then(|k| self.layers.get(k)) else { return };
        let first = chunk.saturating_mul(NOISE_CHUNK_WORDS).saturating_mul(lanes.count());
        let len = coords.saturating_sub(first).min(words.len().saturating_mul(lanes.count()));
        let number = u64::try_from(chunk).expect("an index fits 64 bits");
        // Parts end where words do.
        each_part(*sigma, seed, number, len, |start, noise| {
            for (word, r) in words[start / lanes.count()..].iter_mut().zip(words_of(noise, lanes)) {
                *word = word.wrapping_sub(r);
            }
        });
    }
}

/// The noise of one chunk of `len` coordinates, some at a time: in memory for no longer than that. Parts begin at multiples of 1 to 6.
fn each_part(sigma: Sigma, seed: &[u8; 32], chunk: u64, len: usize, mut with: impl FnMut(usize, &[i64])) {
    const PART: usize = AT_A_TIME / 60 * 60;
    let law = RoundedGaussian::new(sigma);
    let mut stream = Keystream::numbered(seed, chunk);
    let mut noise = Zeroizing::new(vec![0i64; PART.min(len)]);
    let mut start = 0;
    while start < len {
        let part = &mut noise[..PART.min(len - start)];
        law.fill(&mut stream.0, part);
        with(start, part);
        start += part.len();
    }
}
