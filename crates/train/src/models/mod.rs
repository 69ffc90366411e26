//! The models, a file each. What their tensors are called stands in [`ModelSpec`].
mod attention_fcn;
mod cnn;
mod dnn;
mod lstm;
mod lstm_transformer;
mod text_cnn;

use sottovoce_types::ModelSpec;

use crate::batch::Batch;
use crate::kernels::Recurrence;
use crate::pass::{Pass, Value};

/// Logits `[n, classes]` of a batch.
pub(crate) fn logits<B: Recurrence>(spec: &ModelSpec, pass: &mut Pass<'_, B>, batch: &Batch<B>) -> Value<B> {
    match spec {
        ModelSpec::Dnn { hidden, .. } => dnn::logits(hidden.len(), pass, batch),
        ModelSpec::Cnn { channels, .. } => cnn::logits(channels.len(), pass, batch),
        ModelSpec::Lstm { bidirectional, .. } => lstm::logits(*bidirectional, pass, batch),
        ModelSpec::LstmTransformer { heads, .. } => lstm_transformer::logits(*heads, pass, batch),
        ModelSpec::AttentionFcn { channels, .. } => attention_fcn::logits(channels.len(), pass, batch),
        ModelSpec::TextCnn { channels, .. } => text_cnn::logits(channels.len(), pass, batch),
    }
}
