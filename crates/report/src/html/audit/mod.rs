//! The page of an audit.
mod attacks;
mod found;
mod verdict;

use maud::{Markup, html};
use sottovoce_types::{Unit, Verdict};

use super::{figure, page, synthetic_banner, unit};
use crate::audit::AuditReport;
use crate::text::{epsilon_upper, seconds, small};

/// One page about an audit.
pub fn audit_html(report: &AuditReport) -> String {
    let h = &report.header;
    let alarm = matches!(report.verdict.verdict, Some(Verdict::Violation | Verdict::Inconclusive));
    let first = html! {
        p class=(if alarm { "first alarm" } else { "first" }) {
            "Audit: " (verdict::word(report.verdict.verdict)) " · " (verdict::sentence(report.verdict.verdict))
        }
    };
    let body = html! {
        h1 { "Audit of " (h.run) }
        p.lead {
            "Theory against measurement, attack by attack. Ids and recovered features below are as confidential as the corpus."
        }
        @if h.synthetic { (synthetic_banner()) }
        (verdict::section(&report.verdict))
        (header(report))
        @for family in &report.families { (attacks::section(family)) }
        @if report.families.is_empty() {
            h3 { "Attacks" }
            p { "No attack was run: this page shows nothing about leakage in practice." }
        }
        (found::slices(&report.slices))
        (found::exposed(&report.exposed))
        (found::reconstructions(&report.reconstructions))
        (not_tested(&report.not_tested))
    };
    page(&format!("Audit of {} · Sottovoce", h.run), &first, &body)
}

fn header(report: &AuditReport) -> Markup {
    let h = &report.header;
    let views: Vec<&str> = h.views.iter().map(|v| v.name()).collect();
    let row = |name: &str, value: Markup| html! { tr { th scope="row" { (name) } td { (value) } } };
    let guarantee = html! {
        @if let (Some(epsilon), Some(delta)) = (h.epsilon, h.delta) { "ε ≤ " (epsilon_upper(Some(epsilon))) " at δ = " (small(delta)) }
        @else { "none: ε = ∞" }
    };
    let delta = match h.delta_is_small() {
        Some(true) => html! { span.good { "✓ δ < 1/N" } ", N = " (h.units) },
        Some(false) => html! {
            span.bad { "✗ δ is not below 1/N" } ", N = " (h.units) ": publishing one unit whole would satisfy it"
        },
        None => html! { "no δ: nothing is noised" },
    };
    html! {
        h3 { "What was audited" }
        div.scroll { table { tbody {
            (row("unit of the guarantee", html! { (unit(h.unit)) @if h.unit != Unit::None { ", " (h.units) " of them" } }))
            (row("views that attacks had", html! { @if views.is_empty() { "none" } @else { (views.join(", ")) } }))
            (row("mechanism", html! { (h.mechanism) }))
            (row("guarantee against the coordinator", guarantee))
            (row("accountant", html! { (h.accountant) }))
            (row("δ", delta))
            (row("members, non-members", html! { (h.members) " clips, " (h.non_members) " clips of the same speakers" }))
            (row("speakers, clients, rounds", html! { (h.speakers) ", " (h.clients) ", " (h.rounds) }))
            (row("shadow models", html! { @if h.shadows == 0 { "none needed" } @else { (h.shadows) } }))
            (row("seeds", html! { (h.seeds) }))
            (row("config, SHA-256", html! { code.hash { (h.config_sha256) } }))
            (row("model, SHA-256", html! { code.hash { (h.model_sha256) } }))
            (row("the audit took", html! { (seconds(h.wall_s)) }))
        } } }
    }
}

fn not_tested(list: &[String]) -> Markup {
    html! {
        h3 { "What this audit did not test" }
        ul.plain { @for line in list { li { (line) } } }
        p.small { "Nothing found is not the same as private: an attack that fails shows that this attack failed." }
    }
}
