//! The page about a sweep, or about several side by side.
use maud::{Markup, html};
use sottovoce_types::SweepRow;

use super::{FirstLine, figure, page, synthetic_banner, unit};
use crate::sweep::{LEAKAGE_NOTE, Spread};
use crate::text::{Align, NONE, epsilon_lower, epsilon_upper, percent, seconds, significant, small};
use crate::{Comparison, Plot, SweepGroup, SweepReport};

/// One page about a sweep: utility and leakage against ε, the table over seeds, and every cell.
pub fn sweep_html(sweep: &SweepReport) -> String {
    sweeps_html(std::slice::from_ref(sweep))
}

/// One page about several sweeps: the first against each other one, paired; then a section each.
pub fn sweeps_html(sweeps: &[SweepReport]) -> String {
    let lines: Vec<_> = sweeps.iter().map(first_line).collect();
    let alarm = lines.iter().any(|line| line.alarm);
    let first = html! {
        p class=(if alarm { "first alarm" } else { "first" }) {
            @for (i, (line, sweep)) in lines.iter().zip(sweeps).enumerate() {
                @if i > 0 { br; }
                @if sweeps.len() > 1 { (sweep.name) ": " }
                (line.text)
            }
        }
    };
    let title = match sweeps {
        [sweep] => sweep.name.clone(),
        _ => format!("{} sweeps", sweeps.len()),
    };
    let body = html! {
        h1 { (title) }
        @if sweeps.len() > 1 {
            p.lead { "The first against each of the others; a section about each follows." }
            @for other in sweeps.iter().skip(1) { (comparison(&Comparison::of(&sweeps[0], other))) }
        }
        @for sweep in sweeps {
            @if sweeps.len() > 1 { h2 { (sweep.name) } }
            (section(sweep))
        }
    };
    page(&format!("{title} · Sottovoce sweep"), &first, &body)
}

fn first_line(sweep: &SweepReport) -> FirstLine {
    let plain = sweep.aggregation != "secure";
    let line = FirstLine::new(plain, sweep.noise_source == "seeded", &sweep.aggregation, &sweep.noise_source);
    let swept = format!("Aggregation “{}”", sweep.aggregation);
    if sweep.aggregation.contains(", ") {
        let said = "Aggregation was swept: where it is “plain”, ";
        let text = line.text.replace(&format!("{swept}: "), said);
        return FirstLine { text, ..line };
    }
    line
}

fn section(sweep: &SweepReport) -> Markup {
    let groups = sweep.groups();
    let runs = groups.iter().map(|g| g.runs).max().unwrap_or(0);
    let counted = sweep.counted();
    html! {
        p.lead { "Sweep over privacy budgets on " (sweep.corpus) ": " (sweep.rows.len()) " cells, up to " (runs) " " (counted) " a budget." }
        @if sweep.synthetic { (synthetic_banner()) }
        (failed(sweep))
        @if sweep.rows.is_empty() {
            p { "No cell has finished yet." }
        } @else {
            @if sweep.is_comparison() {
                h3 { "Centralised, federated, federated with differential privacy" }
                (plots(&sweep.utility_plots()))
                (baselines(sweep))
            } @else {
                h3 { "Utility" }
                (plots(&sweep.utility_plots()))
            }
            (leakage(sweep))
            h3 { "Cost" }
            (plots(&sweep.cost_plot().into_iter().collect::<Vec<_>>()))
            h3 { "Over " (counted) }
            (group_table(&groups, counted))
            (not_shown(sweep, runs))
            details { summary { "Every cell" } (cell_table(sweep)) }
        }
    }
}

