//! What a party brings to an attempt: what was agreed, whom it trusts to be whom, and the numbers that bound corruption.
use std::collections::BTreeMap;
use std::sync::Arc;

use sottovoce_types::{ClientId, Digest, Lanes, LayerRule, LayerSet};

use crate::graph::{Degrees, Infeasible, MaskGraph};
use crate::mask::Prg;

/// How masks are expanded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum MaskSuite {
    /// No masks at all: y = x. The control of an attack, only ever simulated; refused without
    /// [`Session::allow_plain`].
    None = 0,
    /// [`Prg::Aes256Ctr`].
    Aes256Ctr = 1,
    /// [`Prg::ChaCha20`]: as strong, for processors without AES instructions.
    ChaCha20 = 2,
    /// [`Prg::Aes128Ctr`]: fewer rounds, keys of 128 bits.
    Aes128Ctr = 3,
    /// [`Prg::ChaCha8`]: a thin margin, for simulations; refused without [`Session::allow_plain`].
    ChaCha8 = 4,
}

impl MaskSuite {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::None, Self::Aes256Ctr, Self::ChaCha20, Self::Aes128Ctr, Self::ChaCha8];

    /// The byte that stands for it in contexts and configurations.
    pub fn byte(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Aes256Ctr => 1,
            Self::ChaCha20 => 2,
            Self::Aes128Ctr => 3,
            Self::ChaCha8 => 4,
        }
    }

    /// The suite of a byte.
    pub fn of_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.byte() == byte)
    }

    /// The word used in configs and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Aes256Ctr => "aes-256-ctr",
            Self::ChaCha20 => "chacha20",
            Self::Aes128Ctr => "aes-128-ctr",
            Self::ChaCha8 => "chacha8",
        }
    }

    /// What makes the masks; `None` where there are none.
    pub fn prg(self) -> Option<Prg> {
        match self {
            Self::None => None,
            Self::Aes256Ctr => Some(Prg::Aes256Ctr),
            Self::ChaCha20 => Some(Prg::ChaCha20),
            Self::Aes128Ctr => Some(Prg::Aes128Ctr),
            Self::ChaCha8 => Some(Prg::ChaCha8),
        }
    }

    /// Whether it protects too little for inputs that belong to somebody.
    pub fn is_for_simulation(self) -> bool {
        matches!(self, Self::None | Self::ChaCha8)
    }
}

/// How two clients agree on the keys of their masks and envelopes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum KeyAgreement {
    /// X25519 (RFC 7748).
    #[default]
    X25519 = 0,
    /// X25519 and ML-KEM-768 (FIPS 203), one key from both secrets: recorded traffic stays closed while either holds.
    X25519MlKem768 = 1,
}

impl KeyAgreement {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::X25519, Self::X25519MlKem768];

    /// The byte that stands for it in contexts and configurations.
    pub fn byte(self) -> u8 {
        match self {
            Self::X25519 => 0,
            Self::X25519MlKem768 => 1,
        }
    }

    /// The agreement of a byte.
    pub fn of_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|agreement| agreement.byte() == byte)
    }

    /// The word used in configs and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::X25519 => "x25519",
            Self::X25519MlKem768 => "x25519-ml-kem-768",
        }
    }

    /// Whether ML-KEM takes part.
    pub fn is_hybrid(self) -> bool {
        self == Self::X25519MlKem768
    }
}

/// One party's terms for one attempt. Coordinator and clients each build their own; where they differ, contexts differ
/// and nothing is opened.
#[derive(Clone, PartialEq, Debug)]
pub struct Session {
    /// Digest of the attempt's configuration: run, round, attempt, model, encoding, noise, deadlines.
    pub cfg: Digest,
    /// The coordinator's Ed25519 public key.
    pub coordinator: [u8; 32],
    /// Pinned Ed25519 public keys of everyone who may be on a roster.
    pub members: Arc<BTreeMap<ClientId, [u8; 32]>>,
    /// Fewest clients on a roster, and fewest that must have dealt shares.
    pub n_min: u32,
    /// f: how many clients may be corrupt and collude with the coordinator.
    pub max_corrupt: u32,
    /// Lanes of an input word.
    pub lanes: Lanes,
    /// 64-bit words of an input.
    pub words: usize,
    /// Between whom secrets are shared and masks are made.
    pub graph: MaskGraph,
    /// How masks are expanded.
    pub suite: MaskSuite,
    /// How keys are agreed on.
    pub key_agreement: KeyAgreement,
    /// Digest of the law that layers of noise are drawn by, where the surplus of them is opened with the sum ([`LayerRule`]); `None` for inputs
    /// without layers.
    pub layers: Option<Digest>,
    /// Accept a suite that is for simulations ([`MaskSuite::is_for_simulation`]). A deployed client has false.
    pub allow_plain: bool,
}

impl Session {
    /// The context that every message of this session is decoded with. It solves for the graph of every roster: keep it.
    ///
    /// # Errors
    /// [`Infeasible`]: no sparse graph keeps both bounds on some roster.
    pub fn message_ctx(&self) -> Result<MessageCtx, Infeasible> {
        let n = self.members.len();
        let members = u32::try_from(n).unwrap_or(u32::MAX);
        let degrees = self.graph.degrees(self.n_min, members, self.max_corrupt)?;
        let (hybrid, layers) = (self.key_agreement.is_hybrid(), self.layer_count());
        Ok(MessageCtx { n, words: self.words, degrees, hybrid, layers })
    }

