//! What a coordinator takes from no client, and how it treats one that comes back.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use bytes::Bytes;
use common::hostile::{NOW, with_body};
use common::{Federation, identity, plan, plan_with};
use sottovoce_round::{CoordinatorEvent, Hello, Outcome, PeerFault, RunPlan};
use sottovoce_types::{AttemptId, RoundId, RunId};
use sottovoce_wire::{Encode, Frame, Kind};

/// Everything that the first client to answer a phase could send instead of its answer.
fn lies(genuine: &Frame) -> Vec<Frame> {
    let body = &genuine.body;
    let mut longer = body.to_vec();
    longer.push(0);
    let mut flipped = body.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    vec![
        with_body(genuine, Vec::new()),
        with_body(genuine, body[..body.len() - 1].to_vec()),
        with_body(genuine, longer),
        with_body(genuine, flipped),
        with_body(genuine, vec![0xff; body.len()]),
        Frame { run: RunId([8; 16]), ..genuine.clone() },
        Frame { attempt: AttemptId(7), ..genuine.clone() },
        Frame { round: RoundId(2), ..genuine.clone() },
        Frame { kind: Kind::RoundConfig, ..genuine.clone() },
        Frame { kind: Kind::SurvivorQuorum, ..genuine.clone() },
    ]
}

#[test]
fn the_coordinator_refuses_what_is_malformed_or_misplaced_and_its_state_is_as_if_it_had_not_come() {
    let plan = plan(4, 1, 1);
    let mut undisturbed = Federation::new(&plan);
    undisturbed.run();
    assert_eq!(undisturbed.coordinator.outcome(), Some(&Outcome::Completed));

    let mut federation = Federation::new(&plan);
    let stranger = identity(77).client_id();
    for kind in [Kind::Advert, Kind::Shares, Kind::MaskedInput, Kind::SurvivorSignature, Kind::Opening] {
        let answers = federation.run_until(kind);
        assert_eq!(answers.len(), 4, "{kind:?}");
        let (first, genuine) = &answers[0];
        let entries = federation.journal.len();
        for lie in lies(genuine) {
            let fault = federation.coordinator_gets(*first, &lie).expect_err("a lie must be refused");
            assert!(
                matches!(
                    fault,
                    PeerFault::Malformed { .. }
                        | PeerFault::WrongAttempt(..)
                        | PeerFault::WrongRole(..)
                        | PeerFault::SecAgg(_)
                ),
                "{kind:?}: {fault}"
            );
        }
        // Another client's answer, and an answer from nobody.
        let (second, theirs) = &answers[1];
        let fault = federation.coordinator_gets(*first, theirs).unwrap_err();
        assert!(matches!(fault, PeerFault::SecAgg(_)), "{kind:?} of another client: {fault}");
        let fault = federation.coordinator.handle_frame(NOW, stranger, genuine).unwrap_err();
        assert!(matches!(fault, PeerFault::NotGreeted(..)), "{fault}");
        // The answer itself is taken, once.
        federation.coordinator_gets(*first, genuine).unwrap();
        let fault = federation.coordinator_gets(*first, genuine).unwrap_err();
        assert!(matches!(fault, PeerFault::SecAgg(sottovoce_secagg::PeerFault::Repeated { .. })), "{kind:?}: {fault}");
        assert_eq!(federation.journal.len(), entries, "{kind:?}: nothing was journalled for it");
        federation.coordinator_gets(*second, theirs).unwrap();
        for (site, answer) in &answers[2..] {
            federation.coordinator_gets(*site, answer).unwrap();
        }
    }
    federation.run();
    assert_eq!(federation.coordinator.outcome(), Some(&Outcome::Completed));
    assert_eq!(federation.coordinator.params().digest(), undisturbed.coordinator.params().digest());
    assert_eq!(federation.published()[0].contributors, 4);
}

