//! Whoever speaks to an engine with no good intent, and what it must get for an answer.
use std::sync::Arc;

use bytes::Bytes;
use sottovoce_round::{
    ClientEngine, ConfigStatement, ProtocolFault, RoundConfig, RoundTerms, RunPlan, Signed, Welcome,
};
use sottovoce_secagg::Identity;
use sottovoce_types::{AttemptId, FlatParams, RoundId, Tick};
use sottovoce_wire::{Encode, Frame, Kind};

use super::{RUN, engine, identity};

/// No time passes in these tests.
pub const NOW: Tick = Tick(0);

pub fn with_body(frame: &Frame, body: impl Into<Bytes>) -> Frame {
    Frame { body: body.into(), ..frame.clone() }
}

/// A client says no to this frame: nothing becomes durable, nothing is trained, and nothing but a refusal leaves.
pub fn refuses(engine: &mut ClientEngine, frame: &Frame) -> ProtocolFault {
    let fault = engine.handle_frame(NOW, frame).expect_err("the frame must be refused");
    assert_eq!(engine.poll_persist(), None, "{fault}");
    assert!(engine.poll_work().is_none(), "{fault}");
    while let Some(left) = engine.poll_transmit() {
        assert_eq!(left.kind, Kind::Abort, "{fault}: something besides a refusal left");
    }
    fault
}

/// Whoever speaks to a client as its coordinator, with the key that it was given.
pub struct Hostile {
    pub plan: Arc<RunPlan>,
    pub key: Identity,
}

impl Hostile {
    /// With the real coordinator's key: it can sign whatever it likes.
    pub fn new(plan: &Arc<RunPlan>) -> Self {
        Self { plan: Arc::clone(plan), key: identity(100) }
    }

    pub fn frame(kind: Kind, round: u64, attempt: u32, body: Vec<u8>) -> Frame {
        Frame { kind, run: RUN, round: RoundId(round), attempt: AttemptId(attempt), body: body.into() }
    }

    pub fn welcome(&self) -> Frame {
        Self::frame(
            Kind::Welcome,
            1,
            0,
            Welcome { plan: self.plan.digest(), last_input: Default::default(), published: 0 }.to_bytes(),
        )
    }

    pub fn config(&self, round: u64, attempt: u32, model: &FlatParams) -> Frame {
        self.config_under(round, attempt, model, &RoundTerms::first(&self.plan))
    }

    /// The same under other terms.
    pub fn config_under(&self, round: u64, attempt: u32, model: &FlatParams, terms: &RoundTerms) -> Frame {
        let (round_id, attempt_id) = (RoundId(round), AttemptId(attempt));
        let statement = ConfigStatement::of(&self.plan, RUN, round_id, attempt_id, model.digest(), terms);
        let Signed { statement, signature } = Signed::by(statement, &self.key);
        let config = RoundConfig { model: statement.model, terms: statement.terms, signature };
        Self::frame(Kind::RoundConfig, round, attempt, config.to_bytes())
    }
}

pub fn greeted(plan: &Arc<RunPlan>) -> ClientEngine {
    let mut client = engine(plan, 1, Vec::new());
    client.handle_connect(NOW);
    assert_eq!(client.poll_transmit().unwrap().kind, Kind::Hello);
    client.handle_frame(NOW, &Hostile::new(plan).welcome()).unwrap();
    client
}

/// Another model of the same shape.
pub fn other_model(plan: &RunPlan) -> FlatParams {
    let mut model = plan.initial_params();
    model.values_mut()[0] += 1.0;
    model
}
