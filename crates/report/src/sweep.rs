//! Results of a sweep: groups over seeds, figures against ε, and the table as files.
use sottovoce_types::{SweepRow, Unit};

use crate::svg::{Axis, Figure, Format, LineChart, Point, Reference, Scale, Series};
use crate::text::{epsilon_lower, percent, significant};

/// A sweep and what a reader must know about it.
#[derive(Clone, PartialEq, Debug)]
pub struct SweepReport {
    /// Name of the sweep.
    pub name: String,
    /// Corpus, in words.
    pub corpus: String,
    /// Whether the speech is synthetic.
    pub synthetic: bool,
    /// How sums were formed: `secure` or `plain`.
    pub aggregation: String,
    /// Where noise came from: `os` or `seeded`.
    pub noise_source: String,
    /// UAR of guessing, where it is known.
    pub uar_chance: Option<f64>,
    /// One row a finished cell, in the order in which tables are to show them.
    pub rows: Vec<SweepRow>,
    /// Cells that failed, each with its reason.
    pub failed: Vec<String>,
}

/// Mean and standard deviation over runs (with n − 1; 0 for one run).
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Spread {
    pub(crate) mean: f64,
    pub(crate) sd: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let n = values.clone().count() as f64;
        let mean = values.clone().sum::<f64>() / n;
        let squares: f64 = values.map(|v| (v - mean) * (v - mean)).sum();
        Self { mean, sd: if n > 1.0 { (squares / (n - 1.0)).sqrt() } else { 0.0 } }
    }
}

/// The cells that differ by their seed or fold only.
#[derive(Clone, PartialEq, Debug)]
pub struct SweepGroup {
    /// The variant's name; `None` where nothing is varied.
    pub variant: Option<String>,
    /// The privacy unit.
    pub unit: Unit,
    /// Target ε; `None` is no DP.
    pub epsilon_target: Option<f64>,
    /// Runs in it: one for each seed and fold.
    pub runs: usize,
    pub(crate) noise_multiplier: Spread,
    pub(crate) uar: Spread,
    pub(crate) accuracy: Spread,
    pub(crate) macro_f1: Spread,
    pub(crate) membership_auc: Option<Spread>,
    pub(crate) label_profile_correlation: Option<Spread>,
    pub(crate) epsilon_lower: Option<Spread>,
    /// Largest lower bound over runs: the one that a violation would show in.
    pub(crate) epsilon_lower_max: Option<f64>,
    pub(crate) epsilon_spent_max: Option<f64>,
    /// Whether in any run the canaries showed more than was spent.
    pub(crate) violated: bool,
}

impl SweepGroup {
    /// Target ε in words.
    pub(crate) fn name(&self) -> String {
        self.epsilon_target.map_or("no DP".to_owned(), significant)
    }
}

