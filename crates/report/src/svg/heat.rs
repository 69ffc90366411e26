//! A square of counts, shaded by each row's shares: the confusion matrix.
use super::{Anchor, Canvas, Figure, text_width};

/// `counts[row][column]`.
#[derive(Clone, Debug)]
pub(crate) struct HeatMap<'a> {
    pub(crate) title: &'a str,
    pub(crate) labels: &'a [String],
    pub(crate) counts: &'a [Vec<u32>],
}

const CELL: f64 = 58.0;
const CELL_HEIGHT: f64 = 44.0;

/// Whether a cell of that opacity is dark enough that paper reads better on it than ink, in both themes.
pub(crate) fn paper_reads_better(opacity: f64) -> bool {
    opacity > 0.69
}

impl HeatMap<'_> {
    pub(crate) fn draw(&self) -> Figure {
        let n = self.counts.len();
        let widest = self.labels.iter().map(|l| text_width(l)).fold(30.0, f64::max);
        let (left, top) = (46.0 + widest, 64.0);
        // Long class names would run into each other; cells grow with them.
        let cell = CELL.max(widest + 10.0);
        let width = (left + cell * n as f64 + 16.0).max(240.0);
        let height = top + CELL_HEIGHT * n as f64 + 14.0;
        let label = format!("{}: {n} by {n} counts, rows are the truth, columns the prediction.", self.title);
        let mut canvas = Canvas::new(width.ceil() as u32, height.ceil() as u32, label);
        canvas.text("title", (14.0, 20.0), Anchor::Start, self.title);
        canvas.text("minor", (left + cell * n as f64 / 2.0, 40.0), Anchor::Middle, "predicted");
        canvas.text_upwards("minor", (16.0, top + CELL_HEIGHT * n as f64 / 2.0), "truth");
        for (r, row) in self.counts.iter().enumerate() {
            let y = top + CELL_HEIGHT * r as f64;
            let total: u64 = row.iter().map(|&c| u64::from(c)).sum();
            canvas.text("", (left + cell * (r as f64 + 0.5), top - 8.0), Anchor::Middle, self.name(r));
            canvas.text("", (left - 10.0, y + CELL_HEIGHT / 2.0 + 4.0), Anchor::End, self.name(r));
            for (c, &count) in row.iter().enumerate() {
                let x = left + cell * c as f64;
                let share = if total == 0 { 0.0 } else { f64::from(count) / total as f64 };
                let tip = format!(
                    "truth {}, predicted {}: {count} of {total} ({:.0} %)",
                    self.name(r),
                    self.name(c),
                    share * 100.0
                );
                let opacity = 0.04 + 0.96 * share;
                canvas.rect("cell", (x, y), (cell - 2.0, CELL_HEIGHT - 2.0), Some(opacity), &tip);
                let (middle, dark) = (x + cell / 2.0 - 1.0, paper_reads_better(opacity));
                let strong = if r == c { " strong" } else { "" };
                let (upper, lower) = if dark { ("oncell", "small oncell") } else { ("", "small") };
                canvas.text(&format!("{upper}{strong}"), (middle, y + 19.0), Anchor::Middle, &count.to_string());
                canvas.text(lower, (middle, y + 34.0), Anchor::Middle, &format!("{:.0} %", share * 100.0));
            }
        }
        if n == 0 {
            canvas.text("minor", (14.0, 58.0), Anchor::Start, "no examples");
        }
        canvas.finish()
    }

    fn name(&self, i: usize) -> &str {
        self.labels.get(i).map_or("?", String::as_str)
    }
}
