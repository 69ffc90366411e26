//! A site's own cap on ε: whatever its coordinator asks, it is not gone beyond.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::sync::Arc;

use common::hostile::{Hostile, NOW, refuses};
use common::{Federation, Site, identity, plan, plan_with};
use sottovoce_dp::{Ledger, LedgerEntry, LedgerError, SeededNoise, gdp};
use sottovoce_round::{ClientEngine, ClientEvent, ClientOutcome, ClientSetup, Entry, JournalEvent, RunPlan};
use sottovoce_types::{AttemptId, Epsilon, Lanes, RoundId, Unit};
use sottovoce_wire::{Frame, Kind};

/// The engine of member 1, which draws what `common::engine` draws in its first life.
fn capped(plan: &Arc<RunPlan>, cap: Option<Epsilon>, history: Vec<Entry>) -> Result<ClientEngine, LedgerError> {
    let setup = ClientSetup {
        plan: Arc::clone(plan),
        identity: identity(1),
        noise: Box::new(SeededNoise::new([1; 32])),
        seed: [51; 32],
        history,
        allow_plain: false,
    };
    ClientEngine::capped(setup, cap)
}

fn epsilon(value: f64) -> Epsilon {
    Epsilon::new(value).unwrap()
}

/// ε of so many rounds, and a bit more.
fn covers(plan: &RunPlan, rounds: u32) -> Epsilon {
    let privacy = plan.spec().privacy.unwrap();
    let mu = f64::from(rounds).sqrt() / privacy.noise_multiplier.value();
    epsilon(gdp::epsilon(mu, privacy.delta).upper * (1.0 + 1e-9))
}

/// A capped site hears what member 1 heard in a run of which it was a part to the end.
fn hears(plan: &Arc<RunPlan>, received: &[Frame], cap: Option<Epsilon>) -> (Site, Vec<Frame>) {
    let mut site = Site::new(plan, 1);
    site.engine = capped(plan, cap, Vec::new()).unwrap();
    site.engine.handle_connect(NOW);
    let mut left = site.settle();
    for frame in received {
        if site.engine.is_finished() {
            break;
        }
        site.engine.handle_frame(NOW, frame).unwrap();
        left.extend(site.settle());
    }
    (site, left)
}

fn inputs(left: &[Frame]) -> Vec<u64> {
    left.iter().filter(|f| f.kind == Kind::MaskedInput).map(|f| f.round.0).collect()
}

fn run(rounds: u64) -> (Arc<RunPlan>, Vec<Frame>) {
    let mut federation = Federation::new(&plan(5, 1, rounds));
    federation.run();
    assert_eq!(federation.published().len(), usize::try_from(rounds).unwrap());
    (federation.plan, federation.sites.swap_remove(0).received)
}

#[test]
fn claim_a_site_declines_what_its_own_cap_does_not_cover_whatever_the_coordinator_asks() {
    let (plan, received) = run(4);
    let cap = covers(&plan, 2);
    assert!(cap.value() < 100.0, "the plan's budget covers the run, and the cap half of it");
    // The control: without a cap, and with one above the plan's budget, the same frames take it through all rounds.
    for none in [None, Some(epsilon(101.0))] {
        let (site, left) = hears(&plan, &received, none);
        assert_eq!(inputs(&left), [1, 2, 3, 4]);
        assert_eq!(site.engine.outcome(), Some(&ClientOutcome::Completed));
        assert_eq!(site.engine.ledger().unwrap().budget(), plan.budget().unwrap());
    }
    let (mut site, left) = hears(&plan, &received, Some(cap));
    assert_eq!(inputs(&left), [1, 2]);
    assert!(site.engine.ledger().unwrap().epsilon_spent().upper <= cap.value());
    let Some(ClientOutcome::BudgetExhausted { round: RoundId(3), why }) = site.engine.outcome().cloned() else {
        panic!("{:?}", site.engine.outcome())
    };
    let said = why.to_string();
    assert!(
        said.contains(&format!("privacy.site_epsilon_cap = {cap}")) && said.contains("the plan's is 100"),
        "{said}"
    );
    assert!(matches!(site.events.last(), Some(ClientEvent::Finished { .. })));
    // The coordinator is told that it declines, and none of the numbers.
    let refusal = left.last().unwrap();
    assert_eq!((refusal.kind, refusal.round), (Kind::Abort, RoundId(3)));
    assert!(refusal.body.ends_with(b"this site's privacy budget is exhausted"));
    // Another attempt, another round, the frames of the run: nothing, and it stays at its end.
    let end = site.engine.outcome().cloned();
    let coordinator = Hostile::new(&plan);
    for (round, attempt) in [(3, 2), (4, 1), (1, 2)] {
        let _fault = refuses(&mut site.engine, &coordinator.config(round, attempt, &plan.initial_params()));
    }
    let rest = received.iter().position(|f| f.kind == Kind::RoundConfig && f.round == RoundId(3)).unwrap();
    for frame in &received[rest..] {
        match frame.kind {
            Kind::Result | Kind::Finished => site.engine.handle_frame(NOW, frame).unwrap(),
            _ => drop(refuses(&mut site.engine, frame)),
        }
        assert!(site.settle().is_empty());
    }
    assert_eq!(site.engine.outcome(), end.as_ref());
}

