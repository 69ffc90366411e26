//! R5: clients compute chunks of each sum again, and take no part on a sum that is false or not shown.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::sync::Arc;

use common::hostile::{NOW, with_body};
use common::{Federation, RUN, identity, plan_with};
use sottovoce_round::{
    AuditReply, AuditRequest, ClientEvent, CoordinatorEvent, Evidence, EvidenceRefused, Manifest, ModelChain,
    PeerFault, ProtocolFault, ResultStatement, RoundResult, RunPlan, Signed,
};
use sottovoce_secagg::RevealedRefused;
use sottovoce_types::{AttemptId, ModelSpec, RoundId};
use sottovoce_wire::{CHUNKS_AT_ONCE, Decode, Encode, Frame, Kind};

/// n clients that audit so many chunks of a sum, which has two.
fn plan(n: u8, rounds: u64, chunks: u32) -> Arc<RunPlan> {
    let plan = plan_with(n, 1, rounds, |spec| {
        spec.audit_chunks = chunks;
        spec.model = ModelSpec::Dnn { inputs: 104, hidden: vec![190], classes: 4 };
    });
    assert_eq!(plan.encode().words().div_ceil(8192), 2);
    plan
}

fn audited(federation: &Federation, site: usize) -> Vec<(u64, u32)> {
    let events = federation.sites[site].events.iter();
    events
        .filter_map(|e| if let ClientEvent::Audited { round, chunks } = e { Some((round.0, *chunks)) } else { None })
        .collect()
}

#[test]
fn every_client_audits_every_sum_and_the_run_ends_as_without() {
    let (few, all) = (plan(5, 2, 1), plan(5, 2, 9));
    for (plan, chunks) in [(few, 1), (all, 2)] {
        let mut federation = Federation::new(&plan);
        federation.run();
        for site in 0..5 {
            assert_eq!(audited(&federation, site), [(1, chunks), (2, chunks)]);
            assert_eq!(federation.sites[site].engine.last_model(), Some(federation.coordinator.params()));
        }
    }
    // Without audits nothing is asked for, and nothing kept.
    let mut federation = Federation::new(&plan(5, 1, 0));
    federation.run();
    assert!(audited(&federation, 0).is_empty());
    assert_eq!(federation.inputs_kept(RoundId(1)), None);
    assert_ne!(plan(5, 1, 0).digest(), plan(5, 1, 1).digest(), "all parties agree on it");
}

#[test]
fn claim_a_client_goes_on_only_once_the_last_sum_is_found_right() {
    let mut federation = Federation::new(&plan(5, 2, 1));
    let held = federation.run_until(Kind::Audit);
    assert_eq!(held.len(), 5);
    for site in &federation.sites {
        assert_eq!(site.engine.unaudited(), Some(RoundId(1)));
    }
    // All were asked to train for round 2, and nobody has advertised.
    let opened = |e: &CoordinatorEvent| matches!(e, CoordinatorEvent::AttemptOpened { round: RoundId(2), .. });
    assert!(federation.events.iter().any(opened));
    assert_eq!(federation.published().len(), 1);
    for (site, frame) in held {
        federation.site_gets(site, &frame);
    }
    // The next answers are those of the chunk; with them everybody goes on, and is held again before the end.
    let last = |frame: &Frame| frame.kind == Kind::Audit && frame.round == RoundId(2);
    let held = federation.run_holding(last);
    assert_eq!((federation.published().len(), held.len()), (2, 5));
    assert!(federation.sites.iter().all(|s| !s.engine.is_finished()), "the run does not end unaudited");
    for (site, frame) in held {
        federation.site_gets(site, &frame);
    }
    federation.run();
    assert!(federation.sites.iter().all(|s| s.engine.is_finished()));
}

/// A hybrid run of five in which site 4 is gone before its input: audits recover its masks as well.
#[test]
fn claim_sums_of_a_hybrid_run_with_a_dropout_are_audited() {
    let plan = plan_with(5, 1, 1, |spec| {
        spec.audit_chunks = 1;
        spec.key_agreement = sottovoce_secagg::KeyAgreement::X25519MlKem768;
    });
    for gone in [0, 4] {
        let mut federation = Federation::new(&plan);
        let held = federation.run_holding(|frame| frame.kind == Kind::MaskedInput);
        federation.disconnect(gone);
        for (site, frame) in held.into_iter().filter(|(site, _)| *site != gone) {
            federation.coordinator_gets(site, &frame).unwrap();
        }
        federation.run();
        assert_eq!(federation.published()[0].contributors, 4);
        for site in (0..5).filter(|site| *site != gone) {
            assert_eq!(audited(&federation, site), [(1, 1)]);
            assert_eq!(federation.sites[site].engine.last_model(), Some(federation.coordinator.params()));
        }
    }
}

