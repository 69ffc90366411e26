//! Label-profile inference (A4): how often was this client's speaker angry, sad, happy?
//!
//! The gradient of cross-entropy by the bias of the last layer is p̄_c − n_c/n: mean predicted probability minus share of
//! class c. Plain SGD therefore moves that bias by Δb_c = −η·Σ_steps(p̄_c − n_c/n), and whoever sees one client's update
//! reads its label histogram off K numbers. In speech emotion the label is the sensitive content.
//!
//! [`infer`] is the attack on bias updates, wherever they come from; [`LabelProfile`] is the attack on a view. On
//! [`crate::view::MaskedTakenForPlain`] the code and the bytes are the same with and without secure aggregation; with masks the words
//! are uniform and the guess is chance.
mod observe;
mod score;

use std::collections::BTreeMap;

pub use observe::{LabelProfile, last_layer_bias};
use score::CITATION;
pub use score::{LABEL_PROFILE, LABEL_PROFILE_TOP1, LabelProfileScores, Role, score};
use sottovoce_types::{ClientId, RoundId};

/// The update of the last layer's bias that one client seems to have sent in one round: `[classes]`.
#[derive(Clone, PartialEq, Debug)]
pub struct ObservedUpdate {
    /// Whose it is.
    pub client: ClientId,
    /// Of which round.
    pub round: RoundId,
    /// θ_local − θ_global of the last layer's bias, `[classes]`.
    pub bias_update: Vec<f64>,
}

/// Estimated share of each class for each client, `[classes]`, adding to 1.
pub type Profiles = BTreeMap<ClientId, Vec<f64>>;

/// What the attacker knows of η·steps.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Scale {
    /// Nothing (the number of clips is hidden, or clipping has shrunk the update): all directions are stretched by the
    /// one factor at which half of the clients reach the edge of the simplex.
    #[default]
    Unknown,
    /// Learning rate times number of local steps, and updates are not clipped.
    Known {
        /// η·steps of one unit in one round.
        rate_times_steps: f64,
    },
}

/// What the attacker knows of p̄, the model's mean prediction at θ_t.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum MeanPrediction {
    /// Nothing: 1/K for every class.
    #[default]
    Uniform,
    /// The mean softmax of θ_t over auxiliary clips, by round: `[classes]` each. Rounds not given count as uniform.
    ByRound(BTreeMap<RoundId, Vec<f64>>),
}

/// What [`infer`] is told beside the updates.
#[derive(Clone, PartialEq, Debug)]
pub struct InferSpec {
    /// Classes K.
    pub classes: usize,
    /// Knowledge of η·steps.
    pub scale: Scale,
    /// Knowledge of p̄.
    pub mean_prediction: MeanPrediction,
}

/// Why no profile could be inferred or scored.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabelProfileError {
    /// The view holds no input of any client.
    #[error("the view holds no masked input of any client: was the transcript recorded in the coordinator's driver?")]
    NothingSeen,
    /// A vector does not have one entry per class.
    #[error("the last layer's bias has {expected} classes, but a vector has {found} entries")]
    Classes {
        /// Classes of the model.
        expected: usize,
        /// Entries found.
        found: usize,
    },
    /// The scale is not above 0.
    #[error("rate_times_steps must be finite and above 0, but is {is}")]
    Scale {
        /// What was given.
        is: f64,
    },
    /// Too few clients in both guesses and truth.
    #[error("only {found} clients have both a guess and a true profile; at least 2 are needed to compare")]
    TooFewClients {
        /// Clients with both.
        found: usize,
    },
    /// All clients have one profile, or all guesses are equal: nothing to tell apart.
    #[error("the {what} do not differ between clients, so no correlation is defined: use clients with unequal labels")]
    NoVariation {
        /// `true profiles` or `guesses`.
        what: &'static str,
    },
    /// The model does not end in a bias.
    #[error("the model's last tensor is no bias of a layer, so its updates say nothing of labels by themselves")]
    NoBias,
}

