//! From what a file says to what the engines run.
use std::path::PathBuf;
use std::sync::Arc;

use sottovoce_dp::accountant::{self, Accountant, Adjacency};
use sottovoce_dp::sampling::SamplingProbability;
use sottovoce_dp::{DpEvent, gdp};
use sottovoce_round::{Deadlines, Manifest, Member, PlanError, PrivacyPlan, PublicKey, RunPlan, RunSpec};
use sottovoce_secagg::MaskSuite;
use sottovoce_types::{Digest, Epsilon, Lanes, ModelSpec, NoiseMultiplier, Sha256Writer, Standardisation, Unit};

use crate::check::delta_below;
use crate::error::{ConfigError, Fault, Problem};
use crate::manifest_file::Pin;
use crate::sections::{AggregationMode, PartitionMode};
use crate::{Config, Privacy};

/// Without DP, updates are weighted by their examples inside the ring: a weight of 1 in 4096 must still leave an update its
/// precision, so a coordinate has a whole word and C is 2^36 grid steps.
const EXACT_CLIP_BITS: u32 = 36;

/// A configuration that a given federation cannot run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanFailed {
    /// The plan refuses.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A key does not fit the federation.
    #[error("`{key}`: {problem}")]
    Key {
        /// `section.key`.
        key: &'static str,
        /// What is wrong.
        problem: Problem,
    },
}

/// Who is about to run a configuration over the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// `sottovoce-coordinator`.
    Coordinator,
    /// `sottovoce client`.
    Client,
}

/// What a party needs on its own machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deployment {
    /// File of the private identity key.
    pub identity: PathBuf,
    /// File of the federation's manifest.
    pub manifest: PathBuf,
    /// What the manifest is held against.
    pub pin: Pin,
    /// Folder of journal, ledger and checkpoints.
    pub state: PathBuf,
}

impl Config {
    /// The plan that this configuration and a federation agree on. Its digest is what both sides compare.
    ///
    /// # Errors
    /// [`PlanFailed`]: the ring could overflow, too few honest inputs, δ not below one over the federation's units.
    pub fn plan(&self, manifest: Arc<Manifest>) -> Result<RunPlan, PlanFailed> {
        if self.privacy.unit != Unit::None {
            let units = match self.privacy.unit {
                Unit::Client => u64::from(manifest.len()),
                _ => manifest.total_units(),
            };
            delta_below(self, units).map_err(|(key, problem)| PlanFailed::Key { key, problem })?;
        }
        Ok(RunPlan::new(self.run_spec(), manifest)?)
    }

    /// The architecture, for the features and classes of this configuration.
    pub fn model_spec(&self) -> ModelSpec {
        self.model.spec(&self.features.spec(), self.corpus.label_set().emotions().len())
    }

    /// The noise of the run: as given, or the least that keeps `run.rounds` rounds and the spare attempts within ε. `None`
    /// without DP.
    pub fn noise_multiplier(&self) -> Option<NoiseMultiplier> {
        match (self.privacy.unit, self.privacy.noise_multiplier) {
            (Unit::None, _) => None,
            (_, Some(given)) => Some(given),
            (_, None) => {
                let attempts = self.run.rounds.saturating_add(self.privacy.spare_attempts);
                Some(self.privacy.calibrated(self.epsilon_target(), attempts.max(1)))
            }
        }
    }

    /// The ε above which no attempt is begun. `None` without DP.
    pub fn epsilon_budget(&self) -> Option<Epsilon> {
        let noise_multiplier = self.noise_multiplier()?;
        Some(match (self.privacy.epsilon_budget, self.privacy.noise_multiplier) {
            (Some(given), _) => given,
            (None, None) => self.epsilon_target(),
            (None, Some(_)) => {
                let spent = self.privacy.cost(noise_multiplier, self.run.rounds);
                Epsilon::new(spent).unwrap_or_else(|_| Epsilon::new(f64::MAX).expect("a finite number above 0"))
            }
        })
    }

    /// Identifies how features are made: front end, standardisation, whose labels and which. Clients with other features refuse.
    pub fn features_digest(&self) -> Digest {
        let mut w = Sha256Writer::new("sottovoce/2/feature-chain");
        w.field(self.features.spec().digest().as_bytes());
        w.number(match self.features.standardisation {
            Standardisation::None => 0,
            Standardisation::PerSpeaker => 1,
            Standardisation::PerUtterance => 2,
            Standardisation::Public => 3,
        });
        w.field(self.corpus.labelling.name().as_bytes());
        self.corpus.label_set().names().iter().for_each(|name| {
            w.field(name.as_bytes());
        });
        w.finish()
    }

