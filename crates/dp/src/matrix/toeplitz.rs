//! The lower-triangular banded Toeplitz matrix C, in exact fixed point.
/// A factorisation or a participation is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MatrixError {
    /// Something that must be at least 1.
    #[error("{what} must be at least 1")]
    Zero {
        /// Which argument.
        what: &'static str,
    },
    /// More bands than rounds, or than the fixed point carries.
    #[error("{bands} bands do not fit {rounds} rounds: use at most {most}")]
    Bands {
        /// As given.
        bands: usize,
        /// As given.
        rounds: u32,
        /// What fits.
        most: u32,
    },
    /// The diagonal must be 1 and no coefficient above it.
    #[error("coefficient {place} is {raw} / 2^20: the first must be 1 and the others at most 1")]
    Coefficient {
        /// Which, from 0.
        place: usize,
        /// In 2^−20.
        raw: u32,
    },
    /// The inverse grows too much for its error to be tracked in fixed point.
    #[error(
        "the inverse of these coefficients sums to more than 2^16 within {round} rounds: use decreasing coefficients"
    )]
    Growing {
        /// Where it passed the limit.
        round: u32,
    },
    /// Rounds of one unit overlap within the band.
    #[error(
        "a unit may join again after {separation} rounds, but {bands} bands need {bands}: \
         use more cohorts or fewer bands"
    )]
    TooClose {
        /// Of the participation.
        separation: u32,
        /// Of the matrix.
        bands: u32,
    },
}

/// C = (c_{t−j}) for rounds t, j with 0 ≤ t − j < b: lower triangular, constant along diagonals, c_0 = 1. The coefficients are multiples
/// of 2^−20 and are C, not an approximation of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BandedToeplitz {
    coefficients: Vec<u32>,
    rounds: u32,
    /// Σ_{i ≤ t} |(C⁻¹)_{i,0}| in 2^−64, for every t, too small by a relative 2^−20 at most.
    growth: Vec<u128>,
}

impl BandedToeplitz {
    /// Bits after the binary point of a coefficient.
    pub const FRACTION_BITS: u32 = 20;
    const ONE: u32 = 1 << Self::FRACTION_BITS;
    /// So that sums of products stay within 127 bits.
    const MOST_BANDS: u32 = 1 << 16;
    /// Largest sum of the inverse's magnitudes.
    const MOST_GROWTH: u128 = 1 << (64 + 16);

    /// The first `bands` coefficients of (1 − x)^(−1/2), which are C(2j, j)/4^j: the square root of the matrix of prefix sums
    /// (Fichtenberger, Henzinger & Upadhyay 2023), cut to a band (Kalinin & Lampert 2024, "banded square root"). With all bands it
    /// is within a small constant of the best factorisation, cut it is near the numerically optimised ones. Each is rounded to
    /// 2^−20. Columns are not scaled to equal norm: only the last b − 1 are shorter, and scaling would leave the fixed point.
    ///
    /// # Errors
    /// [`MatrixError`] without bands or rounds, or with more bands than rounds.
    pub fn square_root(bands: u32, rounds: u32) -> Result<Self, MatrixError> {
        const WORK: u32 = 60;
        let mut exact = 1u128 << WORK;
        let mut coefficients = Vec::new();
        for j in 0..u128::from(bands.min(rounds.saturating_add(1))) {
            if j > 0 {
                exact = exact * (2 * j - 1) / (2 * j);
            }
            let rounded = (exact + (1 << (WORK - Self::FRACTION_BITS - 1))) >> (WORK - Self::FRACTION_BITS);
            coefficients.push(u32::try_from(rounded).expect("at most 2^20"));
        }
        Self::with_coefficients(coefficients, rounds)
    }

    /// Any coefficients in 2^−20, the first 2^20 and the others at most that. One coefficient makes C the identity: independent
    /// noise.
    ///
    /// # Errors
    /// [`MatrixError`] for other coefficients, more of them than rounds or than 2^16, and for an inverse that grows.
    pub fn with_coefficients(coefficients: Vec<u32>, rounds: u32) -> Result<Self, MatrixError> {
        for (what, zero) in [("rounds", rounds == 0), ("bands", coefficients.is_empty())] {
            if zero {
                return Err(MatrixError::Zero { what });
            }
        }
        let most = rounds.min(Self::MOST_BANDS);
        if u32::try_from(coefficients.len()).is_ok_and(|b| b > most) {
            return Err(MatrixError::Bands { bands: coefficients.len(), rounds, most });
        }
        for (place, &raw) in coefficients.iter().enumerate() {
            if raw > Self::ONE || (place == 0 && raw != Self::ONE) {
                return Err(MatrixError::Coefficient { place, raw });
            }
        }
        let growth = growth_of_the_inverse(&coefficients, rounds)?;
        Ok(Self { coefficients, rounds, growth })
    }

    /// b.
    pub fn bands(&self) -> u32 {
        u32::try_from(self.coefficients.len()).expect("at most 2^16 bands")
    }

