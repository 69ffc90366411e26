//! Many small cells of few colours, in few bytes.
use std::fmt::Write as _;

use super::palette::{LEVELS, VOID};
use super::{Canvas, Palette, coordinate};

/// Cells by row from the top, each with the level of its colour; `None` marks a value that is no number.
#[derive(Clone, Debug)]
pub(crate) struct Raster {
    pub(crate) columns: usize,
    pub(crate) levels: Vec<Option<u8>>,
    pub(crate) palette: Palette,
}

impl Canvas {
    /// Draws `raster` into a rectangle.
    ///
    /// All cells of a colour are one path of horizontal strokes, a stroke a run: about eight bytes, where a rectangle
    /// takes fifty. The commonest colour is the ground and is not drawn.
    pub(crate) fn raster(&mut self, raster: &Raster, (x, y): (f64, f64), (w, h): (f64, f64)) {
        if raster.columns == 0 || raster.levels.is_empty() {
            return;
        }
        let rows = raster.levels.len().div_ceil(raster.columns);
        let ground = ground(&raster.levels);
        let colour = |level: Option<u8>| level.map_or(VOID.to_owned(), |l| raster.palette.colour(l));
        let (sx, sy) = (w / raster.columns as f64, h / rows as f64);
        // Half a cell down, for a stroke lies on both sides of its line; the ground within, so that its edges are
        // theirs. Without smoothing, or the seams between neighbours would show the ground.
        self.put(format_args!(
            "<g shape-rendering=\"crispEdges\" fill=\"none\" transform=\"translate({} {}) scale({sx:.5} {sy:.5})\">\
             <rect y=\"-.5\" width=\"{}\" height=\"{rows}\" fill=\"{}\"/>",
            coordinate(x),
            coordinate(y + sy / 2.0),
            raster.columns,
            colour(ground),
        ));
        for level in (0..LEVELS).map(Some).chain([None]).filter(|level| *level != ground) {
            let d = runs(raster, level);
            if !d.is_empty() {
                self.put(format_args!("<path stroke=\"{}\" d=\"{d}\"/>", colour(level)));
            }
        }
        self.put(format_args!("</g>"));
    }
}

fn ground(levels: &[Option<u8>]) -> Option<u8> {
    let mut counts = [0usize; LEVELS as usize];
    for &level in levels.iter().flatten() {
        if let Some(count) = counts.get_mut(usize::from(level)) {
            *count += 1;
        }
    }
    // Levels that are no numbers are never the ground unless there is nothing else: they are to be seen.
    (0..LEVELS).max_by_key(|&l| counts[usize::from(l)]).filter(|&l| counts[usize::from(l)] > 0)
}

/// The path of all runs of one level, each a move and a stroke; within a row, moves start at the end of the last run.
fn runs(raster: &Raster, level: Option<u8>) -> String {
    let mut d = String::new();
    for (row, cells) in raster.levels.chunks(raster.columns).enumerate() {
        let mut at = 0;
        let mut pen = None;
        for run in cells.chunk_by(|a, b| a == b) {
            if run[0] == level {
                match pen {
                    Some(pen) => write!(d, "m{} 0h{}", at - pen, run.len()),
                    None => write!(d, "M{at} {row}h{}", run.len()),
                }
                .expect("writing to a string cannot fail");
                pen = Some(at + run.len());
            }
            at += run.len();
        }
    }
    d
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Figure;

    fn draw(columns: usize, levels: Vec<Option<u8>>) -> Figure {
        let mut canvas = Canvas::new(10, 10, "test");
        canvas.raster(&Raster { columns, levels, palette: Palette::Sequential }, (0.0, 0.0), (6.0, 4.0));
        canvas.finish()
    }

    #[test]
    fn equal_neighbours_are_one_stroke_and_the_commonest_level_none() {
        let (a, b, x) = (Some(1), Some(2), None);
        let svg = draw(3, vec![a, b, b, a, a, x]).inline();
        assert!(svg.contains("M1 0h2\""), "{svg}");
        assert!(!svg.contains(&format!("stroke=\"{}\"", Palette::Sequential.colour(1))), "{svg}");
        assert!(svg.contains(&format!("stroke=\"{VOID}\" d=\"M2 1h1\"")), "{svg}");
    }

    #[test]
    fn nothing_but_void_is_still_drawn_and_nothing_is_not() {
        assert!(draw(2, vec![None, None]).inline().contains(VOID));
        assert!(!draw(0, vec![]).inline().contains("rect"));
    }
}
