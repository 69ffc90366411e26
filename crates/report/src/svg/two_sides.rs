//! Two histograms over one axis: one filled, one an outline, so that they are told apart without colour.
use super::{Anchor, Canvas, Figure, Format, Scale, text_width};

/// Shares of two sides in the same bins.
#[derive(Clone, Debug)]
pub(crate) struct TwoSides<'a> {
    pub(crate) title: String,
    pub(crate) label: String,
    pub(crate) description: String,
    pub(crate) axis: &'a str,
    /// `[bins + 1]`.
    pub(crate) edges: &'a [f64],
    /// The filled side's name and shares.
    pub(crate) filled: (&'a str, Vec<f64>),
    /// The outlined side's.
    pub(crate) outlined: (&'a str, Vec<f64>),
}

const SIZE: (u32, u32) = (460, 420);

impl TwoSides<'_> {
    pub(crate) fn draw(&self) -> Figure {
        let mut canvas = Canvas::new(SIZE.0, SIZE.1, &self.label);
        canvas.describe(&self.description);
        canvas.text("title", (14.0, 20.0), Anchor::Start, &self.title);
        let (left, top) = (64.0, 56.0);
        let (width, height) = (f64::from(SIZE.0) - left - 30.0, f64::from(SIZE.1) - top - 50.0);
        let bottom = top + height;
        let y = Scale::linear(self.filled.1.iter().chain(&self.outlined.1).copied().chain([0.0]));
        for (value, label) in y.ticks(Format::Percent, false) {
            let Some(at) = y.place(value) else { continue };
            canvas.line("grid", (left, bottom - at * height), (left + width, bottom - at * height));
            canvas.text("minor", (left - 8.0, bottom - at * height + 4.0), Anchor::End, &label);
        }
        let (Some(&low), Some(&high)) = (self.edges.first(), self.edges.last()) else {
            canvas.text("minor", (left + width / 2.0, top + height / 2.0), Anchor::Middle, "no values recorded");
            return canvas.finish();
        };
        let x = Scale::Linear { low, high };
        let outline = |shares: &[f64]| {
            let mut points = vec![(left, bottom)];
            for (i, &share) in shares.iter().enumerate() {
                let place = |edge: usize| left + x.place(self.edges[edge]).unwrap_or(0.0) * width;
                let up = bottom - y.place(share).unwrap_or(0.0) * height;
                points.extend([(place(i), up), (place(i + 1), up)]);
            }
            points.push((left + width, bottom));
            points
        };
        let filled = outline(&self.filled.1);
        canvas.path("band c0", &filled, true);
        canvas.path("trace", &filled, false);
        canvas.path("line c1 dash1", &outline(&self.outlined.1), false);
        canvas.line("axis", (left, bottom), (left + width, bottom));
        for (value, label) in x.ticks(Format::Plain, false) {
            let Some(at) = x.place(value) else { continue };
            canvas.line("axis", (left + at * width, bottom), (left + at * width, bottom + 4.0));
            canvas.text("minor", (left + at * width, bottom + 18.0), Anchor::Middle, &label);
        }
        canvas.text("minor", (left + width / 2.0, bottom + 38.0), Anchor::Middle, self.axis);
        canvas.text_upwards("minor", (14.0, top + height / 2.0), "share of each side");
        let second = 54.0 + text_width(self.filled.0);
        canvas.rect("band c0", (14.0, 32.0), (20.0, 12.0), None, "");
        canvas.line("trace", (14.0, 32.0), (34.0, 32.0));
        canvas.text("small", (40.0, 42.0), Anchor::Start, self.filled.0);
        canvas.line("line c1 dash1", (second, 38.0), (second + 20.0, 38.0));
        canvas.text("small", (second + 26.0, 42.0), Anchor::Start, self.outlined.0);
        canvas.finish()
    }
}
