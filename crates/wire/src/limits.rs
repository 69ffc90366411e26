//! Kinds of message and how large each may be.

/// What a frame's body is. Kinds below 16 go from a client to the coordinator, the others from the coordinator.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// A client's first message on a connection.
    Hello = 1,
    /// One-time public keys of a client for one attempt (R0).
    Advert = 2,
    /// Encrypted shares and commitments to them (R1).
    Shares = 3,
    /// The masked input (R2).
    MaskedInput = 4,
    /// A signature over the survivor set (R3).
    SurvivorSignature = 5,
    /// Shares that open the sum (R4).
    Opening = 6,
    /// A client leaves an attempt and says why.
    Abort = 7,
    /// A client that was away asks for the result of the frame's round.
    WantResult = 8,
    /// The neighbours that a client picked (R0″), where the graph is sparse.
    Picks = 9,
    /// A client asks for a part of what shows that the sum of the frame's round is the right one.
    WantAudit = 10,
    /// The coordinator's answer to [`Kind::Hello`].
    Welcome = 16,
    /// Configuration and model of an attempt.
    RoundConfig = 17,
    /// The attempt's adverts, signed by the coordinator.
    Roster = 18,
    /// The shares dealt to one client.
    Envelopes = 19,
    /// The proposed survivor set.
    Survivors = 20,
    /// The signatures over the survivor set.
    SurvivorQuorum = 21,
    /// The opened sum and the model that follows from it.
    Result = 22,
    /// The run is over.
    Finished = 23,
    /// All lists of picks of an attempt.
    Graph = 24,
    /// The answer to [`Kind::WantAudit`].
    Audit = 25,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 20] = [
        Self::Hello,
        Self::Advert,
        Self::Shares,
        Self::MaskedInput,
        Self::SurvivorSignature,
        Self::Opening,
        Self::Abort,
        Self::WantResult,
        Self::Picks,
        Self::WantAudit,
        Self::Welcome,
        Self::RoundConfig,
        Self::Roster,
        Self::Envelopes,
        Self::Survivors,
        Self::SurvivorQuorum,
        Self::Result,
        Self::Finished,
        Self::Graph,
        Self::Audit,
    ];

    /// The kind that a byte stands for.
    pub fn of_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.byte() == byte)
    }

    /// The byte on the wire.
    pub fn byte(self) -> u8 {
        // The discriminants above are the wire values; this is the one place that reads them.
        self as u8
    }

    /// Whether clients send it (the coordinator sends all others).
    pub fn is_from_client(self) -> bool {
        self.byte() < Self::Welcome.byte()
    }
}

/// Largest body of each kind, for one session.
///
/// Derived from the most clients a roster may have and the words of an input vector; the per-client figures are the encodings of `secagg`, rounded up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    n_max: usize,
    words: usize,
    picks: usize,
    holders: usize,
    dealers: usize,
    hybrid: bool,
    layers: usize,
}

/// Fixed part of any message: counts, ids, one signature, and room to spare.
const SLACK: usize = 4096;
/// Chunks of inputs that answer one [`Kind::WantAudit`] at most: what a coordinator holds for one client at a time.
pub const CHUNKS_AT_ONCE: usize = 8;
/// A chunk of 64 KiB with its length and a path of at most 64 hashes.
const CHUNK: usize = 64 * 1024 + 64 * 32 + 8;
/// A configuration as text, a schema, a record of a round.
const DOCUMENT: usize = 64 * 1024;

impl Limits {
    /// For rosters of at most `n_max` clients and inputs of `words` 64-bit words.
    /// Everybody shares with everybody and nobody picks.
    pub fn new(n_max: usize, words: usize) -> Self {
        Self { n_max, words, picks: 0, holders: n_max, dealers: n_max, hybrid: false, layers: 0 }
    }

    /// For a session whose keys are agreed on by ML-KEM as well.
    #[must_use]
    pub fn with_kem(self, hybrid: bool) -> Self {
        Self { hybrid, ..self }
    }

    /// For a session in which the noise of each client has so many layers.
    #[must_use]
    pub fn with_layers(self, layers: usize) -> Self {
        Self { layers, ..self }
    }

    /// The same where a client picks at most so many others, a dealer has at most so many holders, and a holder at most so many
    /// dealers.
    #[must_use]
    pub fn with_degrees(self, picks: usize, holders: usize, dealers: usize) -> Self {
        Self { picks, holders, dealers, ..self }
    }

