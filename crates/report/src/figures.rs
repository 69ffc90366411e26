//! The figures of a run.
use sottovoce_types::{AttackScore, Calibration, CanaryAudit, Interval, Metrics, RoundRecord};

use crate::run;
use crate::svg::{
    Axis, Bar, BarChart, DotKey, DotPlot, DotRow, Figure, Format, Head, HeatMap, LineChart, Point, Reference,
    Reliability, Scale, Series,
};
use crate::text::{epsilon_lower, epsilon_upper, percent, percent_in, significant, small};

const WIDTH: u32 = 720;
const HEIGHT: u32 = 320;

/// UAR and accuracy by round with their 95 % bands, and the line of guessing.
pub fn learning_curve_figure(rounds: &[RoundRecord]) -> Figure {
    let evaluated: Vec<_> = rounds.iter().filter_map(|r| Some((r.round, r.metrics.as_ref()?))).collect();
    let series = |name: &str, pick: fn(&Metrics) -> (f64, Option<Interval>)| {
        let point = |&(round, metrics): &(u64, &Metrics)| {
            let (y, ci) = pick(metrics);
            let tip = format!("round {round}: {name} {}", percent_in(y, ci, metrics.speakers));
            Point { x: round as f64, y, band: ci.map(|ci| (ci.low, ci.high)), tip }
        };
        Series { name: name.to_owned(), points: evaluated.iter().map(point).collect(), joined: true }
    };
    let chance = evaluated.first().map(|(_, m)| m.uar_chance);
    let ends = evaluated.iter().flat_map(|(_, m)| {
        let intervals = [m.uar_ci95, m.accuracy_ci95].into_iter().flatten().flat_map(|ci| [ci.low, ci.high]);
        intervals.chain([m.uar, m.accuracy])
    });
    let y = Scale::linear(ends.chain(chance).chain([0.0]));
    let x = Scale::linear(evaluated.iter().map(|&(round, _)| round as f64));
    let x = match (x, evaluated.first(), evaluated.last()) {
        // Rounds begin and end where they begin and end; round ends of a scale would be rounds that never were.
        (Scale::Linear { .. }, Some(&(first, _)), Some(&(last, _))) if last > first => {
            let margin = (last - first) as f64 * 0.02;
            Scale::Linear { low: first as f64 - margin, high: last as f64 + margin }
        }
        (x, ..) => x,
    };
    let label = match evaluated.last() {
        Some((round, m)) => format!(
            "Learning curve over {} evaluated rounds; at round {round} UAR is {} and accuracy {}.",
            evaluated.len(),
            percent(m.uar),
            percent(m.accuracy)
        ),
        None => "Learning curve without values.".to_owned(),
    };
    let level = |y| Reference::Level { y, label: format!("chance {}", percent(y)), below: false };
    LineChart {
        title: "Recognition on unseen speakers, by round".to_owned(),
        label,
        x: Axis { whole: true, ..Axis::new("round", x, Format::Plain) },
        y: Axis::new("of test utterances", y, Format::Percent),
        series: vec![series("UAR", |m| (m.uar, m.uar_ci95)), series("accuracy", |m| (m.accuracy, m.accuracy_ci95))],
        references: chance.map(level).into_iter().collect(),
        size: (WIDTH, HEIGHT),
    }
    .draw()
}

/// [`learning_curve_figure`] as an SVG file.
pub fn learning_curve_svg(rounds: &[RoundRecord]) -> String {
    learning_curve_figure(rounds).document()
}

/// The confusion matrix, rows the truth; shades are shares of each row.
pub fn confusion_figure(labels: &[String], confusion: &[Vec<u32>]) -> Figure {
    HeatMap { title: "Confusion matrix", labels, counts: confusion }.draw()
}

/// [`confusion_figure`] as an SVG file.
pub fn confusion_svg(labels: &[String], confusion: &[Vec<u32>]) -> String {
    confusion_figure(labels, confusion).document()
}

