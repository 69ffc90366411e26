//! Attribute inference: is the speaker behind an update a woman or a man? (A1, A2)
//!
//! After Feng, Hashemi, Hebbar, Annavaram & Narayanan 2021, "Attribute inference attack of speech emotion recognition in federated
//! learning settings" (arXiv:2112.13416): pseudo-gradients (θ_t − θ_k)/(η·steps) of shadow speakers, standardised parameter by
//! parameter, train a classifier that is then asked about the clients' updates. They find that the first layer carries it; it alone
//! is used here. What differs:
//!
//! - Shadows are trained from the very θ_t that the view shows, and not in federations of their own: the coordinator has it.
//! - The classifier is a ridge regression on all of the first layer, its penalty chosen with whole shadow speakers left out.
//! - Rounds are averaged or put side by side, whichever predicts left-out shadow speakers better.
//! - **Adaptive** (A2): shadow updates are of as many rounds as the client's, clipped as its are, and whitened with the known covariance
//!   of its noise. Feng et al. train on clean updates and test on noisy ones, which measures the attacker's mismatch and not
//!   the defence (Aerni, Zhang & Tramèr 2024, "Evaluations of machine learning privacy defenses are misleading").
//!
//! The attacker's own speakers must be others than the clients'.
mod cohort;
mod ridge;
mod score;

use std::collections::BTreeMap;
use std::marker::PhantomData;

pub use cohort::{COHORT, COHORT_PROPERTY, CohortProperty};
use rayon::prelude::*;
pub use score::{Role, sex_record};
use sottovoce_train::{TrainError, Trainer, unit_update};
use sottovoce_types::{ClientId, Examples, FlatParams, RoundId, Sha256Writer, TrainJob};

use self::ridge::{Ridge, Training};
use crate::attack::{Attack, Guesses};
use crate::linear::norm;
use crate::random::Stream;
use crate::scores::Described;
use crate::view::{RoundStart, SingleUpdates};

/// The attack's name in records (A1).
pub const SEX: &str = "sex-inference";
/// The adaptive attack's (A2).
pub const SEX_ADAPTIVE: &str = "sex-inference-adaptive";

/// What the attacker's shadow updates go through.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Shadows {
    /// Nothing: clean updates, of a run whose updates may not be (A1).
    Clean,
    /// What the clients' go through (A2): each unit clipped to the round's norm; of noise, its covariance.
    Adaptive {
        /// Standard deviation of the noise in each parameter of one client's mean update, in parameter units; 0 without noise.
        noise: f64,
    },
}

/// How the attack is made.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Settings {
    /// Updates of a client that are averaged, from the first round on: n of the n-leaked-updates curve.
    pub rounds: usize,
    /// Shadow clients made of each shadow speaker: the first of all its clips, the others of random halves.
    pub replicas: usize,
    /// What they go through.
    pub shadows: Shadows,
}

/// A speaker of the attacker's own.
#[derive(Clone, PartialEq, Debug)]
pub struct ShadowSpeaker {
    /// Its name.
    pub name: String,
    /// Whether it is of the positive class.
    pub positive: bool,
    /// Its clips, as the run's model reads them.
    pub data: Examples,
}

/// What the attacker has.
#[derive(Clone, Debug)]
pub struct Knowledge<'a> {
    /// Trains the run's architecture.
    pub trainer: &'a Trainer,
    /// Its own speakers.
    pub speakers: &'a [ShadowSpeaker],
}

/// Why the attack could not be made.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttributeError {
    /// No update in the view.
    #[error("the view holds no update of any client: was the transcript recorded in the coordinator's driver?")]
    NothingSeen,
    /// Too few shadow speakers.
    #[error(
        "{positives} shadow speakers of one class and {negatives} of the other: at least 2 of each are needed to learn from"
    )]
    TooFewShadows {
        /// Of the positive class.
        positives: usize,
        /// Of the other.
        negatives: usize,
    },
    /// No layer to read.
    #[error("the model's first tensor holds nothing to learn from")]
    NoFirstLayer,
    /// A shadow could not be trained.
    #[error(transparent)]
    Train(#[from] TrainError),
}

/// The attack on any view with single updates.
#[derive(Clone, PartialEq, Debug)]
pub struct AttributeInference<V> {
    settings: Settings,
    sees: PhantomData<V>,
}

impl<V: SingleUpdates> AttributeInference<V> {
    /// With settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings, sees: PhantomData }
    }
}

/// A unit's name in what is found: its client's id.
pub fn unit_of(client: ClientId) -> String {
    client.to_string()
}

impl<V: SingleUpdates> Attack for AttributeInference<V> {
    type View<'a> = V;
    type Aux<'a> = Knowledge<'a>;
    type Found = Guesses;
    type Error = AttributeError;

