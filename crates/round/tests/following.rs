//! R5: a client's model is the one that follows from the opened sums, and whoever says otherwise is caught.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::sync::Arc;

use common::hostile::{Hostile, NOW, greeted, other_model, refuses, with_body};
use common::{Federation, RUN, engine, identity, plan, plan_with};
use sottovoce_round::{
    AdaptiveClip, ClientEngine, ClientEvent, ConfigStatement, Evidence, EvidenceRefused, Finished, Heard, Outcome,
    PeerFault, ProtocolFault, ResultStatement, RoundResult, RoundTerms, RunPlan, ServerRule, ServerSpec, Signed,
    Statement, compare,
};
use sottovoce_secagg::CertificateRefused;
use sottovoce_types::{AttemptId, ClipNorm, Digest, FlatParams, Lanes, RoundId, Unit};
use sottovoce_wire::{Decode, Encode, Frame, Kind};

/// The first of five sites with the frame of a result that it has not seen, and the federation around it.
fn before_its_result(plan: &Arc<RunPlan>) -> (Federation, Frame) {
    let mut federation = Federation::new(plan);
    let next = |frame: &Frame| frame.kind == Kind::RoundConfig && frame.round == RoundId(2);
    let held = federation.run_holding(|frame| frame.kind == Kind::Result || next(frame));
    let (_, frame) = held.into_iter().find(|(site, frame)| *site == 0 && frame.kind == Kind::Result).unwrap();
    (federation, frame)
}

/// A result with something changed, signed by the real coordinator.
fn signed_anew(plan: &RunPlan, frame: &Frame, change: impl FnOnce(&mut RoundResult)) -> Frame {
    let mut result = RoundResult::decode_exact(&plan.message_ctx(), &frame.body).unwrap();
    let ctx3 = ctx3_of(plan, frame);
    change(&mut result);
    let statement = ResultStatement {
        manifest: plan.manifest().digest(),
        run: RUN,
        round: frame.round,
        attempt: result.attempt,
        ctx3,
        sum: RoundResult::sum_digest(&result.sum),
        model: result.model,
    };
    result.signature = Signed::by(statement, &identity(100)).signature;
    with_body(frame, result.to_bytes())
}

/// What the quorum signed, from the certificate of round 1.
fn ctx3_of(plan: &RunPlan, frame: &Frame) -> Digest {
    let result = RoundResult::decode_exact(&plan.message_ctx(), &frame.body).unwrap();
    let (model, terms) = (plan.initial_params().digest(), RoundTerms::first(plan));
    let config = ConfigStatement::of(plan, RUN, frame.round, result.attempt, model, &terms);
    let session = sottovoce_secagg::Session {
        cfg: config.digest(),
        coordinator: plan.manifest().coordinator().0,
        members: plan.manifest().keys().clone(),
        n_min: plan.spec().n_min,
        max_corrupt: plan.spec().max_corrupt,
        lanes: plan.encode().lanes(),
        words: plan.encode().words(),
        graph: plan.spec().graph,
        suite: plan.spec().suite,
        key_agreement: plan.spec().key_agreement,
        layers: None,
        allow_plain: false,
    };
    result.certificate.verify(&session).unwrap().ctx3
}

fn caught(engine: &mut ClientEngine) -> Vec<Evidence> {
    std::iter::from_fn(|| engine.poll_event())
        .filter_map(|event| if let ClientEvent::Caught { evidence } = event { Some(*evidence) } else { None })
        .collect()
}

#[test]
fn claim_a_client_computes_the_model_from_the_opened_sum_and_no_model_is_ever_sent() {
    for plan in [plan(5, 1, 3), adapting(), scaffold()] {
        let mut federation = Federation::new(&plan);
        federation.run();
        let model = federation.coordinator.params().clone();
        assert_ne!(model, plan.initial_params(), "it learned something");
        for site in &federation.sites {
            assert_eq!(site.engine.last_model(), Some(&model), "to the bit");
            let config = site.got(Kind::RoundConfig);
            assert_eq!(config.body.len(), 128, "two hashes and a signature");
            assert_eq!(site.got(Kind::Finished).body.len(), 32);
        }
    }
}

