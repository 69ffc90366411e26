//! Horizontal bars: room for long labels, one value each.
use super::{Anchor, Canvas, Figure, Format, text_width};

/// One bar.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) value: f64,
    /// Written after the bar.
    pub(crate) note: String,
}

/// A chart of bars that start at 0.
#[derive(Clone, Debug)]
pub(crate) struct BarChart {
    pub(crate) title: String,
    /// What the values are.
    pub(crate) unit: String,
    pub(crate) bars: Vec<Bar>,
    pub(crate) width: u32,
}

const ROW: f64 = 26.0;

impl BarChart {
    pub(crate) fn draw(&self) -> Figure {
        let height = 56.0 + ROW * self.bars.len().max(1) as f64;
        let label = format!("Bar chart: {}. {} values, in {}.", self.title, self.bars.len(), self.unit);
        let mut canvas = Canvas::new(self.width, height.ceil() as u32, label);
        canvas.text("title", (14.0, 20.0), Anchor::Start, &self.title);
        canvas.text("tiny", (14.0, 36.0), Anchor::Start, &self.unit);
        let widest = |texts: &mut dyn Iterator<Item = f64>| texts.fold(0.0, f64::max);
        let left = 26.0 + widest(&mut self.bars.iter().map(|b| text_width(&b.label)));
        let right = 22.0 + widest(&mut self.bars.iter().map(|b| text_width(&b.note)));
        let room = (f64::from(self.width) - left - right).max(40.0);
        let most = self.bars.iter().map(|b| b.value).filter(|v| v.is_finite()).fold(0.0, f64::max);
        for (i, bar) in self.bars.iter().enumerate() {
            let top = 46.0 + ROW * i as f64;
            let share = if most > 0.0 && bar.value.is_finite() { (bar.value / most).clamp(0.0, 1.0) } else { 0.0 };
            let tip = format!("{}: {} {}", bar.label, Format::Plain.value(bar.value), self.unit);
            canvas.text("", (left - 10.0, top + 14.0), Anchor::End, &bar.label);
            canvas.rect("bar c0", (left, top + 2.0), (room * share, ROW - 8.0), None, &tip);
            canvas.text("minor", (left + room * share + 8.0, top + 14.0), Anchor::Start, &bar.note);
        }
        canvas.line("axis", (left, 44.0), (left, 46.0 + ROW * self.bars.len().max(1) as f64));
        if self.bars.is_empty() {
            canvas.text("minor", (left + 10.0, 62.0), Anchor::Start, "no values");
        }
        canvas.finish()
    }
}