/// The reliability diagram: how often predictions of each confidence are right.
pub fn reliability_figure(calibration: &Calibration) -> Figure {
    Reliability { calibration }.draw()
}

/// [`reliability_figure`] as an SVG file.
pub fn reliability_svg(calibration: &Calibration) -> String {
    reliability_figure(calibration).document()
}

/// UAR of all and of each sex with its interval, beside that of guessing; `None` where no sex is told.
pub fn by_sex_figure(metrics: &Metrics) -> Option<Figure> {
    if metrics.by_sex.is_empty() {
        return None;
    }
    let row = |label: &str, value: f64, ci: Option<Interval>, speakers: u32| DotRow {
        label: label.to_owned(),
        value,
        low: ci.map_or(f64::NAN, |ci| ci.low),
        high: ci.map_or(f64::NAN, |ci| ci.high),
        chance: metrics.uar_chance,
        control: false,
        tip: format!("{label}: UAR {}, {speakers} speakers", percent_in(value, ci, speakers)),
    };
    let groups = metrics.by_sex.iter().map(|g| row(g.sex.name(), g.uar, g.uar_ci95, g.speakers));
    let rows = [row("all", metrics.uar, metrics.uar_ci95, metrics.speakers)].into_iter().chain(groups).collect();
    let (title, measure) = ("Recognition by sex".to_owned(), "UAR".to_owned());
    let key = DotKey { dot: "UAR, 95 % interval", hollow: None, chance: "guessing" };
    Some(DotPlot { title, measure, rows, key, width: WIDTH }.draw())
}

/// Horizontal bars as an SVG file, for example utterances by emotion. `unit` says what is counted.
pub fn bar_svg(title: &str, unit: &str, bars: &[(String, f64)]) -> String {
    let bar = |(label, value): &(String, f64)| Bar { label: label.clone(), value: *value, note: significant(*value) };
    let (width, bars) = (640, bars.iter().map(bar).collect());
    let head = Head::new(title, width).line(unit);
    BarChart { title: title.to_owned(), unit: unit.to_owned(), head, bars, width }.draw().document()
}

/// ε spent against the coordinator by round, at `delta`; `None` when no round spent any.
pub fn epsilon_figure(rounds: &[RoundRecord], delta: f64) -> Option<Figure> {
    if !rounds.iter().any(|r| r.epsilon_spent > 0.0) {
        return None;
    }
    let point = |r: &RoundRecord| {
        let y = r.epsilon_spent;
        let tip = format!("round {}: ε = {}, {} attempt(s) charged", r.round, significant(y), r.charges);
        Point { x: r.round as f64, y, band: None, tip }
    };
    let points: Vec<_> = rounds.iter().map(point).collect();
    let last = points.last().map_or(f64::NAN, |p| p.y);
    let y = Scale::linear(points.iter().map(|p| p.y).chain([0.0]));
    let (first, end) = (points.first().map_or(1.0, |p| p.x), points.last().map_or(1.0, |p| p.x));
    let margin = (end - first).max(1.0) * 0.02;
    let x = Scale::Linear { low: first - margin, high: end + margin };
    let chart = LineChart {
        title: "Privacy spent against the coordinator".to_owned(),
        label: format!(
            "Epsilon at delta {} over {} rounds, ending near {}.",
            small(delta),
            rounds.len(),
            significant(last)
        ),
        x: Axis { whole: true, ..Axis::new("round", x, Format::Plain) },
        y: Axis::new(format!("ε at δ = {}", small(delta)), y, Format::Plain),
        series: vec![Series { name: "ε".to_owned(), points, joined: true }],
        references: Vec::new(),
        size: (WIDTH, 260),
    };
    Some(chart.draw())
}

