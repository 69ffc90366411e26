//! How well the last model recognises: by class, by sex, and whether its probabilities can be taken at their word.
use maud::{Markup, html};
use sottovoce_types::Metrics;

use super::figure;
use crate::evaluation::{by_sex_rows, confidence_note, groups_notes, intervals_note};
use crate::text::{NONE, percent, percent_in, significant};
use crate::{RunReport, by_sex_figure, confusion_figure, reliability_figure};

pub(super) fn section(run: &RunReport) -> Markup {
    let s = &run.summary;
    let m = &s.metrics;
    html! {
        h3 { "Recognition, last model" }
        p {
            (m.examples) " test utterances of " (m.speakers) (if m.speakers == 1 { " speaker. " } else { " speakers. " })
            (intervals_note(m)) "."
        }
        div.pair {
            (figure(&confusion_figure(&s.labels, &m.confusion), &html! {
                "Rows are what was acted or said, columns what was predicted; shades are shares of a row."
            }))
            div {
                (by_class(m))
                (baselines(run))
            }
        }
        (by_sex(m))
        (calibration(m))
    }
}

fn by_class(m: &Metrics) -> Markup {
    let row = |name: &Markup, figures: [f64; 3], examples: u32| {
        html! { tr { td { (name) } @for v in figures { td.n { (percent(v)) } } td.n { (examples) } } }
    };
    html! {
        div.scroll { table {
            thead { tr { th { "class" } th.n { "precision" } th.n { "recall" } th.n { "F1" } th.n { "examples" } } }
            tbody {
                @for c in &m.per_class { (row(&html! { (c.label) }, [c.precision, c.recall, c.f1], c.support)) }
                (row(&html! { b { "macro mean" } }, [m.macro_precision, m.macro_recall, m.macro_f1], m.examples))
                (row(
                    &html! { b { "weighted mean" } },
                    [m.weighted_precision, m.weighted_recall, m.weighted_f1],
                    m.examples
                ))
            }
        } }
        p.small { "Macro F1, 95 %: " (percent_in(m.macro_f1, m.macro_f1_ci95, m.speakers)) ". Weighted means count every class by its examples." }
    }
}

fn baselines(run: &RunReport) -> Markup {
    let s = &run.summary;
    let row = |name: &str, m: &Metrics| {
        html! { tr {
            td { (name) }
            td.n { (percent_in(m.uar, m.uar_ci95, m.speakers)) }
            td.n { (percent_in(m.accuracy, m.accuracy_ci95, m.speakers)) }
        } }
    };
    html! {
        div.scroll { table {
            thead { tr { th { "trained" } th.n { "UAR (95 %)" } th.n { "accuracy (95 %)" } } }
            tbody {
                (row("together, this run", &s.metrics))
                @if let Some(c) = &s.centralised { (row("centrally, no privacy", c)) }
                @if let Some(uar) = s.local_only_uar {
                    tr { td { "by each client alone, mean" } td.n { (percent(uar)) } td.n { (NONE) } }
                }
                tr { td { "not at all: guessing" } td.n { (percent(s.metrics.uar_chance)) } td.n { (NONE) } }
            }
        } }
    }
}

fn by_sex(m: &Metrics) -> Markup {
    let Some(drawn) = by_sex_figure(m) else {
        return html! { h3 { "By sex" } p { "No figures by sex are recorded: the corpus does not tell whose voice is whose." } };
    };
    html! {
        h3 { "By sex" }
        (figure(&drawn, &html! {
            "UAR on the test speakers of either sex; intervals are bootstraps over the speakers of each group."
        }))
        div.scroll { table {
            thead { tr {
                th { "" } @for g in &m.by_sex { th.n { (g.sex.name()) } }
                @if m.sex_gap.is_some() { th.n { "female − male, points" } }
            } }
            tbody { @for row in by_sex_rows(m) { tr {
                @for (i, cell) in row.iter().enumerate() { td.n[i > 0] { (cell) } }
            } } }
        } }
        @for note in groups_notes(m) { p.small { (sentence(&note)) } }
    }
}

fn calibration(m: &Metrics) -> Markup {
    let Some(c) = &m.calibration else {
        return html! { h3 { "Calibration" } p { "No calibration is recorded: the run is older than that figure." } };
    };
    html! {
        h3 { "Calibration" }
        div.pair {
            (figure(&reliability_figure(c), &html! {
                "Predictions in bins of confidence: bars and dots show how many of them are right, the histogram how many \
                 there are. On the dashed line, a model is right as often as it says."
            }))
            div {
                div.scroll { table { tbody {
                    tr { td { "expected calibration error, " (c.bins.len()) " bins" } td.n { (percent(c.expected_calibration_error)) } }
                    tr { td { "Brier score, 0 to 2" } td.n { (significant(c.brier)) } }
                    tr { td { "cross-entropy, nats" } td.n { (significant(m.loss)) } }
                    tr { td { "mean confidence" } td.n { (percent(c.mean_confidence)) } }
                    tr { td { "accuracy" } td.n { (percent(m.accuracy)) } }
                } } }
                p.small { (sentence(&confidence_note(c, m.accuracy))) }
                p.small {
                    "On few examples the calibration error is above 0 even for probabilities that are right. Training with \
                     noise changes confidences as well as accuracy."
                }
            }
        }
    }
}

/// With a capital and a full stop.
fn sentence(note: &str) -> String {
    let mut chars = note.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).chain(['.']).collect())
}