    /// Layer seeds of each client, on every roster alike: as many as a roster of all members needs, which is most.
    pub fn layer_count(&self) -> usize {
        let n = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        let rule = self.layers.and_then(|_| self.layer_rule(n, n));
        rule.map_or(0, |rule| usize::try_from(rule.layers()).unwrap_or(usize::MAX))
    }

    /// How the noise is split on a roster of n clients of whom so many dealt; `None` without layers, and where nobody honest need survive.
    pub fn layer_rule(&self, n: u32, dealers: u32) -> Option<LayerRule> {
        self.layers?;
        LayerRule::new(dealers, quorum(n, self.max_corrupt), self.max_corrupt)
    }

    /// The layers whose seeds are opened; empty without layers.
    pub(crate) fn surplus(&self, n: u32, dealers: usize, survivors: usize) -> LayerSet {
        let count = |set: usize| u32::try_from(set).unwrap_or(u32::MAX);
        let rule = self.layer_rule(n, count(dealers));
        let gone = count(dealers.saturating_sub(survivors));
        rule.and_then(|rule| rule.surplus(gone)).unwrap_or(LayerSet::EMPTY)
    }
}

/// What bounds the messages of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageCtx {
    /// Most clients on a roster.
    pub n: usize,
    /// Words of an input, exactly.
    pub words: usize,
    /// Most entries of lists that go along the graph's edges.
    pub degrees: Degrees,
    /// Whether adverts and envelopes carry ML-KEM keys and ciphertexts.
    pub hybrid: bool,
    /// Layer seeds of each client.
    pub layers: usize,
}

/// q = ⌊(n+f)/2⌋+1: signatures needed on the survivor set, fewest survivors, and the threshold of secret sharing.
///
/// Any two sets of q clients share more than f members, hence an honest one, and an honest client signs once: there is one
/// survivor set. (Byzantine quorum; Bonawitz et al. 2017, §6.2 use the same bound at f = ⌈n/3⌉−1.)
pub fn quorum(n: u32, f: u32) -> u32 {
    let sum = u64::from(n).saturating_add(u64::from(f));
    u32::try_from((sum / 2).saturating_add(1)).unwrap_or(u32::MAX)
}

/// q − f: honest inputs guaranteed in any sum that can be opened. Below 2 a session is refused.
pub fn honest_floor(n: u32, f: u32) -> u32 {
    quorum(n, f).saturating_sub(f)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quorums_of_small_cohorts_are_those_of_the_table() {
        // n, f, q, q − f
        let table = [
            (2, 0, 2, 2),
            (3, 0, 2, 2),
            (3, 1, 3, 2),
            (4, 1, 3, 2),
            (5, 1, 4, 3),
            (7, 2, 5, 3),
            (10, 1, 6, 5),
            (10, 3, 7, 4),
            (30, 9, 20, 11),
            (100, 10, 56, 46),
            (100, 33, 67, 34),
        ];
        for (n, f, q, floor) in table {
            assert_eq!((quorum(n, f), honest_floor(n, f)), (q, floor), "n {n} f {f}");
        }
        assert_eq!(honest_floor(1, 0), 1, "a cohort of one is below the floor of 2");
    }

    #[test]
    fn a_byte_and_a_name_stand_for_one_suite() {
        for (byte, suite) in (0u8..).zip(MaskSuite::ALL) {
            assert_eq!((suite.byte(), suite as u8, MaskSuite::of_byte(byte)), (byte, byte, Some(suite)));
        }
        assert_eq!(MaskSuite::of_byte(5), None);
        let names: std::collections::BTreeSet<_> = MaskSuite::ALL.iter().map(|s| s.name()).collect();
        assert_eq!(names.len(), MaskSuite::ALL.len());
        let prgs: Vec<Prg> = MaskSuite::ALL.iter().filter_map(|s| s.prg()).collect();
        assert_eq!(prgs, Prg::ALL);
    }

    #[test]
    fn a_byte_and_a_name_stand_for_one_agreement() {
        for (byte, agreement) in (0u8..).zip(KeyAgreement::ALL) {
            assert_eq!((agreement.byte(), agreement as u8), (byte, byte));
            assert_eq!(KeyAgreement::of_byte(byte), Some(agreement));
        }
        assert_eq!(KeyAgreement::of_byte(2), None);
        assert_ne!(KeyAgreement::X25519.name(), KeyAgreement::X25519MlKem768.name());
    }

    proptest! {
        #[test]
        fn two_quorums_share_an_honest_member_and_a_safe_quorum_is_within_reach(n in 1u32..1000, f in 0u32..1000) {
            prop_assume!(f < n);
            let (n64, f64, q) = (u64::from(n), u64::from(f), u64::from(quorum(n, f)));
            prop_assert!(2 * q > n64 + f64);
            // Whenever the floor of two honest inputs holds, q clients exist.
            if honest_floor(n, f) >= 2 { prop_assert!(q <= n64); }
        }
    }
}
