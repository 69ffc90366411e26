//! What canaries showed of ε, beside what was claimed.
use sottovoce_types::SweepRow;

use super::SweepReport;
use crate::plot::{Datum, Plot};
use crate::svg::{Axis, Format, LineChart, Point, Reference, Scale, Series};
use crate::text::{epsilon_lower, significant};

impl SweepReport {
    /// Lower bounds on ε from canaries against the claim, with the line on which they would be equal; `None` when no cell has one.
    pub(crate) fn claims_plot(&self) -> Option<Plot> {
        let audited = |r: &&SweepRow| claim(r).is_some() && r.epsilon_empirical_lower.is_some();
        let rows: Vec<&SweepRow> = self.rows.iter().filter(audited).collect();
        let claims = || rows.iter().filter_map(|r| claim(r)).filter(|e| *e > 0.0);
        let (low, high) = (claims().fold(f64::INFINITY, f64::min), claims().fold(0.0, f64::max));
        if !(low.is_finite() && high > 0.0) {
            return None;
        }
        // A bound of 0 has no place on a logarithmic axis; it is drawn on the floor, whose tick says so.
        let lowers = rows.iter().filter_map(|r| r.epsilon_empirical_lower);
        let top = lowers.chain([high]).filter(|v| v.is_finite()).fold(high, f64::max);
        let floor = low / 10.0;
        let lines = self.lines();
        let of_line = |line: &Option<String>| {
            let own = rows.iter().filter(|r| self.line(r) == *line).map(|r| point(r, floor));
            let name = line.clone().unwrap_or_else(|| "canaries".to_owned());
            Series { name, points: own.collect(), joined: false }
        };
        // More lines than colours are all one kind: their names stand at the points.
        let series = if lines.len() <= 4 {
            lines.iter().map(of_line).filter(|s| !s.points.is_empty()).collect()
        } else {
            vec![Series {
                name: "canaries".to_owned(),
                points: rows.iter().map(|r| point(r, floor)).collect(),
                joined: false,
            }]
        };
        let y = Scale::Log { low: floor, high: top * 1.3 };
        let mut ticks = y.ticks(Format::Plain, false);
        ticks.retain(|(v, _)| *v > floor * 1.4);
        ticks.insert(0, (floor, format!("≤ {}", significant(floor))));
        let x = Scale::Log { low: low / 1.3, high: high * 1.3 };
        let figure = LineChart {
            title: "Empirical lower bound on ε against the claim".to_owned(),
            label: format!(
                "{} lower bounds from canaries; points above the dashed diagonal would be violations.",
                rows.len()
            ),
            x: Axis::new("claimed ε (log scale)", x, Format::Plain),
            y: Axis { ticks: Some(ticks), ..Axis::new("ε shown at least", y, Format::Plain) },
            series,
            references: vec![Reference::Diagonal {
                from: (low / 1.3, low / 1.3),
                to: (high * 1.25, high * 1.25),
                label: "empirical = claimed: above it, a violation".to_owned(),
            }],
            size: (720, 380),
        }
        .draw();
        let data = rows.iter().map(|r| Datum {
            panel: String::new(),
            series: format!("{}seed {}", self.line(r).map_or(String::new(), |l| format!("{l}, ")), r.seed),
            x: claim(r).map_or(String::new(), |e| e.to_string()),
            y: r.epsilon_empirical_lower.unwrap_or(f64::NAN),
            low: None,
            high: None,
            runs: 1,
        });
        let data = data.collect();
        let caption = "A point a cell. A point above the diagonal would be a violation. Points far below it are no proof of privacy: the \
                       audit shows only what its canaries could.";
        Some(Plot::new("empirical-epsilon", caption, figure, data))
    }
}

/// What the accountant claims for a cell: what was spent, or what was aimed at in rows that do not say.
fn claim(row: &SweepRow) -> Option<f64> {
    row.epsilon_target?;
    row.epsilon_spent.or(row.epsilon_target)
}

fn point(row: &SweepRow, floor: f64) -> Point {
    let (claim, lower) = (claim(row).unwrap_or(f64::NAN), row.epsilon_empirical_lower.unwrap_or(f64::NAN));
    let of = row.variant.as_ref().map_or(String::new(), |name| format!("{name}, "));
    let fold = row.fold.map_or(String::new(), |fold| format!("fold {fold}, "));
    let tip = format!(
        "{of}{}, {fold}seed {}: claimed ε {}, canaries show at least {}",
        row.unit.name(),
        row.seed,
        significant(claim),
        epsilon_lower(lower)
    );
    Point { x: claim, y: if lower.is_nan() { lower } else { lower.max(floor) }, band: None, tip }
}
