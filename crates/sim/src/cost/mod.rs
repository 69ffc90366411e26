//! What one attempt of secure aggregation costs one client and the coordinator, beside what the machine can do at best.
//!
//! The real protocol of all clients runs in one thread, every message made and judged. Measured are the client in the middle
//! of the roster, alone, and the coordinator. Nothing is shared between clients; what the others do falls between
//! the measured stretches. Inputs go to the coordinator one at a time, as they come over a network.
//!
//! Time is an argument: pass the time that the thread ran, where the system says, and other processes do not lengthen it.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand_core::CryptoRng;
use sottovoce_secagg::graph::{GraphParameters, MaskGraph};
use sottovoce_secagg::mask::{MaskKey, Sign, expand_all};
use sottovoce_secagg::{Identity, KeyAgreement, MaskSuite, Session, honest_floor, quorum};
use sottovoce_types::{Digest, Lanes, RingVec};

mod limits;
mod primitives;
mod protocol;

pub use limits::{Compared, Limits};
pub use primitives::Primitives;

/// A clock that only moves on: time since some moment.
pub type Clock<'a> = &'a dyn Fn() -> Duration;

fn seconds(clock: Clock<'_>, start: Duration) -> f64 {
    clock().saturating_sub(start).as_secs_f64()
}

/// Which attempt.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CostSpec {
    /// n: clients, all of whom advertise and deal shares.
    pub clients: u32,
    /// d: coordinates.
    pub dimension: usize,
    /// Coordinates a word.
    pub lanes: Lanes,
    /// Clients whose input never comes: the costliest moment to drop out, because their masks are in everybody's input.
    pub dropouts: u32,
    /// f.
    pub max_corrupt: u32,
    /// Between whom secrets are shared and masks are made.
    pub graph: MaskGraph,
    /// What makes the masks.
    pub suite: MaskSuite,
    /// How keys are agreed on.
    pub key_agreement: KeyAgreement,
}

impl CostSpec {
    /// W = ceil(d/L).
    pub fn words(&self) -> usize {
        self.lanes.words(self.dimension)
    }

    /// Bytes of an input by itself: less than that no masked input can have.
    pub fn payload_bytes(&self) -> usize {
        8 * self.words()
    }

    /// k and t; `None` where the graph is complete.
    ///
    /// # Errors
    /// [`CostError::Graph`]: no graph keeps its bounds.
    pub fn parameters(&self) -> Result<Option<GraphParameters>, CostError> {
        self.graph.on(self.clients, self.max_corrupt).map_err(|e| CostError::Graph(e.to_string()))
    }

    fn is_sparse(&self) -> bool {
        matches!(self.parameters(), Ok(Some(_)))
    }

    fn check(&self) -> Result<(), CostError> {
        let (n, f) = (self.clients, self.max_corrupt);
        let need = quorum(n, f);
        let have = n.saturating_sub(self.dropouts);
        if n < 2 || honest_floor(n, f) < 2 || need > n {
            return Err(CostError::Cohort { clients: n, max_corrupt: f });
        }
        if self.dimension == 0 {
            return Err(CostError::Empty);
        }
        if have < need {
            return Err(CostError::Dropouts { dropouts: self.dropouts, have, need });
        }
        if let (Some(_), Some(terms)) = (self.parameters()?, self.graph.terms())
            && f64::from(self.dropouts) > (terms.max_dropout + 1e-14) * f64::from(n)
        {
            return Err(CostError::Starved { dropouts: self.dropouts, max_dropout: terms.max_dropout });
        }
        Ok(())
    }
}

/// Why nothing was measured.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CostError {
    /// Too few clients.
    #[error(
        "{clients} clients of which {max_corrupt} may be corrupt guarantee fewer than two honest inputs: take more clients"
    )]
    Cohort {
        /// n.
        clients: u32,
        /// f.
        max_corrupt: u32,
    },
    /// No coordinate.
    #[error("a vector of dimension 0 has no sum: take a dimension of 1 or more")]
    Empty,
    /// Too many dropouts.
    #[error("{dropouts} dropouts leave {have} inputs, and the quorum is {need}: take fewer dropouts")]
    Dropouts {
        /// Clients whose input never comes.
        dropouts: u32,
        /// Inputs that come.
        have: u32,
        /// q.
        need: u32,
    },
    /// No sparse graph.
    #[error("no graph of neighbours: {0}")]
    Graph(String),
    /// More dropouts than the graph is made for.
    #[error(
        "{dropouts} dropouts are more than the share of {max_dropout} that the graph is made for: take fewer, or a graph that withstands more"
    )]
    Starved {
        /// Clients whose input never comes.
        dropouts: u32,
        /// δ.
        max_dropout: f64,
    },
    /// The protocol refused a message of its own.
    #[error("{phase}: {reason}: the protocol refuses what it made itself, which is a bug")]
    Protocol {
        /// Where.
        phase: &'static str,
        /// What it said.
        reason: String,
    },
    /// The opened sum is another than the plain one.
    #[error("the opened sum is not the sum of the inputs, which is a bug")]
    WrongSum,
}

/// What a phase cost.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PhaseCost {
    /// Its name.
    pub name: &'static str,
    /// Seconds of the measured client.
    pub client_seconds: f64,
    /// Seconds of the coordinator, for all clients.
    pub server_seconds: f64,
    /// Bytes that the measured client sent.
    pub bytes_up: usize,
    /// Bytes that it was sent.
    pub bytes_down: usize,
}

