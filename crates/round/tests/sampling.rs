//! Which units take part: by a site's own coins, anew for each attempt, and charged by the certificate of what drew them.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use common::hostile::{Hostile, NOW, greeted};
use common::{Federation, engine, identity, plan, plan_with};
use sottovoce_dp::sampling::{SamplingProbability, poisson};
use sottovoce_dp::{Filter, LedgerEntry, LedgerError};
use sottovoce_round::{ClientEngine, ClientSetup, PlanError, RoundTerms, RunPlan, UnitRefused, UnitSum};
use sottovoce_types::{Unit, Update};

/// Each site's two units take part with probability q.
fn sampled(q: f64, rounds: u64) -> std::sync::Arc<RunPlan> {
    plan_with(5, 1, rounds, |spec| {
        spec.max_attempts = 12;
        spec.privacy.as_mut().unwrap().sampling = Some(SamplingProbability::new(q).unwrap());
        spec.privacy.as_mut().unwrap().epsilon_budget = sottovoce_types::Epsilon::new(50.0).unwrap();
    })
}

#[test]
fn claim_only_what_was_drawn_reaches_a_sum_and_the_charge_says_how_it_was_drawn() {
    let plan = sampled(0.5, 1);
    let mut federation = Federation::new(&plan);
    federation.run();
    let drawn: Vec<usize> = federation.sites.iter().map(|s| s.drawn[0].len()).collect();
    assert!(drawn.iter().any(|n| *n < 2) && drawn.iter().any(|n| *n > 0), "coins: {drawn:?}");
    for site in &federation.sites {
        let charged = site.journal.iter().find_map(|e| match &e.ledger {
            Some(LedgerEntry::Reserved { event, .. }) => Some(event.clone()),
            _ => None,
        });
        assert_eq!(charged, Some(plan.event()));
        assert!(plan.event().to_string().contains("on a Poisson sample with q = 0.5"));
    }
    // A trainer that ignores the coins is stopped, whichever unit it brings.
    let mut coins = <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::from_seed([1; 32]);
    let (sample, _) = loop {
        let (sample, certificate) = poisson(2, SamplingProbability::new(0.5).unwrap(), &mut coins);
        if sample.units().count() == 1 {
            break (sample, certificate);
        }
    };
    let (inside, outside) = if sample.contains(0) { (0, 1) } else { (1, 0) };
    let client = identity(1).client_id();
    let mut units =
        UnitSum::new(&plan, &client, sottovoce_types::RoundId(1), &RoundTerms::first(&plan)).of_sample(sample);
    assert!(units.takes(inside) && !units.takes(outside));
    let update = Update { values: vec![0.01; plan.layout().len()], examples: 1 };
    units.add(inside, &update).unwrap();
    assert_eq!(units.add(outside, &update), Err(UnitRefused::NotDrawn { unit: outside }));
    assert!(units.into_site_sum().is_err(), "nothing of it is sent");
}

#[test]
fn claim_a_further_attempt_draws_again_and_trains_again() {
    // Without sampling the sum of the first attempt serves again; with it, the second attempt has units of its own.
    let again = |plan: &std::sync::Arc<RunPlan>| {
        let mut client = greeted(plan);
        let hostile = Hostile::new(plan);
        let drawn = |client: &mut ClientEngine, attempt| {
            client.handle_frame(NOW, &hostile.config(1, attempt, &plan.initial_params())).unwrap();
            while client.poll_persist().is_some() {}
            let (work, units) = client.poll_work()?;
            let who = (units.takes(0), units.takes(1));
            client.handle_trained(NOW, work.round, work.attempt, units).unwrap();
            Some(who)
        };
        (1..=12).map(|attempt| drawn(&mut client, attempt)).collect::<Vec<_>>()
    };
    let all = again(&plan_with(5, 1, 2, |spec| spec.max_attempts = 12));
    assert_eq!(all[0], Some((true, true)));
    assert!(all[1..].iter().all(Option::is_none), "the sum is kept: {all:?}");
    let some = again(&sampled(0.5, 2));
    assert!(some.iter().all(Option::is_some), "each attempt trains: {some:?}");
    assert!(some.iter().any(|who| who != &some[0]), "other coins: {some:?}");
}

#[test]
fn claim_the_mean_is_over_the_units_expected_and_not_over_those_drawn() {
    let plan = sampled(0.25, 1);
    assert!((plan.expected_units(10) - 2.5).abs() < 1e-12);
    assert!((plan_with(5, 1, 1, |_| ()).expected_units(10) - 10.0).abs() < 1e-12);
}

#[test]
fn sampling_without_units_to_draw_is_refused() {
    let base = sampled(0.5, 1);
    let with = |unit| {
        let mut spec = base.spec().clone();
        spec.unit = unit;
        RunPlan::new(spec, std::sync::Arc::clone(base.manifest())).err()
    };
    assert_eq!(with(Unit::Client), Some(PlanError::Sampling { unit: "client" }));
    assert_eq!(with(Unit::Utterance), None);
}

#[test]
fn the_plan_of_another_rate_is_another_plan() {
    let digests = [sampled(0.5, 1).digest(), sampled(0.25, 1).digest(), plan(5, 1, 1).digest()];
    assert!(digests[0] != digests[1] && digests[0] != digests[2]);
}

#[test]
fn claim_a_ledger_goes_on_only_with_releases_that_its_filter_can_bound() {
    // A site that took part in a run without sampling holds a ledger of Gaussian DP; a sampled round is no Gaussian release.
    let before = plan(5, 1, 1);
    let mut federation = Federation::new(&before);
    federation.run();
    let history = federation.sites[0].journal.clone();
    let after = plan_with(5, 1, 1, |spec| {
        spec.privacy.as_mut().unwrap().sampling = Some(SamplingProbability::new(0.5).unwrap());
    });
    let setup = ClientSetup {
        plan: std::sync::Arc::clone(&after),
        identity: identity(1),
        noise: Box::new(sottovoce_dp::SeededNoise::new([1; 32])),
        seed: [1; 32],
        history,
        allow_plain: false,
    };
    let refused = ClientEngine::new(setup).err();
    assert_eq!(refused, Some(LedgerError::OtherFilter { filter: Filter::Gdp, event: after.event() }));
    // The schedule of a sampled run covers as many as its budget does, and says so in the opening.
    let client = engine(&after, 1, Vec::new());
    let Filter::Schedule(schedule) = client.ledger().unwrap().filter().clone() else { panic!("a schedule") };
    assert_eq!(schedule.event(), &after.event());
    assert!(schedule.most() > 1, "{schedule:?}");
    assert_eq!(client.ledger().unwrap().releases_left(&after.event()), schedule.most());
}