/// One figure a measure: every attack with its interval, its controls under it, and the value of guessing.
pub fn attack_figures(attacks: &[AttackScore]) -> Vec<Figure> {
    let mut metrics: Vec<&str> = Vec::new();
    for score in attacks {
        if !metrics.contains(&score.metric.as_str()) {
            metrics.push(&score.metric);
        }
    }
    let panel = |metric: &str| {
        let of_metric: Vec<AttackScore> = attacks.iter().filter(|a| a.metric == metric).cloned().collect();
        let rows = run::in_order_with_controls(&of_metric).into_iter().map(dot_row).collect();
        let title = format!("Attacks scored by {metric}");
        let key =
            DotKey { dot: "attack, 95 % interval", hollow: Some("its control, defence off"), chance: "blind guessing" };
        DotPlot { title, measure: metric.to_owned(), rows, key, width: WIDTH }.draw()
    };
    metrics.into_iter().map(panel).collect()
}

fn dot_row(score: &AttackScore) -> DotRow {
    let label = match &score.control_of {
        Some(_) => format!("control: {}", score.vantage.name()),
        None => format!("{} · {}", score.attack, score.vantage.name()),
    };
    let tip = format!(
        "{} from {}: {} = {:.3}, 95 % interval {:.3} to {:.3}, chance {:.3}, {} trials. {}",
        score.attack,
        score.vantage.name(),
        score.metric,
        score.value,
        score.ci95.low,
        score.ci95.high,
        score.chance,
        score.trials,
        score.note
    );
    DotRow {
        label,
        value: score.value,
        low: score.ci95.low,
        high: score.ci95.high,
        chance: score.chance,
        control: score.control_of.is_some(),
        tip,
    }
}

/// The claimed ε beside the interval that the canaries leave for it.
pub fn canary_figure(audit: &CanaryAudit) -> Figure {
    use crate::svg::{Anchor, Canvas};
    let label = format!(
        "Claimed epsilon at most {}; the canaries show at least {}.",
        epsilon_upper(Some(audit.epsilon_claimed)),
        epsilon_lower(audit.epsilon_lower)
    );
    let scale = Scale::linear([0.0, audit.epsilon_claimed * 1.15, audit.epsilon_lower * 1.15]);
    let (left, room, y) = (20.0, f64::from(WIDTH) - 60.0, 52.0);
    let x = |v: f64| scale.place(v).map(|at| left + at * room);
    let mut canvas = Canvas::new(WIDTH, 108, label);
    canvas.rect("track", (left, y - 9.0), (room, 18.0), None, "");
    if let (Some(zero), Some(claimed)) = (x(0.0), x(audit.epsilon_claimed)) {
        canvas.rect("bar c0", (zero, y - 9.0), (claimed - zero, 18.0), Some(0.25), "what the accountant allows");
        canvas.line("whisker c0", (claimed, y - 14.0), (claimed, y + 14.0));
        let text = format!("claimed ≤ {}", epsilon_upper(Some(audit.epsilon_claimed)));
        let anchor = if claimed > left + room * 0.75 { Anchor::End } else { Anchor::Middle };
        canvas.text("strong", (claimed, y - 20.0), anchor, &text);
    }
    if let Some(lower) = x(audit.epsilon_lower) {
        canvas.line("whisker c1", (lower, y), (left + room, y));
        canvas.circle("dot c1", (lower, y), 5.0, "what the canaries show at least");
        let text = format!("shown ≥ {}", epsilon_lower(audit.epsilon_lower));
        let anchor = if lower < left + 60.0 { Anchor::Start } else { Anchor::Middle };
        canvas.text("", (lower, y + 24.0), anchor, &text);
    }
    for (value, label) in scale.ticks(Format::Plain, false) {
        let Some(x) = x(value) else { continue };
        canvas.line("axis", (x, y + 32.0), (x, y + 36.0));
        canvas.text("minor", (x, y + 50.0), Anchor::Middle, &label);
    }
    canvas.line("axis", (left, y + 32.0), (left + room, y + 32.0));
    canvas.text("minor", (left + room + 14.0, y + 37.0), Anchor::Start, "ε");
    canvas.finish()
}
