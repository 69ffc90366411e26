//! What a client takes from no coordinator, whatever it signs.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::sync::Arc;

use common::hostile::{Hostile, NOW, greeted, refuses, with_body};
use common::{Federation, engine, identity, plan, plan_with};
use sottovoce_round::{Coordinator, JournalEvent, Outcome, ProtocolFault};
use sottovoce_types::{AttemptId, RoundId, RunId};
use sottovoce_wire::{Frame, Kind};

#[test]
fn claim_a_site_put_back_from_an_old_copy_is_told_what_it_forgot_and_sends_nothing() {
    let mut federation = Federation::new(&plan(5, 1, 2));
    federation.run();
    assert_eq!(federation.published().len(), 2);
    // The journal as it was before the second round's input left.
    let whole = federation.sites[0].journal.clone();
    let second = whole.iter().rposition(|e| matches!(e.event, JournalEvent::InputReserved { .. })).unwrap();
    let mut restored = engine(&federation.plan, 1, whole[..second].to_vec());
    restored.handle_connect(NOW);
    federation.disconnect(0);
    federation.coordinator.handle_connect(NOW, federation.sites[0].id);
    let hello = restored.poll_transmit().unwrap();
    federation.coordinator.handle_frame(NOW, federation.sites[0].id, &hello).unwrap();
    let welcome = std::iter::from_fn(|| federation.coordinator.poll_transmit())
        .find(|t| t.to == federation.sites[0].id && t.frame.kind == Kind::Welcome)
        .unwrap();
    let fault = refuses(&mut restored, &welcome.frame);
    assert!(matches!(fault, ProtocolFault::RolledBack { round: 2, attempt: 1 }), "{fault}");
    assert!(fault.to_string().contains("put back from an old copy"));
    // With its whole journal it goes on; and a coordinator that makes an input up gets a refusal, and nothing else.
    let mut honest = engine(&federation.plan, 1, whole);
    honest.handle_connect(NOW);
    while honest.poll_transmit().is_some() {}
    honest.handle_frame(NOW, &welcome.frame).unwrap();
    let mut lied_to = engine(&federation.plan, 2, Vec::new());
    lied_to.handle_connect(NOW);
    while lied_to.poll_transmit().is_some() {}
    assert!(matches!(refuses(&mut lied_to, &welcome.frame), ProtocolFault::RolledBack { .. }));
    // A coordinator that died in between still knows.
    let entries = federation.journal.clone();
    let noted = entries.iter().filter(|e| matches!(e.event, JournalEvent::InputsReceived { .. })).count();
    assert_eq!(noted, 2, "one an attempt");
}

#[test]
fn a_client_accepts_the_config_of_its_plan() {
    // Positive control of the refusals below.
    let plan = plan(4, 1, 3);
    let mut client = greeted(&plan);
    client.handle_frame(NOW, &Hostile::new(&plan).config(1, 1, &plan.initial_params())).unwrap();
    assert!(client.poll_persist().is_some() && client.poll_work().is_some());
}

#[test]
fn a_config_that_the_coordinator_did_not_sign_is_refused() {
    let plan = plan(4, 1, 3);
    let mut client = greeted(&plan);
    let model = plan.initial_params();
    let impostor = Hostile { plan: Arc::clone(&plan), key: identity(2) };
    assert!(matches!(refuses(&mut client, &impostor.config(1, 1, &model)), ProtocolFault::ConfigSignature));
    // A signature of another attempt, round or model does not carry over.
    let genuine = Hostile::new(&plan).config(1, 1, &model);
    let moved = Frame { attempt: AttemptId(2), ..genuine.clone() };
    assert!(matches!(refuses(&mut client, &moved), ProtocolFault::ConfigSignature));
    let moved = Frame { round: RoundId(2), ..genuine.clone() };
    assert!(matches!(refuses(&mut client, &moved), ProtocolFault::ConfigSignature));
    let mut body = genuine.body.to_vec();
    *body.last_mut().unwrap() ^= 1;
    assert!(matches!(refuses(&mut client, &with_body(&genuine, body)), ProtocolFault::ConfigSignature));
}

