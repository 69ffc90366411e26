//! Views that hold one update a client: of a run without masks, or of masked bytes that are taken for plain.
use sottovoce_encode::{EncodePlan, Extra, exact};
use sottovoce_round::RunPlan;
use sottovoce_secagg::MaskedInputMsg;
use sottovoce_transcript::{Party, Transcript};
use sottovoce_types::{AttemptId, ClientId, RingVec, RoundId, Vantage};
use sottovoce_wire::{Decode as _, Kind};

use super::{RoundStart, ViewError};

/// What one client seems to have sent in one attempt.
#[derive(Clone, PartialEq, Debug)]
pub struct ClientUpdate {
    /// Whose it is.
    pub client: ClientId,
    /// Of which round.
    pub round: RoundId,
    /// Of which attempt.
    pub attempt: AttemptId,
    /// The mean update of its units, `[d]` in parameter units; without a privacy unit its weighted update.
    pub values: Vec<f64>,
}

mod sealed {
    #[allow(unnameable_types, reason = "that is what seals it")]
    pub trait Sealed {}
}

/// A view that holds one update a client. Sealed: no view of another adversary can be made one.
pub trait SingleUpdates: sealed::Sealed {
    /// From where it looks.
    fn vantage() -> Vantage;

    /// Every input, in the order of arrival. A round that took two attempts gives two.
    fn updates(&self) -> &[ClientUpdate];

    /// What each round began from.
    fn starts(&self) -> &[RoundStart];

    /// What a round began from.
    fn start(&self, round: RoundId) -> Option<&RoundStart> {
        self.starts().iter().find(|s| s.round == round)
    }

    /// The clients that sent something, ascending.
    fn clients(&self) -> Vec<ClientId> {
        let mut clients: Vec<ClientId> = self.updates().iter().map(|u| u.client).collect();
        clients.sort_unstable();
        clients.dedup();
        clients
    }
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Inputs {
    updates: Vec<ClientUpdate>,
    starts: Vec<RoundStart>,
}

impl Inputs {
    /// Every input decoded *as if it were plain*: unpacked to integers, rotated back, scaled to parameter units, over the client's units.
    pub(super) fn read(transcript: &Transcript, plan: &RunPlan, starts: &[RoundStart]) -> Result<Self, ViewError> {
        let message = plan.message_ctx();
        let mut updates = Vec::new();
        for record in transcript.coordinator().of_kind(Kind::MaskedInput) {
            let Party::Client(client) = record.from else { continue };
            let (seq, round) = (record.seq, record.frame.round);
            let undecodable = || ViewError::Undecodable { seq };
            let sent = MaskedInputMsg::decode_exact(&message, &record.frame.body).map_err(|_| undecodable())?;
            let known = starts.last().map_or(0, |s| s.round.0);
            let start = starts.iter().find(|s| s.round == round);
            let start = start.ok_or(ViewError::Ahead { seq, round: round.0, known })?;
            let encode = plan.encode_in(round.0, start.clip);
            if sent.words().len() != encode.words() {
                return Err(undecodable());
            }
            let sum = RingVec::from_words(sent.words().to_vec(), encode.lanes());
            let units = weight(&encode, &sum).unwrap_or_else(|| f64::from(plan.units_of(&client).max(1)));
            // A masked weight may be anything, 0 and less included; a site without examples weighs 0 and moved nothing.
            let units = if units > 0.0 { units } else { 1.0 };
            let values = encode.decode_sum(&sum).into_iter().map(|v| v / units).collect();
            updates.push(ClientUpdate { client, round, attempt: record.frame.attempt, values });
        }
        Ok(Self { updates, starts: starts.to_vec() })
    }
}

/// The weight that a vector carries behind its parameters; `None` in plans that count units.
pub(super) fn weight(encode: &EncodePlan, sum: &RingVec) -> Option<f64> {
    let spec = encode.spec();
    (spec.extra == Extra::Weight)
        .then(|| exact::to_f64(encode.decode_coords(sum)[spec.dim]) / exact::u64_to_f64(encode.clip_steps()))
}

/// What a coordinator sees without masks: every model, and every client's update with its name on it.
#[derive(Clone, PartialEq, Debug)]
pub struct ServerPlain(pub(super) Inputs);

/// Each client's input as a coordinator has it that takes its bytes for plain. With masks they are uniform words, and whatever an attack
/// makes of them, it must be no better than chance.
#[derive(Clone, PartialEq, Debug)]
pub struct MaskedTakenForPlain(pub(super) Inputs);

impl sealed::Sealed for ServerPlain {}
impl sealed::Sealed for MaskedTakenForPlain {}

impl SingleUpdates for ServerPlain {
    fn vantage() -> Vantage {
        Vantage::CoordinatorPlain
    }

    fn updates(&self) -> &[ClientUpdate] {
        &self.0.updates
    }

    fn starts(&self) -> &[RoundStart] {
        &self.0.starts
    }
}

impl SingleUpdates for MaskedTakenForPlain {
    fn vantage() -> Vantage {
        Vantage::Coordinator
    }

    fn updates(&self) -> &[ClientUpdate] {
        &self.0.updates
    }

    fn starts(&self) -> &[RoundStart] {
        &self.0.starts
    }
}