impl SweepReport {
    /// What one group holds several of: seeds, or, where folds are swept, runs.
    pub(crate) fn counted(&self) -> &'static str {
        if self.rows.iter().any(|r| r.fold != self.rows[0].fold) { "runs" } else { "seeds" }
    }

    /// Whether an attack was made on any cell.
    pub(crate) fn is_audited(&self) -> bool {
        let scores = |r: &SweepRow| [r.membership_auc, r.label_profile_correlation, r.epsilon_empirical_lower];
        self.rows.iter().flat_map(scores).any(|score| score.is_some())
    }

    /// Rows joined over seeds and folds, by variant, then by unit and then by target ε from small to large, no DP last.
    pub fn groups(&self) -> Vec<SweepGroup> {
        let variants = self.variants();
        let place = |row: &SweepRow| variants.iter().position(|v| *v == row.variant.as_deref());
        let key = |row: &SweepRow| (place(row), row.unit.name(), row.epsilon_target.unwrap_or(f64::INFINITY));
        let mut rows: Vec<&SweepRow> = self.rows.iter().collect();
        rows.sort_by(|a, b| {
            let ((va, ua, ea), (vb, ub, eb)) = (key(a), key(b));
            va.cmp(&vb).then(ua.cmp(ub)).then(ea.total_cmp(&eb)).then((a.fold, a.seed).cmp(&(b.fold, b.seed)))
        });
        // No DP has no unit: it is the end of every unit's line, and its own group.
        rows.chunk_by(|a, b| key(a) == key(b)).map(group).collect()
    }

    /// UAR and accuracy against ε, with one standard deviation over runs.
    pub fn utility_figures(&self) -> Vec<Figure> {
        let counted = self.counted();
        self.each_unit(|unit, groups, x, divider| {
            let uar = series(("UAR", counted), groups, x, percent, |g| Some(g.uar));
            let accuracy = series(("accuracy", counted), groups, x, percent, |g| Some(g.accuracy));
            let all = vec![uar, accuracy];
            let level = |y| Reference::Level { y, label: format!("UAR of guessing {}", percent(y)), below: true };
            let chance = self.uar_chance.map(level);
            let y = Scale::linear(ends(&all).chain(self.uar_chance).chain([0.0]));
            LineChart {
                title: titled("Recognition on unseen speakers against ε", unit, groups),
                label: describe("UAR and accuracy", groups, |g| percent(g.uar.mean)),
                x: x.axis(),
                y: Axis::new(format!("mean over {counted}"), y, Format::Percent),
                series: all,
                references: chance.into_iter().chain(divider).collect(),
                size: (720, 340),
            }
            .draw()
        })
    }

    /// Membership AUC and label-profile correlation against ε, with one standard deviation over runs.
    pub fn leakage_figures(&self) -> Vec<Figure> {
        let counted = self.counted();
        self.each_unit(|unit, groups, x, divider| {
            let number = |v: f64| format!("{v:.3}");
            let all = vec![
                series(("membership inference, AUC", counted), groups, x, number, |g| g.membership_auc),
                series(("label-profile inference, correlation", counted), groups, x, number, |g| {
                    g.label_profile_correlation
                }),
            ];
            let y = Scale::linear(ends(&all).chain([0.0, 0.5]));
            let half = Reference::Level { y: 0.5, label: "AUC of guessing".to_owned(), below: true };
            LineChart {
                title: titled("Leakage against ε", unit, groups),
                label: describe("Membership AUC", groups, |g| {
                    g.membership_auc.map_or("not audited".to_owned(), |s| number(s.mean))
                }),
                x: x.axis(),
                y: Axis::new("score", y, Format::Plain),
                series: all,
                references: [half].into_iter().chain(divider).collect(),
                size: (720, 340),
            }
            .draw()
        })
    }

    /// Lower bounds on ε from canaries against the target, with the line on which they would be equal; `None` when no
    /// cell has one.
    pub fn audit_figure(&self) -> Option<Figure> {
        let audited = |r: &&SweepRow| r.epsilon_target.is_some() && r.epsilon_empirical_lower.is_some();
        let rows: Vec<&SweepRow> = self.rows.iter().filter(audited).collect();
        let targets = || rows.iter().filter_map(|r| r.epsilon_target).filter(|e| *e > 0.0);
        let (low, high) = (targets().fold(f64::INFINITY, f64::min), targets().fold(0.0, f64::max));
        if !(low.is_finite() && high > 0.0) {
            return None;
        }
        // A bound of 0 has no place on a logarithmic axis; it is drawn on the floor, whose tick says so.
        let lowers = rows.iter().filter_map(|r| r.epsilon_empirical_lower);
        let top = lowers.chain([high]).filter(|v| v.is_finite()).fold(high, f64::max);
        let floor = low / 10.0;
        let point = |r: &&SweepRow| {
            let (target, lower) = (r.epsilon_target.unwrap_or(f64::NAN), r.epsilon_empirical_lower.unwrap_or(f64::NAN));
            let of = r.variant.as_ref().map_or(String::new(), |name| format!("{name}, "));
            let fold = r.fold.map_or(String::new(), |fold| format!("fold {fold}, "));
            let tip = format!(
                "{of}{}, {fold}seed {}: target ε {}, canaries show at least {}",
                r.unit.name(),
                r.seed,
                significant(target),
                epsilon_lower(lower)
            );
            Point { x: target, y: if lower.is_nan() { lower } else { lower.max(floor) }, band: None, tip }
        };
        let y = Scale::Log { low: floor, high: top * 1.3 };
        let mut ticks = y.ticks(Format::Plain, false);
        ticks.retain(|(v, _)| *v > floor * 1.4);
        ticks.insert(0, (floor, format!("≤ {}", significant(floor))));
        let x = Scale::Log { low: low / 1.3, high: high * 1.3 };
        let chart = LineChart {
            title: "Empirical lower bound on ε against the target".to_owned(),
            label: format!(
                "{} lower bounds from canaries; points above the dashed diagonal would be violations.",
                rows.len()
            ),
            x: Axis::new("target ε (log scale)", x, Format::Plain),
            y: Axis { ticks: Some(ticks), ..Axis::new("ε shown at least", y, Format::Plain) },
            series: vec![Series {
                name: "canaries".to_owned(),
                points: rows.iter().map(point).collect(),
                joined: false,
            }],
            references: vec![Reference::Diagonal {
                from: (low / 1.3, low / 1.3),
                to: (high * 1.25, high * 1.25),
                label: "empirical = target: above it, a violation".to_owned(),
            }],
            size: (720, 380),
        };
        Some(chart.draw())
    }

    fn each_unit(&self, draw: impl Fn(Unit, &[SweepGroup], &EpsilonAxis, Option<Reference>) -> Figure) -> Vec<Figure> {
        let groups = self.groups();
        let of_variant = |groups: &[SweepGroup]| -> Vec<Figure> {
            let (no_dp, with_dp): (Vec<_>, Vec<_>) = groups.iter().partition(|g| g.epsilon_target.is_none());
            let mut units: Vec<Unit> = with_dp.iter().map(|g| g.unit).collect();
            units.dedup(); // Groups of one unit stand together.
            if units.is_empty() {
                units.extend(no_dp.first().map(|g| g.unit));
            }
            let figure = |unit: Unit| {
                let own = no_dp.iter().filter(|g| g.unit == unit || g.unit == Unit::None);
                let groups = with_dp.iter().filter(|g| g.unit == unit).chain(own);
                let groups: Vec<SweepGroup> = groups.map(|g| (*g).clone()).collect();
                let x = EpsilonAxis::of(&groups);
                let divider = x.divider();
                draw(unit, &groups, &x, divider)
            };
            units.into_iter().map(figure).collect()
        };
        groups.chunk_by(|a, b| a.variant == b.variant).flat_map(of_variant).collect()
    }
}

