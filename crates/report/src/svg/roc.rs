//! A ROC curve on two logarithmic axes: what an attack gets right while it accuses hardly anybody wrongly.
use super::lines::Frame;
use super::{Anchor, Canvas, Figure, Scale};

/// One point of the curve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RocMark {
    pub(crate) fpr: f64,
    pub(crate) tpr: f64,
    pub(crate) band: (f64, f64),
}

/// A curve, guessing, and what is allowed at most.
#[derive(Clone, Debug)]
pub(crate) struct RocPlot<'a> {
    pub(crate) title: String,
    pub(crate) label: String,
    pub(crate) description: String,
    pub(crate) points: &'a [RocMark],
    pub(crate) ceiling: Option<&'a [[f64; 2]]>,
    /// Below this false-positive rate fewer than ten false positives stand behind a point.
    pub(crate) few_below: f64,
    /// The smallest rate that there is.
    pub(crate) least: f64,
}

const SIZE: (u32, u32) = (460, 420);

impl RocPlot<'_> {
    pub(crate) fn draw(&self) -> Figure {
        let decades = (-self.least.max(1e-6).log10()).ceil().clamp(1.0, 6.0);
        let low = 10f64.powf(-decades);
        let scale = Scale::Log { low, high: 1.0 };
        let (left, top) = (64.0, 56.0);
        let frame = Frame {
            left,
            top,
            width: f64::from(SIZE.0) - left - 30.0,
            height: f64::from(SIZE.1) - top - 50.0,
            x: scale,
            y: scale,
        };
        let mut canvas = Canvas::new(SIZE.0, SIZE.1, &self.label);
        canvas.describe(&self.description);
        canvas.text("title", (14.0, 20.0), Anchor::Start, &self.title);
        self.draw_legend(&mut canvas);
        self.draw_few(&mut canvas, &frame, low);
        draw_axes(&mut canvas, &frame, decades as i32);
        let at = |x: f64, y: f64| frame.at(x.max(low), y.max(low));
        if let (Some(from), Some(to)) = (at(low, low), at(1.0, 1.0)) {
            canvas.line("chance", from, to);
        }
        let edge = |pick: fn(&RocMark) -> f64| self.points.iter().filter_map(move |p| at(p.fpr, pick(p)));
        let mut outline: Vec<_> = edge(|p| p.band.1).collect();
        let lower: Vec<_> = edge(|p| p.band.0).collect();
        outline.extend(lower.into_iter().rev());
        canvas.path("band c0", &outline, true);
        if let Some(ceiling) = self.ceiling {
            let line: Vec<_> = ceiling.iter().filter_map(|[x, y]| at(*x, *y)).collect();
            canvas.path("line c1 dash1", &line, false);
        }
        let line: Vec<_> = edge(|p| p.tpr).collect();
        canvas.path("line c0", &line, false);
        if self.points.is_empty() {
            let middle = (frame.left + frame.width / 2.0, frame.top + frame.height / 2.0);
            canvas.text("minor", middle, Anchor::Middle, "no values recorded");
        }
        canvas.finish()
    }

    fn draw_legend(&self, canvas: &mut Canvas) {
        let y = 38.0;
        let mut x = 14.0;
        let mut mark = |class: &str, name: &str, band: bool| {
            if band {
                canvas.rect("band c0", (x, y - 6.0), (20.0, 12.0), None, "");
            }
            canvas.line(class, (x, y), (x + 20.0, y));
            canvas.text("small", (x + 26.0, y + 4.0), Anchor::Start, name);
            x += 42.0 + 5.9 * name.chars().count() as f64;
        };
        mark("line c0", "attack, 95 % band", true);
        mark("chance", "guessing", false);
        if self.ceiling.is_some() {
            mark("line c1 dash1", "the accountant’s ceiling", false);
        }
    }

    fn draw_few(&self, canvas: &mut Canvas, frame: &Frame, low: f64) {
        let Some(to) = frame.x.place(self.few_below.min(1.0)).filter(|_| self.few_below > low) else { return };
        let width = to * frame.width;
        canvas.rect("track", (frame.left, frame.top), (width, frame.height), None, "");
        if width > 90.0 {
            for (i, line) in ["fewer than 10", "false positives"].into_iter().enumerate() {
                canvas.text("tiny", (frame.left + 6.0, frame.top + 15.0 + 14.0 * i as f64), Anchor::Start, line);
            }
        }
    }
}

fn draw_axes(canvas: &mut Canvas, frame: &Frame, decades: i32) {
    for k in 0..=decades {
        let v = 10f64.powi(-k);
        let label = if k <= 2 { format!("{:.0} %", 100.0 * v) } else { format!("{} %", 100.0 * v) };
        let Some((x, y)) = frame.at(v, v) else { continue };
        canvas.line("grid", (frame.left, y), (frame.right(), y));
        canvas.line("grid", (x, frame.top), (x, frame.bottom()));
        canvas.text("minor", (frame.left - 8.0, y + 4.0), Anchor::End, &label);
        canvas.text("minor", (x, frame.bottom() + 18.0), Anchor::Middle, &label);
    }
    canvas.line("axis", (frame.left, frame.bottom()), (frame.right(), frame.bottom()));
    canvas.line("axis", (frame.left, frame.top), (frame.left, frame.bottom()));
    let middle = frame.left + frame.width / 2.0;
    canvas.text("minor", (middle, frame.bottom() + 38.0), Anchor::Middle, "false-positive rate");
    canvas.text_upwards("minor", (14.0, frame.top + frame.height / 2.0), "true-positive rate");
}