/// A round of 12, whose inputs do not fit one answer: what a coordinator has in memory does not grow with the clients.
#[test]
fn claim_the_answer_to_an_audit_is_bounded_however_many_clients_there_are() {
    let plan = plan(12, 1, 1);
    let mut federation = Federation::new(&plan);
    federation.run();
    assert_eq!(audited(&federation, 0), [(1, 1)]);
    let limit = federation.coordinator.limits().max_body(Kind::Audit);
    let mut shown = Vec::new();
    for frame in federation.sites[0].received.iter().filter(|f| f.kind == Kind::Audit) {
        assert!(frame.body.len() <= limit);
        if let AuditReply::Chunks(chunks) = AuditReply::decode_exact(&plan.message_ctx(), &frame.body).unwrap() {
            shown.push(chunks.len());
        }
    }
    assert_eq!(shown, [CHUNKS_AT_ONCE, 4]);
}

/// Site 0 before the result of round 1, of which all else is done.
fn before_its_result(plan: &Arc<RunPlan>) -> (Federation, Frame) {
    let mut federation = Federation::new(plan);
    let next = |frame: &Frame| frame.kind == Kind::RoundConfig && frame.round == RoundId(2);
    let held = federation.run_holding(|frame| frame.kind == Kind::Result || next(frame));
    let (_, frame) = held.into_iter().find(|(site, frame)| *site == 0 && frame.kind == Kind::Result).unwrap();
    (federation, frame)
}

/// The same result over another sum, with the model that follows from it, under the coordinator's own signature: it passes R5 but for the
/// audit (design, case 5).
fn falsified(plan: &Arc<RunPlan>, frame: &Frame, change: impl FnOnce(&mut [u64])) -> Frame {
    let mut result = RoundResult::decode_exact(&plan.message_ctx(), &frame.body).unwrap();
    let mut chain = ModelChain::new(Arc::clone(plan), RUN);
    chain.follow(frame.round, &frame.body).unwrap();
    let genuine = chain.links()[0].announced.statement;
    change(&mut result.sum);
    let sign = |result: &mut RoundResult| {
        let sum = RoundResult::sum_digest(&result.sum);
        result.signature =
            Signed::by(ResultStatement { sum, model: result.model, ..genuine }, &identity(100)).signature;
    };
    sign(&mut result);
    let follows = ModelChain::new(Arc::clone(plan), RUN).follow(frame.round, &result.to_bytes());
    let Err(ProtocolFault::WrongModel { expected, .. }) = follows else { panic!("{follows:?}") };
    result.model = expected;
    sign(&mut result);
    ModelChain::new(Arc::clone(plan), RUN).follow(frame.round, &result.to_bytes()).unwrap();
    with_body(frame, result.to_bytes())
}

/// What the audit of site 0 ends with.
fn audit_of_site_0(federation: &mut Federation, result: &Frame) -> Result<(), ProtocolFault> {
    federation.sites[0].engine.handle_frame(NOW, result)?;
    loop {
        let mut left = Vec::new();
        while let Some(frame) = federation.sites[0].engine.poll_transmit() {
            left.push(frame);
        }
        if left.is_empty() {
            return Ok(());
        }
        for frame in left.into_iter().filter(|f| f.kind == Kind::WantAudit) {
            let id = federation.sites[0].id;
            federation.coordinator.handle_frame(NOW, id, &frame).unwrap();
            for answer in federation.settle_coordinator().into_iter().filter(|t| t.to == id) {
                federation.sites[0].engine.handle_frame(NOW, &answer.frame)?;
            }
        }
    }
}

fn caught(federation: &mut Federation) -> Vec<Evidence> {
    std::iter::from_fn(|| federation.sites[0].engine.poll_event())
        .filter_map(|event| if let ClientEvent::Caught { evidence } = event { Some(*evidence) } else { None })
        .collect()
}

#[test]
fn claim_a_false_sum_is_caught_by_its_audit_and_proven_to_third_parties() {
    let plan = plan(5, 2, 2);
    let (mut federation, genuine) = before_its_result(&plan);
    let false_sum = falsified(&plan, &genuine, |sum| sum[8192] = sum[8192].wrapping_add(1));
    let fault = audit_of_site_0(&mut federation, &false_sum).unwrap_err();
    assert!(matches!(fault, ProtocolFault::FalseSum { round: 1 }), "{fault}");
    assert_eq!(federation.sites[0].engine.unaudited(), Some(RoundId(1)), "it goes no further");
    let evidence = caught(&mut federation);
    let [evidence @ Evidence::FalseSum(_)] = evidence.as_slice() else { panic!("{evidence:?}") };
    // As a file, for somebody who has the manifest and nothing else.
    let text = serde_json::to_string(evidence).unwrap();
    let read: Evidence = serde_json::from_str(&text).unwrap();
    assert_eq!(read, *evidence);
    let shown = read.verify(plan.manifest()).unwrap();
    assert_eq!((shown.round, shown.attempt), (RoundId(1), AttemptId(1)));
    assert!(shown.what.contains("not the sum of the inputs"));
    // Control: the genuine sum, audited all over, is right.
    let (mut federation, genuine) = before_its_result(&plan);
    audit_of_site_0(&mut federation, &genuine).unwrap();
    assert_eq!(federation.sites[0].engine.unaudited(), None);
    assert!(caught(&mut federation).is_empty());
}

