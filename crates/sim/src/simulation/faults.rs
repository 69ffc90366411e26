//! What the script makes go wrong: dropouts, and processes that die and begin again.
use std::sync::Arc;

use sottovoce_dp::SeededNoise;
use sottovoce_round::{ClientEngine, ClientSetup, Coordinator, Journal, Standing};
use sottovoce_secagg::Identity;
use sottovoce_types::Tick;
use sottovoce_wire::Frame;

use super::{Driver, SimError, derive};
use crate::queue::Event;
use crate::script::Script;

/// Milliseconds from a kill of the coordinator until clients are back.
const RESTART_MS: u64 = 50;

impl Driver<'_> {
    /// A new process of a client: its journal, and keys and noise that no earlier one drew.
    pub(super) fn renew(&mut self, client: usize) -> Result<(), SimError> {
        let site = &mut self.sites[client];
        let fresh = |what: &str| derive(what, site.session, u64::from_le_bytes(first_eight(&site.seed)));
        site.engine = ClientEngine::new(ClientSetup {
            plan: Arc::clone(self.coordinator.plan()),
            identity: Identity::from_seed(site.seed),
            noise: Box::new(SeededNoise::new(fresh("sottovoce/1/sim/noise-again"))),
            seed: fresh("sottovoce/1/sim/keys-again"),
            history: site.journal.replay()?,
            allow_plain: true,
        })?;
        Ok(())
    }

    /// A new process: all that it knows is in the journal. Every connection is gone with the old one.
    pub(super) fn restart(&mut self, now: Tick) -> Result<(), SimError> {
        let entries = self.journal.replay()?;
        let plan = Arc::clone(self.coordinator.plan());
        // A journal of nothing but the run's beginning resumes too.
        let standing = Standing::of(&entries).ok_or(sottovoce_round::ResumeError::Empty)?;
        let params = self.journal.checkpoint(standing.model, plan.layout())?;
        let state = standing.state.map(|state| self.journal.server_state(state)).transpose()?;
        let identity = Identity::from_seed(self.seed);
        self.coordinator = Coordinator::resume(plan, identity, &entries, params, state.as_ref())?;
        self.killed = false;
        for client in 0..self.sites.len() {
            if std::mem::take(&mut self.sites[client].connected) {
                self.sites[client].engine.handle_disconnect(now);
                self.queue.schedule(now.after_ms(RESTART_MS), Event::Connect { client });
            }
        }
        self.coordinator.start(now);
        self.pump_coordinator(now);
        Ok(())
    }

    pub(super) fn come_back(&mut self, from: Tick, client: usize, back_after_ms: Option<u64>) {
        if let Some(ms) = back_after_ms {
            self.queue.schedule(from.after_ms(ms.max(1)), Event::Connect { client });
        }
    }

    /// Whether the script lets this client vanish with the config in its hands.
    pub(super) fn drops_at_config(&mut self, now: Tick, client: usize, frame: &Frame) -> bool {
        if frame.kind != sottovoce_wire::Kind::RoundConfig {
            return false;
        }
        let found = self
            .script
            .dropouts
            .iter()
            .position(|d| d.client == client && d.round == frame.round && d.after.kind().is_none());
        let Some(found) = found else { return false };
        let dropout = self.script.dropouts.remove(found);
        self.disconnect(now, client);
        self.come_back(now, client, dropout.back_after_ms);
        true
    }
}

fn first_eight(seed: &[u8; 32]) -> [u8; 8] {
    let mut eight = [0; 8];
    eight.copy_from_slice(&seed[..8]);
    eight
}

/// Takes the scripted dropout that this frame triggers: when the client comes back.
#[allow(clippy::option_option, reason = "no dropout, a dropout for good, a dropout with a return")]
pub(super) fn take_dropout(script: &mut Script, client: usize, frame: &Frame) -> Option<Option<u64>> {
    let found = script
        .dropouts
        .iter()
        .position(|d| d.client == client && d.round == frame.round && d.after.kind() == Some(frame.kind))?;
    Some(script.dropouts.remove(found).back_after_ms)
}
