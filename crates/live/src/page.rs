//! The page: made here, whole and in sections, so that a reader without scripts sees the same as one with them.
use std::sync::OnceLock;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use sottovoce_report::{Spending, page_style, progress_figures, spending_figure};
use sottovoce_types::RoundRecord;

use crate::board::{Absence, Attempt, Board, Member, Presence};
use crate::live::Snapshot;

/// What makes the page follow the run.
pub(crate) const SCRIPT: &str = include_str!("page.js");

/// Rounds in the table; the figures show more, and the run directory all.
const ROUNDS: usize = 12;
/// Seconds between two loads where no script runs.
const RELOAD_S: u32 = 5;

/// The style sheet.
pub(crate) fn style() -> &'static str {
    static STYLE: OnceLock<String> = OnceLock::new();
    STYLE.get_or_init(|| page_style() + include_str!("page.css"))
}

/// The whole page: it loads nothing but `/events`.
pub fn page(snapshot: &Snapshot) -> String {
    let about = snapshot.board.about();
    let whole = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                noscript { meta http-equiv="refresh" content=(RELOAD_S); }
                title { (title(&snapshot.board)) }
                style { (PreEscaped(style())) }
            }
            body {
                main {
                    header {
                        h1 { (about.name) }
                        p #link role="status" { "This page follows the run by itself where scripts run; else it loads itself again." }
                    }
                    p.lead.small {
                        "Federation " (about.federation) " · run " code { (about.run) } " · plan " code.hash { (about.plan) }
                        " · privacy unit: " (about.unit.name())
                    }
                    @for (id, markup) in sections(snapshot) { section id=(id) { (PreEscaped(markup)) } }
                    footer.small {
                        "Read-only. The coordinator sees sums of masked vectors: no speech, no single update. When a site answers is not \
                         shown: it could tell which of its units were drawn. For programs: "
                        a href="state.json" { "state.json" } ", " a href="metrics" { "metrics" } "."
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    whole.into_string()
}

/// The parts of the page that change, by the id of their element.
pub(crate) fn sections(snapshot: &Snapshot) -> [(&'static str, String); 6] {
    let board = &snapshot.board;
    [
        ("now", now(snapshot)),
        ("privacy", privacy(board)),
        ("members", members(board)),
        ("figures", figures(board)),
        ("rounds", rounds(board)),
        ("troubles", troubles(board)),
    ]
    .map(|(id, markup)| (id, markup.into_string()))
}

fn title(board: &Board) -> String {
    let (published, planned) = (board.published, board.about().rounds);
    let name = &board.about().name;
    match (board.outcome(), board.open(), board.attempt()) {
        (Some(_), ..) => format!("over: {published} of {planned} rounds · {name}"),
        (None, Some(open), Some(attempt)) => format!("round {} of {planned}, {} · {name}", attempt.round, open.phase),
        _ => format!("{published} of {planned} rounds · {name}"),
    }
}

fn now(snapshot: &Snapshot) -> Markup {
    let board = &snapshot.board;
    let about = board.about();
    let left = board.open().map(|open| open.closes_ms.saturating_sub(snapshot.now_ms));
    html! {
        p.now #headline data-title=(title(board)) {
            @match (board.open().map(|open| open.phase), board.attempt()) {
                (Some(phase), Some(attempt)) if phase != "gathering" => {
                    "Round " (attempt.round) " of " (about.rounds) ", attempt " (attempt.attempt) ": " (phase)
                }
                (Some(_), _) => { "Waiting for members: " (board.present()) " present, " (about.n_min) " needed" }
                (None, _) => { (board.published) " of " (about.rounds) " rounds published" }
            }
            @if let Some(left) = left {
                span.left { ", at most " span data-left=(left) { (left.div_ceil(1000)) " s" } " more" }
            }
        }
        @if let Some(outcome) = board.outcome() { p.outcome { "The run is over: " (outcome) "." } }
        @if let Some(attempt) = board.attempt() { (phases(board, attempt)) }
        ul.tiles {
            li { b { (board.published) " of " (about.rounds) } span { "rounds published" } }
            li { b { (board.present()) " of " (board.members().len()) } span { "members present, " (about.n_min) " needed" } }
            li { b { (board.given_up_total) " of " (board.attempts) } span { "attempts given up" } }
            li { b { (board.late_total) } span { "late answers" } }
            li { b { (board.refused_total) } span { "refusals" } }
            li { b { (bytes(snapshot.traffic.bytes_in)) } span { "from clients, " (bytes(snapshot.traffic.bytes_out)) " to them" } }
        }
    }
}

fn phases(board: &Board, attempt: &Attempt) -> Markup {
    html! {
        ol.phases aria-label="Phases of the attempt" {
            @for phase in board.phases() {
                @let closed = attempt.closed.iter().find(|c| c.phase == phase);
                @let open = board.open().is_some_and(|open| open.phase == phase);
                @match closed {
                    Some(c) if c.missing.is_empty() => li.closed { span.mark aria-hidden="true" { "✓" } b { (phase) } (c.answered) " answered" },
                    Some(c) => li.closed.short {
                        span.mark aria-hidden="true" { "!" } b { (phase) } (c.answered) " answered, without "
                        (c.missing.iter().map(|m| board.name(m)).collect::<Vec<_>>().join(", "))
                    },
                    None if open => li.open { span.mark aria-hidden="true" { "●" } b { (phase) } "open: " (meaning(phase)) },
                    None => li { span.mark aria-hidden="true" { "○" } b { (phase) } "to come: " (meaning(phase)) },
                }
            }
        }
        @if attempt.debited { p.small { "The cost of this attempt is spent, whatever happens next." } }
    }
}

fn meaning(phase: &str) -> &'static str {
    match phase {
        "adverts" => "sites train, then send one-time keys",
        "picks" => "sites pick whom they mask with",
        "shares" => "sites deal shares of their secrets",
        "inputs" => "sites send their masked vectors",
        "signatures" => "sites sign whose vectors are in the sum",
        _ => "sites open the sum, and nothing else",
    }
}

fn privacy(board: &Board) -> Markup {
    html! {
        h2 { "Privacy spent" }
        @match spending(board) {
            Some(spending) => {
                div.spending { (PreEscaped(spending_figure(&spending).inline())) }
                p.small { (board.charges) " attempts charged. An open attempt counts as spent; given up before its sum was asked for, it is given back." }
            }
            None => p.small { "This run has no differential privacy: there is no ε to spend, and none is promised." },
        }
    }
}

fn spending(board: &Board) -> Option<Spending> {
    board.about().budget.map(|(cap, delta)| Spending { spent: board.epsilon_spent, cap, delta })
}

fn members(board: &Board) -> Markup {
    html! {
        h2 { "Members" }
        div.scroll { table {
            caption { "Late and declined are counted since the coordinator started." }
            thead { tr { th scope="col" { "member" } th scope="col" { "identity" } th scope="col" { "now" } th.n scope="col" { "late" } th.n scope="col" { "declined" } } }
            tbody {
                @for (id, member) in board.members_by_name() {
                    @let (class, words) = standing(member);
                    tr {
                        td.nowrap { (member.name) }
                        td { code title=(id.to_hex()) { (id) } }
                        td { span class={ "state " (class) } { (words) } }
                        td.n { (member.late) }
                        td.n { (member.declined) }
                    }
                }
            }
        } }
    }
}

fn standing(member: &Member) -> (&'static str, String) {
    match (member.presence, member.absence) {
        (Presence::Away, _) => ("away", "away".to_owned()),
        (Presence::Present, None) => ("present", "present".to_owned()),
        (Presence::Present, Some(Absence::Declined)) => ("declined", "declined this attempt".to_owned()),
        (Presence::Present, Some(Absence::Left)) => ("left", "came back, waits for the next attempt".to_owned()),
        (Presence::Present, Some(Absence::Late(phase))) => ("late", format!("late for {phase}")),
    }
}

fn figures(board: &Board) -> Markup {
    let rounds: Vec<RoundRecord> = board.rounds().iter().cloned().collect();
    let figures = progress_figures(&rounds, spending(board).as_ref());
    html! {
        h2 { "By round" }
        @if figures.is_empty() { p.small { "No round is published yet." } }
        div.plots { @for figure in &figures { div { (PreEscaped(figure.inline())) } } }
    }
}

fn rounds(board: &Board) -> Markup {
    html! {
        @if !board.rounds().is_empty() {
            div.scroll { table {
                caption { "The last rounds; " code { "rounds.jsonl" } " in the run directory has all." }
                thead { tr {
                    th.n scope="col" { "round" } th.n scope="col" { "attempt" } th.n scope="col" { "in the sum" } th.n scope="col" { "lost" }
                    th.n scope="col" { "mean update, L2" } th.n scope="col" { "ε spent" } th.n scope="col" { "seconds" } th scope="col" { "model" }
                } }
                tbody {
                    @for r in board.rounds().iter().rev().take(ROUNDS) {
                        tr {
                            td.n { (r.round) } td.n { (r.attempt) } td.n { (r.contributors) " of " (r.cohort) } td.n { (r.dropouts) }
                            td.n { (number(r.mean_update_l2)) }
                            td.n { @if board.about().budget.is_some() { (number(r.epsilon_spent)) } @else { "–" } }
                            td.n { (number(seconds(r.duration_ms))) }
                            td { code title=(r.model_sha256) { (&r.model_sha256.to_string()[..12]) } }
                        }
                    }
                }
            } }
        }
    }
}

fn troubles(board: &Board) -> Markup {
    html! {
        h2 { "Refusals and attempts given up" }
        @if board.refused.is_empty() && board.given_up.is_empty() { p.small { "None." } }
        @if !board.refused.is_empty() {
            div.scroll { table {
                caption { "Attempts that members declined, newest first, in their own words: what a site says is its own claim." }
                thead { tr { th scope="col" { "member" } th.n scope="col" { "round" } th scope="col" { "reason" } th scope="col" { "when" } } }
                tbody { @for r in board.refused.iter().rev() {
                    tr { td.nowrap { (board.name(&r.client)) } td.n { (r.round) } td.reason { (r.reason) } td.nowrap { (when(Some(r.at_ms))) } }
                } }
            } }
        }
        @if !board.given_up.is_empty() {
            div.scroll { table {
                caption { "Attempts without a model, newest first." }
                thead { tr { th.n scope="col" { "round" } th.n scope="col" { "attempt" } th scope="col" { "reason" } th scope="col" { "when" } } }
                tbody { @for g in board.given_up.iter().rev() {
                    tr { td.n { (g.round) } td.n { (g.attempt) } td.reason { (g.reason) } td.nowrap { (when(g.at_ms)) } }
                } }
            } }
        }
    }
}

fn when(at_ms: Option<u64>) -> Markup {
    let Some(at_ms) = at_ms else { return html! { "before this start" } };
    let [year, month, day, hour, minute, second] = utc(at_ms / 1000);
    let date = format!("{year:04}-{month:02}-{day:02}");
    let time = format!("{hour:02}:{minute:02}:{second:02}");
    html! { time datetime={ (date) "T" (time) "Z" } { (date) " " (time) " UTC" } }
}

/// Year, month, day, hour, minute and second of a time since 1970, in UTC. Days to a date: Hinnant, chrono-compatible low-level
/// date algorithms, `civil_from_days`.
fn utc(unix_s: u64) -> [u64; 6] {
    let (days, second) = (unix_s / 86_400 + 719_468, unix_s % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    [year, month, of_year - (153 * shifted + 2) / 5 + 1, second / 3_600, second / 60 % 60, second % 60]
}

/// About three significant digits.
pub(crate) fn number(v: f64) -> String {
    if !v.is_finite() {
        return "–".to_owned();
    }
    let size = v.abs();
    if size != 0.0 && !(1e-3..1e6).contains(&size) {
        return format!("{v:.2e}");
    }
    match size {
        s if s >= 100.0 => format!("{v:.0}"),
        s if s >= 10.0 => format!("{v:.1}"),
        s if s >= 1.0 || s == 0.0 => format!("{v:.2}"),
        _ => format!("{v:.4}"),
    }
}

/// Bytes, in words that fit their size.
#[allow(clippy::cast_precision_loss, reason = "for people")]
pub(crate) fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{} kB", number(n as f64 / 1e3)),
        1_000_000..1_000_000_000 => format!("{} MB", number(n as f64 / 1e6)),
        _ => format!("{} GB", number(n as f64 / 1e9)),
    }
}

#[allow(clippy::cast_precision_loss, reason = "for people")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_what_date_says_of_them() {
        // date -u -d @N
        assert_eq!(utc(0), [1970, 1, 1, 0, 0, 0]);
        assert_eq!(utc(951_782_400), [2000, 2, 29, 0, 0, 0]);
        assert_eq!(utc(951_868_799), [2000, 2, 29, 23, 59, 59]);
        assert_eq!(utc(1_798_761_599), [2026, 12, 31, 23, 59, 59]);
        assert_eq!(utc(4_107_542_400), [2100, 3, 1, 0, 0, 0]);
    }

    #[test]
    fn numbers_keep_what_they_have_to_say() {
        let written = [0.0, 0.01234, 1.0, 12.34, 123.4, 1.5e7, 1.2e-7, f64::NAN].map(number);
        assert_eq!(written, ["0.00", "0.0123", "1.00", "12.3", "123", "1.50e7", "1.20e-7", "–"]);
        assert_eq!([999, 1_000, 2_500_000, 7_000_000_000].map(bytes), ["999 B", "1.00 kB", "2.50 MB", "7.00 GB"]);
    }
}