#[test]
fn claim_evidence_of_a_false_sum_cannot_be_made_against_an_honest_coordinator() {
    let plan = plan(5, 2, 2);
    let (mut federation, genuine) = before_its_result(&plan);
    let false_sum = falsified(&plan, &genuine, |sum| sum[0] ^= 1);
    audit_of_site_0(&mut federation, &false_sum).unwrap_err();
    let evidence = serde_json::to_value(&caught(&mut federation)[0]).unwrap();
    let verify = |value: &serde_json::Value| {
        let read = serde_json::from_value::<Evidence>(value.clone());
        read.map_err(|_| EvidenceRefused::Malformed).and_then(|e| e.verify(plan.manifest()))
    };
    verify(&evidence).unwrap();
    // The genuine result, which the coordinator signed as well, in the place of the false one.
    let mut chain = ModelChain::new(Arc::clone(&plan), RUN);
    chain.follow(genuine.round, &genuine.body).unwrap();
    let mut of_genuine = evidence.clone();
    of_genuine["result"] = serde_json::to_value(chain.links()[0].announced).unwrap();
    assert_eq!(verify(&of_genuine), Err(EvidenceRefused::NoContradiction("the chunk is not one of the announced sum")));
    // Any field changed.
    for (field, value) in
        [("n_min", 2), ("max_corrupt", 0), ("lanes", 3), ("words", 9), ("suite", 2), ("key_agreement", 1)]
    {
        let mut other = evidence.clone();
        other["terms"][field] = value.into();
        verify(&other).expect_err(field);
    }
    for field in ["round", "attempt"] {
        let mut other = evidence.clone();
        other["config"][field] = 7.into();
        verify(&other).expect_err(field);
    }
    let mut unsigned = evidence.clone();
    unsigned["result"]["signature"] = "00".repeat(64).into();
    assert_eq!(verify(&unsigned), Err(EvidenceRefused::NotSigned("result")));
    // Any byte of the proof changed, at a hundred places from its beginning to its end.
    let proof = evidence["proof"].as_str().unwrap();
    for place in (0..proof.len()).step_by(proof.len() / 100) {
        let digit = if proof.as_bytes()[place] == b'0' { "1" } else { "0" };
        let mut other = evidence.clone();
        other["proof"] = format!("{}{digit}{}", &proof[..place], &proof[place + 1..]).into();
        verify(&other).expect_err("a changed digit");
    }
    for text in ["", "0", "zz", &proof[2..]] {
        let mut other = evidence.clone();
        other["proof"] = text.into();
        assert_eq!(verify(&other), Err(EvidenceRefused::Malformed));
    }
    let another = Manifest::new("another".into(), plan.manifest().coordinator(), plan.manifest().members().to_vec());
    let read: Evidence = serde_json::from_value(evidence).unwrap();
    assert_eq!(read.verify(&another.unwrap()), Err(EvidenceRefused::OtherFederation));
}

/// The fault of site 0 when its first answer of this kind is changed.
fn shown(change: impl Fn(&mut AuditReply)) -> ProtocolFault {
    let plan = plan(5, 2, 1);
    let (mut federation, genuine) = before_its_result(&plan);
    federation.sites[0].engine.handle_frame(NOW, &genuine).unwrap();
    loop {
        let frame = std::iter::from_fn(|| federation.sites[0].engine.poll_transmit())
            .find(|f| f.kind == Kind::WantAudit)
            .expect("the change ends the audit");
        let id = federation.sites[0].id;
        federation.coordinator.handle_frame(NOW, id, &frame).unwrap();
        let answer = federation.settle_coordinator().into_iter().find(|t| t.to == id).unwrap().frame;
        let mut reply = AuditReply::decode_exact(&plan.message_ctx(), &answer.body).unwrap();
        change(&mut reply);
        let handled = federation.sites[0].engine.handle_frame(NOW, &with_body(&answer, reply.to_bytes()));
        if let Err(fault) = handled {
            assert_eq!(federation.sites[0].engine.unaudited(), Some(RoundId(1)), "{fault}");
            assert!(caught(&mut federation).is_empty(), "{fault}: nothing that the coordinator signed is false");
            return fault;
        }
    }
}

