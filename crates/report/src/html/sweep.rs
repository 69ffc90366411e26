//! The page about a sweep.
use maud::{Markup, html};
use sottovoce_types::SweepRow;

use super::{FirstLine, figure, page, synthetic_banner, unit};
use crate::sweep::Spread;
use crate::text::{Align, NONE, epsilon_lower, epsilon_upper, percent, seconds, significant, small};
use crate::{SweepGroup, SweepReport};

/// One page about a sweep: utility and leakage against ε, the table over seeds, and every cell.
pub fn sweep_html(sweep: &SweepReport) -> String {
    let line = FirstLine::new(
        sweep.aggregation != "secure",
        sweep.noise_source == "seeded",
        &sweep.aggregation,
        &sweep.noise_source,
    );
    let first = html! { p class=(if line.alarm { "first alarm" } else { "first" }) { (line.text) } };
    let groups = sweep.groups();
    let runs = groups.iter().map(|g| g.runs).max().unwrap_or(0);
    let counted = sweep.counted();
    let body = html! {
        h1 { (sweep.name) }
        p.lead { "Sweep over privacy budgets on " (sweep.corpus) ": " (sweep.rows.len()) " cells, up to " (runs) " " (counted) " a budget." }
        @if sweep.synthetic { (synthetic_banner()) }
        (failed(sweep))
        @if sweep.rows.is_empty() {
            p { "No cell has finished yet." }
        } @else {
            @if sweep.is_comparison() {
                (baselines(sweep))
            } @else {
                h3 { "Utility" }
                @for drawn in sweep.utility_figures() {
                    (figure(&drawn, &html! { "Means over seeds; bands are one standard deviation. Without DP at the right edge." }))
                }
            }
            (leakage(sweep))
            h3 { "Over " (counted) }
            (group_table(&groups, counted))
            (not_shown(sweep, runs))
            details { summary { "Every cell" } (cell_table(&sweep.rows)) }
        }
    };
    page(&format!("{} · Sottovoce sweep", sweep.name), &first, &body)
}

fn failed(sweep: &SweepReport) -> Markup {
    html! {
        @if !sweep.failed.is_empty() {
            div.box {
                p.bad { "Failed cells: " (sweep.failed.len()) ". The same command tries them again, and no others." }
                ul.plain { @for cell in &sweep.failed { li { (cell) } } }
            }
        }
    }
}

/// The table of models and settings, the figure beside it, and what must be said of both.
fn baselines(sweep: &SweepReport) -> Markup {
    let (columns, lines) = sweep.baseline_cells();
    let class = |align: Align| (align == Align::Right).then_some("n");
    html! {
        h3 { "Centralised, federated, federated with differential privacy" }
        @if let Some(drawn) = sweep.baselines_figure() {
            (figure(&drawn, &html! {
                "Band and whiskers are the 95 % intervals of the table below. They are wide where folds are unlike each other, and overlap \
                 even where every fold says the same of two settings: what compares settings is the paired difference in the table."
            }))
        }
        div.scroll { table.wrap {
            thead { tr { @for (name, align) in &columns { th class=[class(*align)] { (name) } } } }
            tbody { @for line in &lines {
                tr { @for (cell, (_, align)) in line.iter().zip(&columns) { td class=[class(*align)] { (cell) } } }
            } }
        } }
        ul.plain { @for note in sweep.notes() { li { (note) } } }
    }
}

fn leakage(sweep: &SweepReport) -> Markup {
    if !sweep.is_audited() {
        return html! { h3 { "Leakage" } p { "No cell was audited." } };
    }
    html! {
        h3 { "Leakage" }
        @for drawn in sweep.leakage_figures() {
            (figure(&drawn, &html! {
                "Membership inference on the final model (0.5 is guessing) and label-profile inference by the coordinator \
                 (0 is guessing); bands are one standard deviation over " (sweep.counted()) "."
            }))
        }
        h3 { "Empirical against claimed ε" }
        @match sweep.audit_figure() {
            Some(drawn) => (figure(&drawn, &html! {
                "A point a cell. A point above the diagonal would be a violation. Points far below it are no proof of \
                 privacy: the audit shows only what its canaries could."
            })),
            None => p { "No cell was audited with canaries." },
        }
    }
}

