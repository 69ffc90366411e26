//! Numbers with a range: the constructor is the only door, for deserialising too.
use std::fmt;

use serde::{Deserialize, Serialize};

/// A number outside the range that its meaning allows.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{what} must be {must}, but is {is}")]
pub struct OutOfRange {
    /// What the number is.
    pub what: &'static str,
    /// The range, in words.
    pub must: &'static str,
    /// The number that was given.
    pub is: f64,
}

macro_rules! checked {
    ($(#[$doc:meta])* $name:ident, $what:literal, $must:literal, $ok:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, PartialOrd, Debug, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            #[doc = concat!("Checks that ", $what, " is ", $must, ".")]
            ///
            /// # Errors
            /// [`OutOfRange`] otherwise.
            pub fn new(value: f64) -> Result<Self, OutOfRange> {
                let ok: fn(f64) -> bool = $ok;
                if ok(value) { Ok(Self(value)) } else { Err(OutOfRange { what: $what, must: $must, is: value }) }
            }

            /// The number.
            pub fn value(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = OutOfRange;
            fn try_from(value: f64) -> Result<Self, OutOfRange> {
                Self::new(value)
            }
        }

        impl From<$name> for f64 {
            fn from(value: $name) -> f64 {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

checked!(
    /// The privacy loss parameter ε of (ε, δ)-differential privacy.
    Epsilon, "epsilon", "finite and above 0", |v| v.is_finite() && v > 0.0
);
checked!(
    /// The failure probability δ of (ε, δ)-differential privacy.
    Delta, "delta", "above 0 and below 1", |v| v > 0.0 && v < 1.0
);
checked!(
    /// The L2 bound C to which one privacy unit's update is clipped.
    ClipNorm, "the clipping norm", "finite and above 0", |v| v.is_finite() && v > 0.0
);
checked!(
    /// Standard deviation of the noise on the sum, divided by the clipping norm of one unit.
    NoiseMultiplier, "the noise multiplier", "finite and above 0", |v| v.is_finite() && v > 0.0
);
checked!(
    /// A probability with which a unit is drawn.
    Probability, "the sampling probability", "above 0 and at most 1", |v| v > 0.0 && v <= 1.0
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deserialising_goes_through_the_constructor() {
        assert!(serde_json::from_str::<Epsilon>("-1.0").is_err());
        assert!(serde_json::from_str::<Delta>("1.0").is_err());
        assert!((serde_json::from_str::<Delta>("1e-5").unwrap().value() - 1e-5).abs() < 1e-20);
        assert!(Epsilon::new(f64::NAN).is_err());
    }
}
