//! The board says what the engine did, forgets what it cannot hold, and shows nothing that steers its reader's screen.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::collections::BTreeSet;

use common::{
    MEMBERS, NOW, at, board, closed, given_up, id, identity, joined, named_plan, opened, phase_opened, plan, published,
    record, refused, simulate,
};
use serde_json::Value;
use sottovoce_live::{Absence, Board, PHASES, Presence, State, line, metrics_text, page, screen};
use sottovoce_round::{Coordinator, CoordinatorEvent, Entry, JournalEvent, Outcome};
use sottovoce_sim::{DropAfter, Dropout, Script};
use sottovoce_types::{AttemptId, Digest, RoundId, RunId};

fn state(board: &Board) -> Value {
    serde_json::from_str(&State::of(&at(board)).to_json()).unwrap()
}

fn dropouts() -> Script {
    let drop = |client, round, after| Dropout { client, round: RoundId(round), after, back_after_ms: Some(1) };
    Script { dropouts: vec![drop(1, 1, DropAfter::Advert), drop(2, 2, DropAfter::Input)], ..Script::default() }
}

#[test]
fn the_phase_that_the_engine_closes_is_the_one_that_was_shown_open() {
    let plan = plan(3);
    let mut board = board(&plan);
    let mut closed = Vec::new();
    let outcome = simulate(&plan, dropouts(), &mut |event| {
        if let CoordinatorEvent::PhaseClosed { phase, round, attempt, .. } = event {
            assert_eq!(board.open().unwrap().phase, *phase);
            let shown = board.attempt().unwrap();
            assert_eq!((shown.round, shown.attempt), (*round, *attempt));
            closed.push(*phase);
        }
        board.apply(event, NOW);
    });
    assert_eq!(outcome.outcome, Outcome::Completed);
    let without_picks: Vec<&str> = PHASES.into_iter().filter(|p| *p != "picks").collect();
    assert!(closed.len() >= 3 * without_picks.len(), "{closed:?}");
    assert_eq!(closed.iter().copied().collect::<BTreeSet<_>>(), without_picks.into_iter().collect());
    assert_eq!(board.rounds().iter().cloned().collect::<Vec<_>>(), outcome.records);
    assert_eq!((board.open(), board.outcome().unwrap().starts_with("completed")), (None, true));
    let shown = state(&board);
    assert_eq!(shown["rounds_published"], 3);
    // What is spent is what the ledger says, attempts that were given up included.
    let entries = outcome.journal.entries();
    let state_of = plan.initial_params();
    let models = outcome.models.last().unwrap().clone();
    assert_ne!(models.digest(), state_of.digest());
    let ledger = Coordinator::resume(plan.clone(), identity(100), entries, models, None).unwrap();
    let spent = ledger.ledger().unwrap().epsilon_spent().upper;
    assert_eq!(shown["privacy"]["epsilon_spent"].as_f64().unwrap().to_bits(), spent.to_bits());
    assert_eq!(shown["privacy"]["charges"], ledger.ledger().unwrap().charges());
    assert_eq!(shown["privacy"]["epsilon_cap"], 100.0);
}

#[test]
fn a_board_read_from_the_journal_shows_the_rounds_of_the_process_before() {
    let plan = plan(3);
    let mut live = board(&plan);
    let outcome = simulate(&plan, dropouts(), &mut |event| live.apply(event, NOW));
    let mut again = board(&plan);
    again.replay(outcome.journal.entries(), &[]);
    assert_eq!(again.rounds(), live.rounds());
    for key in ["rounds_published", "attempts_opened", "attempts_given_up", "outcome", "rounds"] {
        assert_eq!(state(&again)[key], state(&live)[key], "{key}");
    }
    // Killed in the second round: that attempt is shown as cut off, and the run goes on.
    let second = |e: &Entry| matches!(e.event, JournalEvent::AttemptOpened { round: RoundId(2), .. });
    let until = outcome.journal.entries().iter().position(second).unwrap() + 1;
    let mut killed = board(&plan);
    killed.replay(&outcome.journal.entries()[..until], &[]);
    let shown = state(&killed);
    assert_eq!((&shown["rounds_published"], &shown["outcome"]), (&1.into(), &Value::Null));
    let last = shown["given_up"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["round"], &last["at_ms"]), (&2.into(), &Value::Null));
    assert!(last["reason"].as_str().unwrap().contains("ended before it did"), "{last}");
}

