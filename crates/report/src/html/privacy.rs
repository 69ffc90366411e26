//! Privacy in a run's section: what was spent, what attacks found, what the canaries showed.
use maud::{Markup, html};
use sottovoce_types::{AttackScore, CanaryAudit, Vantage, Verdict};

use super::{figure, unit};
use crate::run::{beats_guessing, controls_of, in_order_with_controls};
use crate::text::{epsilon_lower, epsilon_upper, percent, significant, small};
use crate::{RunReport, attack_figures, canary_figure, epsilon_figure};

pub(super) fn spent(run: &RunReport) -> Markup {
    let s = &run.summary;
    html! {
        h3 { "Privacy spent" }
        @if s.privacy.is_empty() {
            p { "No guarantee is claimed against anyone: ε = ∞ from every vantage." }
        } @else {
            p { "Neighbouring data sets differ by one " b { (unit(s.unit)) } "." }
            div.scroll { table {
                thead { tr { th { "against" } th.n { "ε at most" } th.n { "δ" } th { "on the basis of" } } }
                tbody { @for p in &s.privacy { tr {
                    td { (vantage(p.vantage)) }
                    td.n { (epsilon_upper(p.epsilon)) }
                    td.n { (small(p.delta)) }
                    td.wide { (p.basis) }
                } } }
            } }
        }
        @if let Some(drawn) = run.delta().and_then(|delta| epsilon_figure(&run.rounds, delta)) {
            (figure(&drawn, &html! {
                "By the coordinator’s ledger after each published round. Attempts that were abandoned after their sum was \
                 revealed are spent too; a site’s own ledger may show more."
            }))
        }
    }
}

fn vantage(v: Vantage) -> &'static str {
    match v {
        Vantage::Network => "the network",
        Vantage::Coordinator => "the coordinator",
        Vantage::CoordinatorPlain => "the coordinator, without secure aggregation",
        Vantage::Collusion => "the coordinator with corrupt clients",
        Vantage::PeerClient => "another client",
        Vantage::Released => "holders of the released models",
        Vantage::KnowsSample => "whoever knows which units were drawn",
        Vantage::Auditor => "the auditor",
    }
}

pub(super) fn attacks(run: &RunReport, alone: bool) -> Markup {
    html! {
        h3 { "Attacks" }
        @if run.audited {
            p {
                "ROC curves, slices, the most exposed clips, reconstructions, and what was not tested: "
                @if alone { a href="audit/report.html" { "the audit’s own page" } } @else { "audit/report.html in the run’s directory" } "."
            }
        }
        @if run.attacks.is_empty() {
            p { "No attack was run: this report shows nothing about leakage in practice." }
        } @else {
            @for drawn in attack_figures(&run.attacks) {
                (figure(&drawn, &html! {
                    "Each attack beside its control: the same attack with the defence off. A control that does not win \
                     makes the attack’s failure meaningless."
                }))
            }
            div.scroll { table {
                thead { tr {
                    th { "attack" } th { "vantage" } th { "measure" } th.n { "value" } th.n { "95 % interval" } th.n { "chance" }
                    th.n { "trials" } th { "reading" }
                } }
                tbody { @for score in in_order_with_controls(&run.attacks) { (attack_row(score, &run.attacks)) } }
            } }
        }
    }
}

fn attack_row(score: &AttackScore, all: &[AttackScore]) -> Markup {
    let (class, reading) = reading(score, all);
    html! {
        tr class=[score.control_of.is_some().then_some("control")] {
            td.wide title=(score.citation) {
                @if let Some(of) = &score.control_of { "control of " (of) @if &score.attack != of { ": " (score.attack) } }
                @else { (score.attack) }
            }
            td { (score.vantage.name()) }
            td { (score.metric) }
            td.n { (format!("{:.3}", score.value)) }
            td.n { (format!("{:.3}–{:.3}", score.ci95.low, score.ci95.high)) }
            td.n { (significant(score.chance)) }
            td.n { (score.trials) }
            td.wide { span class=(class) { (reading) } " " (score.note) span.small { @if !score.citation.is_empty() { " [" (score.citation) "]" } } }
        }
    }
}

/// What a score says, together with its controls.
fn reading(score: &AttackScore, all: &[AttackScore]) -> (&'static str, &'static str) {
    let won = beats_guessing(score);
    if score.control_of.is_some() {
        return if won { ("good", "The control wins.") } else { ("bad", "The control does not win.") };
    }
    let mut controls = controls_of(score, all).peekable();
    let controlled = controls.peek().is_some();
    match (won, controlled, controls.any(beats_guessing)) {
        (true, ..) => ("bad", "Better than guessing: this leaks."),
        (false, true, true) => ("good", "No better than guessing, while its control wins."),
        (false, true, false) => ("warn", "No better than guessing, but neither is its control: this shows nothing."),
        (false, false, _) => ("warn", "No better than guessing, but it has no control: this shows nothing."),
    }
}

pub(super) fn canary(run: &RunReport) -> Markup {
    let Some(audit) = &run.canary else {
        return html! {
            h3 { "Canary audit" }
            p { "No canary audit was run: the accountant’s bound was not checked against the implementation." }
        };
    };
    let (class, verdict) = verdict(audit);
    html! {
        h3 { "Canary audit" }
        div.box {
            p { span.verdict.(class) { (verdict) } }
            (figure(&canary_figure(audit), &html! {
                "Blue: what the accountant allows. Orange: where ε must lie, given what the canaries showed. The orange line \
                 must begin inside the blue."
            }))
            div.scroll { table { tbody {
                tr { td { "claimed, accountant" } td { "ε ≤ " (epsilon_upper(Some(audit.epsilon_claimed))) " at δ = " (small(audit.delta)) } }
                tr { td { "shown by canaries" } td {
                    "ε ≥ " (epsilon_lower(audit.epsilon_lower)) " with confidence " (percent(audit.confidence))
                } }
                tr { td { "method" } td { (audit.method) ", " (audit.canaries) " canaries over " (audit.rounds) " rounds" } }
                tr { td { "power" } td { (power(audit)) } }
            } } }
            p { b { "No violation detected is not a proof of privacy." } " An audit can find a bug; it cannot show that there is none." }
        }
    }
}

fn verdict(audit: &CanaryAudit) -> (&'static str, &'static str) {
    match audit.verdict {
        Verdict::NoViolation => ("good", "No violation detected: the empirical bound lies below the claim."),
        Verdict::Violation => (
            "bad",
            "Violation: the canaries show more leakage than the accountant allows. The run is not private as claimed.",
        ),
        Verdict::Inconclusive => ("warn", "Inconclusive: too little power to tell."),
    }
}

fn power(audit: &CanaryAudit) -> String {
    let factor = audit.detectable_noise_shortfall;
    if factor.is_finite() && factor > 0.0 {
        format!("noise too small by a factor of {factor:.2} or more would have been caught with probability 0.95")
    } else {
        "no shortfall of noise would have been caught with probability 0.95".to_owned()
    }
}