#[test]
fn a_coordinator_that_was_killed_after_the_last_round_hands_out_its_model_and_publishes_nothing_again() {
    let mut federation = Federation::new(&plan(4, 1, 2));
    // Its last frames are lost with it: the clients know the last result, or not even that.
    federation.run_until(Kind::Finished);
    let last = federation.coordinator.params().clone();
    let entries = federation.journal.clone();
    let mut resumed =
        Coordinator::resume(Arc::clone(&federation.plan), identity(100), &entries, last.clone(), None).unwrap();
    assert_eq!(resumed.outcome(), Some(&Outcome::Completed));
    resumed.start(NOW);
    for site in &mut federation.sites {
        assert!(!site.engine.is_finished());
        site.engine.handle_disconnect(NOW);
        site.engine.handle_connect(NOW);
        resumed.handle_connect(NOW, site.id);
        let hello = site.engine.poll_transmit().unwrap();
        resumed.handle_frame(NOW, site.id, &hello).unwrap();
        // What its frames lost with it said, a client asks for: the last result.
        loop {
            if let Some(round) = resumed.poll_recall() {
                resumed.handle_recalled(federation.results[&round].bytes().clone());
            }
            if let Some(transmit) = resumed.poll_transmit() {
                site.engine.handle_frame(NOW, &transmit.frame).unwrap();
            } else if let Some(frame) = site.engine.poll_transmit() {
                resumed.handle_frame(NOW, site.id, &frame).unwrap();
            } else {
                break;
            }
        }
        assert_eq!(site.engine.last_model(), Some(&last));
    }
    assert_eq!(resumed.poll_persist(), None);
}

#[test]
fn frames_of_another_run_another_plan_or_beyond_the_plan_are_refused() {
    let plan = plan(4, 1, 3);
    let hostile = Hostile::new(&plan);
    let model = plan.initial_params();
    let mut client = greeted(&plan);
    let other_run = Frame { run: RunId([8; 16]), ..hostile.config(1, 1, &model) };
    assert!(matches!(refuses(&mut client, &other_run), ProtocolFault::WrongRun("round config")));
    for round in [0, 4, u64::MAX] {
        let fault = refuses(&mut client, &hostile.config(round, 1, &model));
        assert!(matches!(fault, ProtocolFault::BeyondPlan { rounds: 3, .. }), "{fault}");
    }
    // A welcome where none is due, and one of another plan.
    let fault = refuses(&mut client, &hostile.welcome());
    assert!(matches!(fault, ProtocolFault::Unexpected { .. }), "{fault}");
    let theirs = plan_with(4, 1, 3, |spec| spec.server.learning_rate = 2.0);
    let mut fresh = engine(&plan, 1, Vec::new());
    fresh.handle_connect(NOW);
    fresh.poll_transmit().unwrap();
    let fault = refuses(&mut fresh, &Hostile::new(&theirs).welcome());
    assert!(matches!(fault, ProtocolFault::DifferentPlan { .. }), "{fault}");
    // Nothing before the greeting is over.
    let fault = refuses(&mut fresh, &hostile.config(1, 1, &model));
    assert!(matches!(fault, ProtocolFault::WrongRun(_) | ProtocolFault::Unexpected { .. }), "{fault}");
}

#[test]
fn an_attempt_is_joined_once_and_never_an_older_one() {
    let plan = plan(4, 1, 3);
    let hostile = Hostile::new(&plan);
    let model = plan.initial_params();
    let mut client = greeted(&plan);
    client.handle_frame(NOW, &hostile.config(1, 2, &model)).unwrap();
    client.poll_persist().unwrap();
    client.poll_work().unwrap();
    for attempt in [1, 2] {
        let fault = refuses(&mut client, &hostile.config(1, attempt, &model));
        assert!(matches!(fault, ProtocolFault::AttemptReplayed { round: 1, .. }), "{fault}");
    }
    client.handle_frame(NOW, &hostile.config(1, 3, &model)).unwrap();
}

#[test]
fn malformed_bodies_and_frames_that_only_clients_send_are_refused() {
    let plan = plan(4, 1, 3);
    let hostile = Hostile::new(&plan);
    let genuine = hostile.config(1, 1, &plan.initial_params());
    let mut client = greeted(&plan);
    let mut longer = genuine.body.to_vec();
    longer.push(0);
    for body in [Vec::new(), genuine.body[..genuine.body.len() - 1].to_vec(), longer] {
        let fault = refuses(&mut client, &with_body(&genuine, body));
        assert!(matches!(fault, ProtocolFault::Malformed { what: "RoundConfig", .. }), "{fault}");
    }
    for kind in [Kind::Hello, Kind::Advert, Kind::Shares, Kind::MaskedInput, Kind::SurvivorSignature, Kind::Opening] {
        let fault = refuses(&mut client, &Hostile::frame(kind, 1, 1, vec![0; 64]));
        assert!(matches!(fault, ProtocolFault::Unexpected { .. }), "{kind:?}: {fault}");
    }
    // After all of it the client still takes the real one.
    client.handle_frame(NOW, &genuine).unwrap();
    assert!(client.poll_persist().is_some());
}