    fn describe(&self) -> Described {
        let (attack, citation) = match self.settings.shadows {
            Shadows::Clean => (
                SEX,
                "A1: pseudo-gradients of shadow speakers at theta_t, first layer. After Feng, Hashemi, Hebbar, Annavaram, Narayanan, \"Attribute Inference Attack of Speech Emotion Recognition in Federated Learning Settings\" (arXiv:2112.13416), Section 3",
            ),
            Shadows::Adaptive { .. } => (
                SEX_ADAPTIVE,
                "A2: A1 with the run's clipping, averaging and noise covariance in the shadows. After Feng et al. (arXiv:2112.13416) and Aerni, Zhang, Tramer, \"Evaluations of Machine Learning Privacy Defenses are Misleading\", CCS 2024",
            ),
        };
        Described { attack, vantage: V::vantage(), citation }
    }

    fn run(&self, view: &V, aux: &Knowledge<'_>, seed: u64) -> Result<Guesses, AttributeError> {
        let positives = aux.speakers.iter().filter(|s| s.positive).count();
        let negatives = aux.speakers.len() - positives;
        if positives < 2 || negatives < 2 {
            return Err(AttributeError::TooFewShadows { positives, negatives });
        }
        let mut rounds: Vec<RoundId> = view.updates().iter().map(|u| u.round).collect();
        rounds.sort_unstable();
        rounds.dedup();
        rounds.truncate(self.settings.rounds.max(1));
        let starts: Vec<&RoundStart> = rounds.iter().filter_map(|&r| view.start(r)).collect();
        let first = starts.first().ok_or(AttributeError::NothingSeen)?;
        let layer = FirstLayer::of(&first.model).ok_or(AttributeError::NoFirstLayer)?;
        let clients = client_updates(view, &starts, &layer);
        let shadows = self.shadow_updates(&starts, aux, &layer, seed)?;
        let fitted = [Form::Mean, Form::ByRound].map(|form| self.fit(form, &shadows, &starts));
        let [mean, by_round] = &fitted;
        let best = if by_round.ridge.error < mean.ridge.error { by_round } else { mean };
        let scores = clients.iter().map(|(client, own)| (unit_of(*client), best.score(self, own))).collect();
        Ok(Guesses { of: self.describe(), scores })
    }
}

/// First layers of one client's updates, by round; `None` where it did not take part.
type ByRound = Vec<Option<Vec<f64>>>;

/// How the rounds of a client make one row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// Their mean: noise averages out.
    Mean,
    /// Side by side: what only some models draw out is kept.
    ByRound,
}

/// A shadow client.
struct Shadow {
    updates: ByRound,
    positive: bool,
    speaker: usize,
}

struct Fitted {
    form: Form,
    scale: Vec<f64>,
    ridge: Ridge,
}

impl Fitted {
    fn score<V: SingleUpdates>(&self, attack: &AttributeInference<V>, updates: &ByRound) -> f64 {
        self.ridge.score(&scaled(&attack.row(self.form, updates), &self.scale))
    }
}

impl<V: SingleUpdates> AttributeInference<V> {
    /// Every shadow client's first layer in the same rounds.
    fn shadow_updates(
        &self,
        starts: &[&RoundStart],
        aux: &Knowledge<'_>,
        layer: &FirstLayer,
        seed: u64,
    ) -> Result<Vec<Shadow>, AttributeError> {
        let replicas = self.settings.replicas.max(1);
        let shadows = self.settings.shadows;
        let jobs: Vec<(usize, usize)> =
            (0..aux.speakers.len()).flat_map(|s| (0..replicas).map(move |r| (s, r))).collect();
        let one = |&(speaker, replica): &(usize, usize)| -> Result<Shadow, TrainError> {
            let own = &aux.speakers[speaker];
            let data = of_replica(own, replica, seed);
            let name = format!("shadow {replica} of {}", own.name);
            let update_at = |start: &&RoundStart| {
                let update = unit_update(aux.trainer, &start.model, &start.job, &name, &data)?;
                let shrink = match shadows {
                    Shadows::Clean => 1.0,
                    Shadows::Adaptive { .. } => (start.clip.value() / update.norm().max(1e-300)).min(1.0),
                };
                let values = update.values[..layer.len].iter().map(|&v| -shrink * f64::from(v) / rate(&start.job));
                Ok(Some(values.collect()))
            };
            let updates = starts.iter().map(update_at).collect::<Result<_, TrainError>>()?;
            Ok(Shadow { updates, positive: own.positive, speaker })
        };
        Ok(jobs.par_iter().map(one).collect::<Result<_, TrainError>>()?)
    }

    fn fit(&self, form: Form, shadows: &[Shadow], starts: &[&RoundStart]) -> Fitted {
        let rows: Vec<Vec<f64>> = shadows.iter().map(|s| self.row(form, &s.updates)).collect();
        let (scale, noise) = self.scale(form, &rows, starts);
        let rows: Vec<Vec<f64>> = rows.iter().map(|r| scaled(r, &scale)).collect();
        let positive: Vec<bool> = shadows.iter().map(|s| s.positive).collect();
        let speakers: Vec<usize> = shadows.iter().map(|s| s.speaker).collect();
        let training = Training { rows: &rows, positive: &positive, groups: &speakers, noise: &noise };
        Fitted { form, scale, ridge: Ridge::fit(&training) }
    }