fn titled(what: &str, unit: Unit, groups: &[SweepGroup]) -> String {
    let of = groups.first().and_then(|g| g.variant.as_ref()).map_or(String::new(), |name| format!("{name}: "));
    format!("{of}{what}, unit: {}", unit.name())
}

fn group(rows: &[&SweepRow]) -> SweepGroup {
    let spread = |pick: fn(&SweepRow) -> f64| Spread::of(rows.iter().map(|r| pick(r)));
    let audited = |pick: fn(&SweepRow) -> Option<f64>| {
        let values: Vec<f64> = rows.iter().filter_map(|r| pick(r)).filter(|v| v.is_finite()).collect();
        (!values.is_empty()).then(|| Spread::of(values.iter().copied()))
    };
    let lowers: Vec<f64> = rows.iter().filter_map(|r| r.epsilon_empirical_lower).collect();
    let most = |values: &[f64]| (!values.is_empty()).then(|| values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    let spent: Option<Vec<f64>> = rows.iter().map(|r| r.epsilon_spent).collect();
    SweepGroup {
        variant: rows[0].variant.clone(),
        unit: rows[0].unit,
        epsilon_target: rows[0].epsilon_target,
        runs: rows.len(),
        noise_multiplier: spread(|r| r.noise_multiplier),
        uar: spread(|r| r.uar),
        accuracy: spread(|r| r.accuracy),
        macro_f1: spread(|r| r.macro_f1),
        membership_auc: audited(|r| r.membership_auc),
        label_profile_correlation: audited(|r| r.label_profile_correlation),
        epsilon_lower: (!lowers.is_empty()).then(|| Spread::of(lowers.iter().copied())),
        epsilon_lower_max: most(&lowers),
        violated: rows
            .iter()
            .any(|r| matches!((r.epsilon_empirical_lower, r.epsilon_spent), (Some(l), Some(s)) if l > s)),
        epsilon_spent_max: spent.and_then(|s| most(&s)),
    }
}

/// ε on a logarithmic axis with the runs without DP at its right edge, past a divider.
struct EpsilonAxis {
    epsilons: Vec<f64>,
    no_dp: Option<f64>,
}

impl EpsilonAxis {
    fn of(groups: &[SweepGroup]) -> Self {
        let epsilons: Vec<f64> = groups.iter().filter_map(|g| g.epsilon_target).filter(|e| *e > 0.0).collect();
        let any = groups.iter().any(|g| g.epsilon_target.is_none());
        let (low, high) = epsilons.iter().fold((f64::INFINITY, 0.0f64), |(l, h), &e| (l.min(e), h.max(e)));
        // As far past the largest ε as a fifth of the axis, and never closer than one doubling.
        let place = if epsilons.is_empty() { 1.0 } else { high * (high / low).powf(0.2).max(2.0) };
        Self { epsilons, no_dp: any.then_some(place) }
    }

    fn x(&self, group: &SweepGroup) -> f64 {
        group.epsilon_target.or(self.no_dp).unwrap_or(f64::NAN)
    }

    fn divider(&self) -> Option<Reference> {
        let high = self.epsilons.iter().copied().fold(f64::NAN, f64::max);
        let x = (high * self.no_dp?).sqrt();
        x.is_finite().then_some(Reference::Divider { x })
    }

    fn axis(&self) -> Axis {
        let named = |e: &f64| (*e, significant(*e));
        let ticks = self.epsilons.iter().map(named).chain(self.no_dp.map(|x| (x, "no DP".to_owned()))).collect();
        let scale = Scale::log(self.epsilons.iter().copied().chain(self.no_dp));
        Axis { ticks: Some(ticks), ..Axis::new("target ε (log scale)", scale, Format::Plain) }
    }
}

fn series(
    (name, counted): (&str, &str),
    groups: &[SweepGroup],
    x: &EpsilonAxis,
    show: fn(f64) -> String,
    pick: fn(&SweepGroup) -> Option<Spread>,
) -> Series {
    let point = |g: &SweepGroup| {
        let Spread { mean, sd } = pick(g)?;
        let tip = format!("ε {}: {name} {} ± {} over {} {counted}", g.name(), show(mean), show(sd), g.runs);
        Some(Point { x: x.x(g), y: mean, band: Some((mean - sd, mean + sd)), tip })
    };
    // No line leads from the largest ε to no DP: there is nothing measured between them.
    let gap = || Point { x: f64::NAN, y: f64::NAN, band: None, tip: String::new() };
    let with_gap = |g: &SweepGroup| [g.epsilon_target.is_none().then(gap), point(g)].into_iter().flatten();
    Series { name: name.to_owned(), points: groups.iter().flat_map(with_gap).collect(), joined: true }
}

fn ends(series: &[Series]) -> impl Iterator<Item = f64> + '_ {
    let points = series.iter().flat_map(|s| &s.points);
    points.flat_map(|p| [Some(p.y), p.band.map(|b| b.0), p.band.map(|b| b.1)].into_iter().flatten())
}

fn describe(what: &str, groups: &[SweepGroup], show: impl Fn(&SweepGroup) -> String) -> String {
    let points: Vec<_> = groups.iter().map(|g| format!("{} at ε {}", show(g), g.name())).collect();
    format!("{what} against epsilon: {}.", points.join(", "))
}
