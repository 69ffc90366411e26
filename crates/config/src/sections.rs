//! The sections of a configuration file. What each key means stands in [`crate::all_keys`], from which
//! `configs/README.md` is generated; a test holds the two equal.
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sottovoce_round::{AdaptiveClip, PublicKey};
use sottovoce_secagg::graph::{Adversary, MaskGraph, SparseTerms};
use sottovoce_secagg::{KeyAgreement, MaskSuite};
use sottovoce_types::{ClipNorm, Delta, Digest, Epsilon, Lanes, NoiseMultiplier, NoiseRemoval, Rotation, Unit};

/// `[run]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Run {
    /// A name for people.
    pub name: String,
    /// Training rounds.
    pub rounds: u64,
    /// Seed of what may be repeatable: initial model, order of examples, synthetic voices. Never of deployed noise.
    pub seed: u64,
    /// Evaluate every so many rounds; 0 for the last model alone.
    pub evaluate_every: u64,
    /// In simulations: with which probability each client falls silent in a round.
    pub dropout: f64,
}

impl Default for Run {
    fn default() -> Self {
        Self { name: "run".into(), rounds: 20, seed: 1, evaluate_every: 1, dropout: 0.0 }
    }
}

/// Who holds whose recordings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionMode {
    /// One recording group at each client where they are as many; otherwise speakers in the order of their names.
    Natural,
    /// Speakers drawn at random.
    #[default]
    Speakers,
    /// Speakers drawn at random, clips thinned to the same distribution of emotions at each client (the seed paper).
    Balanced,
    /// Speakers drawn at random, clips thinned to emotions skewed by a Dirichlet distribution.
    Dirichlet,
}

/// What train and test may not share.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Speakers.
    #[default]
    Speaker,
    /// Utterances only: speakers leak from training to test, and every result says so.
    Random,
}

/// Whom to test on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TestSpeakers {
    /// So many, drawn by the partition's seed.
    Count(u32),
    /// These, as the corpus names them.
    Named(Vec<String>),
}

impl TestSpeakers {
    /// How many.
    pub fn count(&self) -> u32 {
        match self {
            Self::Count(n) => *n,
            Self::Named(names) => u32::try_from(names.len()).unwrap_or(u32::MAX),
        }
    }
}

/// What one fold after the other leaves out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FoldBy {
    /// A block of the speakers in the order of their names.
    #[default]
    Speaker,
    /// A recording group.
    Group,
}

/// `[partition]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Partition {
    /// Who holds whose recordings.
    pub mode: PartitionMode,
    /// Clients.
    pub clients: u32,
    /// Speakers at each, in mode `speakers`; 0 deals all out as evenly as their number allows.
    pub speakers_per_client: u32,
    /// Concentration in mode `dirichlet`.
    pub alpha: Option<f64>,
    /// Speakers kept for testing.
    pub test_speakers: TestSpeakers,
    /// Folds of a cross-validation, which say whom to test on instead; 0 for none.
    pub folds: u32,
    /// The fold that is tested on, from 1.
    pub fold: u32,
    /// What each fold leaves out.
    pub fold_by: FoldBy,
    /// Share of the training speakers' utterances kept out of training.
    pub holdout_fraction: f64,
    /// What train and test may not share.
    pub split: Split,
    /// Seed of who goes where.
    pub seed: u64,
}

impl Default for Partition {
    fn default() -> Self {
        Self {
            mode: PartitionMode::default(),
            clients: 8,
            speakers_per_client: 2,
            alpha: None,
            test_speakers: TestSpeakers::Count(8),
            folds: 0,
            fold: 1,
            fold_by: FoldBy::default(),
            holdout_fraction: 0.1,
            split: Split::default(),
            seed: 1,
        }
    }
}

