//! The figures of a run that is under way: what a coordinator knows of its rounds, and no more.
use sottovoce_types::RoundRecord;

use crate::figures::learning_curve_figure;
use crate::svg::{Anchor, Axis, Canvas, Figure, Format, LineChart, Point, Reference, Scale, Series};
use crate::text::{epsilon_upper, significant, small};

const SIZE: (u32, u32) = (480, 250);

/// What a ledger has spent of what it may spend, at one δ.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spending {
    /// ε of all charges that stand, upper end.
    pub spent: f64,
    /// The ε above which no attempt is begun.
    pub cap: f64,
    /// δ of both.
    pub delta: f64,
}

/// A bar of the ε spent, on the length of the cap.
pub fn spending_figure(spending: &Spending) -> Figure {
    let Spending { spent, cap, delta } = *spending;
    let share = if cap > 0.0 { (spent / cap).clamp(0.0, 1.0) } else { 1.0 };
    let (width, height, left, y) = (480u32, 62u32, 14.0, 26.0);
    let room = f64::from(width) - 2.0 * left;
    let (said, limit) = (epsilon_upper(Some(spent)), epsilon_upper(Some(cap)));
    let label =
        format!("Epsilon spent {said} of {limit} at delta {}, {:.0} percent.", small(delta), 100.0 * spent / cap);
    let mut canvas = Canvas::new(width, height, label);
    canvas.rect("track", (left, y), (room, 14.0), None, "what may be spent");
    canvas.rect("bar c0", (left, y), (room * share, 14.0), None, "what is spent");
    canvas.line("whisker c1", (left + room, y - 4.0), (left + room, y + 18.0));
    canvas.text("strong", (left, 16.0), Anchor::Start, &format!("ε {said} spent"));
    canvas.text("", (left + room, 16.0), Anchor::End, &format!("cap ε {limit}"));
    canvas.text("minor", (left, y + 30.0), Anchor::Start, &format!("{:.0} % of the cap", 100.0 * spent / cap));
    canvas.text("minor", (left + room, y + 30.0), Anchor::End, &format!("at δ = {}", small(delta)));
    canvas.finish()
}

/// One figure a quantity, by round: ε against its cap, the mean update and the clipping norm, clients in the sum and lost,
/// seconds; recognition, where rounds were evaluated.
pub fn progress_figures(rounds: &[RoundRecord], spending: Option<&Spending>) -> Vec<Figure> {
    if rounds.is_empty() {
        return Vec::new();
    }
    let mut figures = Vec::new();
    if let Some(Spending { cap, delta, .. }) = spending {
        let series = vec![series("ε", rounds, |r| Some(r.epsilon_spent))];
        let cap = Reference::Level { y: *cap, label: format!("cap {}", epsilon_upper(Some(*cap))), below: true };
        figures.push(chart(
            "Privacy spent, by round",
            &format!("ε at δ = {}", small(*delta)),
            rounds,
            series,
            vec![cap],
        ));
    }
    let mut norms = vec![series("mean update", rounds, |r| Some(r.mean_update_l2))];
    if rounds.iter().any(|r| r.clip_l2.is_some()) {
        norms.push(series("clipping norm", rounds, |r| r.clip_l2));
    }
    figures.push(chart("Norm of the released mean", "L2 norm", rounds, norms, Vec::new()));
    if rounds.iter().any(|r| r.unclipped_fraction.is_some()) {
        let within = vec![series("within", rounds, |r| r.unclipped_fraction)];
        figures.push(chart("Units within the clipping norm (noisy)", "share", rounds, within, Vec::new()));
    }
    let clients = vec![
        series("in the sum", rounds, |r| Some(f64::from(r.contributors))),
        series("lost", rounds, |r| Some(f64::from(r.dropouts))),
    ];
    figures.push(chart("Clients", "clients", rounds, clients, Vec::new()));
    #[allow(clippy::cast_precision_loss, reason = "milliseconds in a plot")]
    let seconds = vec![series("seconds", rounds, |r| Some(r.duration_ms as f64 / 1e3))];
    figures.push(chart("Time of a round", "s", rounds, seconds, Vec::new()));
    if rounds.iter().any(|r| r.metrics.is_some()) {
        figures.push(learning_curve_figure(rounds));
    }
    figures
}

