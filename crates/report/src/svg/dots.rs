//! Dots with intervals, one row each, beside the value of blind guessing.
use super::{Anchor, Canvas, Figure, Format, Scale, text_width};

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct DotRow {
    pub(crate) label: String,
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// What blind guessing scores.
    pub(crate) chance: f64,
    /// Drawn hollow and indented, under what it controls.
    pub(crate) control: bool,
    pub(crate) tip: String,
}

/// What the marks mean.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DotKey {
    pub(crate) dot: &'static str,
    /// Where rows may be controls.
    pub(crate) hollow: Option<&'static str>,
    pub(crate) chance: &'static str,
}

/// Rows that share one axis.
#[derive(Clone, Debug)]
pub(crate) struct DotPlot {
    pub(crate) title: String,
    /// What is measured.
    pub(crate) measure: String,
    pub(crate) rows: Vec<DotRow>,
    pub(crate) key: DotKey,
    pub(crate) width: u32,
}

const ROW: f64 = 28.0;

impl DotPlot {
    pub(crate) fn draw(&self) -> Figure {
        let top = 58.0;
        let bottom = top + ROW * self.rows.len().max(1) as f64;
        let label = format!(
            "{}: {} rows of {} with 95 % intervals; a dashed mark shows {}{}.",
            self.title,
            self.rows.len(),
            self.measure,
            self.key.chance,
            if self.key.hollow.is_some() { ", hollow dots are controls" } else { "" }
        );
        let mut canvas = Canvas::new(self.width, (bottom + 48.0).ceil() as u32, label);
        canvas.text("title", (14.0, 20.0), Anchor::Start, &self.title);
        let tips: Vec<&str> = self.rows.iter().map(|r| r.tip.as_str()).collect();
        canvas.describe(tips.join(" "));
        self.key.draw(&mut canvas);
        let indent = |row: &DotRow| if row.control { 14.0 } else { 0.0 };
        let left = self.rows.iter().map(|r| 34.0 + indent(r) + 1.15 * text_width(&r.label)).fold(90.0, f64::max);
        let left = left.min(f64::from(self.width) * 0.5);
        let room = (f64::from(self.width) - left - 136.0).max(60.0);
        let scale = self.scale();
        let x = |v: f64| scale.place(v).map(|at| left + at * room);
        for (value, label) in scale.ticks(Format::Plain, false) {
            let Some(x) = x(value) else { continue };
            canvas.line("grid", (x, top), (x, bottom));
            canvas.text("minor", (x, bottom + 18.0), Anchor::Middle, &label);
        }
        canvas.line("axis", (left, bottom), (left + room, bottom));
        canvas.text("minor", (left + room / 2.0, bottom + 36.0), Anchor::Middle, &self.measure);
        for (i, row) in self.rows.iter().enumerate() {
            let y = top + ROW * (i as f64 + 0.5);
            let class = if row.control { "minor" } else { "strong" };
            canvas.text(class, (14.0 + indent(row), y + 4.0), Anchor::Start, &row.label);
            if let Some(chance) = x(row.chance) {
                canvas.line("chance", (chance, y - ROW / 2.0), (chance, y + ROW / 2.0));
            }
            let colour = if row.control { "c1" } else { "c0" };
            if let (Some(low), Some(high)) = (x(row.low), x(row.high)) {
                canvas.line(&format!("whisker {colour}"), (low, y), (high, y));
            }
            if let Some(at) = x(row.value) {
                let shape = if row.control { "hollow" } else { "dot" };
                canvas.circle(&format!("{shape} {colour}"), (at, y), 4.5, &row.tip);
            }
            let number = |v: f64| if v.is_finite() { format!("{v:.2}") } else { "–".to_owned() };
            let figures = match (row.low.is_nan(), row.high.is_nan()) {
                (true, true) => format!("{}, no interval", number(row.value)),
                _ => format!("{} [{}, {}]", number(row.value), number(row.low), number(row.high)),
            };
            canvas.text("minor", (left + room + 12.0, y + 4.0), Anchor::Start, &figures);
        }
        canvas.finish()
    }

    /// Scores that are fractions get the whole of 0 to 1, so that panels can be compared by eye.
    fn scale(&self) -> Scale {
        let all = || self.rows.iter().flat_map(|r| [r.value, r.low, r.high, r.chance]).filter(|v| v.is_finite());
        if all().all(|v| (0.0..=1.0).contains(&v)) {
            Scale::Linear { low: 0.0, high: 1.0 }
        } else {
            Scale::linear(all())
        }
    }
}

impl DotKey {
    fn draw(&self, canvas: &mut Canvas) {
        let mut x = 20.0;
        canvas.circle("dot c0", (x, 38.0), 4.5, "");
        canvas.text("tiny", (x + 10.0, 42.0), Anchor::Start, self.dot);
        x += 28.0 + text_width(self.dot);
        if let Some(hollow) = self.hollow {
            canvas.circle("hollow c1", (x, 38.0), 4.5, "");
            canvas.text("tiny", (x + 10.0, 42.0), Anchor::Start, hollow);
            x += 28.0 + text_width(hollow);
        }
        canvas.line("chance", (x, 31.0), (x, 46.0));
        canvas.text("tiny", (x + 8.0, 42.0), Anchor::Start, self.chance);
    }
}