#[test]
fn claim_a_round_that_does_not_begin_from_what_was_opened_is_refused_and_proven() {
    let plan = plan(5, 1, 3);
    let hostile = Hostile::new(&plan);
    let (first, other) = (plan.initial_params(), other_model(&plan));
    // Round 1 begins from the plan's model.
    let fault = refuses(&mut greeted(&plan), &hostile.config(1, 1, &other));
    assert!(
        matches!(fault, ProtocolFault::WrongModel { expected, found } if expected == first.digest() && found == other.digest())
    );
    // Round 2 from what follows: a trap model, and the old model again, are refused.
    let mut federation = Federation::new(&plan);
    federation.run_holding(|frame| frame.kind == Kind::RoundConfig && frame.round == RoundId(2));
    let client = &mut federation.sites[0].engine;
    for trap in [&other, &first] {
        let fault = refuses(client, &hostile.config(2, 1, trap));
        assert!(matches!(fault, ProtocolFault::WrongModel { .. }), "{fault}");
        let evidence = caught(client);
        let [evidence @ Evidence::AnotherModel { .. }] = evidence.as_slice() else { panic!("{evidence:?}") };
        let shown = evidence.verify(plan.manifest()).unwrap();
        assert_eq!((shown.round, shown.attempt), (RoundId(2), AttemptId(1)));
    }
    let genuine = federation.coordinator.params().clone();
    federation.sites[0].engine.handle_frame(NOW, &hostile.config(2, 1, &genuine)).unwrap();
}

#[test]
fn claim_a_result_that_was_altered_is_refused() {
    let plan = plan(5, 1, 3);
    let (mut federation, genuine) = before_its_result(&plan);
    let client = &mut federation.sites[0].engine;
    // One word of the sum, with the signature as it was; and signed anew, but the model named is not the one that follows.
    let mut body = genuine.body.to_vec();
    *body.last_mut().unwrap() ^= 1;
    assert!(matches!(refuses(client, &with_body(&genuine, body)), ProtocolFault::ResultSignature(1)));
    let altered = signed_anew(&plan, &genuine, |result| result.sum[0] = result.sum[0].wrapping_add(1 << 20));
    assert!(matches!(refuses(client, &altered), ProtocolFault::WrongModel { .. }));
    let trap = signed_anew(&plan, &genuine, |result| result.model = other_model(&plan).digest());
    assert!(matches!(refuses(client, &trap), ProtocolFault::WrongModel { .. }));
    // Fewer signatures than a quorum, a signature of another set, contributors left out.
    let few = signed_anew(&plan, &genuine, |result| result.certificate.signatures.truncate(3));
    let fault = refuses(client, &few);
    assert!(
        matches!(fault, ProtocolFault::ResultCertificate { source: CertificateRefused::TooFew { need: 4, .. }, .. }),
        "{fault}"
    );
    let fewer = signed_anew(&plan, &genuine, |result| {
        result.certificate.inputs.pop();
        result.certificate.signatures.pop();
    });
    let fault = refuses(client, &fewer);
    assert!(matches!(fault, ProtocolFault::ResultCertificate { source: CertificateRefused::Signature(_), .. }));
    // Of a round that the plan does not have, or has not come to.
    for round in [0, 4] {
        let fault = refuses(client, &Frame { round: RoundId(round), ..genuine.clone() });
        assert!(matches!(fault, ProtocolFault::BeyondPlan { .. }), "{fault}");
    }
    client.handle_frame(NOW, &genuine).unwrap();
}

#[test]
fn claim_two_results_of_one_round_are_evidence() {
    let plan = plan(5, 1, 3);
    let (mut federation, genuine) = before_its_result(&plan);
    let second = signed_anew(&plan, &genuine, |result| result.sum[0] = result.sum[0].wrapping_add(1));
    let client = &mut federation.sites[0].engine;
    client.handle_frame(NOW, &genuine).unwrap();
    // The same again is no fault: a client that came back may get it twice.
    client.handle_frame(NOW, &genuine).unwrap();
    assert!(caught(client).is_empty());
    let fault = refuses(client, &second);
    assert!(matches!(fault, ProtocolFault::TwoResults { round: 1 }), "{fault}");
    let evidence = caught(client);
    let [Evidence::TwoResults { first, second }] = evidence.as_slice() else { panic!("{evidence:?}") };
    assert!(evidence[0].verify(plan.manifest()).is_ok());
    // Nobody else can have made it, and the same statement twice shows nothing.
    let forged = Evidence::TwoResults { first: *first, second: Signed::by(second.statement, &identity(1)) };
    assert_eq!(forged.verify(plan.manifest()).unwrap_err(), EvidenceRefused::NotSigned("second"));
    let same = Evidence::TwoResults { first: *first, second: *first };
    assert!(matches!(same.verify(plan.manifest()), Err(EvidenceRefused::NoContradiction(_))));
    let other_federation = common::plan(4, 1, 3);
    assert_eq!(evidence[0].verify(other_federation.manifest()).unwrap_err(), EvidenceRefused::OtherFederation);
}

