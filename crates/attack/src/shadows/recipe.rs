//! How one shadow is trained: as the audited run trains, on half of the data.
use std::collections::BTreeMap;
use std::sync::Arc;

use sottovoce_train::{SmallDnn, TrainError, Trainer, unit_update};
use sottovoce_types::{Examples, FlatParams, ParamLayout, Sha256Writer, TrainJob, Unit};

use crate::random::Stream;

/// θ becomes the next θ by the mean of a round; it may remember earlier means.
pub type ServerStep = Box<dyn FnMut(&mut [f32], &[f32]) + Send>;

/// Sites whose updates count by their examples count at most as if they had so many (`sottovoce_round::WEIGHT_CAP_EXAMPLES`).
const WEIGHT_CAP: usize = 4096;

/// The audited run's training.
#[derive(Clone)]
pub struct Recipe {
    /// Local training; the seed is replaced by the shadow's.
    pub job: TrainJob,
    /// In one place, or by rounds.
    pub federation: Option<Federation>,
}

/// Rounds over sites.
///
/// Sums are formed in floating point: what secure aggregation opens is the same sum up to the grid, and noise is a Gaussian of the same standard
/// deviation. No frame is sent.
#[derive(Clone)]
pub struct Federation {
    /// Rounds that were published.
    pub rounds: u64,
    /// Rounds that were planned: what the learning rate's schedule goes by.
    pub planned: u64,
    /// The site of each example, `[N]`.
    pub sites: Vec<usize>,
    /// What an update is clipped for.
    pub unit: Unit,
    /// C of each round, `[rounds]`; of no use without a unit.
    pub clips: Vec<f64>,
    /// Standard deviation of all noise on the sum, divided by C; 0 for none.
    pub noise: f64,
    /// With which probability a unit takes part in a round.
    pub sampling: f64,
    /// Makes the server's optimiser as a run begins.
    pub server: Arc<dyn Fn() -> ServerStep + Send + Sync>,
    /// What [`Self::server`] makes, in words: part of the cache's key.
    pub server_name: String,
}

impl Recipe {
    /// Writes all that a shadow depends on, but for model, data and masks.
    pub(super) fn write_to(&self, w: &mut Sha256Writer) {
        self.job.write_to(w);
        let Some(f) = &self.federation else {
            w.field(b"in one place");
            return;
        };
        w.field(b"federated")
            .number(f.rounds)
            .number(f.planned)
            .field(f.unit.name().as_bytes())
            .field(f.server_name.as_bytes());
        f.sites.iter().for_each(|s| {
            w.number(*s as u64);
        });
        w.number(f.clips.len() as u64);
        f.clips.iter().chain([&f.noise, &f.sampling]).for_each(|v| {
            w.number(v.to_bits());
        });
    }

    /// Calls of `tick` that one shadow makes.
    pub fn ticks(&self) -> u64 {
        self.federation.as_ref().map_or(1, |f| f.rounds)
    }

    /// θ `[d]` after training on `members` of `data`, from an initial model of its own.
    pub(super) fn train(
        &self,
        trainer: &Trainer,
        data: &Examples,
        members: &[usize],
        seed: u64,
        tick: &(dyn Fn() + Sync),
    ) -> Result<FlatParams, TrainError> {
        let start = trainer.spec().initialise(seed);
        let job = TrainJob { seed, ..self.job.clone() };
        let mut engine = Engine::new(trainer, &start, data, &job)?;
        let values = match &self.federation {
            None => {
                let trained = engine.fit(start.values(), data, members, &job)?;
                tick();
                trained
            }
            Some(federation) => federation.train(&mut engine, start.values(), data, members, &job, tick)?,
        };
        Ok(FlatParams::new(Arc::clone(start.layout()), values).expect("training keeps the layout"))
    }
}

/// One privacy unit of a shadow's federation.
struct Part {
    name: String,
    members: Vec<usize>,
}

impl Federation {
    fn parts(&self, data: &Examples, members: &[usize]) -> Vec<Part> {
        let mut parts: BTreeMap<(usize, &str), Vec<usize>> = BTreeMap::new();
        for &i in members {
            let name = match self.unit {
                Unit::Speaker => data.meta[i].speaker.as_str(),
                Unit::Utterance => data.meta[i].path.as_str(),
                Unit::Client | Unit::None => "site",
            };
            parts.entry((self.sites[i], name)).or_default().push(i);
        }
        parts.into_iter().map(|((_, name), members)| Part { name: name.to_owned(), members }).collect()
    }

