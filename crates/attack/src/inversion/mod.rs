//! Reconstruction: from one client's update back to the features that it trained on.
//!
//! | | attack | reads |
//! |---|---|---|
//! | R1 | [`analytic`] | x = ∇W_i / ∇b_i of a first fully connected layer: exact for one clip, whatever the learning rate and the clip |
//! | R2 | [`label_of_one`] | the only entry of the last bias that rises |
//! | R3 | [`Method::Cosine`] | descent on inputs until their update points where the observed one does |
//! | R5 | [`score`] | how the true clip ranks among others by distance from the reconstruction, beside a guess that never saw the update |
//!
//! [`Inversion`] runs on any view with single updates. On [`crate::view::MaskedTakenForPlain`] of a run with masks it must do no better
//! than that blind guess. What comes back are features, not speech; but features are what a speech model consumes, so that their
//! distance from the truth counts, and not how they sound.
mod analytic;
mod cosine;
mod mlp;
mod oracle;
mod score;

use std::marker::PhantomData;

pub use analytic::{Analytic, Candidate, analytic, label_of_one, labels_of_many};
pub use cosine::CosineSettings;
pub use score::{Cases, InversionScores, Panel, Role, ScoreError, score};
use sottovoce_train::{TrainError, Trainer};
use sottovoce_types::{ClientId, ModelSpec, RoundId, TrainJob};

use self::oracle::{Oracle, steps_of};
use crate::attack::Attack;
use crate::label_profile::last_layer_bias;
use crate::random::Stream;
use crate::scores::Described;
use crate::view::{ClientUpdate, RoundStart, SingleUpdates};

/// The attacks' names in records.
pub const ANALYTIC: &str = "inversion-analytic";
/// See [`ANALYTIC`].
pub const COSINE: &str = "inversion-cosine";

/// Clips of one client that are searched for at most.
pub const MOST_CLIPS: usize = 8;

/// How features are recovered.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Method {
    /// R1: of a fully connected first layer alone.
    Analytic {
        /// Relative size of what rounding leaves in an update.
        tolerance: f64,
    },
    /// R3.
    Cosine(CosineSettings),
}

/// What the attacker knows besides its view. The scale of features is public, or estimated on its own speech.
#[derive(Clone, Debug)]
pub struct Knowledge<'a> {
    /// Trains and differentiates the run's architecture.
    pub trainer: &'a Trainer,
    /// Clips behind an update.
    pub examples: usize,
    /// Frames of each.
    pub frames: usize,
    /// Mean of each feature, `[width]`.
    pub mean: Vec<f64>,
    /// Standard deviation of each, `[width]`.
    pub deviation: Vec<f64>,
}

/// What was recovered of one client's clip.
#[derive(Clone, PartialEq, Debug)]
pub struct Reconstruction {
    /// Whose.
    pub client: ClientId,
    /// From the update of this round.
    pub round: RoundId,
    /// `[frames, width]`.
    pub values: Vec<f64>,
    /// Its class, where one was read off.
    pub label: Option<u16>,
    /// Of the method itself: units that agree (R1), or the cosine between updates (R3).
    pub fit: f64,
}

/// Why nothing could be recovered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InversionError {
    /// No update in the view.
    #[error("the view holds no update of any client: was the transcript recorded in the coordinator's driver?")]
    NothingSeen,
    /// R1 on a model without a fully connected first layer on its inputs.
    #[error("a {model} does not begin with a fully connected layer on its inputs: use the cosine method")]
    NotFullyConnected {
        /// The model.
        model: &'static str,
    },
    /// Too many clips.
    #[error("{examples} clips an update are more than the {MOST_CLIPS} that are searched for: give clients fewer")]
    TooMany {
        /// Clips.
        examples: usize,
    },
    /// The descent failed.
    #[error("the model cannot be differentiated")]
    Train(#[from] TrainError),
}

/// R1 or R3, with R2 for the labels, on the first update that a view shows of each client.
#[derive(Clone, PartialEq, Debug)]
pub struct Inversion<V> {
    method: Method,
    sees: PhantomData<V>,
}

impl<V: SingleUpdates> Inversion<V> {
    /// By a method.
    pub fn new(method: Method) -> Self {
        Self { method, sees: PhantomData }
    }
}

impl<V: SingleUpdates> Attack for Inversion<V> {
    type View<'a> = V;
    type Aux<'a> = Knowledge<'a>;
    type Found = Vec<Reconstruction>;
    type Error = InversionError;