#[test]
fn a_greeting_of_another_plan_or_of_no_member_is_refused() {
    let plan = plan(4, 1, 1);
    let theirs = plan_with(4, 1, 1, |spec| spec.clip_bits = 15);
    let mut federation = Federation::new(&plan);
    let hello = |plan: &RunPlan| Frame {
        kind: Kind::Hello,
        run: RunId([0; 16]),
        round: RoundId(0),
        attempt: AttemptId(0),
        body: Hello { plan: plan.digest() }.to_bytes().into(),
    };
    let fault = federation.coordinator_gets(0, &hello(&theirs)).unwrap_err();
    assert!(matches!(fault, PeerFault::DifferentPlan { .. }), "{fault}");
    let stranger = identity(77).client_id();
    federation.coordinator.handle_connect(NOW, stranger);
    let fault = federation.coordinator.handle_frame(NOW, stranger, &hello(&plan)).unwrap_err();
    assert!(matches!(fault, PeerFault::NotAMember(_)), "{fault}");
    // The four members greet rightly, and the run is theirs.
    federation.run();
    assert_eq!(federation.coordinator.outcome(), Some(&Outcome::Completed));
    assert_eq!(federation.published()[0].cohort, 4);
}

#[test]
fn a_client_that_reconnects_in_a_later_phase_counts_as_gone_until_the_next_round() {
    for kind in [Kind::Shares, Kind::MaskedInput, Kind::SurvivorSignature, Kind::Opening] {
        let mut federation = Federation::new(&plan(5, 1, 2));
        let answers = federation.run_until(kind);
        federation.disconnect(2);
        federation.connect(2);
        // It is greeted, and asked for nothing more in this round.
        let configs = |f: &Federation| f.sites[2].received.iter().filter(|f| f.kind == Kind::RoundConfig).count();
        assert_eq!(configs(&federation), 1, "{kind:?}");
        for (site, answer) in answers.iter().filter(|(site, _)| *site != 2) {
            federation.coordinator_gets(*site, answer).unwrap();
        }
        federation.run();
        assert_eq!(federation.coordinator.outcome(), Some(&Outcome::Completed), "{kind:?}");
        let records = federation.published();
        assert_eq!((records[0].attempt, records[0].dropouts), (1, 1), "{kind:?}: no deadline had to pass, no retry");
        let sent_its_input = matches!(kind, Kind::SurvivorSignature | Kind::Opening);
        assert_eq!(records[0].contributors, if sent_its_input { 5 } else { 4 }, "{kind:?}");
        assert_eq!(records[1].contributors, 5, "{kind:?}: it is back in round 2");
        assert_eq!(configs(&federation), 2, "{kind:?}");
        let left = |e: &CoordinatorEvent| matches!(e, CoordinatorEvent::Left { .. });
        assert_eq!(federation.events.iter().filter(|e| left(e)).count(), 1, "{kind:?}");
    }
}

#[test]
fn a_client_that_came_back_after_its_input_is_not_sent_what_it_would_take_for_a_lie() {
    let mut federation = Federation::new(&plan(5, 1, 2));
    let inputs = federation.run_until(Kind::MaskedInput);
    let (of_the_third, others): (Vec<_>, Vec<_>) = inputs.into_iter().partition(|(site, _)| *site == 2);
    for (site, input) in of_the_third {
        federation.coordinator_gets(site, &input).unwrap();
    }
    federation.disconnect(2);
    federation.connect(2);
    for (site, input) in others {
        federation.coordinator_gets(site, &input).unwrap();
    }
    // Every frame that reaches a client is accepted, or this fails.
    federation.run();
    let records = federation.published();
    assert_eq!((records[0].contributors, records[0].dropouts), (5, 1), "its input is in the sum");
    assert_eq!(records[1].contributors, 5);
}

#[test]
fn a_refusal_is_told_once_an_attempt() {
    let mut federation = Federation::new(&plan(5, 1, 1));
    let (site, config) = federation.run_until(Kind::Advert).into_iter().next().unwrap();
    let refusal = Frame { kind: Kind::Abort, body: Bytes::from_static(b"no"), ..config };
    for _ in 0..3 {
        federation.coordinator_gets(site, &refusal).unwrap();
    }
    let refused = |e: &&CoordinatorEvent| matches!(e, CoordinatorEvent::Refused { .. });
    assert_eq!(federation.events.iter().filter(refused).count(), 1);
}