    /// What a party needs to run this over the network.
    ///
    /// # Errors
    /// [`ConfigError`] that names the key: `aggregation.mode = "plain"`, `aggregation.mask_suite = "chacha8"`, dropouts by chance, or no identity, manifest or state folder.
    pub fn deployment(&self, role: Role) -> Result<Deployment, ConfigError> {
        let refuse = |key, problem| ConfigError::new(Fault::Problem { key, problem }, None);
        if self.aggregation.mode == AggregationMode::Plain {
            return Err(refuse("aggregation.mode", Problem::PlainDeployment));
        }
        if self.aggregation.mask_suite.suite().is_for_simulation() {
            return Err(refuse("aggregation.mask_suite", Problem::MasksDeployment));
        }
        if self.run.dropout > 0.0 {
            return Err(refuse("run.dropout", Problem::DropoutDeployment(self.run.dropout)));
        }
        if role == Role::Coordinator && self.privacy.site_epsilon_cap.is_some() {
            return Err(refuse("privacy.site_epsilon_cap", Problem::SitesOwn));
        }
        let when = match role {
            Role::Coordinator => "a coordinator runs",
            Role::Client => "a client runs",
        };
        let needed = |key, value: &Option<PathBuf>| value.clone().ok_or_else(|| refuse(key, Problem::Needed { when }));
        let pin = Pin { sha256: self.transport.manifest_sha256, consortium: self.transport.consortium.clone() };
        let identity = needed("transport.identity", &self.transport.identity)?;
        let manifest = needed("transport.manifest", &self.transport.manifest)?;
        let state = needed("transport.state", &self.transport.state)?;
        if role == Role::Client && pin.is_empty() {
            return Err(refuse("transport.manifest_sha256", Problem::Unpinned));
        }
        Ok(Deployment { identity, manifest, pin, state })
    }

    /// Clients as far as the file says; `None` where a manifest decides.
    pub(crate) fn stated_clients(&self) -> Option<u32> {
        self.transport.manifest.is_none().then_some(self.partition.clients)
    }

    /// Privacy units as far as the file says; `None` where the corpus or a manifest decides.
    pub(crate) fn stated_units(&self) -> Option<u64> {
        let clients = u64::from(self.stated_clients()?);
        match (self.privacy.unit, self.partition.mode, self.partition.speakers_per_client) {
            (Unit::Client | Unit::None, ..) => Some(clients),
            (Unit::Utterance, ..) => None,
            (_, PartitionMode::Speakers, each) if each > 0 => Some(clients * u64::from(each)),
            _ => None,
        }
    }

    fn epsilon_target(&self) -> Epsilon {
        let default = || Epsilon::new(Privacy::DEFAULT_EPSILON).expect("above 0");
        self.privacy.epsilon.unwrap_or_else(default)
    }

    fn run_spec(&self) -> RunSpec {
        let privacy =
            self.noise_multiplier().zip(self.epsilon_budget()).map(|(noise_multiplier, epsilon_budget)| PrivacyPlan {
                noise_multiplier,
                sampling: self.privacy.sampling(),
                delta: self.privacy.delta,
                epsilon_budget,
            });
        RunSpec {
            name: self.run.name.clone(),
            rounds: self.run.rounds,
            model: self.model_spec(),
            init_seed: self.run.seed,
            job: self.training.job(self.run.seed),
            features: self.features_digest(),
            unit: self.privacy.unit,
            clip: match self.privacy.unit {
                Unit::None => self.aggregation.max_update_l2,
                _ => self.privacy.clip_l2,
            },
            clip_bits: match self.privacy.unit {
                Unit::None => EXACT_CLIP_BITS,
                _ => self.privacy.clip_bits,
            },
            lanes: match self.privacy.unit {
                Unit::None => Lanes::new(1).expect("1 is among 1 to 6"),
                _ => self.aggregation.lanes,
            },
            rotation: self.aggregation.rotation,
            privacy,
            n_min: self.aggregation.n_min,
            max_corrupt: self.aggregation.max_corrupt,
            graph: self.aggregation.mask_graph(),
            suite: match self.aggregation.mode {
                AggregationMode::Secure => self.aggregation.mask_suite.suite(),
                AggregationMode::Plain => MaskSuite::None,
            },
            key_agreement: self.aggregation.key_agreement.agreement(),
            noise_removal: self.aggregation.noise_removal.removal(),
            audit_chunks: self.aggregation.audit_chunks,
            deadlines: Deadlines {
                join_ms: self.transport.join_deadline_ms,
                advert_ms: self.transport.advert_deadline_ms,
                phase_ms: self.transport.phase_deadline_ms,
            },
            adaptive_clip: self.privacy.adaptive(),
            server: self.server.spec(),
            max_attempts: self.aggregation.max_attempts,
        }
    }
}