fn plots(plots: &[Plot]) -> Markup {
    html! {
        @for plot in plots {
            (figure(&plot.figure, &html! { (plot.caption) " Numbers: " code { "figures/" (plot.name) ".csv" } "." }))
        }
    }
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

/// The table of models and settings, and what must be said of it.
fn baselines(sweep: &SweepReport) -> Markup {
    let (columns, lines) = sweep.baseline_cells();
    html! {
        (table(&columns, &lines))
        ul.plain { @for note in sweep.notes() { li { (note) } } }
    }
}

fn table<const N: usize>(columns: &[(&'static str, Align)], lines: &[[String; N]]) -> Markup {
    let class = |align: Align| (align == Align::Right).then_some("n");
    html! {
        div.scroll { table.wrap {
            thead { tr { @for (name, align) in columns { th class=[class(*align)] { (name) } } } }
            tbody { @for line in lines {
                tr { @for (cell, (_, align)) in line.iter().zip(columns) { td class=[class(*align)] { (cell) } } }
            } }
        } }
    }
}

fn comparison(compared: &Comparison) -> Markup {
    let (columns, lines) = compared.cells();
    html! {
        h3 { "“" (compared.first) "” → “" (compared.second) "”" }
        (table(&columns, &lines))
        p.small { (compared.note()) }
    }
}

fn leakage(sweep: &SweepReport) -> Markup {
    if !sweep.is_audited() {
        return html! { h3 { "Leakage" } p { "No cell was audited." } };
    }
    html! {
        h3 { "Leakage" }
        (plots(&sweep.leakage_plots()))
        @if let Some(table) = sweep.leakage_table() {
            div.scroll { table.wrap {
                thead { tr { th { "attack" } @for name in &table.settings { th.n { (name) } } } }
                tbody { @for (name, control, scores) in &table.rows {
                    tr class=[control.then_some("control")] { td { (name) } @for score in scores { td.n { (score) } } }
                } }
            } }
            p.small { (LEAKAGE_NOTE) }
        }
        h3 { "Utility against leakage" }
        (plots(&sweep.pareto_plots()))
        h3 { "Empirical against claimed ε" }
        @match sweep.claims_plot() {
            Some(plot) => (plots(&[plot])),
            None => p { "No cell was audited with canaries." },
        }
    }
}

fn group_table(groups: &[SweepGroup], counted: &str) -> Markup {
    let varied = groups.iter().any(|g| g.line.is_some());
    let pm = |s: Spread| format!("{} ± {}", percent(s.mean), significant(s.sd * 100.0));
    let number = |s: Option<Spread>| s.map_or(NONE.to_owned(), |s| format!("{:.3} ± {:.3}", s.mean, s.sd));
    html! {
        div.scroll { table {
            thead { tr {
                @if varied { th { "model" } }
                th { "unit" } th.n { "target ε" } th.n { "spent ε" } th.n { "noise multiplier" } th.n { (counted) } th.n { "UAR (macro recall)" }
                th.n { "accuracy" } th.n { "macro precision" } th.n { "macro F1" } th.n { "membership AUC" } th.n { "label-profile corr." }
                th.n { "ε shown, largest" }
            } }
            tbody { @for g in groups {
                tr {
                    @if varied { td { (g.line.as_deref().unwrap_or(NONE)) } }
                    td { (unit(g.unit)) } td.n { (g.name()) } td.n { (epsilon_upper(g.epsilon_spent_max)) }
                    td.n { (significant(g.noise_multiplier.mean)) } td.n { (g.runs) } td.n { (pm(g.uar)) } td.n { (pm(g.accuracy)) }
                    td.n { (pm(g.macro_precision)) } td.n { (pm(g.macro_f1)) } td.n { (number(g.membership_auc)) } td.n { (number(g.label_profile_correlation)) }
                    td.n { span class=[g.violated.then_some("bad")] {
                        (g.epsilon_lower_max.map_or(NONE.to_owned(), epsilon_lower)) @if g.violated { " violation" }
                    } }
                }
            } }
        } }
    }
}

fn cell_table(sweep: &SweepReport) -> Markup {
    let rows: &[SweepRow] = &sweep.rows;
    let score = |v: Option<f64>| v.map_or(NONE.to_owned(), |v| format!("{v:.3}"));
    let varied = sweep.lines() != [None];
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
                @if varied { td { (sweep.line(r).unwrap_or_else(|| NONE.to_owned())) } }
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
                @for line in &sweep.selection { br; (line) "." }
            }
            li { "The attacks are those named; a stronger one may find more. An empirical bound below the claim is not a proof of privacy." }
        }
    }
}
