//! A coordinator that is told to stop: nothing is begun any more, what is not paid for is given up, what is paid for ends.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::sync::Arc;

use common::{Federation, identity, plan};
use sottovoce_dp::LedgerEntry;
use sottovoce_round::{Coordinator, CoordinatorEvent, JournalEvent, Outcome};
use sottovoce_types::{AttemptId, Tick};
use sottovoce_wire::Kind;

const MEMBERS: u8 = 4;

fn opened(federation: &Federation) -> usize {
    federation.journal.iter().filter(|e| matches!(e.event, JournalEvent::AttemptOpened { .. })).count()
}

/// The charges told last.
fn charges(federation: &Federation) -> u64 {
    let told =
        |e: &CoordinatorEvent| if let CoordinatorEvent::Charged { charges, .. } = e { Some(*charges) } else { None };
    federation.events.iter().filter_map(told).next_back().unwrap()
}

#[test]
fn an_attempt_that_is_not_debited_is_given_up_durably_and_what_it_reserved_is_given_back() {
    for phase in [Kind::Advert, Kind::Shares, Kind::MaskedInput, Kind::SurvivorSignature] {
        let plan = plan(MEMBERS, 1, 2);
        let mut federation = Federation::new(&plan);
        let answers = federation.run_until(phase);
        assert_eq!(charges(&federation), 1, "{phase:?}");
        federation.coordinator.stop(federation.now);
        assert!(federation.coordinator.is_stopped() && !federation.coordinator.is_finished(), "{phase:?}");
        assert!(federation.settle_coordinator().is_empty(), "{phase:?}: nobody is asked for anything more");
        let last = federation.journal.last().unwrap();
        let JournalEvent::AttemptAborted { attempt: AttemptId(1), reason, .. } = &last.event else {
            panic!("{last:?}")
        };
        assert!(reason.contains("told to stop"), "{reason}");
        assert!(matches!(last.ledger, Some(LedgerEntry::Voided { .. })), "{phase:?}: {last:?}");
        assert_eq!(charges(&federation), 0, "{phase:?}");
        // What was under way comes late, and a member comes back: neither begins anything, nor does time.
        for (site, frame) in answers {
            federation.coordinator_gets(site, &frame).unwrap();
        }
        federation.disconnect(0);
        federation.connect(0);
        federation.run();
        federation.coordinator.handle_timeout(Tick(1_000_000));
        assert_eq!((federation.coordinator.poll_timeout(), opened(&federation)), (None, 1), "{phase:?}");

        // Started again from its journal, it has its whole budget and goes on in the next attempt.
        let entries = federation.journal.clone();
        let resumed =
            Coordinator::resume(Arc::clone(&plan), identity(100), &entries, plan.initial_params(), None).unwrap();
        assert_eq!(resumed.ledger().unwrap().charges(), 0, "{phase:?}");
    }
}

#[test]
fn a_sum_that_is_paid_for_is_opened_and_published_before_the_coordinator_stops() {
    let plan = plan(MEMBERS, 1, 2);
    let mut federation = Federation::new(&plan);
    let openings = federation.run_until(Kind::Opening);
    federation.coordinator.stop(federation.now);
    assert!(!federation.coordinator.is_stopped(), "the debit is durable: stopping here would waste it");
    assert!(federation.coordinator.poll_timeout().is_some(), "and the wait has an end");
    for (site, frame) in openings {
        federation.coordinator_gets(site, &frame).unwrap();
    }
    assert!(federation.coordinator.is_stopped() && !federation.coordinator.is_finished());
    federation.run();
    assert_eq!((federation.published().len(), opened(&federation), charges(&federation)), (1, 1, 1));
}

#[test]
fn a_sum_that_is_paid_for_and_never_opened_stays_charged() {
    let plan = plan(MEMBERS, 1, 2);
    let mut federation = Federation::new(&plan);
    federation.run_until(Kind::Opening);
    federation.coordinator.stop(federation.now);
    let deadline = federation.coordinator.poll_timeout().unwrap();
    federation.coordinator.handle_timeout(deadline);
    federation.settle_coordinator();
    assert!(federation.coordinator.is_stopped());
    let last = federation.journal.last().unwrap();
    assert!(matches!(last.event, JournalEvent::AttemptAborted { .. }) && last.ledger.is_none(), "{last:?}");
    assert_eq!(charges(&federation), 1);
}

#[test]
fn stopping_in_the_last_attempt_allowed_does_not_end_the_run() {
    let plan = common::plan_with(MEMBERS, 1, 2, |spec| spec.max_attempts = 1);
    let mut federation = Federation::new(&plan);
    federation.run_until(Kind::Advert);
    federation.coordinator.stop(federation.now);
    federation.settle_coordinator();
    assert_eq!(federation.coordinator.outcome(), None);
    assert!(!federation.journal.iter().any(|e| matches!(e.event, JournalEvent::RunFinished { .. })));

    // Where clients are what is wanting, it does.
    let mut federation = Federation::new(&plan);
    federation.run_until(Kind::Advert);
    let deadline = federation.coordinator.poll_timeout().unwrap();
    federation.coordinator.handle_timeout(deadline);
    assert!(matches!(federation.coordinator.outcome(), Some(Outcome::QuorumLost { .. })));
}

#[test]
fn while_members_are_waited_for_stopping_takes_no_time_and_a_run_that_is_over_stays_so() {
    let plan = plan(MEMBERS, 1, 1);
    let mut federation = Federation::new(&plan);
    federation.coordinator.stop(federation.now);
    assert!(federation.coordinator.is_stopped());
    federation.run();
    federation.coordinator.handle_timeout(Tick(1_000_000));
    assert_eq!(opened(&federation), 0, "members that greet now open nothing");

    let mut federation = Federation::new(&plan);
    federation.run();
    federation.coordinator.stop(federation.now);
    assert_eq!(federation.coordinator.outcome(), Some(&Outcome::Completed));
}
