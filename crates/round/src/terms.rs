//! What a round begins from besides the model: public, and the same for every client, since each computes it from what was opened.
use sottovoce_types::{ClipNorm, Digest, Sha256Writer};

use crate::plan::RunPlan;

/// The terms of one round.
#[derive(Clone, PartialEq, Debug)]
pub struct RoundTerms {
    /// C_t: the plan's clipping norm, or where it adapts, this round's.
    pub clip: ClipNorm,
    /// SCAFFOLD's c, `[d]`; `None` under any other rule.
    pub control: Option<Vec<f32>>,
}

impl RoundTerms {
    /// Those of a run's first round: the plan's clipping norm, and a control variate of zeros.
    pub fn first(plan: &RunPlan) -> Self {
        let control = plan.spec().server.is_scaffold().then(|| vec![0.0; plan.layout().len()]);
        Self { clip: plan.spec().clip, control }
    }

    /// Identifies what clients train from: the model and these terms.
    pub fn digest(&self, model: Digest) -> Digest {
        let mut w = Sha256Writer::new("sottovoce/1/terms");
        w.field(model.as_bytes()).number(self.clip.value().to_bits());
        if let Some(control) = &self.control {
            let bytes: Vec<u8> = control.iter().flat_map(|v| v.to_le_bytes()).collect();
            w.field(b"control").field(&bytes);
        }
        w.finish()
    }
}
