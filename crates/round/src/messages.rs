//! What the engines say to each other around secure aggregation: greeting, config, result, refusal.
use sottovoce_types::{AttemptId, Digest, RoundId, RunId, Sha256Writer};
use sottovoce_wire::{Decode, DecodeError, Encode, Kind, Reader};

use crate::plan::RunPlan;
use crate::terms::RoundTerms;

/// A kind of frame in words for errors.
pub(crate) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Hello => "greeting",
        Kind::Advert => "key advert",
        Kind::Shares => "share message",
        Kind::MaskedInput => "masked input",
        Kind::SurvivorSignature => "survivor signature",
        Kind::Opening => "opening",
        Kind::Abort => "refusal",
        Kind::Welcome => "welcome",
        Kind::RoundConfig => "round config",
        Kind::Roster => "roster",
        Kind::Envelopes => "envelope message",
        Kind::Survivors => "survivor set",
        Kind::SurvivorQuorum => "survivor quorum",
        Kind::Result => "result",
        Kind::Finished => "last model",
    }
}

/// Longest reason that an abort may carry, in bytes.
pub const MAX_REASON: usize = 512;

/// Client → coordinator, first of all: which plan it agreed to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// [`RunPlan::digest`].
    pub plan: Digest,
}

/// Coordinator → client: greeted, by this run of this plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Welcome {
    /// [`RunPlan::digest`].
    pub plan: Digest,
    /// The last round and attempt of this run in which the coordinator had this client's masked input; zeros for none. A client whose
    /// own journal does not hold that charge was put back from an old copy.
    pub last_input: (RoundId, AttemptId),
}

/// Coordinator → client: train from this model (R0).
#[derive(Clone, PartialEq)]
pub struct RoundConfig {
    /// The parameters θ_t, `[d]`.
    pub params: Vec<f32>,
    /// C_t, as the coordinator sent it: not checked yet.
    pub clip: f64,
    /// SCAFFOLD's c, `[d]`; empty under any other rule.
    pub control: Vec<f32>,
    /// The coordinator's signature over [`config_digest`].
    pub signature: [u8; 64],
}

/// Coordinator → client: the round was published, and this is the only model that may follow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoundResult {
    /// Hash of θ_{t+1}.
    pub model: Digest,
    /// Clients in the sum.
    pub contributors: u32,
}

/// Coordinator → client: the run is over; the last model.
#[derive(Clone, PartialEq)]
pub struct Finished {
    /// Parameters of the last model, `[d]`.
    pub params: Vec<f32>,
}

/// Either → other: it leaves this attempt, and why. Never holds data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The reason, at most [`MAX_REASON`] bytes.
    pub reason: String,
}

/// cfg of the protocol: covers federation, plan, run, round, attempt, model hash, architecture and terms, so that every later
/// context, mask key and signature does.
pub fn config_digest(
    plan: &RunPlan,
    run: RunId,
    round: RoundId,
    attempt: AttemptId,
    model: Digest,
    terms: &RoundTerms,
) -> Digest {
    let mut w = Sha256Writer::new("sottovoce/1/config");
    w.field(plan.manifest().digest().as_bytes()).field(plan.digest().as_bytes()).field(&run.0);
    w.number(round.0).number(attempt.0.into()).field(model.as_bytes()).field(plan.layout().digest().as_bytes());
    w.field(terms.digest(model).as_bytes());
    w.finish()
}

impl Encode for Hello {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.plan.as_bytes());
    }
}

impl Decode for Hello {
    fn decode((): &(), input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { plan: Digest(input.array()?) })
    }
}

impl Encode for Welcome {
    fn encode(&self, out: &mut Vec<u8>) {
        let (round, attempt) = self.last_input;
        out.extend_from_slice(self.plan.as_bytes());
        out.extend_from_slice(&round.0.to_le_bytes());
        out.extend_from_slice(&attempt.0.to_le_bytes());
    }
}

impl Decode for Welcome {
    fn decode((): &(), input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let plan = Digest(input.array()?);
        let round = RoundId(u64::from_le_bytes(input.array()?));
        let attempt = AttemptId(u32::from_le_bytes(input.array()?));
        Ok(Self { plan, last_input: (round, attempt) })
    }
}

/// Decoding context of what carries parameters: how many there are.
#[derive(Clone, Copy, Debug)]
pub struct ParamCount(pub usize);

/// Decoding context of a [`RoundConfig`].
#[derive(Clone, Copy, Debug)]
pub struct ConfigShape {
    /// Parameters d.
    pub params: ParamCount,
    /// Values of the control variate: d under SCAFFOLD, otherwise 0.
    pub control: ParamCount,
}

impl ConfigShape {
    /// That of a plan's configs.
    pub fn of(plan: &RunPlan) -> Self {
        let d = plan.layout().len();
        Self { params: ParamCount(d), control: ParamCount(if plan.spec().server.is_scaffold() { d } else { 0 }) }
    }
}

fn encode_params(params: &[f32], out: &mut Vec<u8>) {
    out.reserve(params.len().saturating_mul(4));
    for v in params {
        out.extend_from_slice(&v.to_le_bytes());
    }
}

fn decode_params(count: ParamCount, input: &mut Reader<'_>) -> Result<Vec<f32>, DecodeError> {
    (0..count.0).map(|_| Ok(f32::from_le_bytes(input.array()?))).collect()
}

impl Encode for RoundConfig {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.signature);
        encode_params(&self.params, out);
        out.extend_from_slice(&self.clip.to_le_bytes());
        encode_params(&self.control, out);
    }
}

impl Decode<ConfigShape> for RoundConfig {
    fn decode(shape: &ConfigShape, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let signature = input.array()?;
        let params = decode_params(shape.params, input)?;
        let clip = f64::from_le_bytes(input.array()?);
        Ok(Self { params, clip, control: decode_params(shape.control, input)?, signature })
    }
}

impl Encode for RoundResult {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.model.as_bytes());
        out.extend_from_slice(&self.contributors.to_le_bytes());
    }
}

impl Decode for RoundResult {
    fn decode((): &(), input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { model: Digest(input.array()?), contributors: input.u32()? })
    }
}

impl Encode for Finished {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_params(&self.params, out);
    }
}

impl Decode<ParamCount> for Finished {
    fn decode(count: &ParamCount, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { params: decode_params(*count, input)? })
    }
}

impl Encode for Refusal {
    fn encode(&self, out: &mut Vec<u8>) {
        let mut end = self.reason.len().min(MAX_REASON);
        while !self.reason.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        out.extend_from_slice(self.reason.as_bytes().get(..end).unwrap_or_default());
    }
}

impl Refusal {
    /// Reads a refusal; bytes that are not text become replacement characters, and control characters are dropped, since
    /// a peer's words end in a terminal.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let bytes = bytes.get(..bytes.len().min(MAX_REASON)).unwrap_or_default();
        Self { reason: String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).collect() }
    }
}
