//! Pages: one file each, no script, nothing loaded.
mod audit;
mod partition;
mod privacy;
mod recognition;
mod run;
mod sweep;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use sottovoce_types::Unit;

pub use audit::audit_html;
pub use sweep::{sweep_html, sweeps_html};

use crate::svg::page_style;
use crate::text::{epsilon_upper, percent_in, seconds};
use crate::{Figure, RunReport};

pub(super) const SYNTHETIC: &str = "Synthetic speech: says nothing about emotion in human speech";

/// One page about one run, or about several: a table of all, then a section each.
pub fn html(runs: &[RunReport]) -> String {
    let title = match runs {
        [run] => run.summary.name.clone(),
        _ => format!("{} runs", runs.len()),
    };
    let facts: Vec<_> = runs.iter().map(|r| (r, FirstLine::of(r.is_plain(), r.is_seeded(), r))).collect();
    let alarm = facts.iter().any(|(_, line)| line.alarm);
    let first = html! {
        p class=(if alarm { "first alarm" } else { "first" }) {
            @if facts.is_empty() { "No runs" }
            @for (i, (run, line)) in facts.iter().enumerate() {
                @if i > 0 { br; }
                @if runs.len() > 1 { (run.summary.name) ": " }
                (line.text)
            }
        }
    };
    let body = html! {
        @if runs.len() == 1 {
            (run::section(&runs[0], true))
        } @else {
            h1 { (title) }
            p.lead { "Side by side; a section about each follows." }
            @if runs.iter().any(|r| r.summary.synthetic) { (synthetic_banner()) }
            (comparison(runs))
            @for run in runs { (run::section(run, false)) }
        }
    };
    page(&format!("{title} · Sottovoce"), &first, &body)
}

/// What the first line of a report says: whether sums and noise were real.
pub(super) struct FirstLine {
    pub(super) text: String,
    pub(super) alarm: bool,
}

impl FirstLine {
    pub(super) fn new(plain: bool, seeded: bool, aggregation: &str, noise_source: &str) -> Self {
        let sums = if plain {
            format!("Aggregation “{aggregation}”: the coordinator saw every single update")
        } else {
            "Secure aggregation: the coordinator saw sums only".to_owned()
        };
        let noise = if seeded {
            "noise source “seeded”: whoever knows the seed can take the noise away".to_owned()
        } else if noise_source == "os" {
            "noise from the operating system’s randomness".to_owned()
        } else {
            format!("noise source “{noise_source}”")
        };
        Self { text: format!("{sums} · {noise}"), alarm: plain || seeded }
    }

    fn of(plain: bool, seeded: bool, run: &RunReport) -> Self {
        Self::new(plain, seeded, &run.summary.aggregation, &run.summary.noise_source)
    }
}

pub(super) fn synthetic_banner() -> Markup {
    html! { p.banner { (SYNTHETIC) "." } }
}

/// A whole page. The content security policy makes the browser hold the page to its word: no script, nothing loaded.
pub(super) fn page(title: &str, first: &Markup, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(page_style())) }
            }
            body {
                (first)
                main {
                    (body)
                    footer { p.small { "Written by Sottovoce. This file loads nothing and runs no script." } }
                }
            }
        }
    }
    .into_string()
}

/// A figure with its caption.
pub(super) fn figure(figure: &Figure, caption: &Markup) -> Markup {
    html! { figure { div.scroll { (PreEscaped(figure.inline())) } figcaption { (caption) } } }
}

fn comparison(runs: &[RunReport]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr {
                th { "run" } th { "corpus" } th { "aggregation" } th { "noise" } th { "unit" }
                th.n { "clients" } th.n { "rounds" } th.n { "UAR (95 %)" } th.n { "accuracy (95 %)" }
                th.n { "ε, coordinator" } th.n { "dropouts" } th.n { "wall time" }
            } }
            tbody { @for r in runs { @let s = &r.summary; tr {
                td { (s.name) }
                td { (s.corpus) }
                td class=[r.is_plain().then_some("warn")] { (s.aggregation) }
                td class=[r.is_seeded().then_some("warn")] { (s.noise_source) }
                td { (unit(s.unit)) }
                td.n { (s.clients) }
                td.n { (s.rounds) }
                td.n { (percent_in(s.metrics.uar, s.metrics.uar_ci95, s.metrics.speakers)) }
                td.n { (percent_in(s.metrics.accuracy, s.metrics.accuracy_ci95, s.metrics.speakers)) }
                td.n { (coordinator_epsilon(r)) }
                td.n { (s.dropouts) }
                td.n { (seconds(s.wall_s)) }
            } } }
        } }
    }
}

/// ε against the coordinator, or that there is no bound.
pub(super) fn coordinator_epsilon(run: &RunReport) -> String {
    use sottovoce_types::Vantage::{Coordinator, CoordinatorPlain};
    let wanted = if run.is_plain() { CoordinatorPlain } else { Coordinator };
    let privacy = &run.summary.privacy;
    let found = privacy.iter().find(|p| p.vantage == wanted).or(privacy.iter().find(|p| p.vantage == Coordinator));
    found.map_or("∞".to_owned(), |p| epsilon_upper(p.epsilon))
}

pub(super) fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::None => "none (no DP)",
        other => other.name(),
    }
}
