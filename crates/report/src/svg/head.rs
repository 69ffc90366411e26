//! The head of a picture: its title, lines that say what it shows, and warnings nobody may miss.
use super::{Anchor, Canvas, text_width};

/// How loud a warning is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Warning {
    /// Limits what the picture says.
    Caution,
    /// What the picture shows is wrong.
    Alarm,
}

/// What stands above a picture. Its height is known before anything is drawn, as a canvas needs it.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    width: f64,
    title: String,
    lines: Vec<String>,
    warnings: Vec<(Warning, String)>,
}

const MARGIN: f64 = 14.0;
const LINE: f64 = 16.0;
const STRIP: f64 = 28.0;

impl Head {
    pub(crate) fn new(title: &str, width: u32) -> Self {
        let width = f64::from(width) - 2.0 * MARGIN;
        // Titles are set larger and bolder than what text_width was measured on.
        let title = cut(title, width / 1.2);
        Self { width, title, lines: Vec::new(), warnings: Vec::new() }
    }

    /// Adds texts under the title, each on as many lines as it takes.
    pub(crate) fn lines<'a>(mut self, texts: impl IntoIterator<Item = &'a str>) -> Self {
        for text in texts {
            self.lines.extend(wrap(text, self.width));
        }
        self
    }

    /// Adds one text under the title.
    pub(crate) fn line(self, text: &str) -> Self {
        self.lines([text])
    }

    /// Adds a warning under the lines.
    pub(crate) fn warning(mut self, warning: Warning, text: impl Into<String>) -> Self {
        self.warnings.push((warning, text.into()));
        self
    }

    /// Where the picture itself may begin.
    pub(crate) fn bottom(&self) -> f64 {
        30.0 + LINE * self.lines.len() as f64 + STRIP * self.warnings.len() as f64
    }

    pub(crate) fn draw(&self, canvas: &mut Canvas) {
        canvas.text("title", (MARGIN, 20.0), Anchor::Start, &self.title);
        for (i, line) in self.lines.iter().enumerate() {
            canvas.text("tiny", (MARGIN, 36.0 + LINE * i as f64), Anchor::Start, line);
        }
        for (i, (warning, text)) in self.warnings.iter().enumerate() {
            let y = 30.0 + LINE * self.lines.len() as f64 + STRIP * i as f64;
            let (strip, ink) = match warning {
                Warning::Caution => ("caution", "oncaution strong"),
                Warning::Alarm => ("alarm", "oncell strong"),
            };
            canvas.rect(strip, (MARGIN, y), (self.width, STRIP - 6.0), None, "");
            canvas.text(ink, (MARGIN + 8.0, y + 15.0), Anchor::Start, text);
        }
    }
}

/// `text` as far as it fits into `width`, with an ellipsis where it was cut.
pub(crate) fn cut(text: &str, width: f64) -> String {
    if text_width(text) <= width {
        return text.to_owned();
    }
    let fits = (width / text_width("x")) as usize;
    let mut cut: String = text.chars().take(fits.saturating_sub(1).max(1)).collect();
    cut.truncate(cut.trim_end().len());
    cut + "…"
}

/// Lines of at most `width`, broken between words; a word longer than a line is cut.
fn wrap(text: &str, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = cut(word, width);
        match lines.last_mut() {
            Some(line) if text_width(line) + text_width(" ") + text_width(&word) <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_the_picture() {
        let long = "x".repeat(200);
        let text = format!("a note that goes on and on {long} and ends");
        let lines = wrap(&text, 100.0);
        assert!(lines.len() > 2 && lines.iter().all(|l| text_width(l) <= 100.0), "{lines:?}");
        assert!(text_width(&cut(&long, 100.0)) <= 100.0);
        assert_eq!(cut("short", 100.0), "short");
        assert_eq!(wrap(" \n", 100.0), Vec::<String>::new());
    }
}
