//! Events for people or programs.
use std::io::Write;

use serde_json::{Value, json};
use sottovoce_round::{CoordinatorEvent, Outcome};

use crate::args::{Args, Format};

/// Where events and complaints go. Who no longer listens is no reason to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Voice {
    events: Events,
    /// Stderr is for JSON alone.
    logs: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Events {
    /// One object a line, on stdout.
    Json,
    /// Lines on stderr.
    Text,
    /// Nowhere: the terminal's view or the log tells them.
    Untold,
}

impl Voice {
    pub(crate) fn of(args: &Args) -> Self {
        let events = match (args.watch, args.format, args.log_format) {
            (false, Format::Json, _) => Events::Json,
            (false, Format::Text, Format::Text) => Events::Text,
            (true, ..) | (false, Format::Text, Format::Json) => Events::Untold,
        };
        Self { events, logs: args.log_format }
    }

    /// Tells one event.
    pub(crate) fn tell(self, event: &Value, text: &str) {
        match self.events {
            Events::Json => {
                let mut stdout = std::io::stdout().lock();
                let _ = writeln!(stdout, "{event}").and_then(|()| stdout.flush());
            }
            Events::Text => self.complain(text),
            Events::Untold => {}
        }
    }

    /// A line on stderr, or an entry of the log.
    pub(crate) fn complain(self, text: &str) {
        match self.logs {
            Format::Json => tracing::warn!("{text}"),
            Format::Text => {
                let _ = writeln!(std::io::stderr().lock(), "{text}");
            }
        }
    }
}

/// An entry of the log. What a client is known by there is the hash of its identity; nothing that it sent is logged but the words
/// in which it declined, without control characters.
pub(crate) fn log(event: &CoordinatorEvent) {
    match event {
        CoordinatorEvent::Joined { client } => tracing::info!(%client, "joined"),
        CoordinatorEvent::Left { client } => tracing::info!(%client, "left"),
        CoordinatorEvent::Refused { client, reason } => tracing::info!(%client, reason, "declined"),
        CoordinatorEvent::AttemptOpened { round, attempt, cohort } => {
            tracing::info!(round = round.0, attempt = attempt.0, cohort, "attempt opened");
        }
        CoordinatorEvent::Charged { charges, epsilon_spent } => tracing::info!(charges, epsilon_spent, "charged"),
        CoordinatorEvent::PhaseClosed { round, attempt, phase, answered, missing } => {
            tracing::info!(
                round = round.0,
                attempt = attempt.0,
                phase,
                answered,
                missing = missing.len(),
                "phase closed"
            );
        }
        CoordinatorEvent::UnmaskRequested { round, attempt, survivors } => {
            tracing::info!(round = round.0, attempt = attempt.0, survivors, "unmask requested");
        }
        CoordinatorEvent::Published { record } => tracing::info!(
            round = record.round,
            attempt = record.attempt,
            contributors = record.contributors,
            dropouts = record.dropouts,
            epsilon_spent = record.epsilon_spent,
            duration_ms = record.duration_ms,
            model = %record.model_sha256,
            "published"
        ),
        CoordinatorEvent::AttemptAborted { round, attempt, reason } => {
            tracing::info!(round = round.0, attempt = attempt.0, reason, "attempt given up");
        }
        CoordinatorEvent::Finished { outcome } => tracing::info!(?outcome, "finished"),
        _ => {}
    }
}

/// An event as JSON and as a sentence; `None` for what the rounds' events say anyway.
pub(crate) fn describe(event: &CoordinatorEvent) -> Option<(Value, String)> {
    Some(match event {
        CoordinatorEvent::Charged { .. } | CoordinatorEvent::PhaseOpened { .. } => return None,
        CoordinatorEvent::Joined { client } => {
            (json!({"event": "joined", "client": client}), format!("client {client} joined"))
        }
        CoordinatorEvent::Left { client } => {
            (json!({"event": "left", "client": client}), format!("client {client} left"))
        }
        CoordinatorEvent::Refused { client, reason } => (
            json!({"event": "refused", "client": client, "reason": reason}),
            format!("client {client} declined: {reason}"),
        ),
        CoordinatorEvent::AttemptOpened { round, attempt, cohort } => (
            json!({"event": "attempt-opened", "round": round, "attempt": attempt, "cohort": cohort}),
            format!("round {round} attempt {attempt}: {cohort} clients asked to train"),
        ),
        CoordinatorEvent::PhaseClosed { round, attempt, phase, answered, missing } => (
            json!({"event": "phase-closed", "round": round, "attempt": attempt, "phase": phase, "answered": answered, "missing": missing}),
            format!("round {round} attempt {attempt}: {phase} closed, {answered} answered, {} missing", missing.len()),
        ),
        CoordinatorEvent::UnmaskRequested { round, attempt, survivors } => (
            json!({"event": "unmask-requested", "round": round, "attempt": attempt, "survivors": survivors}),
            format!("round {round} attempt {attempt}: debit durable, {survivors} survivors asked to open the sum"),
        ),
        CoordinatorEvent::Published { record } => (
            json!({"event": "published", "record": record}),
            format!(
                "round {}: published, {} contributors, {} dropouts{}",
                record.round,
                record.contributors,
                record.dropouts,
                match (record.clip_l2, record.unclipped_fraction) {
                    (Some(clip), Some(unclipped)) => {
                        format!(", clipping norm {clip:.4}, {:.0} % within it (noisy)", 100.0 * unclipped)
                    }
                    _ => String::new(),
                }
            ),
        ),
        CoordinatorEvent::AttemptAborted { round, attempt, reason } => (
            json!({"event": "attempt-aborted", "round": round, "attempt": attempt, "reason": reason}),
            format!("round {round} attempt {attempt}: given up: {reason}"),
        ),
        CoordinatorEvent::Finished { outcome: outcome @ Outcome::ModelDiverged { round } } => (
            json!({"event": "finished", "outcome": format!("{outcome:?}")}),
            format!(
                "round {round}: the server's step made a model that is no longer finite, and it was not published: lower \
                 server.learning_rate, or choose another server.optimiser"
            ),
        ),
        CoordinatorEvent::Finished { outcome } => {
            (json!({"event": "finished", "outcome": format!("{outcome:?}")}), format!("the run is over: {outcome:?}"))
        }
        other => (json!({"event": "other"}), format!("{other:?}")),
    })
}
