//! What the server carries beside the model, in a form that can be made durable and checked.
use std::collections::BTreeMap;

use sottovoce_types::{Digest, Sha256Writer};

/// Vectors `[d]` that an optimiser carries from one round to the next, with the model that they belong to.
///
/// Public like the model: it is made of released means alone. A journal makes it durable before the entry that publishes
/// the model, and that entry names its digest.
#[derive(Clone, PartialEq, Debug)]
pub struct ServerState {
    model: Digest,
    vectors: BTreeMap<String, Vec<f64>>,
}

/// A state is not one of this run's optimiser.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerStateError {
    /// It belongs to another model.
    #[error("it belongs to model {found}, and not to {expected}")]
    OtherModel {
        /// The model at hand.
        expected: Digest,
        /// The model that it names.
        found: Digest,
    },
    /// Something is missing.
    #[error("it has no {name}, which this run's optimiser carries")]
    Missing {
        /// What.
        name: &'static str,
    },
    /// A clipping norm that the plan does not allow.
    #[error("its clipping norm {found} is out of the plan's limits")]
    Clip {
        /// As it stands there.
        found: String,
    },
    /// Something is there that the optimiser does not carry.
    #[error("it has a {name}, which this run's optimiser does not carry")]
    Unknown {
        /// What.
        name: String,
    },
    /// A vector of another length.
    #[error("its {name} has {found} values, the model {expected}")]
    Length {
        /// What.
        name: &'static str,
        /// Values that it must have.
        expected: usize,
        /// Values that it has.
        found: usize,
    },
}

impl ServerState {
    /// An empty state beside this model.
    pub fn of(model: Digest) -> Self {
        Self { model, vectors: BTreeMap::new() }
    }

    /// Adds a vector, or replaces the one of its name.
    pub fn keep(&mut self, name: impl Into<String>, values: Vec<f64>) {
        self.vectors.insert(name.into(), values);
    }

    /// The model that it belongs to.
    pub fn model(&self) -> Digest {
        self.model
    }

    /// Its vectors by name.
    pub fn vectors(&self) -> &BTreeMap<String, Vec<f64>> {
        &self.vectors
    }

    /// Identifies it: the model, and the exact bits of every value.
    pub fn digest(&self) -> Digest {
        let mut w = Sha256Writer::new("sottovoce/1/server-state");
        w.field(self.model.as_bytes());
        for (name, values) in &self.vectors {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            w.field(name.as_bytes()).field(&bytes);
        }
        w.finish()
    }
}