    /// T.
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// c_0, …, c_{b−1} in 2^−20.
    pub fn coefficients(&self) -> &[u32] {
        &self.coefficients
    }

    /// ‖C_{:,j}‖² in 2^−40, exactly: column j has the coefficients that fit above the last round.
    pub fn squared_column(&self, column: u32) -> u128 {
        let left = usize::try_from(self.rounds.saturating_sub(column)).unwrap_or(usize::MAX);
        self.coefficients.iter().take(left).map(|&c| u128::from(c).pow(2)).sum()
    }

    /// Bounds, in units of the last place, of the error of w_t in fixed point when every step's own error is at most 3/2 units
    /// (`proof.md`, 4), for every round.
    pub(super) fn error_units(&self) -> Vec<u64> {
        // 2 more than the floor: one for the floor, one for what growth lacks.
        self.growth.iter().map(|&g| u64::try_from((3 * g) >> 65).expect("growth is at most 2^16") + 2).collect()
    }

    /// The coefficients as floats, exactly.
    pub(super) fn to_f64(&self) -> Vec<f64> {
        self.coefficients.iter().map(|&c| f64::from(c) / f64::from(Self::ONE)).collect()
    }
}

/// Σ_{i ≤ t} |g_i| for the first column g of C⁻¹ (all columns are its shifts), in 2^−64.
fn growth_of_the_inverse(coefficients: &[u32], rounds: u32) -> Result<Vec<u128>, MatrixError> {
    let mut inverse: Vec<i128> = Vec::new();
    let mut growth = Vec::new();
    let mut total = 0u128;
    for round in 0..rounds {
        let next = if round == 0 {
            1i128 << 64
        } else {
            let products = coefficients.iter().skip(1).zip(inverse.iter().rev()).map(|(&c, &g)| i128::from(c) * g);
            -scale_down(products.sum())
        };
        inverse.push(next);
        total += next.unsigned_abs();
        if total > BandedToeplitz::MOST_GROWTH {
            return Err(MatrixError::Growing { round });
        }
        growth.push(total);
    }
    Ok(growth)
}

/// A sum of products with coefficients, back in the products' own fixed point: to nearest, so within half a unit.
#[inline]
pub(super) fn scale_down(sum: i128) -> i128 {
    (sum + (1 << (BandedToeplitz::FRACTION_BITS - 1))) >> BandedToeplitz::FRACTION_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: u32 = 1 << 20;

    #[test]
    fn the_square_root_squares_to_the_prefix_sum() {
        let c = BandedToeplitz::square_root(12, 12).unwrap();
        assert_eq!(c.coefficients()[..5], [ONE, ONE / 2, ONE / 8 * 3, ONE / 16 * 5, ONE / 128 * 35]);
        let c = c.to_f64();
        for t in 0..12 {
            let square: f64 = (0..=t).map(|i| c[i] * c[t - i]).sum();
            assert!((square - 1.0).abs() < 1e-5, "coefficient {t} of the square is {square}");
        }
    }

    #[test]
    fn growth_is_that_of_the_inverse() {
        // 1/(1 + x/2) has the coefficients (−1/2)^i.
        let c = BandedToeplitz::with_coefficients(vec![ONE, ONE / 2], 10).unwrap();
        for (t, &g) in (0..).zip(&c.growth) {
            assert_eq!(g, (2u128 << 64) - (1 << (64 - t)));
        }
        // (1 − x)^(1/2) has coefficients that sum to 2 in magnitude.
        let full = BandedToeplitz::square_root(1000, 1000).unwrap();
        let last = full.error_units()[999];
        assert!((4..=5).contains(&last), "3/2 of a little below 2, and 2: {last}");
    }

    #[test]
    fn what_is_no_factorisation_is_refused_by_name() {
        let refused = |raw: Vec<u32>, rounds| BandedToeplitz::with_coefficients(raw, rounds).unwrap_err();
        assert_eq!(refused(vec![ONE], 0), MatrixError::Zero { what: "rounds" });
        assert_eq!(refused(vec![], 3), MatrixError::Zero { what: "bands" });
        assert_eq!(refused(vec![ONE; 3], 2), MatrixError::Bands { bands: 3, rounds: 2, most: 2 });
        assert_eq!(refused(vec![ONE - 1], 2), MatrixError::Coefficient { place: 0, raw: ONE - 1 });
        assert_eq!(refused(vec![ONE, ONE + 1], 2), MatrixError::Coefficient { place: 1, raw: ONE + 1 });
        // Coefficients that rise have roots inside the unit circle, so the inverse grows without end.
        assert!(matches!(refused(vec![ONE, 0, 0, ONE / 2, ONE], 5000), MatrixError::Growing { .. }));
        assert!(matches!(BandedToeplitz::square_root(0, 3), Err(MatrixError::Zero { what: "bands" })));
        assert!(matches!(BandedToeplitz::square_root(9, 3), Err(MatrixError::Bands { most: 3, .. })));
    }
}
