//! Membership of a clip from single updates: does this client's update point where the clip's gradient does? (M10)
//!
//! s_k^t(x) = cos(∇ℓ(θ_t; x), −Δ_k^t) for client k in round t. What the other clients' updates give of the same clip is what it looks like
//! not to have it: the score is the one-tailed normal deviate of s_k^t among {s_j^t, j ≠ k}, summed over rounds.
//!
//! Zhu et al. 2025, "FedMIA: An effective membership inference attack exploiting \"all for one\" principle in federated
//! learning", CVPR 2025 (arXiv:2402.06289), Section 4. It needs single updates, so that behind secure aggregation it has no view.
use std::marker::PhantomData;

use sottovoce_train::{TrainError, Trainer};
use sottovoce_types::{ClientId, Examples, RoundId, TrainJob};

use crate::attack::{Attack, Guesses};
use crate::linear::{dot, norm};
use crate::scores::Described;
use crate::view::{ClientUpdate, SingleUpdates};

/// The attack's name in records.
pub const GRADIENT_COSINE: &str = "membership-gradient-cosine";

/// What the attacker asks.
#[derive(Clone, Copy, Debug)]
pub struct Knowledge<'a> {
    /// Differentiates the run's architecture.
    pub trainer: &'a Trainer,
    /// The client whose clips they may be.
    pub client: ClientId,
    /// The clips asked about; a guess is named by its clip's path.
    pub clips: &'a Examples,
}

/// Why the attack could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GradientCosineError {
    /// No update of the client.
    #[error("the view holds no update of client {client}")]
    NothingSeen {
        /// The client.
        client: ClientId,
    },
    /// Too few others.
    #[error("{others} other clients in a round do not show what not having a clip looks like: at least 3 are needed")]
    TooFewOthers {
        /// How many.
        others: usize,
    },
    /// A clip does not fit the model.
    #[error(transparent)]
    Train(#[from] TrainError),
}

/// M10 on any view with single updates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GradientCosine<V>(PhantomData<V>);

impl<V: SingleUpdates> Default for GradientCosine<V> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<V: SingleUpdates> Attack for GradientCosine<V> {
    type View<'a> = V;
    type Aux<'a> = Knowledge<'a>;
    type Found = Guesses;
    type Error = GradientCosineError;

    fn describe(&self) -> Described {
        Described {
            attack: GRADIENT_COSINE,
            vantage: V::vantage(),
            citation: "M10: cos(grad l(theta_t; x), -update_k) among those of the other clients, summed over rounds. Zhu et al., \"FedMIA\", \
                       CVPR 2025 (arXiv:2402.06289), Section 4",
        }
    }

    fn run(&self, view: &V, aux: &Knowledge<'_>, _seed: u64) -> Result<Guesses, GradientCosineError> {
        let mut rounds: Vec<RoundId> =
            view.updates().iter().filter(|u| u.client == aux.client).map(|u| u.round).collect();
        rounds.sort_unstable();
        rounds.dedup();
        if rounds.is_empty() {
            return Err(GradientCosineError::NothingSeen { client: aux.client });
        }
        let mut sums = vec![0.0; aux.clips.len()];
        for round in rounds {
            let Some(start) = view.start(round) else { continue };
            let updates: Vec<&ClientUpdate> = view.updates().iter().filter(|u| u.round == round).collect();
            let mut clip = 0;
            let mut failed = None;
            aux.trainer.gradients(&start.model, aux.clips, &TrainJob::default(), &mut |downhill| {
                // Handed over as a step downhill, −∇ℓ, which is where an update goes.
                let gradient: Vec<f64> = downhill.values.iter().map(|&v| f64::from(v)).collect();
                match deviate(&gradient, &updates, aux.client) {
                    Ok(deviate) => sums[clip] += deviate,
                    Err(error) => failed = Some(error),
                }
                clip += 1;
            })?;
            if let Some(error) = failed {
                return Err(error);
            }
        }
        let scores = aux.clips.meta.iter().map(|m| m.path.clone()).zip(sums).collect();
        Ok(Guesses { of: self.describe(), scores })
    }
}

/// How far the client's cosine lies above those of the others, in their standard deviations.
fn deviate(gradient: &[f64], updates: &[&ClientUpdate], client: ClientId) -> Result<f64, GradientCosineError> {
    let cosine = |u: &ClientUpdate| {
        let length = norm(gradient) * norm(&u.values);
        if length > 0.0 { dot(gradient, &u.values) / length } else { 0.0 }
    };
    let own = updates.iter().rfind(|u| u.client == client).map_or(0.0, |u| cosine(u));
    let others: Vec<f64> = updates.iter().filter(|u| u.client != client).map(|u| cosine(u)).collect();
    if others.len() < 3 {
        return Err(GradientCosineError::TooFewOthers { others: others.len() });
    }
    let n = others.len() as f64;
    let mean = others.iter().sum::<f64>() / n;
    let variance = others.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / (n - 1.0);
    Ok((own - mean) / variance.sqrt().max(1e-6))
}
