//! Named points in a plane, and the front of those that no other beats in both ways.
use super::{Anchor, Axis, Canvas, Figure, text_width};
use crate::svg::lines::Frame;

/// One point.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// Half lengths of its whiskers.
    pub(crate) spread: (f64, f64),
    /// Written beside it.
    pub(crate) name: String,
    /// Which kind it is of: an index into [`Scatter::kinds`].
    pub(crate) kind: usize,
    /// Drawn full on the front, hollow off it.
    pub(crate) on_front: bool,
    /// Shown when the pointer rests on it.
    pub(crate) tip: String,
}

/// A plane of points.
#[derive(Clone, Debug)]
pub(crate) struct Scatter {
    pub(crate) title: String,
    /// What the figure shows, for readers who cannot see it.
    pub(crate) label: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    /// Kinds of points, four at most told apart by colour; each point carries its kind's letter, too.
    pub(crate) kinds: Vec<String>,
    pub(crate) marks: Vec<Mark>,
    /// Corners of the front, from left to right.
    pub(crate) front: Vec<(f64, f64)>,
    /// An upright line at the value of guessing.
    pub(crate) chance_x: Option<(f64, String)>,
    pub(crate) size: (u32, u32),
}

impl Scatter {
    pub(crate) fn draw(&self) -> Figure {
        let (width, height) = self.size;
        let y_ticks = self.y.ticks();
        let left = 30.0 + y_ticks.iter().map(|(_, label)| text_width(label)).fold(0.0, f64::max);
        let lines = self.legend(f64::from(width));
        let top = 44.0 + 18.0 * lines.len() as f64;
        let frame = Frame {
            left,
            top,
            width: f64::from(width) - left - 30.0,
            height: f64::from(height) - top - 46.0,
            x: self.x.scale,
            y: self.y.scale,
        };
        let mut canvas = Canvas::new(width, height, &self.label);
        canvas.describe(self.marks.iter().map(|m| m.tip.as_str()).collect::<Vec<_>>().join("; "));
        canvas.text("title", (14.0, 20.0), Anchor::Start, &self.title);
        self.draw_axes(&mut canvas, &frame, &y_ticks);
        let front: Vec<_> = self.front.iter().filter_map(|&(x, y)| frame.at(x, y)).collect();
        if front.len() > 1 {
            canvas.path("line c3 dash1", &front, false);
        }
        for mark in &self.marks {
            self.draw_mark(&mut canvas, &frame, mark);
        }
        for (row, line) in lines.iter().enumerate() {
            for (x, kind) in line {
                let y = 38.0 + 18.0 * row as f64;
                canvas.circle(&format!("dot c{}", kind % 4), (x + 6.0, y), 4.5, "");
                canvas.text("", (x + 18.0, y + 4.0), Anchor::Start, &self.legend_name(*kind));
            }
        }
        if self.marks.is_empty() {
            let middle = (frame.left + frame.width / 2.0, frame.top + frame.height / 2.0);
            canvas.text("minor", middle, Anchor::Middle, "no values recorded");
        }
        canvas.finish()
    }

    fn legend_name(&self, kind: usize) -> String {
        if self.kinds.len() > 1 { format!("{}: {}", letter(kind), self.kinds[kind]) } else { self.kinds[kind].clone() }
    }

    /// Kinds with their places, line by line.
    fn legend(&self, width: f64) -> Vec<Vec<(f64, usize)>> {
        let mut lines: Vec<Vec<(f64, usize)>> = vec![Vec::new()];
        let mut x = 14.0;
        for kind in 0..self.kinds.len() {
            let needed = 36.0 + text_width(&self.legend_name(kind));
            if x > 14.0 && x + needed > width {
                lines.push(Vec::new());
                x = 14.0;
            }
            lines.last_mut().expect("one line at least").push((x, kind));
            x += needed;
        }
        lines
    }

    fn draw_axes(&self, canvas: &mut Canvas, frame: &Frame, y_ticks: &[(f64, String)]) {
        frame.draw_axes(canvas, &self.x, &self.y, y_ticks);
        if let Some((chance, name)) = &self.chance_x
            && let Some(at) = self.x.scale.place(*chance)
        {
            let x = frame.left + at * frame.width;
            canvas.line("chance", (x, frame.top), (x, frame.bottom()));
            canvas.text("tiny", (x + 5.0, frame.bottom() - 6.0), Anchor::Start, name);
        }
    }

    fn draw_mark(&self, canvas: &mut Canvas, frame: &Frame, mark: &Mark) {
        let Some(at) = frame.at(mark.x, mark.y) else { return };
        let class = mark.kind % 4;
        let ends = |low: (f64, f64), high: (f64, f64)| Some((frame.at(low.0, low.1)?, frame.at(high.0, high.1)?));
        let (dx, dy) = mark.spread;
        for (low, high) in
            [ends((mark.x - dx, mark.y), (mark.x + dx, mark.y)), ends((mark.x, mark.y - dy), (mark.x, mark.y + dy))]
                .into_iter()
                .flatten()
        {
            canvas.line(&format!("whisker c{class}"), low, high);
        }
        let shape = if mark.on_front { "dot" } else { "hollow" };
        canvas.circle(&format!("{shape} c{class}"), at, 4.5, &mark.tip);
        let name =
            if self.kinds.len() > 1 { format!("{} {}", letter(mark.kind), mark.name) } else { mark.name.clone() };
        // On the side that has room.
        let (x, anchor) = if at.0 + 9.0 + text_width(&name) > frame.right() + 24.0 {
            (at.0 - 8.0, Anchor::End)
        } else {
            (at.0 + 8.0, Anchor::Start)
        };
        canvas.text("tiny", (x, at.1 - 6.0), anchor, &name);
    }
}

/// The letter of a kind: A, B, …
fn letter(kind: usize) -> char {
    char::from(b'A' + (kind % 26) as u8)
}