#[test]
fn claim_two_configs_of_one_attempt_are_evidence() {
    let plan = plan(5, 1, 3);
    let hostile = Hostile::new(&plan);
    let mut client = greeted(&plan);
    client.handle_frame(NOW, &hostile.config(1, 1, &plan.initial_params())).unwrap();
    client.poll_persist().unwrap();
    client.poll_work().unwrap();
    let fault = refuses(&mut client, &hostile.config(1, 1, &other_model(&plan)));
    assert!(matches!(fault, ProtocolFault::AttemptReplayed { .. }), "{fault}");
    let evidence = caught(&mut client);
    let [found @ Evidence::TwoConfigs { first, second }] = evidence.as_slice() else { panic!("{evidence:?}") };
    assert_eq!(found.verify(plan.manifest()).unwrap().what, "showed different models in one attempt");
    // Two sites that compare notes find the same.
    assert_ne!(first.statement.model, second.statement.model);
    // The same config again is a replay, and no evidence.
    refuses(&mut client, &hostile.config(1, 1, &plan.initial_params()));
    assert!(caught(&mut client).is_empty());
    // It reads back from its file.
    let text = serde_json::to_string(found).unwrap();
    assert_eq!(serde_json::from_str::<Evidence>(&text).unwrap(), *found);
}

#[test]
fn claim_sites_that_compare_what_they_heard_find_a_coordinator_that_told_them_different_things() {
    let plan = plan(5, 1, 3);
    let heard = |site: usize, change: &dyn Fn(&Frame) -> Option<Frame>| -> Vec<Heard> {
        let mut federation = Federation::new(&plan);
        federation.run();
        let mut client = engine(&plan, u8::try_from(site + 1).unwrap(), Vec::new());
        client.handle_connect(NOW);
        for frame in &federation.sites[site].received {
            if matches!(frame.kind, Kind::Welcome | Kind::RoundConfig | Kind::Result) {
                let _ = client.handle_frame(NOW, &change(frame).unwrap_or_else(|| frame.clone()));
            }
        }
        let said = |e| if let ClientEvent::Heard { statement } = e { Some(statement) } else { None };
        std::iter::from_fn(|| client.poll_event()).filter_map(said).collect()
    };
    let same = |_: &Frame| None;
    let honest = [heard(0, &same), heard(1, &same)].concat();
    assert_eq!(honest.len(), 12, "three configs and three results each");
    assert_eq!(compare(&honest), [], "they agree");
    // The second is told of another model in the first attempt: it refuses, and what it heard shows it.
    let hostile = Hostile::new(&plan);
    let trap = |frame: &Frame| {
        let first = frame.kind == Kind::RoundConfig && frame.round == RoundId(1);
        first.then(|| hostile.config(1, 1, &other_model(&plan)))
    };
    let split = [heard(0, &same), heard(1, &trap)].concat();
    let found = compare(&split);
    assert!(matches!(found.as_slice(), [Evidence::TwoConfigs { .. }]), "{found:?}");
    found[0].verify(plan.manifest()).unwrap();
}

fn adapting() -> Arc<RunPlan> {
    plan_with(5, 1, 3, |spec| {
        let rule = AdaptiveClip { quantile: 0.5, learning_rate: 0.2, count_noise: None };
        spec.privacy.as_mut().unwrap().noise_multiplier = sottovoce_types::NoiseMultiplier::new(1.0).unwrap();
        spec.adaptive_clip = Some(rule);
    })
}

fn scaffold() -> Arc<RunPlan> {
    plan_with(5, 1, 3, |spec| {
        spec.unit = Unit::None;
        spec.privacy = None;
        spec.clip_bits = 36;
        spec.lanes = Lanes::new(1).unwrap();
        spec.job.steps = 4;
        spec.server = ServerSpec { rule: ServerRule::Scaffold, learning_rate: 1.0 };
    })
}

