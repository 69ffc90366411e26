//! Adaptive clipping in a whole run: C reaches the quantile of the units' norms from both sides, under noise and across kills.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::sync::Arc;

use common::{identity, plan, private_spec, run, simulation};
use sottovoce_round::{
    AdaptiveClip, AdaptiveClipRefused, Coordinator, Journal, JournalEvent, LocalTrainer, Outcome, PlanError,
    ResumeError, RunPlan, Standing, TrainFailed, UnitSum, Work,
};
use sottovoce_sim::{Script, SimOutcome};
use sottovoce_types::{ClipNorm, RoundRecord, Unit, Update};

const ROUNDS: u64 = 60;
const ETA: f64 = 0.4;

/// Two units at each of five sites, little noise; γ = 0.7 of them within C. σ_b = 0.2 of ten.
fn adapting(first: f64, rounds: u64) -> Arc<RunPlan> {
    let mut spec = private_spec(4, 1, rounds, 0.2, 1e9);
    spec.clip = ClipNorm::new(first).unwrap();
    spec.adaptive_clip = Some(AdaptiveClip { quantile: 0.7, learning_rate: ETA, count_noise: Some(0.2) });
    plan(spec, 5)
}

/// Units whose updates have norms 1 to 10 over the federation, each in its own direction, in every round.
struct Norms {
    norms: [f32; 2],
}

impl LocalTrainer for Norms {
    fn train(&mut self, work: &Work, units: &mut UnitSum) -> Result<(), TrainFailed> {
        let d = work.params.values().len();
        for (unit, norm) in self.norms.into_iter().enumerate() {
            let mut values = vec![0.0; d];
            values[(norm.to_bits() as usize) % d] = norm;
            units.add(unit, &Update { values, examples: 1 })?;
        }
        Ok(())
    }
}

fn trained(plan: &Arc<RunPlan>, script: Script) -> SimOutcome {
    let mut sim = simulation(plan, 5, script);
    for (i, client) in (0u8..).zip(&mut sim.clients) {
        client.trainer = Box::new(Norms { norms: [f32::from(2 * i + 1), f32::from(2 * i + 2)] });
    }
    let outcome = run(sim).0;
    assert_eq!(outcome.outcome, Outcome::Completed);
    outcome
}

fn clips(records: &[RoundRecord]) -> Vec<f64> {
    records.iter().map(|r| r.clip_l2.unwrap()).collect()
}

/// The quantile lies anywhere between the seventh norm and the eighth.
fn at_the_quantile(clip: f64) -> bool {
    (6.7..8.3).contains(&clip)
}

#[test]
fn the_norm_reaches_the_quantile_from_far_below_and_far_above() {
    for first in [0.05, 200.0] {
        let clips = clips(&trained(&adapting(first, ROUNDS), Script::default()).records);
        assert!((clips[0] - first).abs() < 1e-12, "round 1 has the plan's");
        let settled = &clips[40..];
        assert!(settled.iter().all(|c| at_the_quantile(*c)), "from {first}: {settled:?}");
        // From the side that it began on, and towards the quantile from the first step.
        assert!((clips[1] > first) == (first < 7.0), "{:?}", &clips[..3]);
    }
}

#[test]
fn the_inverted_rule_would_run_away_from_both_sides() {
    // The share of clipped in the place of unclipped, on the same updates.
    for first in [2.5, 6.0] {
        let mut clip: f64 = first;
        for _ in 0..ROUNDS {
            let clipped = (1..=10u8).filter(|n| f64::from(*n) > clip).count();
            clip *= (-ETA * (f64::from(u8::try_from(clipped).unwrap()) / 10.0 - 0.7)).exp();
        }
        assert!(!at_the_quantile(clip), "from {first} it came to {clip}");
    }
    // And by what it released, a real run is told from an inverted one in every round.
    let records = trained(&adapting(0.05, 8), Script::default()).records;
    for pair in records.windows(2) {
        let (clip, unclipped) = (pair[0].clip_l2.unwrap(), pair[0].unclipped_fraction.unwrap());
        let next = pair[1].clip_l2.unwrap();
        assert!((next / clip / (-ETA * (unclipped - 0.7)).exp() - 1.0).abs() < 1e-12);
        let inverted = clip * (-ETA * (1.0 - unclipped - 0.7)).exp();
        assert!((next / inverted - 1.0).abs() > 1e-3, "{pair:?}");
    }
}