/// `[privacy]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Privacy {
    /// What neighbouring data sets differ by.
    pub unit: Unit,
    /// With which probability each unit takes part in a round; 1 is all of them.
    pub sampling_rate: f64,
    /// L2 bound of one unit's update.
    pub clip_l2: ClipNorm,
    /// The bound is 2^clip_bits grid steps.
    pub clip_bits: u32,
    /// Whether the bound follows a quantile of the updates' norms.
    pub adaptive_clip: bool,
    /// That quantile.
    pub clip_quantile: f64,
    /// How fast it follows.
    pub clip_learning_rate: f64,
    /// Standard deviation of the noise on the count that it follows.
    pub clip_count_noise: Option<f64>,
    /// ε of the whole run, from which noise is calibrated.
    pub epsilon: Option<Epsilon>,
    /// δ.
    pub delta: Delta,
    /// Noise given instead of ε.
    pub noise_multiplier: Option<NoiseMultiplier>,
    /// No attempt is begun that would spend more than this.
    pub epsilon_budget: Option<Epsilon>,
    /// Attempts beyond one a round for which noise calibrated from ε leaves room.
    pub spare_attempts: u64,
    /// What this site spends at most, whatever the plan allows. No part of the plan.
    pub site_epsilon_cap: Option<Epsilon>,
}

impl Default for Privacy {
    fn default() -> Self {
        Self {
            unit: Unit::default(),
            sampling_rate: 1.0,
            clip_l2: ClipNorm::new(1.0).expect("1 is above 0"),
            clip_bits: 16,
            adaptive_clip: false,
            clip_quantile: 0.5,
            clip_learning_rate: 0.2,
            clip_count_noise: None,
            epsilon: None,
            delta: Delta::new(1e-5).expect("between 0 and 1"),
            noise_multiplier: None,
            epsilon_budget: None,
            spare_attempts: 0,
            site_epsilon_cap: None,
        }
    }
}

impl Privacy {
    /// ε where neither `epsilon` nor `noise_multiplier` is given.
    pub(crate) const DEFAULT_EPSILON: f64 = 8.0;

    /// Becomes a run without differential privacy, with none of what only a privacy unit has.
    pub fn drop_unit(&mut self) {
        let Self {
            sampling_rate,
            adaptive_clip,
            clip_quantile,
            clip_learning_rate,
            clip_count_noise,
            site_epsilon_cap,
            ..
        } = Self::default();
        *self = Self {
            unit: Unit::None,
            sampling_rate,
            adaptive_clip,
            clip_quantile,
            clip_learning_rate,
            clip_count_noise,
            site_epsilon_cap,
            ..self.clone()
        };
    }

    /// What the plan asks of adaptive clipping.
    pub(crate) fn adaptive(&self) -> Option<AdaptiveClip> {
        self.adaptive_clip.then_some(AdaptiveClip {
            quantile: self.clip_quantile,
            learning_rate: self.clip_learning_rate,
            count_noise: self.clip_count_noise,
        })
    }
}

/// How updates are summed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AggregationMode {
    /// Secure aggregation: the coordinator sees sums.
    #[default]
    Secure,
    /// No masks: the coordinator sees every update. For attacks' controls, in simulation only.
    Plain,
}

impl AggregationMode {
    /// The word used in configs and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Secure => "secure",
            Self::Plain => "plain",
        }
    }
}

/// What makes the masks of secure aggregation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum MaskCipher {
    /// AES-256 in counter mode.
    #[default]
    #[serde(rename = "aes-256-ctr")]
    Aes256Ctr,
    /// ChaCha20: as strong, for processors without AES instructions.
    #[serde(rename = "chacha20")]
    ChaCha20,
    /// AES-128 in counter mode.
    #[serde(rename = "aes-128-ctr")]
    Aes128Ctr,
    /// ChaCha8. In simulation only.
    #[serde(rename = "chacha8")]
    ChaCha8,
}

impl MaskCipher {
    /// The suite that parties agree on.
    pub fn suite(self) -> MaskSuite {
        match self {
            Self::Aes256Ctr => MaskSuite::Aes256Ctr,
            Self::ChaCha20 => MaskSuite::ChaCha20,
            Self::Aes128Ctr => MaskSuite::Aes128Ctr,
            Self::ChaCha8 => MaskSuite::ChaCha8,
        }
    }
}

/// How clients agree on the keys of masks and envelopes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Agreement {
    /// X25519.
    #[default]
    #[serde(rename = "x25519")]
    X25519,
    /// X25519 and ML-KEM-768, one key from both.
    #[serde(rename = "x25519-ml-kem-768")]
    X25519MlKem768,
}

impl Agreement {
    /// The agreement that parties use.
    pub fn agreement(self) -> KeyAgreement {
        match self {
            Self::X25519 => KeyAgreement::X25519,
            Self::X25519MlKem768 => KeyAgreement::X25519MlKem768,
        }
    }
}

