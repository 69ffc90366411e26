//! From the coordinator's view of the wire to bias updates: masked inputs taken for plain.
use std::collections::BTreeMap;
use std::ops::Range;

use sottovoce_encode::EncodePlan;
use sottovoce_secagg::{MaskedInputMsg, MessageCtx};
use sottovoce_transcript::{CoordinatorView, Party};
use sottovoce_types::{ClientId, ParamLayout, RingVec};
use sottovoce_wire::{Decode as _, Kind};

use crate::label_profile::ObservedUpdate;

/// Public facts with which the coordinator reads a client's input.
#[derive(Clone, Debug)]
pub struct ObserveSpec {
    /// How vectors are encoded.
    pub encode: EncodePlan,
    /// Shape of the round's messages: `Session::message_ctx`.
    pub message: MessageCtx,
    /// Where the last layer's bias lies in the flat vector ([`last_layer_bias`]).
    pub bias: Range<usize>,
    /// Privacy units of each client, by whose number its sum is divided; clients not listed count as one unit.
    pub units: BTreeMap<ClientId, u32>,
}

/// Why the coordinator's view could not be read.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObserveError {
    /// A recorded input is not what the run's plan says.
    #[error("record {seq} does not decode as this run's masked input: is the transcript of another run?")]
    Undecodable {
        /// Its place in the transcript.
        seq: u64,
    },
    /// The bias lies outside the vector.
    #[error("the bias ends at parameter {end}, but vectors have {dim} parameters: use the layout of this run")]
    BiasOutside {
        /// Where the bias ends.
        end: usize,
        /// Parameters of a vector.
        dim: usize,
    },
}

/// Where the last layer's bias lies: the last tensor of the layout, when it is a vector.
pub fn last_layer_bias(layout: &ParamLayout) -> Option<Range<usize>> {
    let last = layout.entries().last()?;
    (last.shape.len() == 1).then(|| last.offset..last.offset + last.len())
}

/// Every masked input that a client sent to the coordinator, decoded *as if it were plain*: unpacked to integers, rotated back, scaled
/// to parameter units, divided by the client's units, and cut to the last layer's bias. One entry per input; a round
/// that took two attempts gives two.
///
/// # Errors
/// [`ObserveError`] when the view and the plan are not of one run.
pub fn observe(view: &CoordinatorView<'_>, spec: &ObserveSpec) -> Result<Vec<ObservedUpdate>, ObserveError> {
    let plan = &spec.encode;
    if spec.bias.end > plan.spec().dim {
        return Err(ObserveError::BiasOutside { end: spec.bias.end, dim: plan.spec().dim });
    }
    let mut out = Vec::new();
    for record in view.of_kind(Kind::MaskedInput) {
        let Party::Client(client) = record.from else { continue };
        let undecodable = ObserveError::Undecodable { seq: record.seq };
        let Ok(message) = MaskedInputMsg::decode_exact(&spec.message, &record.frame.body) else {
            return Err(undecodable);
        };
        if message.words().len() != plan.words() {
            return Err(undecodable);
        }
        let sum = RingVec::from_words(message.words().to_vec(), plan.lanes());
        let update = plan.in_round(record.frame.round.0).decode_sum(&sum);
        let units = f64::from(spec.units.get(&client).copied().unwrap_or(1).max(1));
        let bias_update = update[spec.bias.clone()].iter().map(|v| v / units).collect();
        out.push(ObservedUpdate { client, round: record.frame.round, bias_update });
    }
    Ok(out)
}
