//! The axis of ε, and what is drawn over it.
use super::groups::{Spread, SweepGroup};
use crate::plot::Datum;
use crate::svg::{Axis, Format, Point, Reference, Scale, Series};
use crate::text::significant;

/// ε on a logarithmic axis with the runs without DP at its right edge, past a divider.
pub(super) struct EpsilonAxis {
    epsilons: Vec<f64>,
    no_dp: Option<f64>,
}

impl EpsilonAxis {
    pub(super) fn of<'a>(groups: impl IntoIterator<Item = &'a SweepGroup>) -> Self {
        let targets: Vec<Option<f64>> = groups.into_iter().map(|g| g.epsilon_target).collect();
        Self::over(&targets)
    }

    /// Of targets; `None` is no DP.
    pub(super) fn over(targets: &[Option<f64>]) -> Self {
        let mut epsilons: Vec<f64> = targets.iter().filter_map(|e| *e).filter(|e| *e > 0.0).collect();
        epsilons.sort_by(f64::total_cmp);
        epsilons.dedup();
        let any = targets.iter().any(Option::is_none);
        let (low, high) = epsilons.iter().fold((f64::INFINITY, 0.0f64), |(l, h), &e| (l.min(e), h.max(e)));
        // As far past the largest ε as a fifth of the axis, and never closer than one doubling.
        let place = if epsilons.is_empty() { 1.0 } else { high * (high / low).powf(0.2).max(2.0) };
        Self { epsilons, no_dp: any.then_some(place) }
    }

    pub(super) fn x(&self, target: Option<f64>) -> f64 {
        target.or(self.no_dp).unwrap_or(f64::NAN)
    }

    pub(super) fn divider(&self) -> Option<Reference> {
        let high = self.epsilons.iter().copied().fold(f64::NAN, f64::max);
        let x = (high * self.no_dp?).sqrt();
        x.is_finite().then_some(Reference::Divider { x })
    }

    pub(super) fn axis(&self) -> Axis {
        let named = |e: &f64| (*e, significant(*e));
        let ticks = self.epsilons.iter().map(named).chain(self.no_dp.map(|x| (x, "no DP".to_owned()))).collect();
        let scale = Scale::log(self.epsilons.iter().copied().chain(self.no_dp));
        Axis { ticks: Some(ticks), ..Axis::new("target ε (log scale)", scale, Format::Plain) }
    }
}

/// A line over groups: its points with bands of one standard deviation, and its numbers.
pub(super) fn series(
    (name, counted): (&str, &str),
    groups: &[SweepGroup],
    x: &EpsilonAxis,
    show: fn(f64) -> String,
    pick: fn(&SweepGroup) -> Option<Spread>,
) -> Series {
    let point = |g: &SweepGroup| {
        let spread = pick(g)?;
        let tip =
            format!("ε {}: {name} {} ± {} over {} {counted}", g.name(), show(spread.mean), show(spread.sd), g.runs);
        Some(Point { x: x.x(g.epsilon_target), y: spread.mean, band: Some(spread.band()), tip })
    };
    // No line leads from the largest ε to no DP: there is nothing measured between them.
    let with_gap = |g: &SweepGroup| [g.epsilon_target.is_none().then(gap), point(g)].into_iter().flatten();
    Series { name: name.to_owned(), points: groups.iter().flat_map(with_gap).collect(), joined: true }
}

/// A point without a place: it parts a line.
pub(super) fn gap() -> Point {
    Point { x: f64::NAN, y: f64::NAN, band: None, tip: String::new() }
}

/// The numbers of one figure of each group.
pub(super) fn data(
    (panel, name): (&str, &str),
    groups: &[SweepGroup],
    pick: fn(&SweepGroup) -> Option<Spread>,
) -> Vec<Datum> {
    let datum = |g: &SweepGroup| {
        let spread = pick(g)?;
        let (low, high) = spread.band();
        Some(Datum {
            panel: panel.to_owned(),
            series: name.to_owned(),
            x: g.x(),
            y: spread.mean,
            low: Some(low),
            high: Some(high),
            runs: g.runs,
        })
    };
    groups.iter().filter_map(datum).collect()
}

pub(super) fn ends(series: &[Series]) -> impl Iterator<Item = f64> + '_ {
    let points = series.iter().flat_map(|s| &s.points);
    points.flat_map(|p| [Some(p.y), p.band.map(|b| b.0), p.band.map(|b| b.1)].into_iter().flatten())
}
