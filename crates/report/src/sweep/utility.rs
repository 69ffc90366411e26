//! Recognition against ε.
use sottovoce_types::Unit;

use super::SweepReport;
use super::axis::{EpsilonAxis, data, ends, series};
use super::groups::SweepGroup;
use crate::plot::{Datum, Plot};
use crate::svg::{Axis, Format, LineChart, Reference, Scale};
use crate::text::percent;

impl SweepReport {
    /// UAR and accuracy against ε with one standard deviation over runs, one figure a line and unit; and where lines or centralised
    /// training are compared, one figure of all lines in panels.
    pub(crate) fn utility_plots(&self) -> Vec<Plot> {
        if self.is_comparison() { self.panels_plot().into_iter().collect() } else { self.line_plots() }
    }

    fn line_plots(&self) -> Vec<Plot> {
        let counted = self.counted();
        self.each_unit(|unit, groups| {
            let x = EpsilonAxis::of(groups);
            let uar = series(("UAR", counted), groups, &x, percent, |g| Some(g.uar));
            let accuracy = series(("accuracy", counted), groups, &x, percent, |g| Some(g.accuracy));
            let all = vec![uar, accuracy];
            let level = |y| Reference::Level { y, label: format!("UAR of guessing {}", percent(y)), below: true };
            let chance = self.uar_chance.map(level);
            let y = Scale::linear(ends(&all).chain(self.uar_chance).chain([0.0]));
            let figure = LineChart {
                title: format!("Recognition on unseen speakers against ε, unit: {}", unit.name()),
                label: describe("UAR and accuracy", groups, |g| percent(g.uar.mean)),
                x: x.axis(),
                y: Axis::new(format!("mean over {counted}"), y, Format::Percent),
                series: all,
                references: chance.into_iter().chain(x.divider()).collect(),
                size: (720, 340),
            }
            .draw();
            let mut numbers = data((unit.name(), "UAR"), groups, |g| Some(g.uar));
            numbers.extend(data((unit.name(), "accuracy"), groups, |g| Some(g.accuracy)));
            let caption =
                format!("Means over {counted}; bands are one standard deviation. Without DP at the right edge.");
            Plot::new(&format!("utility-{}", unit.name()), caption, figure, numbers)
        })
    }

    fn panels_plot(&self) -> Option<Plot> {
        let figure = self.baselines_figure()?;
        let datum = |l: crate::BaselineLine| Datum {
            panel: l.variant.clone().or(l.model.clone()).unwrap_or_default(),
            series: l.name(),
            x: l.epsilon.map_or("none".to_owned(), |e| e.to_string()),
            y: l.uar.mean,
            low: l.uar.ci95.map(|c| c.low),
            high: l.uar.ci95.map(|c| c.high),
            runs: l.uar.runs as usize,
        };
        let caption = "Band and whiskers are the 95 % intervals of the table below. They are wide where folds are unlike each other, and \
                       overlap even where every fold says the same of two settings: what compares settings is the paired difference in the \
                       table.";
        Some(Plot::new("utility", caption, figure, self.baselines().into_iter().map(datum).collect()))
    }

    /// A figure a unit, each with the groups of that unit and those without DP.
    fn each_unit(&self, draw: impl Fn(Unit, &[SweepGroup]) -> Plot) -> Vec<Plot> {
        let (no_dp, with_dp): (Vec<_>, Vec<_>) = self.groups().into_iter().partition(|g| g.epsilon_target.is_none());
        let mut units: Vec<Unit> = with_dp.iter().map(|g| g.unit).collect();
        units.dedup(); // Groups of one unit stand together.
        if units.is_empty() {
            units.extend(no_dp.first().map(|g| g.unit));
        }
        let figure = |unit: Unit| {
            let own = no_dp.iter().filter(|g| g.unit == unit || g.unit == Unit::None);
            let groups = with_dp.iter().filter(|g| g.unit == unit).chain(own);
            draw(unit, &groups.cloned().collect::<Vec<_>>())
        };
        units.into_iter().map(figure).collect()
    }
}

fn describe(what: &str, groups: &[SweepGroup], show: impl Fn(&SweepGroup) -> String) -> String {
    let points: Vec<_> = groups.iter().map(|g| format!("{} at ε {}", show(g), g.name())).collect();
    format!("{what} against epsilon: {}.", points.join(", "))
}
