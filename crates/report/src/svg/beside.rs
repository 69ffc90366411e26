//! Two grids of the same shape beside each other in one colour scale: what is true, and what was made of it.
use super::{Anchor, Canvas, Figure, Palette, Raster, cut};

/// Two grids `[rows, columns]` from the top, in the same units.
#[derive(Clone, Debug)]
pub(crate) struct Beside<'a> {
    pub(crate) title: &'a str,
    pub(crate) lines: [String; 2],
    pub(crate) description: String,
    pub(crate) names: [&'a str; 2],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) grids: [Vec<f64>; 2],
    /// Values from −limit to limit have colours of their own.
    pub(crate) limit: f64,
    pub(crate) axes: (&'a str, &'a str),
}

const WIDTH: u32 = 460;
const MARGIN: f64 = 14.0;
const LEFT: f64 = 34.0;

impl Beside<'_> {
    pub(crate) fn draw(&self) -> Figure {
        // Strips lie under each other, pictures beside each other.
        let strips = self.rows == 1;
        let room = f64::from(WIDTH) - LEFT - MARGIN;
        let (w, h) = if strips { (room, 26.0) } else { ((room - 16.0) / 2.0, 130.0) };
        let top: f64 = 84.0;
        let bottom = if strips { top + 2.0 * h + 26.0 } else { top + h };
        let label = format!("{}: {} and {}", self.title, self.names[0], self.names[1]);
        let mut canvas = Canvas::new(WIDTH, (bottom + 50.0).ceil() as u32, label);
        canvas.describe(&self.description);
        canvas.text("title", (MARGIN, 20.0), Anchor::Start, &cut(self.title, 360.0));
        for (i, line) in self.lines.iter().enumerate() {
            canvas.text("tiny", (MARGIN, 36.0 + 15.0 * i as f64), Anchor::Start, line);
        }
        for (i, (name, grid)) in self.names.iter().zip(&self.grids).enumerate() {
            let at = if strips { (LEFT, top + (h + 26.0) * i as f64) } else { (LEFT + (w + 16.0) * i as f64, top) };
            canvas.text("small strong", (at.0, at.1 - 7.0), Anchor::Start, name);
            let levels = grid.iter().map(|v| Palette::level(*v, -self.limit, self.limit)).collect();
            let raster = Raster { columns: self.columns, levels, palette: Palette::Diverging };
            canvas.raster(&raster, at, (w, h));
            canvas.rect("cellframe", at, (w, h), None, "");
            if i == 0 && !strips {
                canvas.text_upwards("tiny", (22.0, top + h / 2.0), self.axes.1);
            }
        }
        canvas.text("tiny", (LEFT, bottom + 16.0), Anchor::Start, self.axes.0);
        self.draw_scale(&mut canvas, bottom + 28.0);
        canvas.finish()
    }

    fn draw_scale(&self, canvas: &mut Canvas, y: f64) {
        let (x, w) = (LEFT + 60.0, 120.0);
        let levels = (0..64).map(|i| Palette::level(f64::from(i), 0.0, 64.0)).collect();
        canvas.raster(&Raster { columns: 64, levels, palette: Palette::Diverging }, (x, y), (w, 10.0));
        canvas.text("tiny", (x - 6.0, y + 9.0), Anchor::End, &format!("−{}", self.limit));
        let unit = format!("{} standard deviations from the mean", self.limit);
        canvas.text("tiny", (x + w + 6.0, y + 9.0), Anchor::Start, &unit);
    }
}