#[test]
fn what_an_evaluation_added_to_a_round_is_shown_and_nothing_else_of_the_file_is() {
    let published = |round: u64| Entry {
        event: JournalEvent::Published {
            run: RunId([9; 16]),
            round: RoundId(round),
            attempt: AttemptId(1),
            model: Digest::default(),
            state: None,
            result: Digest::default(),
            record: Box::new(record(round)),
        },
        ledger: None,
    };
    let metrics: sottovoce_types::Metrics = serde_json::from_value(serde_json::json!({
        "examples": 10, "speakers": 2, "weighted_precision": 0.5, "accuracy": 0.5, "accuracy_ci95": null, "uar": 0.625, "uar_ci95": null, "uar_chance": 0.25,
        "macro_precision": 0.5, "macro_recall": 0.5, "macro_f1": 0.5, "per_class": [], "confusion": [], "loss": 1.0
    }))
    .unwrap();
    let mut evaluated = record(1);
    evaluated.metrics = Some(metrics);
    evaluated.epsilon_spent = 77.0;
    let mut other_model = record(2);
    other_model.metrics.clone_from(&evaluated.metrics);
    other_model.model_sha256 = Digest([255; 32]);
    let mut board = board(&plan(5));
    board.replay(&[published(1), published(2)], &[evaluated, other_model]);
    let shown = state(&board);
    assert_eq!(shown["rounds"][0]["metrics"]["uar"], 0.625);
    assert_eq!(shown["rounds"][0]["epsilon_spent"], 0.25, "the journal's");
    assert_eq!(shown["rounds"][1]["metrics"], Value::Null, "of another model");
    assert!(page(&at(&board)).contains("Recognition on unseen speakers"));
}

#[test]
fn late_left_and_declined_are_told_apart_and_forgotten_in_the_next_attempt() {
    let mut board = board(&plan(3));
    for i in 1..=MEMBERS {
        board.apply(&joined(i), NOW);
    }
    board.apply(&opened(1, 1), NOW);
    board.apply(&phase_opened("adverts"), NOW);
    board.apply(&refused(2, "no data today"), NOW);
    board.apply(&CoordinatorEvent::Left { client: id(3) }, NOW);
    // The engine misses all three; only one of them was there and silent.
    board.apply(&closed("adverts", &[1, 2, 3]), NOW + 10);
    let absence = |board: &Board, i: u8| board.members()[&id(i)].absence;
    assert_eq!(absence(&board, 1), Some(Absence::Late("adverts")));
    assert_eq!(absence(&board, 2), Some(Absence::Declined));
    assert_eq!((absence(&board, 3), board.members()[&id(3)].presence), (Some(Absence::Left), Presence::Away));
    assert_eq!(absence(&board, 4), None);
    board.apply(&joined(3), NOW + 11);
    assert_eq!(board.open(), None, "between two phases");
    board.apply(&closed("shares", &[3]), NOW + 12);
    board.apply(&phase_opened("inputs"), NOW + 12);
    assert_eq!(absence(&board, 3), Some(Absence::Left), "it came back and waits for the next attempt: it is not late");
    let shown = state(&board);
    assert_eq!((&shown["late"], &shown["refusals"]), (&1.into(), &1.into()));
    assert_eq!(shown["open"]["phase"], "inputs");
    assert_eq!(shown["open"]["closes_ms"], NOW + 12 + 1_000);
    board.apply(&given_up(1, "too few"), NOW + 13);
    assert_eq!((board.open().unwrap().phase, board.open().unwrap().closes_ms), ("gathering", NOW + 13 + 2_000));
    board.apply(&opened(1, 2), NOW + 14);
    assert!((1..=MEMBERS).all(|i| absence(&board, i).is_none()));
    assert_eq!(board.members()[&id(1)].late, 1, "the count stays");
}