    fn train(
        &self,
        engine: &mut Engine<'_>,
        start: &[f32],
        data: &Examples,
        members: &[usize],
        job: &TrainJob,
        tick: &(dyn Fn() + Sync),
    ) -> Result<Vec<f32>, TrainError> {
        let parts = self.parts(data, members);
        let (mut coins, mut noise) = (Stream::new("shadow-sampling", job.seed), Stream::new("shadow-noise", job.seed));
        let mut server = (self.server)();
        let mut theta = start.to_vec();
        for round in 1..=self.rounds {
            let job = job.in_round(round, self.planned);
            let drawn: Vec<&Part> =
                parts.iter().filter(|_| self.sampling >= 1.0 || coins.uniform() < self.sampling).collect();
            let mut sum = vec![0.0f64; theta.len()];
            let mut weight = self.sampling * parts.len() as f64;
            if self.unit == Unit::None {
                weight = 0.0;
                for part in drawn {
                    let own = part.members.len().min(WEIGHT_CAP) as f64;
                    let update = engine.unit_update(&theta, data, &part.members, &job, &part.name)?;
                    sum.iter_mut().zip(&update).for_each(|(s, u)| *s += own * f64::from(*u));
                    weight += own;
                }
            } else {
                let clip = self.clips[round as usize - 1];
                self.add_clipped(&mut sum, engine, &theta, data, &drawn, &job, clip)?;
                if self.noise > 0.0 {
                    for s in &mut sum {
                        *s += self.noise * clip * noise.normal();
                    }
                }
            }
            let rate = if self.unit == Unit::Utterance { job.learning_rate } else { 1.0 };
            let mean: Vec<f32> = sum.iter().map(|s| (rate * s / weight.max(1.0)) as f32).collect();
            server(&mut theta, &mean);
            tick();
        }
        Ok(theta)
    }

    #[allow(clippy::too_many_arguments, reason = "one step of the loop above")]
    fn add_clipped(
        &self,
        sum: &mut [f64],
        engine: &mut Engine<'_>,
        theta: &[f32],
        data: &Examples,
        drawn: &[&Part],
        job: &TrainJob,
        clip: f64,
    ) -> Result<(), TrainError> {
        if self.unit == Unit::Utterance {
            let all: Vec<usize> = drawn.iter().flat_map(|p| p.members.iter().copied()).collect();
            let gradient = engine.clipped_gradient(theta, data, &all, job, clip as f32)?;
            sum.iter_mut().zip(&gradient).for_each(|(s, g)| *s -= f64::from(*g));
            return Ok(());
        }
        for part in drawn {
            let update = match engine.unit_update(theta, data, &part.members, job, &part.name) {
                // As at a site: a unit that diverged contributes nothing.
                Err(TrainError::Diverged { .. }) => continue,
                other => other?,
            };
            let norm = update.iter().map(|&u| f64::from(u) * f64::from(u)).sum::<f64>().sqrt();
            let factor = if norm > clip { clip / norm } else { 1.0 };
            sum.iter_mut().zip(&update).for_each(|(s, u)| *s += factor * f64::from(*u));
        }
        Ok(())
    }
}

/// What trains: plain loops for fully connected models on the CPU, the trainer for all others.
enum Engine<'a> {
    Small(Box<SmallDnn>),
    Trainer(&'a Trainer, Arc<ParamLayout>),
}

impl<'a> Engine<'a> {
    fn new(trainer: &'a Trainer, start: &FlatParams, data: &Examples, job: &TrainJob) -> Result<Self, TrainError> {
        match SmallDnn::new(trainer) {
            Some(small) => {
                small.check(start, data, job)?;
                Ok(Self::Small(Box::new(small)))
            }
            None => Ok(Self::Trainer(trainer, Arc::clone(start.layout()))),
        }
    }

    fn params(layout: &Arc<ParamLayout>, theta: &[f32]) -> FlatParams {
        FlatParams::new(Arc::clone(layout), theta.to_vec()).expect("a vector of this model")
    }

    fn fit(
        &mut self,
        theta: &[f32],
        data: &Examples,
        members: &[usize],
        job: &TrainJob,
    ) -> Result<Vec<f32>, TrainError> {
        match self {
            Self::Small(small) => small.fit(theta, data, members, job, true),
            Self::Trainer(trainer, layout) => {
                let start = Self::params(layout, theta);
                Ok(trainer.train_centralised(&start, &data.select(members), job, |_| ())?.values().to_vec())
            }
        }
    }

    fn unit_update(
        &mut self,
        theta: &[f32],
        data: &Examples,
        members: &[usize],
        job: &TrainJob,
        name: &str,
    ) -> Result<Vec<f32>, TrainError> {
        match self {
            Self::Small(small) => small.unit_update(theta, data, members, job, name),
            Self::Trainer(trainer, layout) => {
                Ok(unit_update(trainer, &Self::params(layout, theta), job, name, &data.select(members))?.values)
            }
        }
    }

    fn clipped_gradient(
        &mut self,
        theta: &[f32],
        data: &Examples,
        members: &[usize],
        job: &TrainJob,
        clip: f32,
    ) -> Result<Vec<f32>, TrainError> {
        match self {
            Self::Small(small) => small.clipped_gradient(theta, data, members, job, clip),
            Self::Trainer(trainer, layout) => {
                Ok(trainer.clipped_gradient(&Self::params(layout, theta), &data.select(members), job, clip)?.sum)
            }
        }
    }
}