    /// One row of the rounds that are there; of unit length where nothing is known of noise, because the number of a client's steps is
    /// not known either.
    fn row(&self, form: Form, updates: &ByRound) -> Vec<f64> {
        let known_noise = matches!(self.settings.shadows, Shadows::Adaptive { noise } if noise > 0.0);
        let width = updates.iter().flatten().map(Vec::len).next().unwrap_or(0);
        let there = updates.iter().flatten().count().max(1) as f64;
        let unit = |mut v: Vec<f64>| {
            let length = if known_noise { 1.0 } else { norm(&v).max(1e-300) };
            for x in &mut v {
                *x /= length;
            }
            v
        };
        match form {
            Form::Mean => {
                unit((0..width).map(|j| updates.iter().flatten().map(|u| u[j]).sum::<f64>() / there).collect())
            }
            Form::ByRound => updates.iter().flat_map(|u| u.clone().map_or_else(|| vec![0.0; width], unit)).collect(),
        }
    }

    /// 1 over each parameter's standard deviation, shadows and noise together; and what is left of the noise's variance on that scale.
    fn scale(&self, form: Form, rows: &[Vec<f64>], starts: &[&RoundStart]) -> (Vec<f64>, Vec<f64>) {
        let m = rows.len() as f64;
        let width = rows.first().map_or(0, Vec::len);
        let noise = match self.settings.shadows {
            Shadows::Clean => 0.0,
            Shadows::Adaptive { noise } => noise,
        };
        let of_round: Vec<f64> = starts.iter().map(|s| (noise / rate(&s.job)).powi(2)).collect();
        let n = of_round.len().max(1);
        let noise = |j: usize| match form {
            Form::Mean => of_round.iter().sum::<f64>() / (n * n) as f64,
            Form::ByRound => of_round[j / (width / n).max(1)],
        };
        let one = |j: usize| {
            let mean = rows.iter().map(|r| r[j]).sum::<f64>() / m;
            let total = rows.iter().map(|r| (r[j] - mean).powi(2)).sum::<f64>() / m + noise(j);
            // A unit that is dead for everybody says nothing.
            if total > 1e-24 { (total.sqrt().recip(), noise(j) / total) } else { (0.0, 0.0) }
        };
        (0..width).map(one).unzip()
    }
}

fn scaled(row: &[f64], scale: &[f64]) -> Vec<f64> {
    row.iter().zip(scale).map(|(v, s)| v * s).collect()
}

/// Each client's pseudo-gradients −Δ/η of the first layer. Of a round that took two attempts, the last.
fn client_updates<V: SingleUpdates>(
    view: &V,
    starts: &[&RoundStart],
    layer: &FirstLayer,
) -> BTreeMap<ClientId, ByRound> {
    let mut all: BTreeMap<ClientId, ByRound> = BTreeMap::new();
    for update in view.updates() {
        let Some(place) = starts.iter().position(|s| s.round == update.round) else { continue };
        let eta = rate(&starts[place].job);
        let own = all.entry(update.client).or_insert_with(|| vec![None; starts.len()]);
        own[place] = Some(update.values[..layer.len].iter().map(|v| -v / eta).collect());
    }
    all
}

/// The first layer: its weight, and the bias that follows it.
struct FirstLayer {
    len: usize,
}

impl FirstLayer {
    fn of(model: &FlatParams) -> Option<Self> {
        let entries = model.layout().entries();
        let first = entries.first()?;
        let prefix = first.path.rsplit_once('.').map_or(first.path.as_str(), |(layer, _)| layer);
        let own = entries.iter().take_while(|e| e.path.starts_with(prefix));
        let len = own.last().map(|e| e.offset + e.len())?;
        (len > 0).then_some(Self { len })
    }
}

fn rate(job: &TrainJob) -> f64 {
    job.learning_rate.max(1e-12)
}

/// All clips of a speaker, or a random half that its name, the replica and the seed choose.
fn of_replica(speaker: &ShadowSpeaker, replica: usize, seed: u64) -> Examples {
    if replica == 0 || speaker.data.len() < 4 {
        return speaker.data.clone();
    }
    let digest = Sha256Writer::new("sottovoce/1/attack/replica")
        .field(speaker.name.as_bytes())
        .number(replica as u64)
        .number(seed)
        .finish();
    let own = digest.0.first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
    let mut order: Vec<usize> = (0..speaker.data.len()).collect();
    Stream::new("replica", own).shuffle(&mut order);
    order.truncate(speaker.data.len().div_ceil(2));
    order.sort_unstable();
    speaker.data.select(&order)
}
