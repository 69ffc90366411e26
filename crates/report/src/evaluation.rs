//! An evaluation as text for a terminal.
use sottovoce_types::{Calibration, CalibrationBin, Interval, Metrics, SexGap, SexMetrics};

use crate::text::{Align, NONE, TextTable, interval, percent, percent_in, points, significant};

/// Figures by class, and their means over classes.
pub fn per_class_text(metrics: &Metrics) -> String {
    let columns = [("class", Align::Left), ("precision", Align::Right), ("recall", Align::Right)];
    let mut out = TextTable::new(columns.into_iter().chain([("F1", Align::Right), ("examples", Align::Right)]));
    let mut row = |name: &str, figures: [f64; 3], examples: u32| {
        out.row([vec![name.to_owned()], figures.map(percent).to_vec(), vec![examples.to_string()]].concat());
    };
    for class in &metrics.per_class {
        row(&class.label, [class.precision, class.recall, class.f1], class.support);
    }
    let m = metrics;
    row("macro mean", [m.macro_precision, m.macro_recall, m.macro_f1], m.examples);
    row("weighted mean", [m.weighted_precision, m.weighted_recall, m.weighted_f1], m.examples);
    out.render()
}

/// Everything that an evaluation measured: overall with intervals, by class, confusions, by sex, calibration.
pub fn evaluation_text(metrics: &Metrics) -> String {
    let parts = [
        Some(overall(metrics)),
        Some(per_class_text(metrics)),
        Some(confusion(metrics)),
        (!metrics.by_sex.is_empty()).then(|| by_sex(metrics)),
        metrics.calibration.as_ref().map(|c| calibration(c, metrics.accuracy)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// What intervals over the speakers of an evaluation are worth.
pub(crate) fn intervals_note(metrics: &Metrics) -> String {
    match metrics.speakers {
        0 | 1 => "One speaker: an interval over speakers is not estimable".to_owned(),
        few if few < Metrics::ROUGH_BELOW_SPEAKERS => {
            format!(
                "Intervals are bootstraps over {few} speakers: with so few they are rough, and tend to be too narrow"
            )
        }
        enough => format!("Intervals are bootstraps over {enough} speakers"),
    }
}

/// What there is to say of the groups beside their figures: who is in neither, and which intervals are rough.
pub(crate) fn groups_notes(metrics: &Metrics) -> Vec<String> {
    let mut notes = Vec::new();
    let grouped: u32 = metrics.by_sex.iter().map(|g| g.examples).sum();
    if grouped < metrics.examples {
        notes
            .push(format!("{} examples of speakers whose sex is not told are in no group", metrics.examples - grouped));
    }
    let few = |g: &&SexMetrics| (2..Metrics::ROUGH_BELOW_SPEAKERS).contains(&g.speakers);
    for group in metrics.by_sex.iter().filter(few) {
        notes.push(format!("the {} group has {} speakers: its interval is rough", group.sex.name(), group.speakers));
    }
    match &metrics.sex_gap {
        Some(gap) => notes.push(gap_note(gap)),
        None if metrics.by_sex.len() > 1 => {
            notes.push("the groups do not hold the same classes, so that their UARs cannot be compared".to_owned());
        }
        None => {}
    }
    notes
}

fn gap_note(gap: &SexGap) -> String {
    match gap.uar_ci95 {
        Some(ci) if ci.low > 0.0 || ci.high < 0.0 => {
            "the interval of the gap in UAR leaves out 0: the model serves one sex better than the other".to_owned()
        }
        Some(_) => {
            "the interval of the gap in UAR holds 0: these speakers do not show that the model serves one sex better"
                .to_owned()
        }
        None => "the gap has no interval: a group has one speaker".to_owned(),
    }
}

/// Whether probabilities are too high or too low, in words.
pub(crate) fn confidence_note(calibration: &Calibration, accuracy: f64) -> String {
    let by = calibration.mean_confidence - accuracy;
    let (confident, right) = (percent(calibration.mean_confidence), percent(accuracy));
    // Half a point is what is printed.
    let verdict = match by {
        by if by > 0.005 => format!("overconfident by {} points", points(by).trim_start_matches('+')),
        by if by < -0.005 => format!("underconfident by {} points", points(-by).trim_start_matches('+')),
        by if by.is_nan() => "not comparable".to_owned(),
        _ => "on the whole as confident as it is right".to_owned(),
    };
    format!("mean confidence {confident}, right {right}: {verdict}")
}

fn overall(m: &Metrics) -> String {
    let mut out =
        TextTable::new([("all classes", Align::Left), ("value", Align::Right), ("95 % interval", Align::Left)]);
    let over = |ci| interval(ci, m.speakers);
    out.row(["accuracy".to_owned(), percent(m.accuracy), over(m.accuracy_ci95)]);
    out.row(["UAR".to_owned(), percent(m.uar), over(m.uar_ci95)]);
    out.row(["UAR of guessing".to_owned(), percent(m.uar_chance)]);
    out.row(["macro F1".to_owned(), percent(m.macro_f1), over(m.macro_f1_ci95)]);
    out.row(["cross-entropy, nats".to_owned(), significant(m.loss)]);
    let error = m.calibration.as_ref().map_or(NONE.to_owned(), |c| percent(c.expected_calibration_error));
    out.row(["calibration error".to_owned(), error]);
    out.row(["Brier score".to_owned(), m.calibration.as_ref().map_or(NONE.to_owned(), |c| significant(c.brier))]);
    let speakers = if m.speakers == 1 { "speaker" } else { "speakers" };
    format!("{}{} examples of {} {speakers}. {}.\n", out.render(), m.examples, m.speakers, intervals_note(m))
}

fn confusion(m: &Metrics) -> String {
    let name = |i: usize| m.per_class.get(i).map_or("?", |c| c.label.as_str());
    let columns = (0..m.confusion.len()).map(|i| (name(i), Align::Right));
    let mut out = TextTable::new([("truth, by prediction", Align::Left)].into_iter().chain(columns));
    for (i, row) in m.confusion.iter().enumerate() {
        out.row([name(i).to_owned()].into_iter().chain(row.iter().map(u32::to_string)));
    }
    out.render()
}

/// One figure a row: its name, a cell for each sex, and, where there is one, the gap in percentage points.
pub(crate) fn by_sex_rows(m: &Metrics) -> Vec<Vec<String>> {
    let row = |name: String, cell: &dyn Fn(&SexMetrics) -> String, gap: Option<String>| -> Vec<String> {
        let gap = m.sex_gap.is_some().then(|| gap.unwrap_or_default());
        [name].into_iter().chain(m.by_sex.iter().map(cell)).chain(gap).collect()
    };
    let gap = |pick: fn(&SexGap) -> (f64, Option<Interval>)| {
        m.sex_gap.as_ref().map(pick).map(|(gap, ci)| match ci {
            Some(ci) => format!("{} ({} to {})", points(gap), points(ci.low), points(ci.high)),
            None => points(gap),
        })
    };
    let mut rows = vec![
        row("examples".to_owned(), &|g| g.examples.to_string(), None),
        row("speakers".to_owned(), &|g| g.speakers.to_string(), None),
        row(
            "accuracy (95 %)".to_owned(),
            &|g| percent_in(g.accuracy, g.accuracy_ci95, g.speakers),
            gap(|g| (g.accuracy, g.accuracy_ci95)),
        ),
        row("UAR (95 %)".to_owned(), &|g| percent_in(g.uar, g.uar_ci95, g.speakers), gap(|g| (g.uar, g.uar_ci95))),
    ];
    for (i, class) in m.per_class.iter().enumerate() {
        let recall = |g: &SexMetrics| g.recall.get(i).copied().flatten().map_or(NONE.to_owned(), percent);
        rows.push(row(format!("recall, {}", class.label), &recall, None));
    }
    rows
}

fn by_sex(m: &Metrics) -> String {
    let sexes = m.by_sex.iter().map(|g| (g.sex.name(), Align::Right));
    let gap = m.sex_gap.is_some().then_some(("female − male, points", Align::Right));
    let mut out = TextTable::new([("by sex", Align::Left)].into_iter().chain(sexes).chain(gap));
    for row in by_sex_rows(m) {
        out.row(row);
    }
    groups_notes(m).into_iter().fold(out.render(), |text, note| text + &note + "\n")
}

fn calibration(c: &Calibration, accuracy: f64) -> String {
    let numbers = ["examples", "mean confidence", "right"].map(|name| (name, Align::Right));
    let mut out = TextTable::new([("confidence", Align::Left)].into_iter().chain(numbers));
    for CalibrationBin { low, high, count, confidence, accuracy } in c.bins.iter().filter(|b| b.count > 0) {
        let shares = [*confidence, *accuracy].map(|v| v.map_or(NONE.to_owned(), percent));
        let [confidence, accuracy] = shares;
        out.row([format!("{:.1}–{:.1} %", low * 100.0, high * 100.0), count.to_string(), confidence, accuracy]);
    }
    format!("{}{}\n", out.render(), confidence_note(c, accuracy))
}
