//! Server optimisers in a whole run, and a coordinator that is killed wherever it can be.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::sync::Arc;

use common::{identity, plan, run, simulation, spec};
use sottovoce_round::{
    Coordinator, Entry, Journal, JournalEvent, Outcome, ResumeError, RunPlan, ServerRule, ServerSpec, Standing,
};
use sottovoce_sim::{Script, SimOutcome};

const ADAPTIVE: ServerRule = ServerRule::FedYogi { beta1: 0.9, beta2: 0.99, tau: 1e-3 };

fn under(rule: ServerRule, rounds: u64) -> Arc<RunPlan> {
    let mut spec = spec(3, 0, rounds);
    spec.server = ServerSpec { rule, learning_rate: 0.05 };
    // Each kill takes an attempt.
    spec.max_attempts = 4;
    plan(spec, 4)
}

fn killed_at(plan: &Arc<RunPlan>, kills: Vec<usize>) -> SimOutcome {
    run(simulation(plan, 4, Script { kills, ..Script::default() })).0
}

#[test]
fn claim_a_coordinator_killed_at_any_journal_entry_goes_on_to_the_same_bits() {
    for rule in [ServerRule::FedAvg, ServerRule::FedAvgM { momentum: 0.9 }, ADAPTIVE] {
        let plan = under(rule, 3);
        let whole = killed_at(&plan, vec![]);
        let entries = whole.journal.entries().len();
        assert_eq!((whole.models.len(), &whole.outcome), (4, &Outcome::Completed));
        for entry in 1..=entries {
            let killed = killed_at(&plan, vec![entry]);
            assert_eq!(killed.outcome, Outcome::Completed, "{} killed at entry {entry}", rule.name());
            assert_eq!(killed.models, whole.models, "{} killed at entry {entry}", rule.name());
        }
        let thrice = killed_at(&plan, vec![3, 6, 9]);
        assert_eq!(thrice.models, whole.models, "{}", rule.name());
    }
}

#[test]
fn a_run_that_forgot_its_moments_would_be_another_run() {
    // The control of the test above: FedYogi's state matters within these few rounds.
    let plan = under(ADAPTIVE, 2);
    let whole = killed_at(&plan, vec![]);
    let published = whole.journal.entries().iter().position(|e| matches!(e.event, JournalEvent::Published { .. }));
    let entries = &whole.journal.entries()[..=published.unwrap()];
    let standing = Standing::of(entries).unwrap();
    let params = whole.journal.checkpoint(standing.model, plan.layout()).unwrap();
    let resume = |entries: &[Entry], state: Option<&sottovoce_round::ServerState>| {
        Coordinator::resume(Arc::clone(&plan), identity(100), entries, params.clone(), state).map(|_| ())
    };
    let state = whole.journal.server_state(standing.state.unwrap()).unwrap();
    assert!(state.vectors().values().flatten().any(|v| v.abs() > 1e-6), "there is something to forget");
    resume(entries, Some(&state)).unwrap();
    assert!(matches!(resume(entries, None), Err(ResumeError::WrongState { found: None, .. })));
    let mut other = state.clone();
    other.keep("first_moment", vec![0.0; plan.layout().len()]);
    assert!(matches!(resume(entries, Some(&other)), Err(ResumeError::WrongState { .. })));
    // One whose digest is on record, but which is not this optimiser's.
    let vouched = |state: &sottovoce_round::ServerState| {
        let mut entries = entries.to_vec();
        for entry in &mut entries {
            if let JournalEvent::Published { state: named, .. } = &mut entry.event {
                *named = Some(state.digest());
            }
        }
        resume(&entries, Some(state))
    };
    other.keep("first_moment", vec![0.0; 3]);
    assert!(matches!(vouched(&other), Err(ResumeError::State(_))), "another length");
    let mut more = state.clone();
    more.keep("velocity", vec![]);
    assert!(matches!(vouched(&more), Err(ResumeError::State(_))), "one vector more");
    let elsewhere = sottovoce_round::ServerState::of(plan.digest());
    assert!(matches!(vouched(&elsewhere), Err(ResumeError::State(_))), "of another model");
}

#[test]
fn the_server_optimiser_acts_on_the_released_mean_alone() {
    // The same first round under two rules: one mean, two steps from it.
    let mean = |rule| {
        let outcome = killed_at(&under(rule, 1), vec![]);
        outcome.records[0].mean_update_l2
    };
    assert!((mean(ServerRule::FedAvg) - mean(ADAPTIVE)).abs() < 1e-12);
    let plan = under(ServerRule::FedAvg, 1);
    let averaged = killed_at(&plan, vec![]);
    let moved = |o: &SimOutcome| o.models[1].values()[0] - o.models[0].values()[0];
    let yogi = killed_at(&under(ADAPTIVE, 1), vec![]);
    let delta = f64::from(moved(&averaged)) / 0.05;
    let v = 1e-6 + 0.01 * delta * delta;
    let by_hand = 0.05 * 0.1 * delta / (v.sqrt() + 1e-3);
    assert!((f64::from(moved(&yogi)) - by_hand).abs() < 1e-6, "{} is not {by_hand}", moved(&yogi));
}
