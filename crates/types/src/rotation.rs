//! Whether updates are rotated on their way to the integer grid.
use serde::{Deserialize, Serialize};

/// What is done to a clipped update before it becomes integers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rotation {
    /// Nothing: a lane has room for units that all point along one axis.
    #[default]
    None,
    /// Random signs and a Walsh–Hadamard transform, which spread heavy coordinates: a lane needs less room.
    Hadamard,
}

impl Rotation {
    /// The word used in configs and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Hadamard => "hadamard",
        }
    }
}
