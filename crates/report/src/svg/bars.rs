//! Horizontal bars: room for long labels, one value each.
use super::{Anchor, Canvas, Figure, Format, Head, cut, text_width};

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
    /// For readers who cannot see it; the values follow it.
    pub(crate) title: String,
    /// What the values are.
    pub(crate) unit: String,
    pub(crate) head: Head,
    pub(crate) bars: Vec<Bar>,
    pub(crate) width: u32,
}

const ROW: f64 = 26.0;
/// No label takes more, so that there is room for bars.
const WIDEST_LABEL: f64 = 220.0;

impl BarChart {
    pub(crate) fn draw(&self) -> Figure {
        let head = self.head.bottom();
        let bottom = head + ROW * self.bars.len().max(1) as f64;
        let label = format!("Bar chart: {}. {} values, in {}.", self.title, self.bars.len(), self.unit);
        let mut canvas = Canvas::new(self.width, (bottom + 10.0).ceil() as u32, label);
        let values: Vec<_> = self.bars.iter().map(|b| format!("{} {}", b.label, b.note)).collect();
        canvas.describe(if values.is_empty() { "No values.".to_owned() } else { values.join(", ") });
        self.head.draw(&mut canvas);
        let labels: Vec<_> = self.bars.iter().map(|b| cut(&b.label, WIDEST_LABEL)).collect();
        let left = 26.0 + labels.iter().map(|l| text_width(l)).fold(0.0, f64::max);
        let right = 22.0 + self.bars.iter().map(|b| text_width(&b.note)).fold(0.0, f64::max);
        let room = (f64::from(self.width) - left - right).max(40.0);
        let most = self.bars.iter().map(|b| b.value).filter(|v| v.is_finite()).fold(0.0, f64::max);
        for (i, (bar, label)) in self.bars.iter().zip(&labels).enumerate() {
            let top = head + ROW * i as f64;
            let share = if most > 0.0 && bar.value.is_finite() { (bar.value / most).clamp(0.0, 1.0) } else { 0.0 };
            let tip = format!("{}: {} {}", bar.label, Format::Plain.value(bar.value), self.unit);
            canvas.text("", (left - 10.0, top + 14.0), Anchor::End, label);
            canvas.rect("bar c0", (left, top + 2.0), (room * share, ROW - 8.0), None, &tip);
            canvas.text("minor", (left + room * share + 8.0, top + 14.0), Anchor::Start, &bar.note);
        }
        canvas.line("axis", (left, head - 2.0), (left, bottom));
        if self.bars.is_empty() {
            canvas.text("minor", (left + 10.0, head + 16.0), Anchor::Start, "no values");
        }
        canvas.finish()
    }
}
