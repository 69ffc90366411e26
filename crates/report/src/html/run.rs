//! The section about one run.
use maud::{Markup, html};
use sottovoce_types::{Metrics, Vantage};

use super::{coordinator_epsilon, figure, partition, privacy, recognition, synthetic_banner, unit};
use crate::text::{NONE, interval, percent, seconds, significant};
use crate::{RunReport, learning_curve_figure};

pub(super) fn section(run: &RunReport, alone: bool) -> Markup {
    html! {
        section {
            (header(run, alone))
            (tiles(run))
            (partition::section(run))
            (learning(run))
            (recognition::section(run))
            (privacy::spent(run))
            (privacy::attacks(run, alone))
            (privacy::canary(run))
            (not_shown(run))
            (provenance(run))
        }
    }
}

fn header(run: &RunReport, alone: bool) -> Markup {
    let s = &run.summary;
    html! {
        @if alone { h1 { (s.name) } } @else { h2 { (s.name) } }
        p.lead {
            "Speech-emotion model trained on " (s.corpus) " by " (plural(s.clients.into(), "client"))
            " over " (plural(s.rounds, "round")) "; " (s.units) " privacy units, " (s.parameters)
            " parameters; split: " (s.split) "."
        }
        @if s.synthetic { (synthetic_banner()) }
        @if run.is_plain() {
            p.banner {
                "Plain aggregation: a control, not a protected run. The coordinator saw every single update."
            }
        }
        @if run.leaks_speakers() {
            p.banner { "Random split: speakers may lie on both sides of it, so recognition is overstated." }
        }
    }
}

fn plural(n: u64, word: &str) -> String {
    if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") }
}

fn tiles(run: &RunReport) -> Markup {
    let s = &run.summary;
    let m = &s.metrics;
    let tile = |figure: &str, what: &str| html! { li { b { (figure) } span { (what) } } };
    let interval = |ci| interval(ci, m.speakers);
    html! {
        ul.tiles {
            (tile(&percent(m.uar), &format!("UAR on unseen speakers, 95 %: {}; chance {}", interval(m.uar_ci95), percent(m.uar_chance))))
            (tile(&percent(m.accuracy), &format!("accuracy, 95 %: {}", interval(m.accuracy_ci95))))
            (tile(&coordinator_epsilon(run), &format!("ε against the coordinator, unit: {}", unit(s.unit))))
            (tile(&s.dropouts.to_string(), "client dropouts survived"))
            (tile(&seconds(s.wall_s), "wall time"))
        }
    }
}

fn learning(run: &RunReport) -> Markup {
    html! {
        h3 { "Learning" }
        @if run.rounds.iter().any(|r| r.metrics.is_some()) {
            (figure(&learning_curve_figure(&run.rounds), &html! {
                "Unweighted average recall and accuracy on speakers that were never trained on. Bands are 95 % \
                 intervals by bootstrap over speakers; they do not cover the randomness of training itself."
            }))
        } @else {
            p { "No round was evaluated, so there is no learning curve." }
        }
        @if !run.rounds.is_empty() {
            details {
                summary { "Every round" }
                div.scroll { table {
                    thead { tr {
                        th.n { "round" } th.n { "attempt" } th.n { "contributors" } th.n { "dropouts" } th.n { "UAR" }
                        th.n { "accuracy" } th.n { "‖mean update‖₂" } th.n { "ε spent" } th.n { "duration" }
                    } }
                    tbody { @for r in &run.rounds {
                        @let metric = |pick: fn(&Metrics) -> f64| r.metrics.as_ref().map_or(NONE.to_owned(), |m| percent(pick(m)));
                        tr {
                            td.n { (r.round) } td.n { (r.attempt) }
                            td.n { (r.contributors) " of " (r.cohort) } td.n { (r.dropouts) }
                            td.n { (metric(|m| m.uar)) } td.n { (metric(|m| m.accuracy)) }
                            td.n { (significant(r.mean_update_l2)) } td.n { (significant(r.epsilon_spent)) }
                            td.n { (seconds(r.duration_ms as f64 / 1000.0)) }
                        }
                    } }
                } }
            }
        }
    }
}

/// What a reader might take from this page and must not.
fn not_shown(run: &RunReport) -> Markup {
    let s = &run.summary;
    let attacked: Vec<Vantage> = run.attacks.iter().filter(|a| a.control_of.is_none()).map(|a| a.vantage).collect();
    let all = [Vantage::Network, Vantage::Coordinator, Vantage::Collusion, Vantage::PeerClient, Vantage::Released];
    let silent: Vec<_> = all.into_iter().filter(|v| !attacked.contains(v)).map(Vantage::name).collect();
    html! {
        h3 { "What this report does not show" }
        ul.plain {
            @if s.synthetic {
                li { (super::SYNTHETIC) ". Figures of recognition and of leakage may both differ on people." }
            }
            li { "One run with one seed: another seed gives other figures; intervals cover the choice of test speakers only." }
            @if let Some(e) = s.privacy.iter().find_map(|p| p.epsilon) && e.is_finite() {
                li {
                    "Every ε is about one " (s.unit.name()) " and holds under the assumptions named beside it. It does not \
                     charge the choice of settings, where that looked at the same data."
                }
            } @else {
                li { "No differential privacy: nothing bounds what the released models say about anyone." }
            }
            @if s.unit == sottovoce_types::Unit::Utterance {
                li { "An ε about one utterance says little about a speaker with many of them." }
            }
            li { "An attack that fails shows that this attack failed. A stronger one may not." }
            @if !silent.is_empty() {
                li { "No attack was run from: " (silent.join(", ")) "." }
            }
            li {
                "What a model reveals about a group (how women or the young sound when angry) is learnt on purpose, and no ε \
                 about one " (if s.unit == sottovoce_types::Unit::None { "speaker" } else { s.unit.name() }) " hides it."
            }
            @for part in &run.missing { li { (part) "." } }
        }
    }
}

fn provenance(run: &RunReport) -> Markup {
    let s = &run.summary;
    let mut facts = Vec::new();
    if let Some(value) = &run.provenance {
        flatten("", value, &mut facts);
    }
    html! {
        h3 { "Provenance" }
        div.scroll { table { tbody {
            tr { td { "config, SHA-256" } td { code.hash { (s.config_sha256) } } }
            tr { td { "last model, SHA-256" } td { code.hash { (s.model_sha256) } } }
            @for (name, value) in &facts { tr { td { (name) } td { code.hash { (value) } } } }
        } } }
        @if run.provenance.is_none() { p.small { "No provenance was recorded." } }
        @if let Some(config) = &run.config {
            details { summary { "config.toml, as resolved" } pre { (config) } }
        }
    }
}

/// Objects become dotted names; lists stay on one line.
fn flatten(name: &str, value: &serde_json::Value, out: &mut Vec<(String, String)>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (field, value) in fields {
                let name = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
                flatten(&name, value, out);
            }
        }
        serde_json::Value::String(text) => out.push((name.to_owned(), text.clone())),
        other => out.push((name.to_owned(), other.to_string())),
    }
}
