//! The least noise that keeps an event within (ε, δ).
use sottovoce_types::{Delta, Epsilon, NoiseMultiplier};

use super::{AccountError, Accountant, Accounted, Adjacency, epsilon};
use crate::DpEvent;

/// Calibrated noise, and what it then costs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Calibrated {
    /// The safe end of the search: the certified upper end of its ε is at most the target.
    pub noise_multiplier: NoiseMultiplier,
    /// ε at that noise.
    pub spent: Accounted,
}

/// How close the search comes, relative to the noise.
const TOLERANCE: f64 = 1e-6;
/// Beyond it, nobody learns anything.
const MOST: f64 = 1e9;

/// The least noise multiplier, to one in a million, with which `make`'s event costs at most `target` at `delta`: never the unsafe end.
///
/// # Errors
/// [`AccountError`] when no accountant has a bound, or no noise is enough.
pub fn calibrate_noise_multiplier(
    target: Epsilon,
    delta: Delta,
    make: impl Fn(NoiseMultiplier) -> DpEvent,
    accountant: Accountant,
    adjacency: Adjacency,
) -> Result<Calibrated, AccountError> {
    let at = |z: f64| -> Result<Calibrated, AccountError> {
        let noise_multiplier = NoiseMultiplier::new(z).expect("above 0 and finite");
        let spent = epsilon(&make(noise_multiplier), delta, accountant, adjacency)?;
        Ok(Calibrated { noise_multiplier, spent })
    };
    let target = target.value();
    let z_of = |c: &Calibrated| c.noise_multiplier.value();
    let fits = |c: &Calibrated| c.spent.bracket.upper <= target;
    // Two ends, a factor apart.
    let (mut unsafe_end, mut safe) = (at(1.0)?, at(1.0)?);
    if fits(&safe) {
        while fits(&unsafe_end) && z_of(&unsafe_end) > 1e-6 {
            safe = unsafe_end;
            unsafe_end = at(z_of(&safe) / 1.5)?;
        }
    } else {
        while !fits(&safe) {
            if z_of(&safe) > MOST {
                return Err(AccountError::NotCalibrated { target, most: MOST });
            }
            unsafe_end = safe;
            // ε falls about as 1/z or faster.
            let factor = (safe.spent.bracket.upper / target).clamp(1.5, 64.0);
            safe = at(z_of(&safe) * factor)?;
        }
    }
    // ln ε is nearly straight in ln z: by the secant, kept inside the bracket, and by halves where that does not close it.
    let mut halve = false;
    while z_of(&safe) / z_of(&unsafe_end) > 1.0 + TOLERANCE {
        let (low, high) = (z_of(&unsafe_end).ln(), z_of(&safe).ln());
        let (above, below) = (unsafe_end.spent.bracket.upper.ln(), safe.spent.bracket.upper.max(1e-300).ln());
        let secant = low + (above - target.ln()) / (above - below) * (high - low);
        let middle = f64::midpoint(low, high);
        // A hair towards the far end, so that both ends move.
        let nudge = (high - low) * 1e-3 + TOLERANCE / 4.0;
        let inside = |v: f64| v.is_finite() && v > low + TOLERANCE / 8.0 && v < high - TOLERANCE / 8.0;
        let guess = if secant > middle { secant - nudge } else { secant + nudge };
        let next = if halve || !inside(guess) { middle } else { guess };
        let width = high - low;
        let found = at(next.exp())?;
        if fits(&found) {
            safe = found;
        } else {
            unsafe_end = found;
        }
        halve = (z_of(&safe) / z_of(&unsafe_end)).ln() > width / 4.0;
    }
    Ok(safe)
}
