//! Small multiples: one curve and some levels in each panel, all over the same axes.
use super::lines::{Frame, draw_bands, draw_lines};
use super::{Anchor, Axis, Canvas, Figure, Point, Series, cut, text_width};

/// Panels in one row.
const COLUMNS: usize = 3;
const GAP: f64 = 18.0;
const PANEL_HEIGHT: f64 = 210.0;
/// Above a panel: its name.
const ABOVE: f64 = 26.0;
/// Below a panel: its ticks and the axis's name.
const BELOW: f64 = 50.0;
const LEGEND_LINE: f64 = 18.0;
/// Right of a curve: the levels' intervals, side by side. As bands behind the curve they would lie over each other.
const GUTTER: f64 = 44.0;

/// A level with its interval.
#[derive(Clone, Debug)]
pub(crate) struct Level {
    pub(crate) y: f64,
    pub(crate) band: Option<(f64, f64)>,
    /// Shown when the pointer rests on it.
    pub(crate) tip: String,
}

/// One panel.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    pub(crate) name: String,
    pub(crate) curve: Vec<Point>,
    /// As many as [`Panels::levels`], in that order; `None` where this panel has none.
    pub(crate) levels: Vec<Option<Level>>,
}

/// Panels of one shape.
#[derive(Clone, Debug)]
pub(crate) struct Panels {
    pub(crate) title: String,
    /// What the figure shows, in a few words.
    pub(crate) label: String,
    /// All that it shows, for readers who cannot see it.
    pub(crate) description: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    /// What the curves show.
    pub(crate) curve: String,
    /// What the levels show, three at most: each has its own dashes as well as its own colour.
    pub(crate) levels: Vec<String>,
    /// The value of guessing, and what to call it.
    pub(crate) chance: Option<(f64, String)>,
    pub(crate) each: Vec<Panel>,
}

impl Panels {
    pub(crate) fn draw(&self) -> Figure {
        let columns = self.each.len().clamp(1, COLUMNS);
        let width = if columns == COLUMNS { 920.0 } else { 720.0 };
        let legend = self.legend(width);
        let top = 30.0 + legend.last().map_or(0.0, |(_, y, _)| *y + LEGEND_LINE);
        let y_ticks = self.y.ticks();
        let left = 30.0 + y_ticks.iter().map(|(_, label)| text_width(label)).fold(0.0, f64::max);
        let panel_width = (width - left - 18.0 - GAP * (columns - 1) as f64) / columns as f64;
        let rows = self.each.len().div_ceil(columns);
        let height = top + rows as f64 * (ABOVE + PANEL_HEIGHT + BELOW);
        let mut canvas = Canvas::new(width as u32, height as u32, &self.label);
        canvas.describe(&self.description);
        canvas.text("title", (14.0, 20.0), Anchor::Start, &self.title);
        for (x, y, mark) in legend {
            Self::draw_mark(&mut canvas, (x, 37.0 + y), mark);
        }
        for (i, panel) in self.each.iter().enumerate() {
            let (column, row) = (i % columns, i / columns);
            let frame = Frame {
                left: left + column as f64 * (panel_width + GAP),
                top: top + row as f64 * (ABOVE + PANEL_HEIGHT + BELOW) + ABOVE,
                width: panel_width - GUTTER,
                height: PANEL_HEIGHT,
                x: self.x.scale,
                y: self.y.scale,
            };
            self.draw_axes(&mut canvas, &frame, column == 0, &y_ticks);
            let name = cut(&panel.name, panel_width);
            canvas.text("small strong", (frame.left, frame.top - 9.0), Anchor::Start, &name);
            self.draw_panel(&mut canvas, &frame, panel);
        }
        canvas.finish()
    }

