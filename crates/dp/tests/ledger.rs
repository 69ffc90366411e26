//! The ledger's rules.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
use proptest::prelude::*;
use sottovoce_dp::{
    Budget, Charge, DpEvent, Filter, Ledger, LedgerEntry, LedgerError, LedgerKey, Reservation, ReserveError, gdp,
    scalar::{CountQuery, ScalarError},
};
use sottovoce_types::{AttemptId, Delta, Epsilon, NoiseMultiplier, RoundId, RunId, Unit};

fn budget(epsilon: f64) -> Budget {
    Budget { epsilon: Epsilon::new(epsilon).unwrap(), delta: Delta::new(1e-5).unwrap(), unit: Unit::Speaker }
}

fn key(round: u64) -> LedgerKey {
    LedgerKey { run: RunId([1; 16]), round: RoundId(round), attempt: AttemptId(1) }
}

fn z(value: f64) -> NoiseMultiplier {
    NoiseMultiplier::new(value).unwrap()
}

fn charge(value: f64) -> Charge {
    Charge::every_unit(z(value))
}

#[test]
fn claim_budget_exhausted_is_refused() {
    for rounds in [1, 3, 30, 1000] {
        let z = gdp::calibrate(budget(8.0).epsilon, budget(8.0).delta, rounds);
        let mut ledger = Ledger::new(budget(8.0));
        assert_eq!(ledger.releases_left(&DpEvent::gaussian(z)), rounds);
        for round in 1..=rounds {
            let (r, _) = ledger.reserve(key(round), Charge::every_unit(z)).unwrap();
            ledger.release(r);
        }
        let before = ledger.clone();
        let refused = ledger.reserve(key(rounds + 1), Charge::every_unit(z)).unwrap_err();
        let ReserveError::BudgetExhausted(e) = refused else { panic!("{refused}") };
        assert!(e.spent_epsilon <= 8.0 && e.would_be > 8.0, "{e}");
        assert!(e.to_string().contains("the budget is 8 at delta 0.00001"), "{e}");
        assert_eq!(ledger, before, "a refusal changes nothing");
        assert_eq!(ledger.releases_left(&DpEvent::gaussian(z)), 0);
        assert!(ledger.epsilon_spent().lower > 7.999);
    }
}

#[test]
fn claim_debit_before_reveal_unresolved_reservation_counts_as_spent() {
    let mut ledger = Ledger::new(budget(4.0));
    let (reservation, entry) = ledger.reserve(key(1), charge(1.2)).unwrap();
    // The process dies here: the entry is durable, the reservation is gone.
    drop(reservation);
    let mut recovered = Ledger::replay(budget(4.0), [ledger.opened(), entry]).unwrap();
    assert_eq!(recovered, ledger);
    assert_eq!(recovered.unresolved().collect::<Vec<_>>(), vec![key(1)]);
    assert!(recovered.epsilon_spent().lower > 3.0);
    assert!(matches!(recovered.reserve(key(2), charge(1.2)), Err(ReserveError::BudgetExhausted(_))));
    assert!(matches!(recovered.reserve(key(1), charge(1000.0)), Err(ReserveError::Duplicate { .. })));
}

#[test]
fn claim_an_attempt_is_charged_once_and_a_retry_is_charged_again() {
    let mut ledger = Ledger::new(budget(8.0));
    let (first, _) = ledger.reserve(key(1), charge(2.0)).unwrap();
    let once = ledger.epsilon_spent().upper;
    assert_eq!(ledger.reserve(key(1), charge(2.0)).err(), Some(ReserveError::Duplicate { key: key(1) }));
    assert_eq!(ledger.epsilon_spent().upper.to_bits(), once.to_bits());
    ledger.release(first);
    let retry = LedgerKey { attempt: AttemptId(2), ..key(1) };
    let (second, _) = ledger.reserve(retry, charge(2.0)).unwrap();
    assert!(ledger.epsilon_spent().lower > once);
    let _ = ledger.void(second);
    assert_eq!(ledger.epsilon_spent().upper.to_bits(), once.to_bits());
    assert!(
        matches!(ledger.reserve(retry, charge(2.0)), Err(ReserveError::Duplicate { .. })),
        "a voided key is used up"
    );
}

#[test]
fn claim_a_release_without_protection_fits_no_budget() {
    for filter in [Filter::Gdp, Filter::Zcdp] {
        let mut ledger = Ledger::with_filter(budget(1e6), filter);
        let refused = ledger.reserve(key(1), Charge::non_private()).unwrap_err();
        assert!(matches!(refused, ReserveError::BudgetExhausted(e) if e.would_be == f64::INFINITY));
    }
}

#[test]
fn malformed_noise_is_never_charged_as_if_it_were_free() {
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let event = DpEvent::Gaussian { noise_multiplier: bad };
        for filter in [Filter::Gdp, Filter::Zcdp] {
            let mut ledger = Ledger::with_filter(budget(8.0), filter);
            assert!(matches!(
                ledger.reserve(key(1), Charge::on_the_word_of_the_plan(event.clone())),
                Err(ReserveError::NotAccountable { .. })
            ));
        }
        let entries = [LedgerEntry::Reserved { key: key(1), event }];
        assert!(matches!(Ledger::replay(budget(8.0), entries), Err(LedgerError::NotAccountable { .. })));
    }
}