/// Estimates every client's label profile from its bias updates: n̂_c/n = p̄_c + Δb_c/(η·steps), averaged over rounds
/// with weights 1, 1/2, 1/3, … by order of rounds (early rounds say most: later the client's own predictions follow its
/// labels and the gradient vanishes), and projected on the simplex.
///
/// # Errors
/// [`LabelProfileError`] without updates, or when one has not `classes` entries.
pub fn infer(updates: &[ObservedUpdate], spec: &InferSpec) -> Result<Profiles, LabelProfileError> {
    let k = spec.classes;
    if updates.is_empty() {
        return Err(LabelProfileError::NothingSeen);
    }
    if let Some(u) = updates.iter().find(|u| u.bias_update.len() != k) {
        return Err(LabelProfileError::Classes { expected: k, found: u.bias_update.len() });
    }
    let mut rounds: Vec<RoundId> = updates.iter().map(|u| u.round).collect();
    rounds.sort_unstable();
    rounds.dedup();
    let weight = |round: RoundId| 1.0 / (1.0 + rounds.partition_point(|&r| r < round) as f64);

    let mut means: BTreeMap<ClientId, Mean> = BTreeMap::new();
    for u in updates {
        let prior = spec.mean_prediction.at(u.round, k)?;
        means.entry(u.client).or_insert_with(|| Mean::zero(k)).add(weight(u.round), &prior, &centred(&u.bias_update));
    }
    let stretch = match spec.scale {
        Scale::Known { rate_times_steps } if rate_times_steps.is_finite() && rate_times_steps > 0.0 => {
            1.0 / rate_times_steps
        }
        Scale::Known { rate_times_steps } => return Err(LabelProfileError::Scale { is: rate_times_steps }),
        Scale::Unknown => median(means.values().filter_map(Mean::to_the_edge).collect()),
    };
    Ok(means.into_iter().map(|(client, mean)| (client, on_simplex(&mean.stretched(stretch)))).collect())
}

impl MeanPrediction {
    fn at(&self, round: RoundId, k: usize) -> Result<Vec<f64>, LabelProfileError> {
        let given = match self {
            Self::Uniform => None,
            Self::ByRound(by_round) => by_round.get(&round),
        };
        match given {
            None => Ok(vec![1.0 / k as f64; k]),
            Some(p) if p.len() == k => Ok(p.clone()),
            Some(p) => Err(LabelProfileError::Classes { expected: k, found: p.len() }),
        }
    }
}

/// Weighted means of one client: p̄ and Δb, `[classes]` each.
struct Mean {
    weight: f64,
    prior: Vec<f64>,
    direction: Vec<f64>,
}

impl Mean {
    fn zero(k: usize) -> Self {
        Self { weight: 0.0, prior: vec![0.0; k], direction: vec![0.0; k] }
    }

    fn add(&mut self, weight: f64, prior: &[f64], direction: &[f64]) {
        self.weight += weight;
        for (sum, v) in self.prior.iter_mut().zip(prior) {
            *sum += weight * v;
        }
        for (sum, v) in self.direction.iter_mut().zip(direction) {
            *sum += weight * v;
        }
    }

    fn stretched(&self, stretch: f64) -> Vec<f64> {
        self.prior.iter().zip(&self.direction).map(|(p, d)| (p + stretch * d) / self.weight).collect()
    }

    /// The largest stretch that keeps every share at or above 0; `None` when the direction is nothing.
    fn to_the_edge(&self) -> Option<f64> {
        let steps = self.prior.iter().zip(&self.direction).filter(|&(_, &d)| d < 0.0).map(|(p, d)| p / -d);
        steps.reduce(f64::min)
    }
}