/// Whether surplus noise is taken off a sum.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Removal {
    /// A sum keeps all noise of all survivors.
    #[default]
    None,
    /// Layer by layer, by seeds that survivors reveal.
    Layers,
}

impl Removal {
    /// What parties agree on.
    pub fn removal(self) -> NoiseRemoval {
        match self {
            Self::None => NoiseRemoval::None,
            Self::Layers => NoiseRemoval::Layers,
        }
    }
}

/// Between whom secrets are shared and masks are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GraphChoice {
    /// Everybody and everybody.
    Complete,
    /// Neighbours that clients choose.
    Sparse,
    /// Complete up to 128 clients on the roster, sparse above.
    #[default]
    Auto,
}

/// What a sparse graph has to withstand from the coordinator.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GraphAdversary {
    /// Whatever it does; and should it have two survivor sets signed, t shares of both secrets of one client are out of reach.
    #[default]
    Malicious,
    /// Whatever it does, but for that second barrier: about half the neighbours.
    OneSurvivorSet,
}

/// `[aggregation]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Aggregation {
    /// How updates are summed.
    pub mode: AggregationMode,
    /// What makes the masks, where there are any.
    pub mask_suite: MaskCipher,
    /// How clients agree on keys.
    pub key_agreement: Agreement,
    /// Integers per 64-bit word.
    pub lanes: Lanes,
    /// Whether updates are rotated before they become integers.
    pub rotation: Rotation,
    /// Clients needed for a round.
    pub n_min: u32,
    /// Clients that may be corrupt and collude with the coordinator.
    pub max_corrupt: u32,
    /// Whether noise that dropouts did not make necessary is taken off a sum.
    pub noise_removal: Removal,
    /// Random chunks of 64 KiB of each sum that every client computes again.
    pub audit_chunks: u32,
    /// Between whom secrets are shared and masks are made.
    pub graph: GraphChoice,
    /// Sparse: share of the clients that may drop out after they dealt their shares.
    pub max_dropout: f64,
    /// Sparse: what it has to withstand.
    pub graph_adversary: GraphAdversary,
    /// Attempts at one round before the run fails.
    pub max_attempts: u32,
    /// Without DP: the largest update that can be encoded.
    pub max_update_l2: ClipNorm,
}

impl Aggregation {
    /// What parties agree on.
    pub fn mask_graph(&self) -> MaskGraph {
        let adversary = match self.graph_adversary {
            GraphAdversary::Malicious => Adversary::Malicious,
            GraphAdversary::OneSurvivorSet => Adversary::OneSurvivorSet,
        };
        let terms = SparseTerms { max_dropout: self.max_dropout, adversary };
        match self.graph {
            GraphChoice::Complete => MaskGraph::Complete,
            GraphChoice::Sparse => MaskGraph::Sparse(terms),
            GraphChoice::Auto => MaskGraph::Auto(terms),
        }
    }
}

impl Default for Aggregation {
    fn default() -> Self {
        Self {
            mode: AggregationMode::default(),
            mask_suite: MaskCipher::default(),
            key_agreement: Agreement::default(),
            lanes: Lanes::new(2).expect("2 is among 1 to 6"),
            rotation: Rotation::default(),
            n_min: 3,
            max_corrupt: 0,
            audit_chunks: 1,
            noise_removal: Removal::default(),
            graph: GraphChoice::default(),
            max_dropout: 0.1,
            graph_adversary: GraphAdversary::default(),
            max_attempts: 3,
            max_update_l2: ClipNorm::new(16.0).expect("16 is above 0"),
        }
    }
}

