//! How often predictions of each confidence are right, and how many there are of each.
use sottovoce_types::{Calibration, CalibrationBin};

use super::{Anchor, Canvas, Figure, text_width};
use crate::text::{percent, significant};

/// A reliability diagram over a histogram of confidences (Guo et al. 2017, fig. 1).
#[derive(Clone, Debug)]
pub(crate) struct Reliability<'a> {
    pub(crate) calibration: &'a Calibration,
}

const LEFT: f64 = 66.0;
const TOP: f64 = 54.0;
const SIDE: f64 = 300.0;
/// Between the diagram and the histogram.
const BETWEEN: f64 = 14.0;
const HISTOGRAM: f64 = 54.0;

impl Reliability<'_> {
    pub(crate) fn draw(&self) -> Figure {
        let c = self.calibration;
        let (error, brier) = (percent(c.expected_calibration_error), significant(c.brier));
        let label = format!("Reliability diagram: expected calibration error {error}, Brier score {brier}.");
        let bottom = TOP + SIDE + BETWEEN + HISTOGRAM;
        let mut canvas = Canvas::new((LEFT + SIDE + 22.0) as u32, (bottom + 46.0) as u32, label);
        let filled: Vec<&CalibrationBin> = c.bins.iter().filter(|b| b.count > 0).collect();
        let told: Vec<String> = filled.iter().map(|b| tip(b)).collect();
        canvas.describe(if told.is_empty() { "No predictions.".to_owned() } else { told.join(". ") + "." });
        canvas.text("title", (14.0, 20.0), Anchor::Start, "Reliability");
        let figures = format!("calibration error {error}, Brier score {brier}");
        canvas.text("minor", (LEFT + SIDE, 20.0), Anchor::End, &figures);
        draw_key(&mut canvas);
        draw_axes(&mut canvas);
        let most = filled.iter().map(|b| b.count).max().unwrap_or(0);
        for bin in &filled {
            draw_bin(&mut canvas, bin, most);
        }
        // Over the bars: what they are compared with.
        canvas.line("chance", (x(0.0), y(0.0)), (x(1.0), y(1.0)));
        for bin in &filled {
            draw_distance(&mut canvas, bin);
        }
        if filled.is_empty() {
            canvas.text("minor", (LEFT + SIDE / 2.0, TOP + SIDE / 2.0), Anchor::Middle, "no predictions");
        } else {
            let at = TOP + SIDE + BETWEEN;
            canvas.text("tiny", (LEFT - 8.0, at + 10.0), Anchor::End, &most.to_string());
            canvas.text("tiny", (LEFT - 8.0, bottom), Anchor::End, "0");
        }
        canvas.finish()
    }
}

fn x(confidence: f64) -> f64 {
    LEFT + confidence * SIDE
}

fn y(accuracy: f64) -> f64 {
    TOP + (1.0 - accuracy) * SIDE
}

fn tip(bin: &CalibrationBin) -> String {
    let share = |v: Option<f64>| percent(v.unwrap_or(f64::NAN));
    format!(
        "confidence over {} up to {}: {} predictions, mean confidence {}, right {}",
        percent(bin.low),
        percent(bin.high),
        bin.count,
        share(bin.confidence),
        share(bin.accuracy)
    )
}

fn draw_key(canvas: &mut Canvas) {
    let mut at = 20.0;
    for (mark, text) in [("dot c0", "right"), ("whisker c1", "off its confidence by"), ("chance", "calibrated")] {
        if mark == "dot c0" {
            canvas.circle(mark, (at, 37.0), 4.0, "");
        } else {
            canvas.line(mark, (at, 30.0), (at, 44.0));
        }
        canvas.text("tiny", (at + 9.0, 41.0), Anchor::Start, text);
        at += 32.0 + text_width(text);
    }
}

fn draw_axes(canvas: &mut Canvas) {
    let bottom = TOP + SIDE + BETWEEN + HISTOGRAM;
    for tick in 0..=5 {
        let share = f64::from(tick) / 5.0;
        let label = format!("{} %", tick * 20);
        canvas.line("grid", (LEFT, y(share)), (LEFT + SIDE, y(share)));
        canvas.text("minor", (LEFT - 8.0, y(share) + 4.0), Anchor::End, &label);
        canvas.line("axis", (x(share), bottom), (x(share), bottom + 4.0));
        canvas.text("minor", (x(share), bottom + 18.0), Anchor::Middle, &label);
    }
    canvas.line("axis", (LEFT, y(0.0)), (LEFT + SIDE, y(0.0)));
    canvas.line("axis", (LEFT, bottom), (LEFT + SIDE, bottom));
    let below = (LEFT + SIDE / 2.0, bottom + 36.0);
    canvas.text("minor", below, Anchor::Middle, "confidence: probability of the class predicted");
    canvas.text_upwards("minor", (16.0, TOP + SIDE / 2.0), "of them right");
    canvas.text_upwards("minor", (16.0, bottom - HISTOGRAM / 2.0), "count");
}

/// The bar of what is right, and the bin's bar in the histogram.
fn draw_bin(canvas: &mut Canvas, bin: &CalibrationBin, most: u32) {
    let (left, width) = (x(bin.low) + 1.0, (bin.high - bin.low) * SIDE - 2.0);
    let accuracy = bin.accuracy.unwrap_or(f64::NAN);
    canvas.rect("bar c0", (left, y(accuracy)), (width, accuracy * SIDE), Some(0.28), &tip(bin));
    let height = HISTOGRAM * f64::from(bin.count) / f64::from(most.max(1));
    let bottom = TOP + SIDE + BETWEEN + HISTOGRAM;
    canvas.rect("bar c0", (left, bottom - height), (width, height), Some(0.7), &tip(bin));
}

/// A dot at mean confidence and share right, and how far it is off the diagonal.
fn draw_distance(canvas: &mut Canvas, bin: &CalibrationBin) {
    let (Some(confidence), Some(accuracy)) = (bin.confidence, bin.accuracy) else { return };
    if confidence.is_finite() && accuracy.is_finite() {
        canvas.line("whisker c1", (x(confidence), y(confidence)), (x(confidence), y(accuracy)));
        canvas.circle("dot c0", (x(confidence), y(accuracy)), 3.4, &tip(bin));
    }
}