/// The gradient of a softmax adds to zero over classes; whatever does not is rounding or noise.
fn centred(v: &[f64]) -> Vec<f64> {
    let mean = v.iter().sum::<f64>() / v.len() as f64;
    v.iter().map(|x| x - mean).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The nearest point of the probability simplex (Duchi et al., ICML 2008, Figure 1).
fn on_simplex(v: &[f64]) -> Vec<f64> {
    let mut sorted = v.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let (mut sum, mut theta) = (0.0, 0.0);
    for (i, x) in sorted.iter().enumerate() {
        sum += x;
        let candidate = (sum - 1.0) / (i + 1) as f64;
        if x - candidate > 0.0 {
            theta = candidate;
        }
    }
    v.iter().map(|x| (x - theta).max(0.0)).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::random::Stream;

    pub(crate) fn client(i: u8) -> ClientId {
        ClientId([i; 32])
    }

    /// A random profile with one dominant class.
    pub(crate) fn profile(s: &mut Stream, k: usize) -> Vec<f64> {
        let top = s.below(k);
        let raw: Vec<f64> = (0..k).map(|c| s.uniform() + if c == top { 2.0 } else { 0.2 }).collect();
        let sum: f64 = raw.iter().sum();
        raw.iter().map(|v| v / sum).collect()
    }

    fn spec(scale: Scale) -> InferSpec {
        InferSpec { classes: 5, scale, mean_prediction: MeanPrediction::Uniform }
    }

    #[test]
    fn one_exact_gradient_step_gives_the_histogram_away_exactly() {
        let truth = [0.5, 0.2, 0.2, 0.1, 0.0];
        let bias_update = truth.iter().map(|share| -0.1 * (0.2 - share)).collect();
        let update = ObservedUpdate { client: client(1), round: RoundId(1), bias_update };
        let found = infer(&[update], &spec(Scale::Known { rate_times_steps: 0.1 })).unwrap();
        for (a, b) in found[&client(1)].iter().zip(&truth) {
            assert!((a - b).abs() < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn a_known_mean_prediction_is_used_and_late_rounds_weigh_less() {
        let p = vec![0.4, 0.3, 0.1, 0.1, 0.1];
        let zero = |round| ObservedUpdate { client: client(1), round: RoundId(round), bias_update: vec![0.0; 5] };
        let by_round = MeanPrediction::ByRound([(RoundId(1), p.clone())].into());
        let spec = InferSpec { mean_prediction: by_round, ..spec(Scale::Known { rate_times_steps: 1.0 }) };
        let found = infer(&[zero(1), zero(2)], &spec).unwrap();
        // Weights 1 and 1/2 on 0.4 and 0.2.
        assert!((found[&client(1)][0] - (0.4 + 0.1) / 1.5).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn without_a_scale_the_direction_still_names_the_dominant_class() {
        let mut s = Stream::new("profiles", 1);
        let truths: Vec<Vec<f64>> = (0..20).map(|_| profile(&mut s, 5)).collect();
        let updates: Vec<ObservedUpdate> = truths
            .iter()
            .zip(0..)
            .map(|(t, i)| ObservedUpdate {
                client: client(i),
                round: RoundId(1),
                bias_update: t.iter().map(|v| 1e-6 * (v - 0.2)).collect(),
            })
            .collect();
        let found = infer(&updates, &spec(Scale::Unknown)).unwrap();
        let top = |v: &[f64]| (0..5).max_by(|&a, &b| v[a].total_cmp(&v[b])).unwrap();
        for (truth, guess) in truths.iter().zip(found.values()) {
            assert!((guess.iter().sum::<f64>() - 1.0).abs() < 1e-9 && guess.iter().all(|&g| g >= 0.0));
            assert_eq!(top(truth), top(guess));
        }
    }

    #[test]
    fn empty_views_and_wrong_class_counts_are_refused() {
        assert_eq!(infer(&[], &spec(Scale::Unknown)), Err(LabelProfileError::NothingSeen));
        let short = ObservedUpdate { client: client(1), round: RoundId(1), bias_update: vec![0.0; 4] };
        let wrong = Err(LabelProfileError::Classes { expected: 5, found: 4 });
        assert_eq!(infer(std::slice::from_ref(&short), &spec(Scale::Unknown)), wrong);
        let zero = ObservedUpdate { bias_update: vec![0.0; 5], ..short };
        assert!(infer(std::slice::from_ref(&zero), &spec(Scale::Known { rate_times_steps: 0.0 })).is_err());
        assert!(infer(&[zero], &spec(Scale::Unknown)).is_ok(), "no direction is a uniform guess, not a division by 0");
    }
}
