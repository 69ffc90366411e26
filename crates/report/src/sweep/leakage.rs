//! What attacks got out of the cells, against ε.
use std::collections::BTreeMap;

use sottovoce_types::{LeakageRow, SweepRow, Vantage};

use super::SweepReport;
use super::axis::{EpsilonAxis, gap};
use super::groups::Spread;
use crate::plot::{Datum, Plot};
use crate::svg::{Axis, Format, Level, Panel, Panels, Point, Scale};
use crate::text::{percent, significant};

/// Panels of one figure.
const PANELS: usize = 12;
/// The control that sees no model: what the members and the others differ by without one.
const BLIND: &str = "blind-baseline";
const LEVELS: [&str; 3] = ["without DP", "blind baseline", "control, defence off"];

/// One attack on one line of cells.
struct Target<'a> {
    attack: &'a str,
    vantage: Vantage,
    line: Option<String>,
    /// Of its panel.
    name: String,
    own: Vec<&'a LeakageRow>,
    controls: Vec<&'a LeakageRow>,
}

impl SweepReport {
    /// What each attack scored against ε, with one standard deviation over runs, the value of guessing, the blind baseline, and the
    /// control that has the defence off. Where several lines were swept: a figure an attack and vantage, a panel a line. Else a figure a
    /// measure, a panel an attack and vantage.
    pub(crate) fn leakage_plots(&self) -> Vec<Plot> {
        let of_old = if self.leakage.is_empty() { self.rows.iter().flat_map(of_row).collect() } else { Vec::new() };
        let all = if self.leakage.is_empty() { &of_old } else { &self.leakage };
        let mut metrics: Vec<&str> = Vec::new();
        for row in all {
            if !metrics.contains(&row.metric.as_str()) {
                metrics.push(&row.metric);
            }
        }
        metrics.iter().flat_map(|metric| self.plots_of(metric, all)).collect()
    }

    fn plots_of(&self, metric: &str, all: &[LeakageRow]) -> Vec<Plot> {
        let mut targets = self.targets(metric, all);
        if self.lines().len() > 1 {
            targets.sort_by_key(|t| {
                let first = all.iter().position(|r| r.attack == t.attack && r.vantage == t.vantage);
                first.unwrap_or(usize::MAX)
            });
            let of_attack = targets.chunk_by_mut(|a, b| (a.attack, a.vantage) == (b.attack, b.vantage));
            return of_attack
                .flat_map(|own| {
                    for target in own.iter_mut() {
                        target.name = target.line.clone().unwrap_or_else(|| target.name.clone());
                    }
                    let what = format!("{}, {}", own[0].attack, own[0].vantage.name());
                    self.pages(&format!("leakage-{metric}-{what}"), Some(&what), metric, own)
                })
                .collect();
        }
        self.pages(&format!("leakage-{metric}"), None, metric, &targets)
    }

    /// As many figures as the panels take.
    fn pages(&self, name: &str, of: Option<&str>, metric: &str, targets: &[Target<'_>]) -> Vec<Plot> {
        let several = targets.len() > PANELS;
        let plot = |(i, targets): (usize, &[Target<'_>])| {
            let name = if several { format!("{name}-{}", i + 1) } else { name.to_owned() };
            self.draw_leakage(&name, of, metric, targets)
        };
        targets.chunks(PANELS).enumerate().map(plot).collect()
    }

    fn targets<'a>(&self, metric: &str, all: &'a [LeakageRow]) -> Vec<Target<'a>> {
        let keys = self.telling_keys();
        let mut found: Vec<Target<'a>> = Vec::new();
        let of_metric = || all.iter().filter(|r| r.metric == metric);
        for row in of_metric().filter(|r| r.control_of.is_none()) {
            let line = Self::line_among(&keys, row);
            let same = |t: &Target<'_>| (t.attack, t.vantage, &t.line) == (&row.attack, row.vantage, &line);
            if let Some(target) = found.iter_mut().find(|t| same(t)) {
                target.own.push(row);
                continue;
            }
            let name = format!("{}, {}", row.attack, row.vantage.name());
            let (attack, vantage) = (row.attack.as_str(), row.vantage);
            found.push(Target { attack, vantage, line, name, own: vec![row], controls: Vec::new() });
        }
        for row in of_metric() {
            let Some(of) = &row.control_of else { continue };
            let line = Self::line_among(&keys, row);
            for target in found.iter_mut().filter(|t| t.attack == of && t.line == line) {
                target.controls.push(row);
            }
        }
        found
    }

