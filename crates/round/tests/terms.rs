//! What a coordinator may and may not say beside the model: C_t and SCAFFOLD's c.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::sync::Arc;

use common::hostile::{Hostile, NOW, greeted, refuses, with_body};
use common::{plan, plan_with};
use sottovoce_round::{
    AdaptiveClip, ClientEngine, ProtocolFault, RoundTerms, RunPlan, ServerRule, ServerSpec, TermsRefused,
};
use sottovoce_types::{ClipNorm, Lanes, Unit};

fn clip(value: f64) -> ClipNorm {
    ClipNorm::new(value).unwrap()
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

/// Round 2 from the initial model under these terms.
fn in_round_2(plan: &Arc<RunPlan>, terms: &RoundTerms) -> Result<ClientEngine, ProtocolFault> {
    let mut client = greeted(plan);
    let model = plan.initial_params();
    client.handle_frame(NOW, &Hostile::result(1, 1, model.digest())).unwrap();
    let frame = Hostile::new(plan).config_under(2, 1, &model, terms);
    match client.handle_frame(NOW, &frame) {
        Ok(()) => Ok(client),
        Err(fault) => Err(fault),
    }
}

fn refused(plan: &Arc<RunPlan>, terms: &RoundTerms) -> TermsRefused {
    match in_round_2(plan, terms) {
        Err(ProtocolFault::Terms(refused)) => refused,
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[test]
fn claim_a_clipping_norm_beyond_the_plan_is_refused() {
    let fixed = plan(5, 1, 3);
    let other = |value| RoundTerms { clip: clip(value), control: None };
    assert!(in_round_2(&fixed, &other(1.0)).is_ok());
    for value in [0.999, 1.001, 1e6] {
        assert_eq!(refused(&fixed, &other(value)), TermsRefused::Clip, "a norm that does not adapt");
    }
    let adapting = adapting();
    for value in [1e-6, 0.5, 1.0, 1e6] {
        assert!(in_round_2(&adapting, &other(value)).is_ok(), "{value}");
    }
    for value in [1e-7, 1e7] {
        assert_eq!(refused(&adapting, &other(value)), TermsRefused::Clip, "{value}");
    }
    // Round 1 has the plan's, adapting or not.
    let mut client = greeted(&adapting);
    let first = Hostile::new(&adapting).config_under(1, 1, &adapting.initial_params(), &other(0.5));
    assert!(matches!(refuses(&mut client, &first), ProtocolFault::Terms(TermsRefused::Clip)));
}

#[test]
fn a_control_variate_that_cannot_be_is_refused() {
    let plan = scaffold();
    let d = plan.layout().len();
    let with = |control| RoundTerms { clip: plan.spec().clip, control: Some(control) };
    let mut client = in_round_2(&plan, &with(vec![0.25; d])).unwrap();
    while client.poll_persist().is_some() {}
    // A client without a c_i, as after a restart, corrects nothing.
    assert_eq!(client.poll_work().unwrap().0.correction, Some(vec![0.0; d]));
    for bad in [f32::NAN, f32::INFINITY] {
        assert_eq!(refused(&plan, &with(vec![bad; d])), TermsRefused::Control);
    }
    let mut fresh = greeted(&plan);
    let not_zero = Hostile::new(&plan).config_under(1, 1, &plan.initial_params(), &with(vec![0.25; d]));
    assert!(matches!(refuses(&mut fresh, &not_zero), ProtocolFault::Terms(TermsRefused::Control)));
    // Of another length, or where there is none: not this plan's message.
    for (plan, control) in [(&plan, None), (&plan, Some(vec![0.0; d + 1])), (&adapting(), Some(vec![0.0; d]))] {
        let terms = RoundTerms { clip: plan.spec().clip, control };
        let fault = in_round_2(plan, &terms).map(|_| ()).unwrap_err();
        assert!(matches!(fault, ProtocolFault::Malformed { .. }), "{fault}");
    }
}

#[test]
fn claim_the_terms_of_a_round_are_under_the_coordinators_signature() {
    for plan in [adapting(), scaffold()] {
        let genuine = Hostile::new(&plan).config(1, 1, &plan.initial_params());
        let d = plan.layout().len();
        // The last byte of C, and one of c where there is one.
        let clip_at = 64 + 4 * d;
        let places =
            if plan.spec().server.is_scaffold() { vec![clip_at, clip_at + 8 + 4 * (d - 1)] } else { vec![clip_at] };
        for place in places {
            let mut body = genuine.body.to_vec();
            body[place] ^= 1;
            let fault = refuses(&mut greeted(&plan), &with_body(&genuine, body));
            assert!(matches!(fault, ProtocolFault::ConfigSignature), "{fault}");
        }
        greeted(&plan).handle_frame(NOW, &genuine).unwrap();
    }
}

#[test]
fn a_sum_trained_under_other_terms_is_not_sent_again() {
    let plan = adapting();
    let mut client = in_round_2(&plan, &RoundTerms { clip: clip(0.5), control: None }).unwrap();
    while client.poll_persist().is_some() {}
    let (work, units) = client.poll_work().unwrap();
    client.handle_trained(NOW, work.round, work.attempt, units).unwrap();
    let model = plan.initial_params();
    let again = |attempt, value| {
        Hostile::new(&plan).config_under(2, attempt, &model, &RoundTerms { clip: clip(value), control: None })
    };
    client.handle_frame(NOW, &again(2, 0.5)).unwrap();
    while client.poll_persist().is_some() {}
    assert!(client.poll_work().is_none(), "the same terms: the sum is there");
    client.handle_frame(NOW, &again(3, 0.25)).unwrap();
    while client.poll_persist().is_some() {}
    assert!(client.poll_work().is_some(), "another norm: trained and clipped anew");
}
