//! Lines with bands over one horizontal axis, linear or logarithmic.
use super::{Anchor, Canvas, Figure, Format, Scale, text_width};

/// One measured place of a line.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// Ends of the band or whisker.
    pub(crate) band: Option<(f64, f64)>,
    /// Shown when the pointer rests on it.
    pub(crate) tip: String,
}

/// A named line.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<Point>,
    /// Whether points are joined, or stand alone with whiskers.
    pub(crate) joined: bool,
}

/// A dashed line to compare with: level, or through the points given.
#[derive(Clone, Debug)]
pub(crate) enum Reference {
    /// At one height, its label above or below it.
    Level { y: f64, label: String, below: bool },
    /// From one end to the other.
    Diagonal { from: (f64, f64), to: (f64, f64), label: String },
    /// An upright line that parts what is left of it from what is right of it.
    Divider { x: f64 },
}

/// An axis.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    pub(crate) label: String,
    pub(crate) scale: Scale,
    pub(crate) format: Format,
    /// Ticks instead of the scale's own.
    pub(crate) ticks: Option<Vec<(f64, String)>>,
    /// Whole numbers only.
    pub(crate) whole: bool,
}

impl Axis {
    pub(crate) fn new(label: impl Into<String>, scale: Scale, format: Format) -> Self {
        Self { label: label.into(), scale, format, ticks: None, whole: false }
    }

    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        self.ticks.clone().unwrap_or_else(|| self.scale.ticks(self.format, self.whole))
    }
}

/// A chart of lines.
#[derive(Clone, Debug)]
pub(crate) struct LineChart {
    pub(crate) title: String,
    /// What the chart shows, for readers who cannot see it.
    pub(crate) label: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
    pub(crate) references: Vec<Reference>,
    pub(crate) size: (u32, u32),
}

pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) x: Scale,
    pub(super) y: Scale,
}

impl Frame {
    pub(super) fn at(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        Some((self.left + self.x.place(x)? * self.width, self.top + (1.0 - self.y.place(y)?) * self.height))
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    pub(super) fn right(&self) -> f64 {
        self.left + self.width
    }

    /// Both axes with their ticks and names, and a line across at each tick of the upright one.
    pub(super) fn draw_axes(&self, canvas: &mut Canvas, x_axis: &Axis, y_axis: &Axis, y_ticks: &[(f64, String)]) {
        for (value, label) in y_ticks {
            let Some(at) = y_axis.scale.place(*value) else { continue };
            let y = self.top + (1.0 - at) * self.height;
            canvas.line("grid", (self.left, y), (self.right(), y));
            canvas.text("minor", (self.left - 8.0, y + 4.0), Anchor::End, label);
        }
        canvas.line("axis", (self.left, self.bottom()), (self.right(), self.bottom()));
        for (value, label) in x_axis.ticks() {
            let Some(at) = x_axis.scale.place(value) else { continue };
            let x = self.left + at * self.width;
            canvas.line("axis", (x, self.bottom()), (x, self.bottom() + 4.0));
            canvas.text("minor", (x, self.bottom() + 18.0), Anchor::Middle, &label);
        }
        let below = (self.left + self.width / 2.0, self.bottom() + 36.0);
        canvas.text("minor", below, Anchor::Middle, &x_axis.label);
        canvas.text_upwards("minor", (14.0, self.top + self.height / 2.0), &y_axis.label);
    }
}

impl LineChart {
    pub(crate) fn draw(&self) -> Figure {
        let (width, height) = self.size;
        let y_ticks = self.y.ticks();
        let widest = y_ticks.iter().map(|(_, label)| text_width(label)).fold(0.0, f64::max);
        let left = 30.0 + widest;
        let top = if self.legend_needed() { 54.0 } else { 36.0 };
        let frame = Frame {
            left,
            top,
            width: f64::from(width) - left - 18.0,
            height: f64::from(height) - top - 46.0,
            x: self.x.scale,
            y: self.y.scale,
        };
        let mut canvas = Canvas::new(width, height, &self.label);
        canvas.text("title", (14.0, 20.0), Anchor::Start, &self.title);
        frame.draw_axes(&mut canvas, &self.x, &self.y, &y_ticks);
        self.draw_references(&mut canvas, &frame);
        // All bands first: none may hide another series' line.
        for (i, series) in self.series.iter().enumerate() {
            draw_bands(&mut canvas, &frame, series, i % 4);
        }
        for (i, series) in self.series.iter().enumerate() {
            draw_lines(&mut canvas, &frame, series, i % 4);
        }
        if self.legend_needed() {
            self.draw_legend(&mut canvas);
        }
        if self.series.iter().all(|s| s.points.iter().all(|p| frame.at(p.x, p.y).is_none())) {
            let middle = (frame.left + frame.width / 2.0, frame.top + frame.height / 2.0);
            canvas.text("minor", middle, Anchor::Middle, "no values recorded");
        }
        canvas.finish()
    }