#[test]
fn the_released_share_is_that_of_the_unclipped_within_its_noise() {
    // C stays at 5.5, for η is next to nothing: five of ten are within it.
    let mut spec = adapting(5.5, 40).spec().clone();
    spec.adaptive_clip = spec.adaptive_clip.map(|a| AdaptiveClip { learning_rate: 1e-12, ..a });
    let records = trained(&plan(spec, 5), Script::default()).records;
    let shares: Vec<f64> = records.iter().map(|r| r.unclipped_fraction.unwrap()).collect();
    let mean = shares.iter().sum::<f64>() / 40.0;
    // σ_b / 10 = 0.02 for the honest floor's shares; all five add theirs, so up to 0.026. 5.2 standard errors.
    assert!((mean - 0.5).abs() < 5.2 * 0.026 / 40f64.sqrt(), "{mean}");
    let deviation = (shares.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / 39.0).sqrt();
    assert!((0.008..0.06).contains(&deviation), "it is noised, and no more than that: {deviation}");
}

#[test]
fn the_mean_is_decoded_with_the_norm_of_its_round() {
    // From far above nothing is clipped: the mean of the norms, one coordinate each, is the same whatever C is.
    let outcome = trained(&adapting(200.0, 3), Script::default());
    let expected = (1..=10u8).map(|n| f64::from(n).powi(2)).sum::<f64>().sqrt() / 10.0;
    for record in &outcome.records {
        // Norms that share a coordinate add up; noise is 0.2·C/10 a coordinate.
        let slack = 0.03 * record.clip_l2.unwrap() * 21f64.sqrt();
        assert!(record.mean_update_l2 > expected - slack, "{record:?}");
    }
    let clips = clips(&outcome.records);
    assert!(clips[2] < clips[1] && clips[1] < clips[0]);
}

#[test]
fn claim_a_killed_coordinator_goes_on_with_the_norm_that_followed() {
    let plan = adapting(0.05, 5);
    let entries = trained(&plan, Script::default()).journal.entries().len();
    for entry in 1..=entries {
        let records = trained(&plan, Script { kills: vec![entry], ..Script::default() }).records;
        assert_eq!(records.len(), 5, "killed at entry {entry}");
        for pair in records.windows(2) {
            let follows = pair[0].clip_l2.unwrap() * (-ETA * (pair[0].unclipped_fraction.unwrap() - 0.7)).exp();
            assert!((pair[1].clip_l2.unwrap() / follows - 1.0).abs() < 1e-12, "killed at entry {entry}: {pair:?}");
        }
    }
}

#[test]
fn a_state_with_another_norm_is_not_gone_on_from() {
    let plan = adapting(0.05, 2);
    let outcome = trained(&plan, Script::default());
    let published = outcome.journal.entries().iter().position(|e| matches!(e.event, JournalEvent::Published { .. }));
    let mut entries = outcome.journal.entries()[..=published.unwrap()].to_vec();
    let standing = Standing::of(&entries).unwrap();
    let params = outcome.journal.checkpoint(standing.model, plan.layout()).unwrap();
    let mut state = outcome.journal.server_state(standing.state.unwrap()).unwrap();
    assert_eq!(state.vectors().keys().collect::<Vec<_>>(), ["clip_l2"]);
    state.keep("clip_l2", vec![1e9]);
    for entry in &mut entries {
        if let JournalEvent::Published { state: named, .. } = &mut entry.event {
            *named = Some(state.digest());
        }
    }
    let resumed = Coordinator::resume(Arc::clone(&plan), identity(100), &entries, params, Some(&state));
    assert!(matches!(resumed, Err(ResumeError::State(_))), "beyond the plan's limits");
}

#[test]
fn the_noise_multiplier_charged_is_the_plans_and_the_noise_is_for_both_together() {
    let with = adapting(1.0, 1);
    let mut spec = with.spec().clone();
    spec.adaptive_clip = None;
    let without = plan(spec, 5);
    assert_eq!(with.event(), without.event(), "what the ledger charges");
    assert!(with.encode().squared_sensitivity() > without.encode().squared_sensitivity());
    assert_ne!(with.digest(), without.digest());
    for change in [
        |a: &mut AdaptiveClip| a.quantile = 0.6,
        |a: &mut AdaptiveClip| a.learning_rate = 0.3,
        |a: &mut AdaptiveClip| a.count_noise = None,
    ] {
        let mut spec = with.spec().clone();
        change(spec.adaptive_clip.as_mut().unwrap());
        assert_ne!(plan(spec, 5).digest(), with.digest(), "every number is agreed on");
    }
}

#[test]
fn a_plan_for_sites_or_without_privacy_does_not_count() {
    let base = adapting(1.0, 1);
    for unit in [Unit::Client, Unit::None] {
        let mut spec = base.spec().clone();
        spec.unit = unit;
        if unit == Unit::None {
            spec.privacy = None;
        }
        let refused = RunPlan::new(spec, Arc::clone(base.manifest())).err();
        assert!(matches!(refused, Some(PlanError::AdaptiveClip(AdaptiveClipRefused::Unit { .. }))), "{refused:?}");
    }
}