/// What an attempt cost.
#[derive(Clone, PartialEq, Debug)]
pub struct Cost {
    /// Which attempt.
    pub spec: CostSpec,
    /// In the order of the protocol.
    pub phases: Vec<PhaseCost>,
    /// Clients that the measured one masks with: all others, or those that it picked or that picked it. Of several attempts, the fewest.
    pub peers: u32,
    /// Masks that dropouts left in the inputs of others, and that the coordinator takes off one by one. Of several attempts, the fewest.
    pub left: u64,
    /// The masks of one client alone, without agreements, hash and signature: seconds.
    pub masking_alone: f64,
    /// What the machine can do.
    pub primitives: Primitives,
}

impl Cost {
    /// Bytes that the measured client sent.
    pub fn bytes_up(&self) -> usize {
        self.phases.iter().map(|p| p.bytes_up).sum()
    }

    /// Bytes that it was sent, without the published sum.
    pub fn bytes_down(&self) -> usize {
        self.phases.iter().map(|p| p.bytes_down).sum()
    }

    /// Bytes sent over those of the input by itself.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53 bytes")]
    pub fn expansion(&self) -> f64 {
        self.bytes_up() as f64 / self.spec.payload_bytes() as f64
    }

    /// Seconds of the measured client in all phases.
    pub fn client_seconds(&self) -> f64 {
        self.phases.iter().map(|p| p.client_seconds).sum()
    }

    /// Seconds of the coordinator in all phases.
    pub fn server_seconds(&self) -> f64 {
        self.phases.iter().map(|p| p.server_seconds).sum()
    }

    /// A phase by its name.
    pub fn phase(&self, name: &str) -> Option<&PhaseCost> {
        self.phases.iter().find(|p| p.name == name)
    }
}

/// Who takes part.
struct Cohort {
    session: Session,
    coordinator: Identity,
    /// In roster order.
    sites: Vec<Identity>,
    /// Position of the measured client.
    measured: usize,
    /// Clients before this position stay.
    stay: usize,
}

impl Cohort {
    fn new(spec: &CostSpec, rng: &mut impl CryptoRng) -> Self {
        let coordinator = Identity::generate(rng);
        let mut sites: Vec<Identity> = (0..spec.clients).map(|_| Identity::generate(rng)).collect();
        sites.sort_by_key(Identity::client_id);
        let session = Session {
            cfg: Digest::of(b"bench"),
            coordinator: coordinator.public_key(),
            members: Arc::new(sites.iter().map(|s| (s.client_id(), s.public_key())).collect::<BTreeMap<_, _>>()),
            n_min: 2,
            max_corrupt: spec.max_corrupt,
            lanes: spec.lanes,
            words: spec.words(),
            graph: spec.graph,
            suite: spec.suite,
            key_agreement: spec.key_agreement,
            layers: None,
            allow_plain: true,
        };
        let n = sites.len();
        let stay = n - usize::try_from(spec.dropouts).expect("fewer dropouts than clients").min(n);
        // In the middle it adds one half of its masks and subtracts the other. A quorum is more than half: it stays.
        Self { session, coordinator, measured: (n / 2).min(stay.saturating_sub(1)), stay, sites }
    }
}

/// A client's input: small integers around zero, as an update has.
fn input(spec: &CostSpec, client: usize) -> Result<RingVec, CostError> {
    let client = i64::try_from(client).expect("few clients");
    let values: Vec<i64> = (0i64..).take(spec.dimension).map(|k| (k + client) % 3 - 1).collect();
    RingVec::pack(&values, spec.lanes).map_err(|e| CostError::Protocol { phase: "mask", reason: e.to_string() })
}

/// Runs the attempt once and `again` times more, with fresh keys, and takes the least time of each phase: what a phase lost to
/// other processes, caches included, is not the protocol's.
///
/// # Errors
/// [`CostError`]: an attempt that the protocol would refuse, or a wrong sum.
pub fn measure(spec: CostSpec, again: u32, clock: Clock<'_>, rng: &mut impl CryptoRng) -> Result<Cost, CostError> {
    spec.check()?;
    let cohort = Cohort::new(&spec, rng);
    let (mut phases, mut edges) = protocol::run(&spec, &cohort, clock, rng)?;
    for _ in 0..again {
        let (more, other) = protocol::run(&spec, &cohort, clock, rng)?;
        // The limit is that of the least work done in any of them.
        edges.peers = edges.peers.min(other.peers);
        edges.left = edges.left.min(other.left);
        for (least, phase) in phases.iter_mut().zip(more) {
            least.client_seconds = least.client_seconds.min(phase.client_seconds);
            least.server_seconds = least.server_seconds.min(phase.server_seconds);
        }
    }
    let masking_alone = masking_alone(&spec, edges.peers, clock);
    let primitives = Primitives::measure(spec.suite.prg(), spec.words(), clock);
    Ok(Cost { spec, phases, peers: edges.peers, left: edges.left, masking_alone, primitives })
}

/// Seconds of all masks on one vector: the self mask and one a peer. The best of seven parts.
fn masking_alone(spec: &CostSpec, peers: u32, clock: Clock<'_>) -> f64 {
    let Some(prg) = spec.suite.prg() else { return 0.0 };
    let mut words = vec![0u64; spec.words()];
    let run = |words: &mut [u64]| {
        let masks = (0..=peers).map(|i| {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&i.to_le_bytes());
            (MaskKey::from_bytes(key), if i % 2 == 0 { Sign::Add } else { Sign::Subtract })
        });
        expand_all(prg, masks, words, std::num::NonZeroUsize::MIN);
    };
    let masks = usize::try_from(peers).expect("few clients").saturating_add(1);
    let bytes = spec.payload_bytes().saturating_mul(masks);
    primitives::time(clock, bytes, || run(std::hint::black_box(&mut words)))
}