#[test]
fn claim_a_cap_holds_across_restarts_and_stays_what_it_was() {
    let (plan, received) = run(3);
    let cap = covers(&plan, 1);
    let (site, _) = hears(&plan, &received, Some(cap));
    let charged: Vec<&LedgerEntry> = site.journal.iter().filter_map(|e| e.ledger.as_ref()).collect();
    assert!(matches!(charged[..], [LedgerEntry::Opened { .. }, LedgerEntry::Reserved { .. }]), "{charged:?}");
    // Started again, it declines the same round, with nothing more in its journal.
    let mut again = capped(&plan, Some(cap), site.journal.clone()).unwrap();
    again.handle_connect(NOW);
    assert_eq!(again.poll_transmit().unwrap().kind, Kind::Hello);
    let config = received.iter().find(|f| f.kind == Kind::RoundConfig && f.round == RoundId(2)).unwrap();
    again.handle_frame(NOW, received.iter().find(|f| f.kind == Kind::Welcome).unwrap()).unwrap();
    again.handle_frame(NOW, config).unwrap();
    assert!(matches!(again.outcome(), Some(ClientOutcome::BudgetExhausted { round: RoundId(2), .. })));
    assert!(again.poll_persist().is_none() && again.poll_work().is_none());
    // Raised, lowered or gone: a budget that results were seen under is not changed.
    for other in [None, Some(covers(&plan, 2)), Some(epsilon(cap.value() / 2.0))] {
        let error = capped(&plan, other, site.journal.clone()).err().unwrap();
        assert!(matches!(&error, LedgerError::OtherBudget { found } if found.epsilon == cap), "{other:?}: {error}");
    }
    // The ledger reads without the plan.
    let LedgerEntry::Opened { budget, .. } = charged[0] else { unreachable!() };
    let ledger = Ledger::replay(*budget, site.journal.iter().filter_map(|e| e.ledger.clone())).unwrap();
    assert!(ledger.epsilon_left() < 1e-6, "{}", ledger.epsilon_left());
}

#[test]
fn a_cap_below_one_round_declines_the_first_and_nothing_becomes_durable() {
    let plan = plan(5, 1, 2);
    let mut site = capped(&plan, Some(epsilon(0.5)), Vec::new()).unwrap();
    site.handle_connect(NOW);
    while site.poll_transmit().is_some() {}
    let coordinator = Hostile::new(&plan);
    site.handle_frame(NOW, &coordinator.welcome()).unwrap();
    site.handle_frame(NOW, &coordinator.config(1, 1, &plan.initial_params())).unwrap();
    assert!(matches!(site.outcome(), Some(ClientOutcome::BudgetExhausted { round: RoundId(1), .. })));
    assert!(site.poll_persist().is_none() && site.poll_work().is_none());
    assert_eq!(site.poll_transmit().unwrap().kind, Kind::Abort);
    assert!(site.poll_transmit().is_none());
}

#[test]
fn a_cap_in_a_run_without_privacy_is_refused_whatever_the_state_holds() {
    let open = plan_with(5, 1, 1, |spec| {
        spec.unit = Unit::None;
        spec.privacy = None;
        spec.clip_bits = 36;
        spec.lanes = Lanes::new(1).unwrap();
    });
    let cap = epsilon(3.0);
    let event = JournalEvent::InputReserved { run: common::RUN, round: RoundId(1), attempt: AttemptId(1) };
    for history in [Vec::new(), vec![Entry { event, ledger: None }]] {
        let error = capped(&open, Some(cap), history.clone()).err().unwrap();
        assert_eq!(error, LedgerError::CapWithoutPrivacy { cap });
        assert!(error.to_string().contains("privacy.site_epsilon_cap = 3"), "{error}");
        assert!(capped(&open, None, history).is_ok(), "and without a cap it is not");
    }
}