impl Privacy {
    /// The sampling probability; `None` where every unit takes part, and where the rate is none, which the checks refuse.
    pub(crate) fn sampling(&self) -> Option<SamplingProbability> {
        (self.sampling_rate < 1.0).then(|| SamplingProbability::new(self.sampling_rate).ok())?
    }

    /// `attempts` releases with this noise.
    fn releases(&self, z: NoiseMultiplier, attempts: u64) -> DpEvent {
        let q = self.sampling().map_or(1.0, SamplingProbability::value);
        DpEvent::gaussian(z).poisson_sampled(q).self_composed(attempts)
    }

    /// The least noise that keeps `attempts` releases within ε.
    fn calibrated(&self, epsilon: Epsilon, attempts: u64) -> NoiseMultiplier {
        if self.sampling().is_none() {
            return gdp::calibrate(epsilon, self.delta, attempts);
        }
        let event = |z| self.releases(z, attempts);
        // A hair below, so that the last bits of another machine's logarithm do not cost it the last round.
        let target = Epsilon::new(epsilon.value() * (1.0 - 1e-9)).unwrap_or(epsilon);
        let calibrated = accountant::calibrate_noise_multiplier(
            target,
            self.delta,
            event,
            Accountant::Auto,
            Adjacency::AddOrRemoveOne,
        );
        // No noise is enough only where ε is too small to be said in floating point; the largest number then makes the plan refuse.
        calibrated.map_or_else(|_| NoiseMultiplier::new(f64::MAX).expect("above 0"), |found| found.noise_multiplier)
    }

    /// ε of `rounds` releases with this noise, with room for rounding: what a budget that is not given must cover.
    fn cost(&self, z: NoiseMultiplier, rounds: u64) -> f64 {
        if self.sampling().is_none() {
            // Gaussian DP composes as μ = √rounds / z (Dong, Roth & Su 2022, Cor. 3.3). The margin is far above what the
            // ledger's rounding of one addition a round can amount to, so that the last round is within the budget.
            #[allow(clippy::cast_precision_loss, reason = "fewer than 2^53 rounds")]
            let mu = (rounds as f64).sqrt() / z.value() * (1.0 + 1e-9);
            return gdp::epsilon(mu, self.delta).upper;
        }
        let event = self.releases(z, rounds);
        accountant::epsilon(&event, self.delta, Accountant::Auto, Adjacency::AddOrRemoveOne)
            .map_or(f64::INFINITY, |accounted| accounted.bracket.upper * (1.0 + 1e-9))
    }
}

/// Plans with stand-ins for the members, so that a ring that would overflow is found while the file is still at hand.
pub(crate) fn rehearse(config: &Config) -> Result<(), PlanError> {
    let clients = config.stated_clients().unwrap_or(config.aggregation.n_min);
    let units = config.stated_units().unwrap_or(u64::from(clients)) / u64::from(clients.max(1));
    let units = u32::try_from(units.max(1)).unwrap_or(u32::MAX);
    let member = |i: u32| {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&(i + 1).to_le_bytes());
        Member { name: format!("client {i}"), public_key: PublicKey(key), units }
    };
    let members = (0..clients).map(member).collect();
    let manifest =
        Manifest::new("rehearsal".into(), PublicKey([0; 32]), members).expect("distinct keys, each with units");
    let mut spec = config.run_spec();
    if config.stated_units().is_none() && matches!(spec.unit, Unit::Speaker | Unit::Utterance) {
        // Whether a count among the units can be afforded is known when they are.
        spec.adaptive_clip = None;
    }
    RunPlan::new(spec, Arc::new(manifest)).map(|_| ())
}