#[test]
fn the_phase_in_which_clients_pick_whom_they_mask_with_is_shown_where_there_is_one() {
    let mut board = board(&plan(3));
    board.apply(&opened(1, 1), NOW);
    board.apply(&phase_opened("adverts"), NOW);
    assert!(!board.phases().any(|p| p == "picks") && !page(&at(&board)).contains("picks"));
    board.apply(&closed("adverts", &[]), NOW);
    board.apply(&phase_opened("picks"), NOW);
    assert!(page(&at(&board)).contains("open: sites pick whom they mask with"));
    board.apply(&closed("picks", &[]), NOW);
    board.apply(&phase_opened("shares"), NOW);
    assert_eq!(board.phases().collect::<Vec<_>>(), PHASES);
    assert!(screen(&at(&board), 80).contains("✓ picks       5 answered"));
}

#[test]
fn no_time_at_which_a_client_answered_is_shown() {
    // With secret sampling, how long a site trained tells which of its units were drawn.
    let mut board = board(&plan(3));
    (1..=MEMBERS).for_each(|i| board.apply(&joined(i), NOW + u64::from(i)));
    board.apply(&opened(1, 1), NOW);
    let shown = state(&board);
    let members = shown["members"].as_array().unwrap();
    assert_eq!(members.len(), usize::from(MEMBERS));
    for member in members {
        let keys: Vec<&str> = member.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["absence", "client", "declined", "late", "late_for", "name", "present"]);
    }
}

#[test]
fn memory_is_bounded_whatever_happens_and_totals_are_not() {
    let mut board = board(&plan(1_000_000));
    for i in 0..5_000u64 {
        board.apply(&opened(i, 1), NOW);
        board.apply(&refused(1, &"x".repeat(100_000)), NOW);
        board.apply(&given_up(i, &"y".repeat(100_000)), NOW);
        board.apply(&published(i), NOW);
    }
    // Nobody's: a stranger takes no place.
    board.apply(&joined(77), NOW);
    let shown = state(&board);
    let length = |key: &str| shown[key].as_array().unwrap().len();
    assert_eq!((length("refused"), length("given_up"), length("rounds"), length("members")), (50, 50, 2_000, 5));
    assert_eq!((&shown["refusals"], &shown["attempts_given_up"]), (&5_000.into(), &5_000.into()));
    assert_eq!((&shown["rounds_published"], &shown["rounds"][1_999]["round"]), (&5_000.into(), &4_999.into()));
    assert!(shown["refused"][0]["reason"].as_str().unwrap().len() <= 512);
    assert!(page(&at(&board)).len() < 3_000_000);
}

const HOSTILE: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>\" ' & \u{1b}[2J\u{7}\r\n\\\u{202e}evil";