fn series(name: &str, rounds: &[RoundRecord], of: impl Fn(&RoundRecord) -> Option<f64>) -> Series {
    let point = |r: &RoundRecord| {
        let y = of(r)?;
        Some(Point { x: r.round as f64, y, band: None, tip: format!("round {}: {name} {}", r.round, significant(y)) })
    };
    Series { name: name.to_owned(), points: rounds.iter().filter_map(point).collect(), joined: true }
}

fn chart(title: &str, unit: &str, rounds: &[RoundRecord], series: Vec<Series>, references: Vec<Reference>) -> Figure {
    let levels = references.iter().filter_map(|r| if let Reference::Level { y, .. } = r { Some(*y) } else { None });
    let values = series.iter().flat_map(|s| s.points.iter().map(|p| p.y));
    let y = Scale::linear(values.chain(levels).chain([0.0]));
    let (first, last) = (rounds.first().map_or(1, |r| r.round) as f64, rounds.last().map_or(1, |r| r.round) as f64);
    let margin = ((last - first) * 0.02).max(0.1);
    let x = Scale::Linear { low: first - margin, high: last + margin };
    let ends = series.iter().filter_map(|s| Some(format!("{} {}", s.name, significant(s.points.last()?.y))));
    let label = format!("{title}, {} rounds; last: {}.", rounds.len(), ends.collect::<Vec<_>>().join(", "));
    LineChart {
        title: title.to_owned(),
        label,
        x: Axis { whole: true, ..Axis::new("round", x, Format::Plain) },
        y: Axis::new(unit, y, Format::Plain),
        series,
        references,
        size: SIZE,
    }
    .draw()
}

#[cfg(test)]
mod tests {
    use sottovoce_types::{Digest, SCHEMA_VERSION};

    use super::*;

    fn record(round: u64, clip: Option<f64>) -> RoundRecord {
        RoundRecord {
            schema: SCHEMA_VERSION,
            config_sha256: Digest::default(),
            round,
            attempt: 1,
            cohort: 5,
            contributors: 4,
            dropouts: 1,
            model_sha256: Digest::default(),
            mean_update_l2: 0.25 / round as f64,
            charges: round,
            epsilon_spent: 0.5 * round as f64,
            duration_ms: 1500,
            metrics: None,
            clip_l2: clip,
            unclipped_fraction: clip.map(|_| 0.5),
        }
    }

    #[test]
    fn every_quantity_that_there_is_has_a_figure_and_none_that_there_is_not() {
        let spending = Spending { spent: 1.0, cap: 8.0, delta: 1e-5 };
        let titles = |rounds: &[RoundRecord], spending| {
            progress_figures(rounds, spending).iter().map(Figure::inline).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(titles(&[], Some(&spending)), "", "nothing to plot yet");
        let plain = titles(&[record(1, None), record(2, None)], None);
        assert!(plain.contains("Norm of the released mean") && plain.contains("round 2: in the sum 4"), "{plain}");
        assert!(!plain.contains("Privacy") && !plain.contains("clipping norm") && !plain.contains("cap"), "{plain}");
        let private = titles(&[record(1, Some(0.9)), record(2, Some(0.8))], Some(&spending));
        for shown in ["cap 8", "round 2: ε 1", "clipping norm 0.8", "within 0.5", "2 rounds; last: seconds 1.5"] {
            assert!(private.contains(shown), "{shown}: {private}");
        }
    }

    #[test]
    fn the_bar_is_as_long_as_its_share_of_the_cap_and_never_longer_than_the_cap() {
        let bar = |spent| spending_figure(&Spending { spent, cap: 8.0, delta: 1e-5 }).inline();
        let half = bar(4.0);
        assert!(half.contains("class=\"bar c0\" x=\"14\" y=\"26\" width=\"226\""), "{half}");
        assert!(
            half.contains("50 % of the cap") && half.contains("Epsilon spent 4.00 of 8.00 at delta 1e-5"),
            "{half}"
        );
        // A ledger of an older file may exceed its budget: the numbers say so, the bar ends at the cap.
        let over = bar(10.0);
        assert!(over.contains("width=\"452\"") && over.contains("125 % of the cap"), "{over}");
    }
}