/// `[transport]`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Transport {
    /// Where the coordinator listens.
    pub listen: SocketAddr,
    /// Where clients find it: `host:port`.
    pub coordinator: String,
    /// File of this party's private identity key.
    pub identity: Option<PathBuf>,
    /// File of the federation's manifest.
    pub manifest: Option<PathBuf>,
    /// Digest of the manifest's revision that is pinned.
    pub manifest_sha256: Option<Digest>,
    /// Keys of which every one must have signed the manifest.
    pub consortium: Vec<PublicKey>,
    /// Folder of this party's journal, ledger and checkpoints.
    pub state: Option<PathBuf>,
    /// Where the coordinator shows the run, read-only, over HTTP.
    pub dashboard: SocketAddr,
    /// Whether that may be an address which other machines reach.
    pub dashboard_public: bool,
    /// How long to wait for members before the first round.
    pub join_deadline_ms: u64,
    /// How long a client may train before it advertises its keys.
    pub advert_deadline_ms: u64,
    /// How long each later phase may last.
    pub phase_deadline_ms: u64,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4470)),
            coordinator: "127.0.0.1:4470".into(),
            identity: None,
            manifest: None,
            manifest_sha256: None,
            consortium: Vec::new(),
            state: None,
            dashboard: SocketAddr::from(([127, 0, 0, 1], 4471)),
            dashboard_public: false,
            join_deadline_ms: 60_000,
            advert_deadline_ms: 60_000,
            phase_deadline_ms: 10_000,
        }
    }
}

/// An attack of the audit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttackName {
    /// Loss-threshold membership inference on the final model (M1).
    Membership,
    /// By the losses of public clips of the same class (M2).
    MembershipPopulation,
    /// By shadows that did not train on the clip (M3).
    MembershipReference,
    /// Likelihood ratio with shadows, a variance for each clip (M4).
    MembershipLiraOnline,
    /// The same with one variance a side.
    MembershipLiraFixedVariance,
    /// Likelihood ratio with shadows that did not train on the clip (M5).
    MembershipLiraOffline,
    /// The relative attack (M6).
    MembershipRmia,
    /// Likelihood ratio with Bayesian variances (M7).
    MembershipBavaria,
    /// By a regression on public clips (M8).
    MembershipQuantile,
    /// By the slope over the models of all rounds (M9).
    MembershipTrajectory,
    /// Membership of a speaker, from clips that were not trained on (U1).
    MembershipSpeaker,
    /// Histogram of a client's emotions from the last layer's bias.
    LabelProfile,
    /// Sex of a client's speakers from the first layer of its updates.
    SexInference,
    /// Features of a client's clips from its updates.
    Inversion,
    /// Whether one clip of one unit shows in a sum, by how many units are in it.
    SecaggDistinguisher,
    /// Membership of a clip in one client's update, by the direction of its gradient (M10).
    MembershipGradientCosine,
    /// White-box canaries: empirical ε beside the accountant's.
    Canary,
    /// Canaries in a whole training of the federation, with bounds for one run.
    CanariesInTraining,
}

/// How much an audit may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditTier {
    /// For continuous integration: less than 90 seconds on two cores.
    Smoke,
    /// Minutes.
    #[default]
    Standard,
    /// Overnight.
    Full,
}

/// `[audit]`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// Attacks to run, each with its control.
    pub attacks: Vec<AttackName>,
    /// Canaries of the white-box audit.
    pub canaries: u32,
    /// How much it may take.
    pub tier: AuditTier,
    /// Shadow models; 0 for as many as the tier has.
    pub shadows: u32,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            attacks: vec![AttackName::Membership, AttackName::LabelProfile, AttackName::Canary],
            canaries: 1000,
            tier: AuditTier::default(),
            shadows: 0,
        }
    }
}

impl AttackName {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 18] = [
        Self::Membership,
        Self::MembershipPopulation,
        Self::MembershipReference,
        Self::MembershipLiraOnline,
        Self::MembershipLiraFixedVariance,
        Self::MembershipLiraOffline,
        Self::MembershipRmia,
        Self::MembershipBavaria,
        Self::MembershipQuantile,
        Self::MembershipTrajectory,
        Self::MembershipSpeaker,
        Self::LabelProfile,
        Self::SexInference,
        Self::Inversion,
        Self::SecaggDistinguisher,
        Self::MembershipGradientCosine,
        Self::Canary,
        Self::CanariesInTraining,
    ];
}

impl Audit {
    /// Shadow models of a model that trains in plain loops (`dnn`), or of one that needs the tensor library.
    pub fn shadow_models(&self, plain: bool) -> u32 {
        match (self.shadows, self.tier, plain) {
            (0, AuditTier::Smoke, true) | (0, AuditTier::Standard, false) => 16,
            (0, AuditTier::Smoke, false) => 8,
            (0, AuditTier::Standard, true) | (0, AuditTier::Full, false) => 64,
            (0, AuditTier::Full, true) => 256,
            (asked, ..) => asked,
        }
    }
}
