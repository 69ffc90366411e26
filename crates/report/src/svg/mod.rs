//! A small writer of SVG: escaped text, finite numbers, classes instead of colours.
mod bars;
mod beside;
mod dots;
mod head;
mod heat;
mod lines;
mod palette;
mod panels;
mod raster;
mod reliability;
mod roc;
mod scale;
mod scatter;
mod style;
mod two_sides;

pub(crate) use bars::{Bar, BarChart};
pub(crate) use beside::Beside;
pub(crate) use dots::{DotKey, DotPlot, DotRow};
pub(crate) use head::{Head, Warning, cut};
pub(crate) use heat::{HeatMap, paper_reads_better};
pub(crate) use lines::{Axis, LineChart, Point, Reference, Series};
pub(crate) use palette::{LEVELS, Palette};
pub(crate) use panels::{Level, Panel, Panels};
pub(crate) use raster::Raster;
pub(crate) use reliability::Reliability;
pub(crate) use roc::{RocMark, RocPlot};
pub(crate) use scale::{Format, Scale};
pub(crate) use scatter::{Mark, Scatter};
pub use style::page_style;
pub(crate) use two_sides::TwoSides;

use std::fmt::Write as _;

/// A drawn figure. Its text is text (it can be selected and searched), its colours follow the reader's light or dark
/// theme, and it loads nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Figure {
    width: u32,
    height: u32,
    label: String,
    description: String,
    body: String,
}

impl Figure {
    /// As an element for a page that has the report's style sheet.
    pub fn inline(&self) -> String {
        format!("{}{}{}</svg>", self.open(""), element("desc", &self.description), self.body)
    }

    /// As a file of its own, with style and background.
    pub fn document(&self) -> String {
        format!(
            "{}{}{}<style>{}</style><rect class=\"paper\" width=\"{}\" height=\"{}\" rx=\"6\"/>{}</svg>\n",
            self.open(" xmlns=\"http://www.w3.org/2000/svg\""),
            // On a page, a title of the whole would pop up wherever the pointer rests; as a file, it names the window.
            element("title", &self.label),
            element("desc", &self.description),
            style::document_style(),
            self.width,
            self.height,
            self.body
        )
    }

    fn open(&self, namespace: &str) -> String {
        let Self { width, height, label, .. } = self;
        format!(
            "<svg{namespace} class=\"figure\" role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\">",
            escape(label)
        )
    }
}

/// Where a text is anchored.
#[derive(Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// Collects elements. Coordinates that are not finite become 0: a figure must always be well formed; what a value that
/// is not finite means is the chart's to say.
pub(crate) struct Canvas {
    figure: Figure,
}

impl Canvas {
    pub(crate) fn new(width: u32, height: u32, label: impl Into<String>) -> Self {
        Self { figure: Figure { width, height, label: label.into(), description: String::new(), body: String::new() } }
    }

    /// What the figure shows, at length, for readers who cannot see it.
    pub(crate) fn describe(&mut self, description: impl Into<String>) {
        self.figure.description = description.into();
    }

    pub(crate) fn width(&self) -> u32 {
        self.figure.width
    }

    pub(crate) fn finish(self) -> Figure {
        self.figure
    }

    pub(crate) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let (x1, y1, x2, y2) = (coordinate(x1), coordinate(y1), coordinate(x2), coordinate(y2));
        self.put(format_args!("<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"));
    }

    /// A polyline through `points`, or, closed, an area.
    pub(crate) fn path(&mut self, class: &str, points: &[(f64, f64)], closed: bool) {
        if points.is_empty() {
            return;
        }
        let mut d = String::new();
        for (i, &(x, y)) in points.iter().enumerate() {
            let command = if i == 0 { 'M' } else { 'L' };
            write!(d, "{command}{} {}", coordinate(x), coordinate(y)).expect("writing to a string cannot fail");
        }
        if closed {
            d.push('Z');
        }
        self.put(format_args!("<path class=\"{class}\" d=\"{d}\"/>"));
    }

    /// A rectangle; `tip` is shown when the pointer rests on it.
    pub(crate) fn rect(
        &mut self,
        class: &str,
        (x, y): (f64, f64),
        (w, h): (f64, f64),
        opacity: Option<f64>,
        tip: &str,
    ) {
        let (x, y, w, h) = (coordinate(x), coordinate(y), coordinate(w.max(0.0)), coordinate(h.max(0.0)));
        let opacity = opacity.map_or(String::new(), |o| format!(" fill-opacity=\"{}\"", coordinate(o)));
        let shape = format!("class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\"{opacity}");
        self.shape("rect", &shape, tip);
    }

    /// A circle; `tip` is shown when the pointer rests on it.
    pub(crate) fn circle(&mut self, class: &str, (x, y): (f64, f64), r: f64, tip: &str) {
        let shape =
            format!("class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"{}\"", coordinate(x), coordinate(y), coordinate(r));
        self.shape("circle", &shape, tip);
    }

    pub(crate) fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let (x, y, text) = (coordinate(x), coordinate(y), escape(text));
        self.put(format_args!("<text{class} x=\"{x}\" y=\"{y}\"{anchor}>{text}</text>"));
    }

    /// Text that reads upwards, for the label of a vertical axis.
    pub(crate) fn text_upwards(&mut self, class: &str, (x, y): (f64, f64), text: &str) {
        let (x, y, text) = (coordinate(x), coordinate(y), escape(text));
        self.put(format_args!(
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" transform=\"rotate(-90 {x} {y})\">{text}</text>"
        ));
    }

    fn shape(&mut self, name: &str, attributes: &str, tip: &str) {
        if tip.is_empty() {
            self.put(format_args!("<{name} {attributes}/>"));
        } else {
            self.put(format_args!("<{name} {attributes}><title>{}</title></{name}>", escape(tip)));
        }
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        self.figure.body.write_fmt(element).expect("writing to a string cannot fail");
    }
}

fn element(name: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<{name}>{}</{name}>", escape(text)) }
}

/// A coordinate with two decimals at most, 0 where it is not finite.
fn coordinate(v: f64) -> String {
    if !v.is_finite() {
        return "0".to_owned();
    }
    let text = format!("{v:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Escapes text for an element or an attribute, and leaves out what XML 1.0 cannot hold.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

/// How wide a text is at the figures' font size, roughly: enough to lay out legends and margins.
pub(crate) fn text_width(text: &str) -> f64 {
    6.3 * text.chars().count() as f64
}

/// A figure with nothing in it.
#[cfg(test)]
pub(crate) fn empty_figure() -> Figure {
    Canvas::new(10, 10, "nothing").finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_escaped_everywhere() {
        let mut canvas = Canvas::new(10, 10, "\"><script>");
        canvas.text("t", (0.0, 0.0), Anchor::Start, "<script>alert('x')</script>\u{1}");
        canvas.circle("c", (0.0, 0.0), 1.0, "</title><script>");
        let svg = canvas.finish().document();
        assert!(!svg.contains("<script"), "{svg}");
        assert!(!svg.contains('\u{1}'), "{svg}");
    }

    #[test]
    fn coordinates_are_always_finite_and_short() {
        assert_eq!(coordinate(f64::NAN), "0");
        assert_eq!(coordinate(f64::INFINITY), "0");
        assert_eq!(coordinate(-0.001), "0");
        assert_eq!(coordinate(12.5), "12.5");
        assert_eq!(coordinate(100.0), "100");
    }
}
