//! Events for people or programs.
use std::io::Write;

use serde_json::{Value, json};
use sottovoce_round::{CoordinatorEvent, Outcome};

use crate::args::Format;

/// Tells one event; who no longer listens is no reason to stop.
pub(crate) fn tell(format: Format, event: &Value, text: &str) {
    match format {
        Format::Json => {
            let mut stdout = std::io::stdout().lock();
            let _ = writeln!(stdout, "{event}").and_then(|()| stdout.flush());
        }
        Format::Text => complain(text),
    }
}

/// A line on stderr.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// An event as JSON and as a sentence.
pub(crate) fn describe(event: &CoordinatorEvent) -> (Value, String) {
    match event {
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
    }
}