#[test]
fn claim_a_journal_that_contradicts_itself_is_refused() {
    let reserved = LedgerEntry::Reserved { key: key(1), event: DpEvent::gaussian(z(2.0)) };
    let released = LedgerEntry::Released { key: key(1) };
    let voided = LedgerEntry::Voided { key: key(1) };
    let opened = Ledger::new(budget(8.0)).opened();
    let replay = |entries: &[&LedgerEntry]| Ledger::replay(budget(8.0), entries.iter().copied().cloned()).err();
    let not_open = Some(LedgerError::NotOpen { key: key(1) });
    assert_eq!(replay(&[&released]), not_open);
    assert_eq!(replay(&[&reserved, &released, &voided]), not_open, "no void after a release");
    assert_eq!(replay(&[&reserved, &voided, &released]), not_open);
    assert_eq!(replay(&[&reserved, &reserved]), Some(LedgerError::Duplicate { key: key(1) }));
    assert_eq!(replay(&[&reserved, &opened]), Some(LedgerError::OpenedTwice));
    assert_eq!(
        Ledger::replay(budget(9.0), [opened.clone()]).err(),
        Some(LedgerError::OtherBudget { found: budget(8.0) }),
        "a spent budget is not enlarged by editing a config"
    );
    let clients = Budget { unit: Unit::Client, ..budget(8.0) };
    assert_eq!(
        Ledger::replay(clients, [opened.clone()]).err(),
        Some(LedgerError::OtherBudget { found: budget(8.0) }),
        "charges per speaker and per client do not add up"
    );
    assert_eq!(replay(&[&opened, &reserved, &released]), None);
}

#[test]
fn a_count_needs_a_ledger_that_can_bound_it_and_its_own_reservation() {
    let query = CountQuery::new(1, 10.0).unwrap();
    let refused = Ledger::new(budget(8.0)).reserve(key(1), query.charge()).unwrap_err();
    assert!(matches!(refused, ReserveError::NotAccountable { filter: Filter::Gdp, .. }));

    let mut ledger = Ledger::with_filter(budget(8.0), Filter::Zcdp);
    let (other, _) = ledger.reserve(key(1), charge(2.0)).unwrap();
    assert!(matches!(query.release(100, &other), Err(ScalarError::NotReserved { .. })));
    let (own, _) = ledger.reserve(key(2), query.charge()).unwrap();
    let noisy = query.release(100, &own).unwrap();
    assert!((noisy - 100).abs() < 200, "20 standard deviations");
    ledger.release(own);

    for (sensitivity, scale) in [(0, 1.0), (1, 0.0), (1, -1.0), (1, f64::NAN), (1, f64::INFINITY)] {
        assert!(matches!(CountQuery::new(sensitivity, scale), Err(ScalarError::Parameters { .. })));
    }
}

#[test]
fn the_zcdp_filter_is_the_stricter_one_for_gaussian_rounds() {
    let rounds = |filter| Ledger::with_filter(budget(8.0), filter).releases_left(&DpEvent::gaussian(z(6.0)));
    assert!(rounds(Filter::Zcdp) < rounds(Filter::Gdp));
    assert!(rounds(Filter::Zcdp) > rounds(Filter::Gdp) * 7 / 10);
}

#[derive(Clone, Debug)]
enum Op {
    Reserve { round: u64, z: f64 },
    Release(usize),
    Void(usize),
    Crash(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (1u64..12, 0.8f64..20.0).prop_map(|(round, z)| Op::Reserve { round, z }),
        any::<usize>().prop_map(Op::Release),
        any::<usize>().prop_map(Op::Void),
        any::<usize>().prop_map(Op::Crash),
    ]
}

proptest! {
    #[test]
    fn claim_spent_never_shrinks_but_by_voiding_an_unreleased_reservation_and_replay_equals_live(
        ops in prop::collection::vec(op(), 0..40), zcdp: bool,
    ) {
        let filter = if zcdp { Filter::Zcdp } else { Filter::Gdp };
        let mut ledger = Ledger::with_filter(budget(6.0), filter);
        let mut journal = vec![ledger.opened()];
        let mut open: Vec<Reservation> = vec![];
        for op in ops {
            let before = ledger.epsilon_spent().upper;
            let mut voided = false;
            let pick = |i: usize, open: &mut Vec<Reservation>| (!open.is_empty()).then(|| open.swap_remove(i % open.len()));
            match op {
                Op::Reserve { round, z } => if let Ok((r, entry)) = ledger.reserve(key(round), charge(z)) {
                    open.push(r);
                    journal.push(entry);
                } else {
                    prop_assert_eq!(ledger.epsilon_spent().upper.to_bits(), before.to_bits());
                },
                Op::Release(i) => if let Some(r) = pick(i, &mut open) { journal.push(ledger.release(r)); },
                Op::Void(i) => if let Some(r) = pick(i, &mut open) { voided = true; journal.push(ledger.void(r)); },
                Op::Crash(i) => drop(pick(i, &mut open)),
            }
            prop_assert!(voided || ledger.epsilon_spent().upper >= before);
            prop_assert!(ledger.epsilon_spent().upper <= 6.0);
            let text = serde_json::to_string(&journal).unwrap();
            let read: Vec<LedgerEntry> = serde_json::from_str(&text).unwrap();
            let replayed = Ledger::replay(budget(6.0), read).unwrap();
            prop_assert_eq!(&replayed, &ledger);
            prop_assert_eq!(replayed.epsilon_spent().upper.to_bits(), ledger.epsilon_spent().upper.to_bits());
        }
    }
}