#[test]
fn claim_a_coordinator_that_does_not_show_the_inputs_is_not_taken_for_one_whose_sums_are_right() {
    let refused = shown(|reply| *reply = AuditReply::Refused);
    assert!(matches!(refused, ProtocolFault::AuditRefused { round: 1 }), "{refused}");
    let late = shown(|reply| {
        if let AuditReply::Chunks(_) = reply {
            *reply = AuditReply::Refused;
        }
    });
    assert!(matches!(late, ProtocolFault::AuditRefused { round: 1 }), "{late}");
    let none = shown(|reply| {
        if let AuditReply::Chunks(chunks) = reply {
            chunks.clear();
        }
    });
    assert!(matches!(none, ProtocolFault::AuditRefused { round: 1 }), "{none}");
    let altered = shown(|reply| {
        if let AuditReply::Chunks(chunks) = reply {
            chunks[2].words[5] ^= 1;
        }
    });
    assert!(matches!(altered, ProtocolFault::AuditChunk { round: 1, .. }), "{altered}");
    let unsigned = shown(|reply| {
        if let AuditReply::Openings(openings) = reply {
            openings.revealed.secrets[0][0] ^= 1;
        }
    });
    assert!(matches!(unsigned, ProtocolFault::AuditSignature(1)), "{unsigned}");
    let plan = plan(5, 2, 1);
    let (_, genuine) = before_its_result(&plan);
    let mut chain = ModelChain::new(Arc::clone(&plan), RUN);
    chain.follow(genuine.round, &genuine.body).unwrap();
    let ctx3 = chain.links()[0].announced.statement.ctx3;
    let other = shown(|reply| {
        if let AuditReply::Openings(openings) = reply {
            let mut revealed = openings.revealed.clone();
            revealed.secrets.swap(0, 1);
            **openings = sottovoce_round::SignedOpenings::by(revealed, &ctx3, &identity(100));
        }
    });
    let secret = matches!(other, ProtocolFault::AuditOpenings { source: RevealedRefused::Secret(_), .. });
    assert!(secret, "{other}");
}

/// A coordinator that publishes on and on and answers no audit: the client does not wait for ever.
#[test]
fn claim_audits_that_are_never_answered_end_a_clients_part() {
    let plan = plan(5, 4, 1);
    let mut federation = Federation::new(&plan);
    // Site 0 gets no answer; the others go on without it.
    let mut fault = None;
    federation.run_holding(|frame| frame.kind == Kind::Audit && frame.round == RoundId(1));
    let mut honest = Federation::new(&plan);
    honest.run();
    for frame in honest.sites[0].received.clone().iter().filter(|f| f.kind == Kind::Result && f.round.0 > 1) {
        if let Err(found) = federation.sites[0].engine.handle_frame(NOW, frame) {
            fault = Some(found);
            break;
        }
    }
    assert!(matches!(fault, Some(ProtocolFault::AuditRefused { round: 1 })), "{fault:?}");
}

#[test]
fn a_coordinator_shows_nothing_of_a_round_whose_sum_is_not_out_and_takes_no_nonsense() {
    let mut federation = Federation::new(&plan(5, 2, 1));
    federation.run_until(Kind::Result);
    let want = |round: u64, body: Vec<u8>| Frame {
        kind: Kind::WantAudit,
        run: RUN,
        round: RoundId(round),
        attempt: AttemptId(0),
        body: body.into(),
    };
    let id = federation.sites[0].id;
    for round in [0, 2, u64::MAX] {
        let asked = federation.coordinator.handle_frame(NOW, id, &want(round, AuditRequest::Openings.to_bytes()));
        assert!(matches!(asked, Err(PeerFault::WrongAttempt(..))), "round {round}");
    }
    let asked = federation.coordinator.handle_frame(NOW, id, &want(1, vec![9]));
    assert!(matches!(asked, Err(PeerFault::Malformed { .. })));
    // Beyond the last contributor or chunk there is nothing to be shown, and it says so.
    for request in [AuditRequest::Chunks { chunk: 0, from: 5 }, AuditRequest::Chunks { chunk: 2, from: 0 }] {
        federation.coordinator.handle_frame(NOW, id, &want(1, request.to_bytes())).unwrap();
        let answer = federation.settle_coordinator().pop().unwrap().frame;
        let reply = AuditReply::decode_exact(&federation.plan.message_ctx(), &answer.body).unwrap();
        assert_eq!(reply, AuditReply::Refused, "{request:?}");
    }
}

#[test]
fn a_client_that_comes_back_in_the_middle_of_an_audit_begins_it_anew() {
    let plan = plan(5, 1, 2);
    let mut federation = Federation::new(&plan);
    federation.run_until(Kind::Audit);
    federation.disconnect(0);
    federation.connect(0);
    federation.run();
    assert_eq!(audited(&federation, 0), [(1, 2)]);
    assert!(federation.sites[0].engine.is_finished());
}