    fn describe(&self) -> Described {
        let (attack, citation) = match self.method {
            Method::Analytic { .. } => (
                ANALYTIC,
                "R1: x = grad W_i / grad b_i. Geiping, Bauermeister, Droege, Moeller, \"Inverting Gradients\", NeurIPS 2020, Proposition 3.1 (arXiv:2003.14053); labels: Zhao, Mopuri, Bilen, \"iDLG\" (arXiv:2001.02610), Eq. 4",
            ),
            Method::Cosine(_) => (
                COSINE,
                "R3: min 1 - cos(update(x), observed) + TV(x), Adam on signs. Geiping, Bauermeister, Droege, Moeller, \"Inverting Gradients\", NeurIPS 2020, Eq. 4 (arXiv:2003.14053); second derivatives of models over frames by differences, after Dang et al. 2021 (arXiv:2104.07815)",
            ),
        };
        Described { attack, vantage: V::vantage(), citation }
    }

    fn run(&self, view: &V, aux: &Knowledge<'_>, seed: u64) -> Result<Vec<Reconstruction>, InversionError> {
        let first = |client| view.updates().iter().find(|u| u.client == client);
        let updates: Vec<(&ClientUpdate, &RoundStart)> = view
            .clients()
            .into_iter()
            .filter_map(|client| first(client).and_then(|u| Some((u, view.start(u.round)?))))
            .collect();
        if updates.is_empty() {
            return Err(InversionError::NothingSeen);
        }
        if aux.examples > MOST_CLIPS {
            return Err(InversionError::TooMany { examples: aux.examples });
        }
        let mut found = Vec::new();
        for (update, start) in updates {
            found.extend(match &self.method {
                Method::Analytic { tolerance } => by_analysis(update, start, aux, *tolerance)?,
                Method::Cosine(settings) => by_descent(update, start, aux, settings, seed)?,
            });
        }
        Ok(found)
    }
}

fn by_analysis(
    update: &ClientUpdate,
    start: &RoundStart,
    aux: &Knowledge<'_>,
    tolerance: f64,
) -> Result<Vec<Reconstruction>, InversionError> {
    let spec = aux.trainer.spec();
    let ModelSpec::Dnn { .. } = spec else { return Err(InversionError::NotFullyConnected { model: spec.name() }) };
    let tensors = start.model.layout().entries();
    let of = |i: usize| &update.values[tensors[i].offset..][..tensors[i].len()];
    let read = analytic(of(0), of(1), tolerance);
    let labels = labels(update, start, aux);
    let one = |(i, c): (usize, &Candidate)| Reconstruction {
        client: update.client,
        round: update.round,
        values: c.values.clone(),
        label: if aux.examples == 1 { labels.get(i).copied() } else { None },
        fit: c.units as f64,
    };
    // A rank of 1 is one clip, whatever the attacker believed; of several, the most certain ratios.
    let keep = if read.rank <= 1 { 1 } else { read.candidates.len().min(4 * aux.examples.max(1)) };
    Ok(read.candidates.iter().take(keep).enumerate().map(one).collect())
}

fn by_descent(
    update: &ClientUpdate,
    start: &RoundStart,
    aux: &Knowledge<'_>,
    settings: &CosineSettings,
    seed: u64,
) -> Result<Vec<Reconstruction>, InversionError> {
    let labels = labels(update, start, aux);
    let oracle = Oracle::new(aux.trainer, &start.model, &start.job, &labels, aux.frames);
    // Starts of its own for each client: with one for all, what is recovered would agree by its start alone.
    let mut stream = Stream::new(&format!("inversion of {}", update.client), seed);
    let shape = (aux.examples, aux.frames);
    let found = cosine::invert(&oracle, &update.values, (&aux.mean, &aux.deviation), shape, settings, &mut stream)?;
    let one = |(x, label): (&[f64], &u16)| Reconstruction {
        client: update.client,
        round: update.round,
        values: x.to_vec(),
        label: Some(*label),
        fit: found.cosine,
    };
    Ok(found.x.chunks_exact(aux.frames * aux.mean.len()).zip(&labels).map(one).collect())
}

/// R2 for one clip, n̂_c for several; class 0 where nothing stands out.
fn labels(update: &ClientUpdate, start: &RoundStart, aux: &Knowledge<'_>) -> Vec<u16> {
    let n = aux.examples.max(1);
    let Some(bias) = last_layer_bias(start.model.layout()) else { return vec![0; n] };
    let bias = &update.values[bias];
    if n == 1 {
        return vec![label_of_one(bias).unwrap_or(0)];
    }
    let classes = bias.len();
    labels_of_many(bias, &vec![1.0 / classes as f64; classes], rate_times_steps(&start.job, n), n)
}

fn rate_times_steps(job: &TrainJob, n: usize) -> f64 {
    (job.learning_rate * f64::from(steps_of(job, n))).max(f64::MIN_POSITIVE)
}