    fn legend_needed(&self) -> bool {
        self.series.len() > 1
    }

    fn draw_references(&self, canvas: &mut Canvas, frame: &Frame) {
        for reference in &self.references {
            match reference {
                Reference::Level { y, label, below } => {
                    let Some(at) = self.y.scale.place(*y) else { continue };
                    let y = frame.top + (1.0 - at) * frame.height;
                    canvas.line("chance", (frame.left, y), (frame.right(), y));
                    let offset = if *below { 14.0 } else { -5.0 };
                    canvas.text("tiny", (frame.right(), y + offset), Anchor::End, label);
                }
                Reference::Diagonal { from, to, label } => {
                    let (Some(from), Some(to)) = (frame.at(from.0, from.1), frame.at(to.0, to.1)) else { continue };
                    canvas.line("chance", from, to);
                    let middle = (f64::midpoint(from.0, to.0) - 8.0, f64::midpoint(from.1, to.1) - 8.0);
                    canvas.text("tiny", middle, Anchor::End, label);
                }
                Reference::Divider { x } => {
                    let Some(at) = self.x.scale.place(*x) else { continue };
                    let x = frame.left + at * frame.width;
                    canvas.line("grid", (x, frame.top), (x, frame.bottom()));
                }
            }
        }
    }

    fn draw_legend(&self, canvas: &mut Canvas) {
        let mut x = 14.0;
        for (i, series) in self.series.iter().enumerate() {
            let class = i % 4;
            if series.joined {
                canvas.line(&format!("line c{class}"), (x, 37.0), (x + 16.0, 37.0));
            } else {
                canvas.circle(&format!("dot c{class}"), (x + 8.0, 37.0), 4.0, "");
            }
            canvas.text("", (x + 22.0, 41.0), Anchor::Start, &series.name);
            x += 40.0 + text_width(&series.name);
        }
    }
}

/// Stretches of a series between points that have no place: a gap is drawn as a gap.
fn stretches<'a>(frame: &'a Frame, series: &'a Series) -> impl Iterator<Item = &'a [Point]> {
    series.points.split(|p| frame.at(p.x, p.y).is_none()).filter(|stretch| !stretch.is_empty())
}

pub(super) fn draw_bands(canvas: &mut Canvas, frame: &Frame, series: &Series, class: usize) {
    for stretch in stretches(frame, series) {
        if !series.joined || stretch.len() == 1 {
            for p in stretch {
                let Some((low, high)) = p.band else { continue };
                if let (Some(low), Some(high)) = (frame.at(p.x, low), frame.at(p.x, high)) {
                    canvas.line(&format!("whisker c{class}"), low, high);
                }
            }
            continue;
        }
        let edge = |pick: fn((f64, f64)) -> f64| stretch.iter().filter_map(move |p| frame.at(p.x, pick(p.band?)));
        let mut outline: Vec<_> = edge(|band| band.0).collect();
        outline.reverse();
        outline.splice(0..0, edge(|band| band.1));
        canvas.path(&format!("band c{class}"), &outline, true);
    }
}

pub(super) fn draw_lines(canvas: &mut Canvas, frame: &Frame, series: &Series, class: usize) {
    for stretch in stretches(frame, series) {
        let places: Vec<_> = stretch.iter().filter_map(|p| frame.at(p.x, p.y)).collect();
        if series.joined && places.len() > 1 {
            canvas.path(&format!("line c{class}"), &places, false);
        }
        let r = if series.points.len() > 40 { 1.8 } else { 3.2 };
        for (p, at) in stretch.iter().zip(places) {
            canvas.circle(&format!("dot c{class}"), at, r, &p.tip);
        }
    }
}
