//! Attacks that share their controls: one table, and figures of those that score units.
use maud::{Markup, html};
use sottovoce_types::Interval;

use super::figure;
use crate::audit::{AuditFamily, AuditRow, RateRow, roc_figure, scores_figure};
use crate::text::{NONE, percent, significant};

pub(super) fn section(family: &AuditFamily) -> Markup {
    let scored = family.attacks.iter().chain(&family.controls).any(|a| !a.rates.is_empty());
    html! {
        h3 { (family.name) }
        p { (family.question) }
        div.scroll { table.audit {
            thead { tr {
                th { "attack, its view, and how it reads" } th class=[scored.then_some("n")] { "measure, 95 % interval" }
                @if scored {
                    th.n { "TPR at 1 % FPR" } th.n { "TPR at 0.1 % FPR" } th.n { "balanced accuracy" } th.n { "members among those accused" }
                }
            } }
            tbody {
                @for row in &family.attacks { (line(row, false, scored)) }
                @for row in &family.controls { (line(row, true, scored)) }
            }
        } }
        @if scored {
            p.small {
                "TPR is the share of members found while that share of non-members is accused. Intervals resample speakers; areas over shadows \
                 also models. The threshold behind balanced accuracy and behind the shares of members among those \
                 accused was chosen on half of the speakers and judged on the other half, and the other way round."
            }
        }
        @for curve in &family.curves {
            div.pair {
                (figure(&roc_figure(curve), &html! { (curve.ceiling_note) }))
                (figure(&scores_figure(curve), &html! {
                    (curve.members) " members, " (curve.non_members) " non-members. What lies beyond the ends is in the outer bars."
                }))
            }
        }
        @if !family.controls.is_empty() || !family.attacks.is_empty() { (sources(family)) }
    }
}

fn line(row: &AuditRow, control: bool, scored: bool) -> Markup {
    html! {
        tr class=[control.then_some("control")] {
            td {
                b { @if control { "control: " } (row.attack) } br;
                span.small { (row.vantage.name()) ". " (row.reading) }
            }
            @if scored {
                td.n {
                    (row.metric) " " b { (format!("{:.3}", row.value)) } br;
                    span.small { (range(row.ci95, 3)) br; "chance " (significant(row.chance)) br; (row.trials) " trials" }
                }
            } @else {
                td {
                    (row.metric) " " b { (format!("{:.3}", row.value)) } " (" (range(row.ci95, 3)) ")" br;
                    span.small { "chance " (significant(row.chance)) "; " (row.trials) " trials" }
                }
            }
            @if scored {
                td.n { (rate(row.rates.first())) }
                td.n { (rate(row.rates.get(1))) }
                @match (&row.judged, &row.not_judged) {
                    (Some(j), _) => {
                        td.n { (percent(j.balanced_accuracy)) br; span.small { (share_range(j.ci95)) } }
                        td.n { @for (i, p) in j.ppv.iter().enumerate() {
                            @if i > 0 { br; }
                            span.small { "where " (significant(100.0 * p.prior)) " % are: " } (percent(p.value)) " " span.small { (share_range(p.ci95)) }
                        } }
                    }
                    (None, Some(why)) => { td colspan="2" { span.small { (why) } } }
                    (None, None) => { td.n { (NONE) } td.n { (NONE) } }
                }
            }
        }
    }
}

fn rate(rate: Option<&RateRow>) -> Markup {
    let Some(rate) = rate else { return html! { (NONE) } };
    let (Some(tpr), Some(ci)) = (rate.tpr, rate.ci95) else {
        return html! { span.small { "too few" br; "non-members:" br; (rate.non_members) " of " (rate.needed) } };
    };
    html! {
        (percent(tpr)) br;
        span.small {
            (share_range(ci)) br;
            (rate.true_positives.unwrap_or(0)) " found," br; (rate.false_positives.unwrap_or(0)) " of " (rate.non_members) " wrongly"
        }
    }
}

fn range(ci: Interval, decimals: usize) -> String {
    format!("{:.decimals$}–{:.decimals$}", ci.low, ci.high)
}

fn share_range(ci: Interval) -> String {
    format!("{:.1}–{:.1}", 100.0 * ci.low, 100.0 * ci.high)
}

fn sources(family: &AuditFamily) -> Markup {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for row in family.attacks.iter().chain(&family.controls) {
        if !row.citation.is_empty() && !seen.iter().any(|(_, c)| *c == row.citation) {
            seen.push((&row.attack, &row.citation));
        }
    }
    html! {
        ul.plain.small { @for (attack, citation) in seen { li { b { (attack) } ": " (citation) } } }
        @for row in family.attacks.iter().filter(|r| r.metric != "auc") { p.small { b { (row.attack) } ", " (row.metric) ": " (row.note) } }
    }
}
