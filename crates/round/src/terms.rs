//! What a round begins from besides the model: public, the same for every client, under the coordinator's signature.
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

/// Terms that this plan's first round cannot have, or no round of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TermsRefused {
    /// The clipping norm.
    #[error("a clipping norm that the plan does not allow in this round")]
    Clip,
    /// The control variate.
    #[error("a control variate that is not finite, or not zero in round 1")]
    Control,
}

impl RoundTerms {
    /// Those of a run's first round: the plan's clipping norm, and a control variate of zeros.
    pub fn first(plan: &RunPlan) -> Self {
        let control = plan.spec().server.is_scaffold().then(|| vec![0.0; plan.layout().len()]);
        Self { clip: plan.spec().clip, control }
    }

    /// Whether a plan's round `round` can have them. C_t is checked for its range alone: whatever it is, noise is sized in steps of a
    /// grid that it spans, so that a coordinator that chooses it cannot make a round cost more.
    ///
    /// # Errors
    /// [`TermsRefused`].
    pub fn check(&self, plan: &RunPlan, round: u64) -> Result<(), TermsRefused> {
        let first = Self::first(plan);
        if !plan.clips_allowed(round).contains(&self.clip.value()) {
            return Err(TermsRefused::Clip);
        }
        match (&self.control, &first.control) {
            (None, None) => Ok(()),
            (Some(c), Some(zeros)) if c.len() == zeros.len() => {
                let ok = if round == 1 { c == zeros } else { c.iter().all(|v| v.is_finite()) };
                if ok { Ok(()) } else { Err(TermsRefused::Control) }
            }
            _ => Err(TermsRefused::Control),
        }
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
