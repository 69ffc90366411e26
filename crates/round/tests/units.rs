//! A site's units, one at a time: what is added, what is refused, what shows of it.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::sync::Arc;

use common::hostile::{Hostile, NOW, greeted};
use common::{Federation, identity, plan, plan_with};
use sottovoce_round::{
    ClientEngine, ClientEvent, PlanError, ProtocolFault, RoundTerms, RunPlan, TrainFailed, UnitRefused, UnitSum, Work,
};
use sottovoce_types::{ClassWeights, ClientId, Lanes, RoundId, Schedule, Unit, Update};
use sottovoce_wire::{Frame, Kind};

fn member() -> ClientId {
    identity(1).client_id()
}

fn update(plan: &RunPlan, value: f32) -> Update {
    Update { values: vec![value; plan.layout().len()], examples: 1 }
}

fn without_dp() -> Arc<RunPlan> {
    plan_with(4, 1, 2, |spec| {
        spec.unit = Unit::None;
        spec.privacy = None;
        spec.clip_bits = 36;
        spec.lanes = Lanes::new(1).unwrap();
    })
}

/// A client that was asked to train in round 1.
fn asked(plan: &Arc<RunPlan>) -> (ClientEngine, Work, UnitSum) {
    let mut client = greeted(plan);
    client.handle_frame(NOW, &Hostile::new(plan).config(1, 1, &plan.initial_params())).unwrap();
    while client.poll_persist().is_some() {}
    let (work, units) = client.poll_work().unwrap();
    (client, work, units)
}

fn leaving(client: &mut ClientEngine) -> Vec<Frame> {
    std::iter::from_fn(|| client.poll_transmit()).collect()
}

fn sat_out(client: &mut ClientEngine) -> Vec<String> {
    let events = std::iter::from_fn(|| client.poll_event());
    events.filter_map(|e| if let ClientEvent::SatOut { reason, .. } = e { Some(reason) } else { None }).collect()
}

#[test]
fn the_sum_is_that_of_each_unit_by_itself() {
    let plan = plan(4, 1, 2);
    let sum_of = |values: &[f32]| {
        let mut units = UnitSum::new(&plan, &member(), RoundId(1), &RoundTerms::first(&plan));
        for (unit, v) in values.iter().enumerate() {
            units.add(unit, &update(&plan, *v)).unwrap();
        }
        assert_eq!(units.added(), values.len());
        units.into_site_sum().unwrap().into_coords()
    };
    let both: Vec<i64> = sum_of(&[0.01]).iter().zip(sum_of(&[7.0])).map(|(a, b)| a + b).collect();
    assert_eq!(sum_of(&[0.01, 7.0]), both);
    // Clipped one by one: two long updates are twice C, and not once.
    let norm = |coords: &[i64]| coords.iter().map(|x| x.pow(2)).sum::<i64>();
    let (once, twice) = (norm(&sum_of(&[7.0])), norm(&sum_of(&[7.0, 7.0])));
    assert!(once <= 1i64 << 32 && twice == 4 * once, "{once}, {twice}");
}

#[test]
fn claim_no_data_dependent_refusal_an_update_that_is_not_finite_does_not_keep_its_site_away() {
    let plan = plan(4, 1, 2);
    let sum_of = |values: &[f32]| {
        let mut units = UnitSum::new(&plan, &member(), RoundId(1), &RoundTerms::first(&plan));
        for (unit, v) in values.iter().enumerate() {
            units.add(unit, &update(&plan, *v)).unwrap();
        }
        units.into_site_sum().unwrap().into_coords()
    };
    for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        let (mut client, work, mut units) = asked(&plan);
        units.add(0, &update(&plan, 0.01)).unwrap();
        units.add(1, &update(&plan, bad)).unwrap();
        client.handle_trained(NOW, work.round, work.attempt, units).unwrap();
        assert_eq!(client.poll_transmit().map(|f| f.kind), Some(Kind::Advert), "not a refusal");
        assert_eq!(sum_of(&[0.01, bad]), sum_of(&[0.01]), "it counts as zero");
    }
}

#[test]
fn a_unit_too_many_is_refused_and_nothing_of_the_sum_is_sent() {
    let plan = plan(4, 1, 2);
    let (mut client, work, mut units) = asked(&plan);
    for unit in 0..2 {
        units.add(unit, &update(&plan, 0.01)).unwrap();
    }
    assert_eq!(units.add(2, &update(&plan, 0.01)), Err(UnitRefused::TooManyUnits { declared: 2 }));
    assert_eq!(units.add(0, &update(&plan, 0.01)), Err(UnitRefused::Spoilt));
    // A trainer that goes on all the same hands over a sum that is no sum.
    let fault = client.handle_trained(NOW, work.round, work.attempt, units).unwrap_err();
    assert!(matches!(fault, ProtocolFault::Privatise(_)), "{fault}");
    assert_eq!(leaving(&mut client).iter().map(|f| f.kind).collect::<Vec<_>>(), [Kind::Abort]);
    assert_eq!(
        sat_out(&mut client),
        [
            "this site trained more than the 2 units that the manifest declares for it: correct the manifest or the partition"
        ]
    );
    let stranger = identity(77).client_id();
    let refused = UnitSum::new(&plan, &stranger, RoundId(1), &RoundTerms::first(&plan)).add(0, &update(&plan, 0.01));
    assert_eq!(refused, Err(UnitRefused::TooManyUnits { declared: 0 }));
}