    fn draw_axes(&self, canvas: &mut Canvas, frame: &Frame, labelled: bool, y_ticks: &[(f64, String)]) {
        for (value, label) in y_ticks {
            let Some(at) = self.y.scale.place(*value) else { continue };
            let y = frame.top + (1.0 - at) * frame.height;
            canvas.line("grid", (frame.left, y), (frame.right() + GUTTER, y));
            if labelled {
                canvas.text("minor", (frame.left - 8.0, y + 4.0), Anchor::End, label);
            }
        }
        canvas.line("axis", (frame.left, frame.bottom()), (frame.right() + GUTTER, frame.bottom()));
        for (value, label) in self.x.ticks() {
            let Some(at) = self.x.scale.place(value) else { continue };
            let x = frame.left + at * frame.width;
            canvas.line("axis", (x, frame.bottom()), (x, frame.bottom() + 4.0));
            canvas.text("minor", (x, frame.bottom() + 18.0), Anchor::Middle, &label);
        }
        let below = (frame.left + frame.width / 2.0, frame.bottom() + 35.0);
        canvas.text("minor", below, Anchor::Middle, &self.x.label);
        if labelled {
            canvas.text_upwards("minor", (14.0, frame.top + frame.height / 2.0), &self.y.label);
        }
    }

    fn draw_panel(&self, canvas: &mut Canvas, frame: &Frame, panel: &Panel) {
        let height = |y: f64| self.y.scale.place(y).map(|at| frame.top + (1.0 - at) * frame.height);
        let levels = || panel.levels.iter().enumerate().filter_map(|(i, l)| Some((i + 1, l.as_ref()?)));
        let curve = Series { name: self.curve.clone(), points: panel.curve.clone(), joined: true };
        draw_bands(canvas, frame, &curve, 0);
        if let Some((chance, _)) = &self.chance
            && let Some(y) = height(*chance)
        {
            canvas.line("chance", (frame.left, y), (frame.right() + GUTTER, y));
        }
        for (class, level) in levels() {
            let Some(y) = height(level.y) else { continue };
            let x = frame.right() + GUTTER * (class as f64 - 0.3) / self.levels.len() as f64;
            canvas.line(&format!("line c{class} dash{class}"), (frame.left, y), (x, y));
            if let Some((low, high)) = level.band.and_then(|(low, high)| Some((height(low)?, height(high)?))) {
                canvas.line(&format!("whisker c{class}"), (x, low), (x, high));
            }
            canvas.circle(&format!("dot c{class}"), (x, y), 3.2, &level.tip);
        }
        draw_lines(canvas, frame, &curve, 0);
        let measured = |p: &Point| frame.at(p.x, p.y).is_some();
        if !panel.curve.iter().any(measured) && levels().next().is_none() {
            let middle = (frame.left + frame.width / 2.0, frame.top + frame.height / 2.0);
            canvas.text("minor", middle, Anchor::Middle, "no values recorded");
        }
    }

    /// Marks with their places; a line that is full is followed by another.
    fn legend(&self, width: f64) -> Vec<(f64, f64, Mark<'_>)> {
        let used = |i: &usize| self.each.iter().any(|p| p.levels.get(*i).is_some_and(Option::is_some));
        let levels = (0..self.levels.len()).filter(used).map(|i| Mark::Level(i + 1, &self.levels[i]));
        let marks = std::iter::once(Mark::Curve(&self.curve)).chain(levels);
        let marks = marks.chain(self.chance.as_ref().map(|(_, name)| Mark::Chance(name)));
        let (mut x, mut y) = (14.0, 0.0);
        let mut place = |mark: Mark<'_>| {
            let needed = 46.0 + text_width(mark.name());
            if x > 14.0 && x + needed > width {
                (x, y) = (14.0, y + LEGEND_LINE);
            }
            let at = (x, y);
            x += needed;
            at
        };
        let placed = |mark| {
            let (x, y) = place(mark);
            (x, y, mark)
        };
        marks.map(placed).collect()
    }

    fn draw_mark(canvas: &mut Canvas, (x, y): (f64, f64), mark: Mark<'_>) {
        let (from, to) = ((x, y), (x + 24.0, y));
        match mark {
            Mark::Curve(_) => {
                canvas.line("line c0", from, to);
                canvas.circle("dot c0", (x + 12.0, y), 3.2, "");
            }
            Mark::Level(class, _) => canvas.line(&format!("line c{class} dash{class}"), from, to),
            Mark::Chance(_) => canvas.line("chance", from, to),
        }
        canvas.text("", (x + 30.0, y + 4.0), Anchor::Start, mark.name());
    }
}

#[derive(Clone, Copy)]
enum Mark<'a> {
    Curve(&'a str),
    Level(usize, &'a str),
    Chance(&'a str),
}

impl<'a> Mark<'a> {
    fn name(self) -> &'a str {
        match self {
            Self::Curve(name) | Self::Level(_, name) | Self::Chance(name) => name,
        }
    }
}
