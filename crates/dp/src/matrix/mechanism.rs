//! What the whole training costs, and how noisy its prefix sums are.
use num_bigint::BigUint;
use sottovoce_encode::exact;
use sottovoce_types::{Delta, Epsilon, NoiseMultiplier};

use super::{BandedToeplitz, MatrixError, Participation};
use crate::noise::{NoiseShare, ShareError, Sigma};
use crate::{DpEvent, gdp};

/// C with a participation: one Gaussian mechanism, y = C·X + σ·Z, of which the released rows C⁻¹y are post-processing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MatrixMechanism {
    matrix: BandedToeplitz,
    participation: Participation,
    squared_sensitivity: u128,
}

/// Variance of a coordinate of the prefix sums' noise, in squares of (noise multiplier · clipping norm).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PrefixError {
    /// Mean over the rounds.
    pub mean: f64,
    /// Of the round where it is largest, the last.
    pub max: f64,
}

impl MatrixMechanism {
    /// For units that take part as `participation` says.
    ///
    /// # Errors
    /// [`MatrixError::TooClose`] when a unit may come back before the band has passed: then its columns overlap and
    /// the sum of their squared norms is no bound.
    pub fn new(matrix: BandedToeplitz, participation: Participation) -> Result<Self, MatrixError> {
        let (separation, bands) = (participation.separation(), matrix.bands());
        if separation < bands {
            return Err(MatrixError::TooClose { separation, bands });
        }
        let rounds = matrix.rounds();
        let times = participation.at_most().min(rounds.div_ceil(separation));
        // Norms of columns do not rise with the column, so joining as early and as densely as allowed is the worst.
        let squared_sensitivity = (0..times).map(|i| matrix.squared_column(i * separation)).sum();
        Ok(Self { matrix, participation, squared_sensitivity })
    }

    /// C.
    pub fn matrix(&self) -> &BandedToeplitz {
        &self.matrix
    }

    /// Who may take part how often.
    pub fn participation(&self) -> Participation {
        self.participation
    }

    /// The square of the L2 sensitivity of C·X when every row's clipping norm is 1, in 2^−40, exactly: the largest Σ ‖C_{:,j}‖² over
    /// the rounds j of one unit (Choquette-Choo et al. 2023; `proof.md`, 2).
    pub fn squared_sensitivity(&self) -> u128 {
        self.squared_sensitivity
    }

    /// The smallest noise multiplier (safe end) with which the whole training stays within (`epsilon`, `delta`). Charge
    /// `Charge::every_unit` of it once, before the first round.
    pub fn calibrate(&self, epsilon: Epsilon, delta: Delta) -> NoiseMultiplier {
        gdp::calibrate(epsilon, delta, 1)
    }

    /// σ for that multiplier: the smallest multiple of 2^−16 with σ² ≥ z² · sensitivity² · C² in exact integers (but for the rounding
    /// of the squared sensitivity up to a whole number). `squared_clip` is the square of a row's clipping norm in grid steps.
    ///
    /// # Errors
    /// [`ShareError`] as [`NoiseShare::joint`]: below 4 or above 2^40 grid steps.
    pub fn row_sigma(&self, z: NoiseMultiplier, squared_clip: u128) -> Result<Sigma, ShareError> {
        let scale = 2 * BandedToeplitz::FRACTION_BITS;
        let product = BigUint::from(self.squared_sensitivity) * squared_clip;
        let squared = (product + ((1u64 << scale) - 1)) >> scale;
        let squared = u128::try_from(squared).map_err(|_| ShareError::TooLarge)?;
        Ok(NoiseShare::joint(z, squared, 1)?.sigma())
    }

    /// The multiplier that rows of deviation `sigma` amount to, rounded down: what the whole training is charged as.
    /// `squared_clip` as in [`MatrixMechanism::row_sigma`]; `None` for 0, where nothing is released.
    pub fn noise_multiplier(&self, sigma: Sigma, squared_clip: u128) -> Option<NoiseMultiplier> {
        let sensitivity = self.sensitivity() * float(squared_clip).sqrt();
        // Four conversions within 3 units each, two roots, a product, a quotient: below 16 units of the last place.
        NoiseMultiplier::new(sigma.to_f64() / sensitivity * (1.0 - 16.0 * f64::EPSILON)).ok()
    }

    /// The one event of the whole training.
    pub fn event(&self, sigma: Sigma, squared_clip: u128) -> Option<DpEvent> {
        self.noise_multiplier(sigma, squared_clip).map(DpEvent::gaussian)
    }

    /// How noisy the sums over rounds 0..=t are: the rows of B = A·C⁻¹, A the lower triangle of ones, times the squared sensitivity.
    /// Compare it with that of one band, which is independent noise.
    pub fn prefix_error(&self) -> PrefixError {
        let c = self.matrix.to_f64();
        let (mut inverse, mut row, mut variance, mut sum) = (Vec::<f64>::new(), 0.0, 0.0, 0.0);
        let rounds = self.matrix.rounds();
        for round in 0..rounds {
            let before: f64 = c.iter().skip(1).zip(inverse.iter().rev()).map(|(c, g)| c * g).sum();
            inverse.push(if round == 0 { 1.0 } else { -before });
            row += inverse.last().copied().unwrap_or_default();
            variance += row * row;
            sum += variance;
        }
        let squared = self.sensitivity().powi(2);
        PrefixError { mean: squared * sum / f64::from(rounds), max: squared * variance }
    }

    /// To nearest, within a few units of the last place.
    fn sensitivity(&self) -> f64 {
        float(self.squared_sensitivity).sqrt() / f64::from(1u32 << BandedToeplitz::FRACTION_BITS)
    }
}

/// Within 3 units of the last place.
fn float(value: u128) -> f64 {
    let halves = [value >> 64, value & u128::from(u64::MAX)].map(|h| u64::try_from(h).expect("64 bits"));
    exact::u64_to_f64(halves[0]) * 2f64.powi(64) + exact::u64_to_f64(halves[1])
}