#[test]
fn hostile_words_run_nothing_and_steer_no_terminal() {
    let plan = named_plan(HOSTILE, HOSTILE, 3);
    let mut board = board(&plan);
    board.apply(&joined(1), NOW);
    board.apply(&opened(1, 1), NOW);
    board.apply(&refused(1, HOSTILE), NOW);
    board.apply(&closed("adverts", &[1, 2]), NOW);
    board.apply(&given_up(1, HOSTILE), NOW);
    let html = page(&at(&board));
    assert!(html.contains("&lt;script&gt;alert(1)"), "it is shown");
    assert_eq!(html.matches("<script").count(), 1, "and the page's own script is the only one");
    assert!(!html.contains("<img"));
    let text = screen(&at(&board), 400) + &line(&at(&board));
    assert!(text.contains("<script>alert(1)"), "a terminal shows it as it is");
    for shown in [&html, &text, &State::of(&at(&board)).to_json()] {
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\r', '\u{202e}']), "{shown}");
    }
    let metrics = metrics_text(&at(&board));
    assert!(
        metrics.contains(r#"name="<script>alert(1)</script><img src=x onerror=alert(2)>\" ' & [2J\\evil""#),
        "{metrics}"
    );
}

#[test]
fn the_terminal_says_what_the_page_says() {
    let mut board = board(&plan(20));
    (1..=4).for_each(|i| board.apply(&joined(i), NOW));
    board.apply(&published(1), NOW);
    board.apply(&opened(2, 1), NOW);
    board.apply(&CoordinatorEvent::Charged { charges: 2, epsilon_spent: 25.0 }, NOW);
    board.apply(&closed("adverts", &[1]), NOW + 1_000);
    board.apply(&phase_opened("shares"), NOW + 1_000);
    let text = screen(&at(&board), 120);
    for said in [
        "round 2 of 20, attempt 1: shares, at most 1 s more",
        "✓ adverts     4 answered, 1 missing",
        "▶ shares      open",
        "[########------------------------] ε 25.0 of 100 at δ = 1e-5, 2 charges",
        "4 of 5 present, 3 needed",
        "away: site-5",
        "late: site-1 (adverts)",
        "3.46 kB in, 89 B out",
    ] {
        assert!(text.contains(said), "{said}:\n{text}");
    }
    assert!(screen(&at(&board), 40).lines().all(|l| l.chars().count() <= 40));
    assert_eq!(line(&at(&board)), "round 2 of 20, attempt 1: shares; 4 of 5 members present; ε 25.0 of 100");
    board.stopped();
    assert!(line(&at(&board)).contains("told to stop"), "{}", line(&at(&board)));
}

/// Each sample follows the HELP and TYPE of its name, names of counters end in `_total`, and no series comes twice.
fn parsed(text: &str) -> std::collections::BTreeMap<String, f64> {
    let (mut series, mut declared) = (std::collections::BTreeMap::new(), std::collections::BTreeMap::new());
    let mut helped = None;
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            helped = Some(help.split_once(' ').unwrap().0.to_owned());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(helped.as_deref(), Some(name));
            assert!(["gauge", "counter"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(declared.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is declared twice");
        } else {
            let (what, value) = line.rsplit_once(' ').unwrap();
            let name = what.split('{').next().unwrap();
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{line}");
            assert_eq!(helped.as_deref(), Some(name), "a sample stands with its name's HELP and TYPE: {line}");
            assert!(declared.contains_key(name), "{line}");
            assert!(series.insert(what.to_owned(), value.parse().unwrap()).is_none(), "{line} comes twice");
        }
    }
    series
}

#[test]
fn metrics_are_what_prometheus_reads_and_name_no_client() {
    let plan = plan(20);
    let mut board = board(&plan);
    let at_first = parsed(&metrics_text(&at(&board)));
    (1..=4).for_each(|i| board.apply(&joined(i), NOW));
    board.apply(&opened(1, 1), NOW);
    board.apply(&CoordinatorEvent::Charged { charges: 1, epsilon_spent: 2.5 }, NOW);
    board.apply(&refused(2, "no"), NOW);
    board.apply(&closed("adverts", &[1]), NOW + 1_000);
    board.apply(&phase_opened("shares"), NOW + 1_000);
    let text = metrics_text(&at(&board));
    let series = parsed(&text);
    for (name, value) in [
        ("sottovoce_rounds_planned", 20.0),
        ("sottovoce_attempts_opened_total", 1.0),
        ("sottovoce_refusals_total", 1.0),
        ("sottovoce_late_total", 1.0),
        ("sottovoce_members_present", 4.0),
        ("sottovoce_phase{phase=\"shares\"}", 1.0),
        ("sottovoce_phase{phase=\"adverts\"}", 0.0),
        ("sottovoce_phase_closes_seconds", 0.5),
        ("sottovoce_epsilon_spent", 2.5),
        ("sottovoce_epsilon_cap", 100.0),
        ("sottovoce_frame_bytes_total{direction=\"in\"}", 3_456.0),
    ] {
        assert_eq!(series[name].to_bits(), f64::to_bits(value), "{name}: {text}");
    }
    for name in at_first.keys().filter(|n| n.contains("_total")) {
        assert!(series[name] >= at_first[name], "a counter never falls: {name}");
    }
    for i in 1..=MEMBERS {
        assert!(
            !text.contains(&id(i).to_hex())
                && !text.contains(&id(i).to_string())
                && !text.contains(&format!("site-{i}"))
        );
    }
    assert!(std::panic::catch_unwind(|| parsed("sottovoce_x 1\n")).is_err(), "a sample without HELP is caught");
}
