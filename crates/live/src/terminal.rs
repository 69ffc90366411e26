//! The board in a terminal: a screen that is drawn over itself, or one line at a time where there is no screen.
use std::fmt::Write as _;

use crate::board::{Absence, Board, Member, Presence};
use crate::live::Snapshot;
use crate::page::{bytes, number};

/// Rounds in the table.
const ROUNDS: usize = 8;
/// Cells of the bar of ε.
const BAR: usize = 32;
/// Members named in one list.
const NAMED: usize = 12;

/// The screen, cut at `width` characters a line, without what moves the cursor.
pub fn screen(snapshot: &Snapshot, width: usize) -> String {
    let board = &snapshot.board;
    let about = board.about();
    let mut lines = vec![
        format!("sottovoce · {} · federation {}", about.name, about.federation),
        format!("run {} · plan {}…", about.run, &about.plan.to_string()[..12]),
        String::new(),
        now(snapshot),
    ];
    lines.extend(phases(snapshot));
    lines.push(String::new());
    lines.push(privacy(board));
    lines.push(members(board));
    for (what, absence) in [
        ("away", members_with(board, |m| m.presence == Presence::Away)),
        ("late", members_with(board, |m| matches!(m.absence, Some(Absence::Late(_))))),
        (
            "left this attempt",
            members_with(board, |m| m.absence == Some(Absence::Left) && m.presence == Presence::Present),
        ),
        ("declined", members_with(board, |m| m.absence == Some(Absence::Declined))),
    ] {
        if !absence.is_empty() {
            lines.push(format!("  {what}: {}", list(&absence)));
        }
    }
    let traffic = &snapshot.traffic;
    lines.push(format!("frames    {} in, {} out", bytes(traffic.bytes_in), bytes(traffic.bytes_out)));
    if !board.rounds().is_empty() {
        lines.push(String::new());
        lines.push("round   in the sum   lost   mean update   ε spent   seconds".to_owned());
        for r in board.rounds().iter().rev().take(ROUNDS) {
            lines.push(format!(
                "{:>5}   {:>10}   {:>4}   {:>11}   {:>7}   {:>7}",
                r.round,
                r.contributors,
                r.dropouts,
                number(r.mean_update_l2),
                number(r.epsilon_spent),
                number(seconds(r.duration_ms)),
            ));
        }
    }
    if let Some(last) = board.given_up.back() {
        lines.push(String::new());
        lines.push(format!(
            "given up  {} in all; last: round {} attempt {}: {}",
            board.given_up_total, last.round, last.attempt, last.reason
        ));
    }
    if let Some(last) = board.refused.back() {
        let (total, name) = (board.refused_total, board.name(&last.client));
        lines.push(format!("refusals  {total} in all; last: {name}, round {}: {}", last.round, last.reason));
    }
    let mut out = String::new();
    for line in lines {
        let line: String = line.chars().take(width).collect();
        writeln!(out, "{line}").expect("writing to a string cannot fail");
    }
    out
}

/// The moment in one line.
pub fn line(snapshot: &Snapshot) -> String {
    let board = &snapshot.board;
    let mut line = now_without_clock(board);
    write!(line, "; {} of {} members present", board.present(), board.members().len())
        .expect("writing to a string cannot fail");
    if let Some((cap, _)) = board.about().budget {
        write!(line, "; ε {} of {}", number(board.epsilon_spent), number(cap))
            .expect("writing to a string cannot fail");
    }
    line
}

fn now_without_clock(board: &Board) -> String {
    let about = board.about();
    if let Some(outcome) = board.outcome() {
        return format!("{} of {} rounds published; {outcome}", board.published, about.rounds);
    }
    let Some(open) = board.open() else { return format!("{} of {} rounds published", board.published, about.rounds) };
    match (open.phase, board.attempt()) {
        ("gathering", _) => {
            format!(
                "{} of {} rounds published; waiting for members, {} needed",
                board.published, about.rounds, about.n_min
            )
        }
        (phase, Some(attempt)) => {
            format!("round {} of {}, attempt {}: {phase}", attempt.round, about.rounds, attempt.attempt)
        }
        (phase, None) => phase.to_owned(),
    }
}

fn now(snapshot: &Snapshot) -> String {
    let mut now = now_without_clock(&snapshot.board);
    if let Some(open) = snapshot.board.open() {
        let left = open.closes_ms.saturating_sub(snapshot.now_ms).div_ceil(1000);
        write!(now, ", at most {left} s more").expect("writing to a string cannot fail");
    }
    now
}

fn phases(snapshot: &Snapshot) -> Vec<String> {
    let board = &snapshot.board;
    let Some(attempt) = board.attempt() else { return Vec::new() };
    let one = |phase: &str| {
        let closed = attempt.closed.iter().find(|c| c.phase == phase);
        let open = board.open().is_some_and(|open| open.phase == phase);
        match closed {
            Some(c) if c.missing.is_empty() => format!("  ✓ {phase:<11} {} answered", c.answered),
            Some(c) => format!("  ✓ {phase:<11} {} answered, {} missing", c.answered, c.missing.len()),
            None if open => format!("  ▶ {phase:<11} open"),
            None => format!("  · {phase}"),
        }
    };
    board.phases().map(one).collect()
}

fn privacy(board: &Board) -> String {
    let Some((cap, delta)) = board.about().budget else { return "privacy   no differential privacy".to_owned() };
    let share = if cap > 0.0 { (board.epsilon_spent / cap).clamp(0.0, 1.0) } else { 1.0 };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "0 to 32")]
    let full = (share * BAR as f64).ceil() as usize;
    let bar = "#".repeat(full) + &"-".repeat(BAR.saturating_sub(full));
    let (spent, cap) = (number(board.epsilon_spent), number(cap));
    format!("privacy   [{bar}] ε {spent} of {cap} at δ = {delta:e}, {} charges", board.charges)
}

fn members(board: &Board) -> String {
    format!("members   {} of {} present, {} needed", board.present(), board.members().len(), board.about().n_min)
}

fn members_with(board: &Board, which: impl Fn(&Member) -> bool) -> Vec<String> {
    let name = |m: &Member| match m.absence {
        Some(Absence::Late(phase)) => format!("{} ({phase})", m.name),
        _ => m.name.clone(),
    };
    board.members_by_name().into_iter().map(|(_, m)| m).filter(|m| which(m)).map(name).collect()
}

fn list(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[allow(clippy::cast_precision_loss, reason = "for people")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1e3
}
