//! What the coordinator says of a run under its signature. Two statements that cannot both be honest are evidence against it
//! ([`crate::Evidence`]), so each carries the fields that its digest is made of.
use serde::{Deserialize, Serialize};
use sottovoce_secagg::{BadSignature, Identity, labels, verify};
use sottovoce_types::{AttemptId, Digest, RoundId, RunId};

use crate::manifest::PublicKey;
use crate::plan::RunPlan;
use crate::terms::RoundTerms;

/// "In this attempt, clients train from this model, under these terms." Its digest is cfg of the protocol: every later context, mask
/// key and signature covers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConfigStatement {
    /// Digest of the manifest.
    pub manifest: Digest,
    /// Digest of the plan.
    pub plan: Digest,
    /// The run.
    pub run: RunId,
    /// The round.
    pub round: RoundId,
    /// The attempt.
    pub attempt: AttemptId,
    /// Hash of θ_t.
    pub model: Digest,
    /// Hash of the model's architecture.
    pub layout: Digest,
    /// Hash of the terms.
    pub terms: Digest,
}

/// "This sum was opened in this attempt, and this model follows from it."
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ResultStatement {
    /// Digest of the manifest.
    pub manifest: Digest,
    /// The run.
    pub run: RunId,
    /// The round.
    pub round: RoundId,
    /// The attempt.
    pub attempt: AttemptId,
    /// What the quorum signed.
    pub ctx3: Digest,
    /// Root over the chunks of the sum ([`crate::RoundResult::sum_digest`]).
    pub sum: Digest,
    /// Hash of θ_{t+1}.
    pub model: Digest,
}

/// A statement and the coordinator's signature over it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Signed<S> {
    /// What is said.
    pub statement: S,
    /// By the coordinator.
    #[serde(with = "hex_signature")]
    pub signature: [u8; 64],
}

/// Any statement, as a site keeps it: one a line in its `statements.jsonl`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "says", rename_all = "kebab-case")]
pub enum Heard {
    /// Of an attempt's beginning.
    Config(Signed<ConfigStatement>),
    /// Of a round's end.
    Result(Signed<ResultStatement>),
}

impl From<Signed<ConfigStatement>> for Heard {
    fn from(said: Signed<ConfigStatement>) -> Self {
        Self::Config(said)
    }
}

impl From<Signed<ResultStatement>> for Heard {
    fn from(said: Signed<ResultStatement>) -> Self {
        Self::Result(said)
    }
}

/// A statement that can be signed.
pub trait Statement {
    /// What the signature is over.
    fn digest(&self) -> Digest;
    /// What it is signed as.
    fn label() -> labels::Label;
}

impl ConfigStatement {
    /// That of a plan's attempt that begins from `model` under `terms`.
    pub fn of(
        plan: &RunPlan,
        run: RunId,
        round: RoundId,
        attempt: AttemptId,
        model: Digest,
        terms: &RoundTerms,
    ) -> Self {
        Self {
            manifest: plan.manifest().digest(),
            plan: plan.digest(),
            run,
            round,
            attempt,
            model,
            layout: plan.layout().digest(),
            terms: terms.digest(model),
        }
    }
}

impl Statement for ConfigStatement {
    fn digest(&self) -> Digest {
        let mut w = labels::CONFIG.hasher();
        w.field(self.manifest.as_bytes()).field(self.plan.as_bytes()).field(&self.run.0);
        w.number(self.round.0).number(self.attempt.0.into()).field(self.model.as_bytes()).field(self.layout.as_bytes());
        w.field(self.terms.as_bytes());
        w.finish()
    }

    fn label() -> labels::Label {
        labels::CONFIG
    }
}

impl Statement for ResultStatement {
    fn digest(&self) -> Digest {
        let mut w = labels::RESULT.hasher();
        w.field(self.manifest.as_bytes()).field(&self.run.0).number(self.round.0).number(self.attempt.0.into());
        w.field(self.ctx3.as_bytes()).field(self.sum.as_bytes()).field(self.model.as_bytes());
        w.finish()
    }

    fn label() -> labels::Label {
        labels::RESULT
    }
}

impl<S: Statement> Signed<S> {
    /// Signs.
    pub fn by(statement: S, coordinator: &Identity) -> Self {
        let signature = coordinator.sign(S::label(), statement.digest().as_bytes());
        Self { statement, signature }
    }

    /// Whether the owner of this key said it.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, coordinator: PublicKey) -> Result<(), BadSignature> {
        verify(&coordinator.0, S::label(), self.statement.digest().as_bytes(), &self.signature)
    }
}

/// 128 hexadecimal digits.
pub(crate) mod hex_signature {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use sottovoce_types::Digest;

    pub(crate) fn serialize<S: Serializer>(signature: &[u8; 64], s: S) -> Result<S::Ok, S::Error> {
        let (a, b) = halves(signature);
        s.collect_str(&format_args!("{a}{b}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<[u8; 64], D::Error> {
        let text = String::deserialize(d)?;
        let half = |range: std::ops::Range<usize>| text.get(range).and_then(Digest::from_hex);
        match (half(0..64), half(64..128), text.len()) {
            (Some(a), Some(b), 128) => {
                let mut signature = [0; 64];
                signature[..32].copy_from_slice(&a.0);
                signature[32..].copy_from_slice(&b.0);
                Ok(signature)
            }
            _ => Err(serde::de::Error::custom("a signature is 128 hexadecimal digits")),
        }
    }

    fn halves(signature: &[u8; 64]) -> (Digest, Digest) {
        let (mut a, mut b) = (Digest::default(), Digest::default());
        a.0.copy_from_slice(&signature[..32]);
        b.0.copy_from_slice(&signature[32..]);
        (a, b)
    }
}