#[test]
fn claim_a_clipping_norm_or_control_variate_that_does_not_follow_is_refused() {
    for plan in [adapting(), scaffold()] {
        let mut federation = Federation::new(&plan);
        let held = federation.run_holding(|frame| frame.kind == Kind::RoundConfig && frame.round == RoundId(2));
        let model = federation.coordinator.params().clone();
        let client = &mut federation.sites[0].engine;
        // The first round's terms again, and others; none of them is what the opened sums make of them.
        let first = RoundTerms::first(&plan);
        let wide = RoundTerms { clip: ClipNorm::new(1e6).unwrap(), ..first.clone() };
        for terms in [first, wide] {
            let fault = refuses(client, &Hostile::new(&plan).config_under(2, 1, &model, &terms));
            assert!(matches!(fault, ProtocolFault::WrongTerms { .. }), "{fault}");
        }
        let (_, genuine) = held.iter().find(|(site, _)| *site == 0).unwrap();
        client.handle_frame(NOW, genuine).unwrap();
    }
}

#[test]
fn a_client_that_was_away_asks_for_the_results_that_it_missed_one_at_a_time() {
    let plan = plan(5, 1, 3);
    let mut federation = Federation::new(&plan);
    let second = federation.run_holding(|frame| frame.kind == Kind::RoundConfig && frame.round == RoundId(2));
    federation.disconnect(2);
    for (site, frame) in second.iter().filter(|(site, _)| *site != 2) {
        federation.site_gets(*site, frame);
    }
    let third = federation.run_holding(|frame| frame.kind == Kind::RoundConfig && frame.round == RoundId(3));
    assert_eq!(federation.published().len(), 2, "the four others went on");
    // It comes back as a new process, which knows its journal and no model.
    let away = &mut federation.sites[2];
    away.engine = engine(&plan, 3, away.journal.clone());
    away.received.clear();
    federation.connect(2);
    for (site, frame) in &third {
        federation.site_gets(*site, frame);
    }
    federation.run();
    assert_eq!(federation.coordinator.outcome(), Some(&Outcome::Completed));
    assert_eq!(federation.published()[2].contributors, 5, "it took part in the third round");
    let kinds: Vec<(Kind, u64)> = federation.sites[2].received.iter().map(|f| (f.kind, f.round.0)).collect();
    let results: Vec<u64> = kinds.iter().filter(|(kind, _)| *kind == Kind::Result).map(|(_, round)| *round).collect();
    assert_eq!(results, [1, 2, 3], "{kinds:?}");
    assert_eq!(federation.sites[2].engine.last_model(), Some(federation.coordinator.params()));
}

#[test]
fn a_coordinator_gives_no_result_that_it_has_not_published() {
    let plan = plan(5, 1, 3);
    let mut federation = Federation::new(&plan);
    federation.run_holding(|frame| frame.kind == Kind::RoundConfig && frame.round == RoundId(2));
    let want = |round| Frame {
        kind: Kind::WantResult,
        run: RUN,
        round: RoundId(round),
        attempt: AttemptId(0),
        body: Vec::new().into(),
    };
    for round in [0, 2, u64::MAX] {
        let fault = federation.coordinator_gets(0, &want(round)).unwrap_err();
        assert!(matches!(fault, PeerFault::WrongAttempt(_, "request for a result")), "{fault}");
    }
    federation.coordinator_gets(0, &want(1)).unwrap();
}

#[test]
fn the_last_model_must_be_the_one_that_follows() {
    let plan = plan(4, 1, 1);
    let mut federation = Federation::new(&plan);
    let held = federation.run_until(Kind::Finished);
    let (_, genuine) = held.iter().find(|(site, _)| *site == 0).unwrap();
    let client = &mut federation.sites[0].engine;
    let other = Finished { model: other_model(&plan).digest() };
    assert!(matches!(refuses(client, &with_body(genuine, other.to_bytes())), ProtocolFault::WrongModel { .. }));
    client.handle_frame(NOW, genuine).unwrap();
    assert_eq!(client.last_model().map(FlatParams::digest), Some(federation.coordinator.params().digest()));
    assert_ne!(engine(&plan, 1, Vec::new()).last_model().is_some(), client.last_model().is_some());
}