    fn draw_leakage(&self, name: &str, of: Option<&str>, metric: &str, targets: &[Target<'_>]) -> Plot {
        let counted = self.counted();
        let every: Vec<&LeakageRow> = targets.iter().flat_map(|t| t.own.iter().chain(&t.controls)).copied().collect();
        let x = EpsilonAxis::over(&every.iter().map(|r| r.epsilon_target).collect::<Vec<_>>());
        let chances = every.iter().map(|r| r.chance).filter(|c| c.is_finite());
        let chance = Spread::of_some(chances).map(|c| c.mean);
        let mut data = Vec::new();
        let panels: Vec<Panel> = targets.iter().map(|target| panel(target, &x, metric, &mut data)).collect();
        let ends = panels.iter().flat_map(|p| {
            let curve = p.curve.iter().flat_map(|c| [Some(c.y), c.band.map(|b| b.0), c.band.map(|b| b.1)]);
            curve.chain(p.levels.iter().flatten().map(|l| Some(l.y))).flatten().collect::<Vec<_>>()
        });
        let y = Scale::linear(ends.chain(chance));
        let described: Vec<String> =
            data.iter().map(|d| format!("{}, {} at ε {}: {:.3}", d.panel, d.series, d.x, d.y)).collect();
        let figure = Panels {
            title: format!(
                "Leakage against ε: {}",
                of.map_or(measure(metric), |of| format!("{of}, {}", measure(metric)))
            ),
            label: format!("Leakage against epsilon, {} in {} panels.", measure(metric), panels.len()),
            description: described.join("; ") + ".",
            x: x.axis(),
            y: Axis::new(measure(metric), y, Format::Plain),
            curve: "attack".to_owned(),
            levels: LEVELS.map(str::to_owned).to_vec(),
            chance: chance.map(|c| (c, "guessing".to_owned())),
            each: panels,
        }
        .draw();
        let caption = format!(
            "Means over {counted}; bands are one standard deviation over {counted}, and no confidence interval: that of each score is in \
             leakage.csv. Dashed: what guessing scores, what is known without the model (blind baseline), and the same attack where the \
             defence is off (the control, which must win)."
        );
        Plot::new(name, caption, figure, data)
    }
}

fn panel(target: &Target<'_>, x: &EpsilonAxis, metric: &str, data: &mut Vec<Datum>) -> Panel {
    // By ε, no DP last; rows of one ε are runs of one point.
    let mut by_target: BTreeMap<u64, (Option<f64>, Vec<f64>)> = BTreeMap::new();
    for row in &target.own {
        // Positive floats sort as their bits do.
        let key = row.epsilon_target.unwrap_or(f64::INFINITY).to_bits();
        by_target.entry(key).or_insert((row.epsilon_target, Vec::new())).1.push(row.value);
    }
    let mut record = |series: &str, at: &str, spread: Spread, runs: usize| {
        let (low, high) = spread.band();
        data.push(Datum {
            panel: target.name.clone(),
            series: series.to_owned(),
            x: at.to_owned(),
            y: spread.mean,
            low: Some(low),
            high: Some(high),
            runs,
        });
    };
    let mut curve = Vec::new();
    let mut without = None;
    for (epsilon, values) in by_target.into_values() {
        let Some(spread) = Spread::of_some(values.iter().copied()) else { continue };
        let at = epsilon.map_or("none".to_owned(), |e| e.to_string());
        record("attack", &at, spread, values.len());
        let shown = epsilon.map_or("without DP".to_owned(), |e| format!("ε {}", significant(e)));
        let tip = format!(
            "{}, {shown}: {} ± {} over {} runs",
            target.name,
            show(metric, spread.mean),
            show(metric, spread.sd),
            values.len()
        );
        if epsilon.is_none() {
            curve.push(gap());
            without = Some(Level { y: spread.mean, band: Some(spread.band()), tip: tip.clone() });
        }
        curve.push(Point { x: x.x(epsilon), y: spread.mean, band: Some(spread.band()), tip });
    }
    let mut level = |name: &str, blind: bool| {
        let values: Vec<f64> =
            target.controls.iter().filter(|r| (r.attack == BLIND) == blind).map(|r| r.value).collect();
        let spread = Spread::of_some(values.iter().copied())?;
        record(name, "any", spread, values.len());
        let tip = format!("{}, {name}: {}", target.name, show(metric, spread.mean));
        Some(Level { y: spread.mean, band: Some(spread.band()), tip })
    };
    let (blind, control) = (level(LEVELS[1], true), level(LEVELS[2], false));
    Panel { name: target.name.clone(), curve, levels: vec![without, blind, control] }
}

fn measure(metric: &str) -> String {
    match metric {
        "auc" => "AUC".to_owned(),
        "uar" => "UAR of the attacker".to_owned(),
        other => other.replace(['-', '_'], " "),
    }
}

fn show(metric: &str, value: f64) -> String {
    if metric == "uar" { percent(value) } else { format!("{value:.3}") }
}

/// The scores that rows of versions without `leakage.jsonl` hold.
fn of_row(row: &SweepRow) -> Vec<LeakageRow> {
    let of = |attack: &str, vantage, metric: &str, value: Option<f64>, chance| {
        value.map(|value| LeakageRow {
            schema: row.schema,
            config_sha256: row.config_sha256,
            variant: row.variant.clone(),
            settings: row.settings.clone(),
            unit: row.unit,
            epsilon_target: row.epsilon_target,
            epsilon_spent: row.epsilon_spent,
            fold: row.fold,
            seed: row.seed,
            attack: attack.to_owned(),
            control_of: None,
            vantage,
            metric: metric.to_owned(),
            value,
            low: f64::NAN,
            high: f64::NAN,
            chance,
            trials: 0,
        })
    };
    let membership = of("membership inference", Vantage::Released, "auc", row.membership_auc, 0.5);
    let profile = row.label_profile_correlation;
    let profile = of("label-profile inference", Vantage::Coordinator, "correlation", profile, 0.0);
    membership.into_iter().chain(profile).collect()
}