    /// Most bytes in the body of a frame of this kind. Saturates, so absurd parameters never wrap into small limits.
    pub fn max_body(&self, kind: Kind) -> usize {
        let n = self.n_max;
        let vector = self.words.saturating_mul(8);
        // Of an advert: two encapsulation keys. Of an envelope: two ciphertexts and a confirmation.
        let (advert, envelope) = if self.hybrid { (512 + 2 * 1184, 256 + 2 * 1088 + 64) } else { (512, 256) };
        // A layer: a commitment in an advert; of each holder a commitment, a share and an opener; opened, a share and an opener.
        let of_layers = |bytes: usize| self.layers.saturating_mul(bytes);
        let (advert, envelope) = (of_layers(32).saturating_add(advert), of_layers(96).saturating_add(envelope));
        // Of an opened sum: who picked whom, and ciphertexts between dropouts and survivors.
        let kem = if self.hybrid { self.holders.saturating_mul(1120) } else { 0 };
        let pairs = n.saturating_mul(self.picks.saturating_mul(4).saturating_add(8).saturating_add(kem));
        match kind {
            // Hashes: a model is never sent.
            Kind::Hello
            | Kind::Abort
            | Kind::WantResult
            | Kind::WantAudit
            | Kind::SurvivorSignature
            | Kind::RoundConfig
            | Kind::Finished => SLACK,
            Kind::Advert => advert,
            // A position a pick, a signature.
            Kind::Picks => self.picks.saturating_mul(4).saturating_add(512),
            // The same of everybody, and who it is.
            Kind::Graph => n.saturating_mul(self.picks.saturating_mul(4).saturating_add(80)).saturating_add(SLACK),
            // Two commitments, one envelope hash and one envelope a holder: 96 + 144.
            Kind::Shares => self.holders.saturating_mul(envelope).saturating_add(SLACK),
            Kind::MaskedInput => vector.saturating_add(SLACK),
            // One share, one opener and a tag a dealer.
            Kind::Opening => {
                let layers = if self.layers > 0 { of_layers(64).saturating_add(8) } else { 0 };
                self.dealers
                    .saturating_mul(layers.saturating_add(80))
                    .saturating_add(of_layers(32))
                    .saturating_add(SLACK)
            }
            Kind::Welcome => n.saturating_mul(64).saturating_add(DOCUMENT),
            Kind::Roster => n.saturating_mul(advert).saturating_add(SLACK),
            // A hash a dealer; from each that shares with the addressee its envelope, its signature, its commitments to it, and at
            // most 32 hashes that lead to the root over all its commitments.
            Kind::Envelopes => {
                let dealt = self.dealers.saturating_mul(envelope.saturating_add(1344 - 256));
                n.saturating_mul(40).saturating_add(dealt).saturating_add(SLACK)
            }
            // A position, a root and a signature a survivor.
            Kind::Survivors => n.saturating_mul(104).saturating_add(SLACK),
            Kind::SurvivorQuorum => n.saturating_mul(72).saturating_add(SLACK),
            // The sum and its certificate: an id, two positions, a root and two signatures a client.
            Kind::Result => vector.saturating_add(n.saturating_mul(224)).saturating_add(SLACK),
            // Either the roster and a secret a client, or some chunks.
            Kind::Audit => n
                .saturating_mul(advert.saturating_add(of_layers(32)).saturating_add(32))
                .saturating_add(pairs)
                .max(CHUNKS_AT_ONCE.saturating_mul(CHUNK))
                .saturating_add(SLACK),
        }
    }

    /// Most bytes of a whole frame of any kind, its length prefix included.
    pub fn max_frame(&self) -> usize {
        let body = Kind::ALL.into_iter().map(|k| self.max_body(k)).max().unwrap_or(0);
        body.saturating_add(crate::Frame::HEADER_LEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_that_is_no_kind_is_none_and_every_kind_comes_back() {
        for byte in 0..=u8::MAX {
            assert_eq!(Kind::of_byte(byte).map(Kind::byte), Kind::ALL.iter().any(|k| k.byte() == byte).then_some(byte));
        }
        assert_eq!((Kind::of_byte(0), Kind::of_byte(11), Kind::of_byte(26)), (None, None, None));
        assert!(Kind::Abort.is_from_client() && !Kind::Welcome.is_from_client());
    }

    #[test]
    fn absurd_parameters_saturate_instead_of_wrapping() {
        let limits = Limits::new(usize::MAX, usize::MAX);
        assert_eq!(limits.max_frame(), usize::MAX);
        assert_eq!(Limits::new(0, 0).max_body(Kind::Advert), 512);
        assert_eq!(limits.with_degrees(usize::MAX, usize::MAX, usize::MAX).max_frame(), usize::MAX);
    }

    #[test]
    fn what_goes_along_edges_is_bounded_by_the_degree_and_not_by_the_clients() {
        let (complete, sparse) = (Limits::new(1000, 10), Limits::new(1000, 10).with_degrees(96, 96, 288));
        for kind in [Kind::Shares, Kind::Envelopes, Kind::Opening] {
            assert!(sparse.max_body(kind) < complete.max_body(kind), "{kind:?}");
        }
        // Nobody picks on a complete graph.
        assert_eq!((complete.max_body(Kind::Picks), sparse.max_body(Kind::Picks)), (512, 512 + 4 * 96));
        assert!(sparse.max_body(Kind::Graph) > 1000 * (4 * 96 + 72), "the lists of all");
        for kind in [Kind::Roster, Kind::MaskedInput, Kind::Survivors] {
            assert_eq!(sparse.max_body(kind), complete.max_body(kind), "{kind:?}");
        }
    }
}