fn group_table(groups: &[SweepGroup], counted: &str) -> Markup {
    let varied = groups.iter().any(|g| g.variant.is_some());
    let pm = |s: Spread| format!("{} ± {}", percent(s.mean), significant(s.sd * 100.0));
    let number = |s: Option<Spread>| s.map_or(NONE.to_owned(), |s| format!("{:.3} ± {:.3}", s.mean, s.sd));
    html! {
        div.scroll { table {
            thead { tr {
                @if varied { th { "model" } }
                th { "unit" } th.n { "target ε" } th.n { "spent ε" } th.n { "noise multiplier" } th.n { (counted) } th.n { "UAR" }
                th.n { "accuracy" } th.n { "macro F1" } th.n { "membership AUC" } th.n { "label-profile corr." }
                th.n { "ε shown, largest" }
            } }
            tbody { @for g in groups {
                tr {
                    @if varied { td { (g.variant.as_deref().unwrap_or(NONE)) } }
                    td { (unit(g.unit)) } td.n { (g.name()) } td.n { (epsilon_upper(g.epsilon_spent_max)) }
                    td.n { (significant(g.noise_multiplier.mean)) } td.n { (g.runs) } td.n { (pm(g.uar)) } td.n { (pm(g.accuracy)) }
                    td.n { (pm(g.macro_f1)) } td.n { (number(g.membership_auc)) } td.n { (number(g.label_profile_correlation)) }
                    td.n { span class=[g.violated.then_some("bad")] {
                        (g.epsilon_lower_max.map_or(NONE.to_owned(), epsilon_lower)) @if g.violated { " violation" }
                    } }
                }
            } }
        } }
    }
}

fn cell_table(rows: &[SweepRow]) -> Markup {
    let score = |v: Option<f64>| v.map_or(NONE.to_owned(), |v| format!("{v:.3}"));
    let varied = rows.iter().any(|r| r.variant.is_some());
    let folds = rows.iter().any(|r| r.fold.is_some());
    let centralised = rows.iter().any(|r| r.centralised_uar.is_some());
    html! {
        div.scroll { table {
            thead { tr {
                @if varied { th { "model" } }
                th { "unit" } th.n { "target ε" } th.n { "spent ε" } th.n { "δ" } @if folds { th.n { "fold" } } th.n { "seed" }
                th.n { "UAR" } @if centralised { th.n { "centralised" } } th.n { "accuracy" }
                th.n { "membership AUC" } th.n { "label-profile corr." } th.n { "ε shown" } th.n { "wall time" } th { "config" }
            } }
            tbody { @for r in rows { tr {
                @if varied { td { (r.variant.as_deref().unwrap_or(NONE)) } }
                td { (unit(r.unit)) } td.n { (r.epsilon_target.map_or("no DP".to_owned(), significant)) }
                td.n { (epsilon_upper(r.epsilon_spent)) } td.n { (small(r.delta)) }
                @if folds { td.n { (r.fold.map_or(NONE.to_owned(), |f| f.to_string())) } }
                td.n { (r.seed) } td.n { (percent(r.uar)) }
                @if centralised { td.n { (r.centralised_uar.map_or(NONE.to_owned(), percent)) } }
                td.n { (percent(r.accuracy)) } td.n { (score(r.membership_auc)) }
                td.n { (score(r.label_profile_correlation)) }
                td.n { (r.epsilon_empirical_lower.map_or(NONE.to_owned(), epsilon_lower)) }
                td.n { (seconds(r.wall_s)) } td { code title=(r.config_sha256) { (r.config_sha256.to_string()[..12]) } }
            } } }
        } }
    }
}

fn not_shown(sweep: &SweepReport, runs: usize) -> Markup {
    html! {
        h3 { "What this report does not show" }
        ul.plain {
            @if sweep.synthetic { li { (super::SYNTHETIC) "." } }
            @if runs < 5 { li { "With " (runs) " " (sweep.counted()) " a budget, a standard deviation is itself a rough estimate." } }
            li {
                "Each ε is that of one run. Choosing a run by its results on private data costs privacy that no row here charges."
            }
            li { "The attacks are those named; a stronger one may find more. An empirical bound below the claim is not a proof of privacy." }
        }
    }
}
