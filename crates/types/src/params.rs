//! A model's parameters as one flat vector.
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Digest, Sha256Writer};

/// One tensor's place in the flat vector.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ParamEntry {
    /// Name as PyTorch users expect it, for example `layers.0.weight`.
    pub path: String,
    /// Shape, outermost first.
    pub shape: Vec<usize>,
    /// Where it starts in the flat vector.
    pub offset: usize,
}

impl ParamEntry {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Which tensor lies where in a flat vector; its digest is the architecture hash that clients check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ParamLayout {
    entries: Vec<ParamEntry>,
    len: usize,
}

impl ParamLayout {
    /// Lays tensors out one after another.
    pub fn new(tensors: impl IntoIterator<Item = (String, Vec<usize>)>) -> Self {
        let mut entries = Vec::new();
        let mut len = 0;
        for (path, shape) in tensors {
            let entry = ParamEntry { path, shape, offset: len };
            len += entry.len();
            entries.push(entry);
        }
        Self { entries, len }
    }

    /// The tensors, in order.
    pub fn entries(&self) -> &[ParamEntry] {
        &self.entries
    }

    /// Number of parameters d.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The architecture hash: names and shapes.
    pub fn digest(&self) -> Digest {
        let mut w = Sha256Writer::new("sottovoce/1/arch");
        for e in &self.entries {
            w.field(e.path.as_bytes());
            for &n in &e.shape {
                w.number(n as u64);
            }
            w.field(b";");
        }
        w.finish()
    }
}

/// A flat vector does not have the length that its layout says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the layout has {expected} parameters, the vector {found}")]
pub struct LayoutMismatch {
    /// Parameters of the layout.
    pub expected: usize,
    /// Values given.
    pub found: usize,
}

/// Parameters θ of a model, flat: `[d]`.
#[derive(Clone, PartialEq, Debug)]
pub struct FlatParams {
    layout: Arc<ParamLayout>,
    values: Vec<f32>,
}

impl FlatParams {
    /// Joins a layout and its values.
    ///
    /// # Errors
    /// [`LayoutMismatch`] when the lengths differ.
    pub fn new(layout: Arc<ParamLayout>, values: Vec<f32>) -> Result<Self, LayoutMismatch> {
        if layout.len() == values.len() {
            Ok(Self { layout, values })
        } else {
            Err(LayoutMismatch { expected: layout.len(), found: values.len() })
        }
    }

    /// The layout.
    pub fn layout(&self) -> &Arc<ParamLayout> {
        &self.layout
    }

    /// The values, `[d]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The values, `[d]`, to be changed in place.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The model hash: architecture and the exact bits of every value.
    pub fn digest(&self) -> Digest {
        let bytes: Vec<u8> = self.values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Sha256Writer::new("sottovoce/1/model").field(self.layout.digest().as_bytes()).field(&bytes).finish()
    }
}

/// θ_local − θ_global of one privacy unit: `[d]`. Raw: it must be clipped before it can go anywhere.
#[derive(Clone, PartialEq, Debug)]
pub struct Update {
    /// The values, `[d]`.
    pub values: Vec<f32>,
    /// Examples that it was trained on.
    pub examples: u32,
}

impl Update {
    /// θ_local − θ_global.
    pub fn between(global: &FlatParams, local: &FlatParams, examples: u32) -> Self {
        let values = local.values.iter().zip(&global.values).map(|(l, g)| l - g).collect();
        Self { values, examples }
    }

    /// Its L2 norm, in f64.
    pub fn norm(&self) -> f64 {
        self.values.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt()
    }
}
