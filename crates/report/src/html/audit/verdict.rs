//! The verdict, with what it rests on.
use maud::{Markup, html};
use sottovoce_types::Verdict;

use crate::audit::{AuditVerdict, WholeTraining};
use crate::text::{epsilon_lower, epsilon_upper, seconds, small};

pub(super) fn word(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::NoViolation) => "✓ PASS",
        Some(Verdict::Violation) => "✗ VIOLATION",
        Some(Verdict::Inconclusive) => "? INCONCLUSIVE",
        None => "– NOT JUDGED",
    }
}

pub(super) fn sentence(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::NoViolation) => "nothing that was measured contradicts what the accountant declares",
        Some(Verdict::Violation) => "what was measured contradicts what the accountant declares",
        Some(Verdict::Inconclusive) => "too little power to tell; this is not a pass",
        None => "no guarantee was held against a measurement",
    }
}

fn class(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::NoViolation) => "good",
        Some(Verdict::Violation) => "bad",
        Some(Verdict::Inconclusive) | None => "warn",
    }
}

pub(super) fn section(v: &AuditVerdict) -> Markup {
    let tile = |figure: Markup, what: Markup| html! { li { b { (figure) } span { (what) } } };
    html! {
        div.box {
            p { span.verdict.(class(v.verdict)) { (word(v.verdict)) ": " (sentence(v.verdict)) "." } }
            @if let (Some(claimed), Some(lower)) = (v.epsilon_claimed, v.epsilon_lower) {
                ul.tiles {
                    (tile(html! { "ε ≤ " (epsilon_upper(Some(claimed))) }, html! { "theory" @if let Some(d) = v.delta { ", at δ = " (small(d)) } }))
                    (tile(html! { "ε ≥ " (epsilon_lower(lower)) }, html! { "measured: " (v.bound) ", α = " (small(v.alpha)) ", " (v.canaries) " canaries" }))
                    (tile(
                        html! { @if let Some(k) = v.power { "× " (format!("{k:.2}")) } @else { "none" } },
                        html! { @if v.power.is_some() { "power: noise short by this factor would have been caught with probability 0.95" } @else { "power: no shortfall of noise would surely have been caught" } }
                    ))
                }
            }
            @for finding in &v.findings {
                p { b { (word(Some(finding.verdict))) } ": " (finding.component) }
                pre.said { (finding.text) }
                @if !finding.narrowed.is_empty() {
                    p { "Narrowed to:" }
                    ul.plain { @for line in &finding.narrowed { li { (line) } } }
                }
                @if finding.verdict == Verdict::Violation { p { "Again: " code { (finding.reproducer) } } }
            }
            @if let Some(whole) = &v.whole_training { (whole_training(whole)) }
            p { b { "No violation is no proof of privacy." } " An audit can find a defect; it cannot show that there is none." }
        }
    }
}

fn whole_training(w: &WholeTraining) -> Markup {
    html! {
        p {
            b { (word(Some(w.verdict))) } ": " (w.canaries) " canaries in a whole training beside the real units, claimed ε ≤ "
            (epsilon_upper(Some(w.epsilon_claimed))) "; all bounds together at α = " (small(w.alpha)) "; it took " (seconds(w.wall_s)) "."
        }
        div.scroll { table {
            thead { tr { th { "bound for one run" } th.n { "ε at least" } } }
            tbody { @for (bound, epsilon) in &w.bounds { tr { td { (bound) } td.n { (epsilon_lower(*epsilon)) } } } }
        } }
    }
}