#[test]
fn claim_one_unit_has_one_update_in_a_sum() {
    let plan = plan(4, 1, 2);
    let mut units = UnitSum::new(&plan, &member(), RoundId(1), &RoundTerms::first(&plan));
    units.add(1, &update(&plan, 0.01)).unwrap();
    assert_eq!(units.add(1, &update(&plan, 0.01)), Err(UnitRefused::Twice { unit: 1 }));
    assert!(units.into_site_sum().is_err());
}

#[test]
fn an_update_of_another_model_is_refused() {
    let plan = plan(4, 1, 2);
    let mut units = UnitSum::new(&plan, &member(), RoundId(1), &RoundTerms::first(&plan));
    let refused = units.add(0, &Update { values: vec![0.0; 3], examples: 1 });
    assert!(matches!(refused, Err(UnitRefused::Quantise(_))), "{refused:?}");
    assert!(units.into_site_sum().is_err());
}

#[test]
fn without_a_privacy_unit_a_training_that_diverged_sends_nothing_and_says_what_to_do() {
    let plan = without_dp();
    // As a trainer finds it by itself, or as the collector finds it.
    for by_collector in [true, false] {
        let (mut client, work, mut units) = asked(&plan);
        let failed: TrainFailed = if by_collector {
            units.add(0, &update(&plan, f32::NAN)).unwrap_err().into()
        } else {
            TrainFailed("training diverged in epoch 3: lower training.learning_rate".into())
        };
        client.handle_work_failed(NOW, work.round, work.attempt, &failed);
        let left = leaving(&mut client);
        assert_eq!(left.iter().map(|f| f.kind).collect::<Vec<_>>(), [Kind::Abort], "a refusal and no input");
        assert_eq!(left[0].body.as_ref(), b"local training failed", "no word of the data");
        assert!(client.poll_persist().is_none(), "nothing is reserved for an input that never left");
        let reasons = sat_out(&mut client);
        assert!(reasons.len() == 1 && reasons[0].contains("diverged"), "{reasons:?}");
        assert!(reasons[0].contains("lower"), "it says what to do: {reasons:?}");
        // The attempt is over for it: no later message makes it send one.
        let late = client.handle_trained(
            NOW,
            work.round,
            work.attempt,
            UnitSum::new(&plan, &member(), RoundId(1), &RoundTerms::first(&plan)),
        );
        assert!(late.is_ok() && leaving(&mut client).is_empty());
    }
}

#[test]
fn a_site_without_units_takes_part_with_nothing_but_noise() {
    let plan = plan(4, 1, 2);
    let (mut client, work, units) = asked(&plan);
    client.handle_trained(NOW, work.round, work.attempt, units).unwrap();
    assert_eq!(client.poll_transmit().map(|f| f.kind), Some(Kind::Advert));
}

#[test]
fn a_rounds_job_has_that_rounds_learning_rate() {
    let plan = plan_with(4, 1, 4, |spec| spec.job.schedule = Schedule::Linear);
    let rate_in = |round| {
        let mut federation = Federation::new(&plan);
        let held = federation.run_holding(|f| f.kind == Kind::RoundConfig && f.round == RoundId(round));
        let (_, config) = held.iter().find(|(site, _)| *site == 0).unwrap();
        let client = &mut federation.sites[0].engine;
        client.handle_frame(NOW, config).unwrap();
        while client.poll_persist().is_some() {}
        client.poll_work().unwrap().0.job.learning_rate
    };
    assert!((rate_in(1) - 0.1).abs() < 1e-12);
    assert!((rate_in(4) - 0.025).abs() < 1e-12, "a quarter of the run is left in round 4 of 4");
    assert_eq!(plan.spec().job.in_round(RoundId(4).0, 4).schedule, Schedule::Constant);
}

#[test]
fn class_weights_that_count_a_clients_classes_are_refused_for_utterances() {
    let base = plan(4, 1, 2);
    let with = |unit, class_weights| {
        let mut spec = base.spec().clone();
        spec.unit = unit;
        spec.job.class_weights = class_weights;
        RunPlan::new(spec, Arc::clone(base.manifest())).err()
    };
    assert_eq!(with(Unit::Utterance, ClassWeights::Balanced), Some(PlanError::BalancedUtterances));
    assert_eq!(with(Unit::Utterance, ClassWeights::None), None);
    assert_eq!(with(Unit::Speaker, ClassWeights::Balanced), None);
}
