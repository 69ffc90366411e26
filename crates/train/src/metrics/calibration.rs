//! Whether probabilities can be taken at their word.
use sottovoce_types::{Calibration, CalibrationBin};

use super::{argmax, softmax, top_and_others};

/// Bins of a reliability diagram, as in Guo et al. 2017, §2.
const BINS: u32 = 15;

#[derive(Clone, Default)]
struct Bin {
    count: u32,
    confidence: f64,
    right: u32,
}

/// Of logits `[n, classes]`, with n > 0.
pub(super) fn calibration(logits: &[f32], labels: &[u16], classes: usize) -> Calibration {
    let n = labels.len() as f64;
    let mut bins = vec![Bin::default(); BINS as usize];
    let mut brier = 0.0;
    for (row, &truth) in logits.chunks_exact(classes).zip(labels) {
        let truth = usize::from(truth);
        let confidence = confidence(row);
        let bin = &mut bins[place(confidence)];
        bin.count += 1;
        bin.confidence += confidence;
        bin.right += u32::from(argmax(row) == truth);
        let squares = softmax(row).enumerate().map(|(c, p)| if c == truth { (1.0 - p).powi(2) } else { p * p });
        brier += squares.sum::<f64>();
    }
    let error: f64 = bins.iter().map(|b| (f64::from(b.right) - b.confidence).abs()).sum();
    Calibration {
        // |B|/n · |right/|B| − confidence/|B|| is |right − confidence| / n.
        expected_calibration_error: error / n,
        brier: brier / n,
        mean_confidence: bins.iter().map(|b| b.confidence).sum::<f64>() / n,
        bins: bins.iter().zip(0..).map(|(bin, i)| written(bin, i)).collect(),
    }
}

fn written(bin: &Bin, i: u32) -> CalibrationBin {
    let mean = |sum: f64| (bin.count > 0).then(|| sum / f64::from(bin.count));
    CalibrationBin {
        low: edge(i),
        high: edge(i + 1),
        count: bin.count,
        confidence: mean(bin.confidence),
        accuracy: mean(f64::from(bin.right)),
    }
}

fn edge(i: u32) -> f64 {
    f64::from(i) / f64::from(BINS)
}

/// The bin of a confidence in (0, 1]: closed on the right, so that a confidence on an edge belongs to the bin below.
fn place(confidence: f64) -> usize {
    (1..BINS).filter(|&i| confidence > edge(i)).count()
}

/// The top probability. As 1 / (1 + the rest), with a rest that is exact for equal logits, it lies on an edge of a bin
/// where it should.
fn confidence(row: &[f32]) -> f64 {
    let (_top, others) = top_and_others(row);
    1.0 / (1.0 + others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_closed_on_the_right() {
        assert_eq!([0.2, f64::from_bits(0.2f64.to_bits() + 1), 1.0].map(place), [2, 3, 14]);
        // Five equal logits: 1/5 = 3/15.
        let five = calibration(&[0.0; 5], &[0], 5);
        assert_eq!(five.bins.iter().position(|b| b.count == 1), Some(2));
        let three = calibration(&[7.5; 3], &[0], 3);
        assert_eq!(three.bins.iter().position(|b| b.count == 1), Some(4));
    }

    #[test]
    fn a_model_that_is_right_as_often_as_it_says_has_no_error_and_one_that_is_sure_and_wrong_has_all() {
        // log 3 against 0: it says 3/4.
        let says = 3f32.ln();
        let fair = calibration(&[says, 0.0, says, 0.0, says, 0.0, says, 0.0], &[0, 0, 0, 1], 2);
        assert!(fair.expected_calibration_error < 1e-7, "{fair:?}");
        // 3 × 2 (1/4)² + 2 (3/4)², over 4.
        assert!((fair.brier - 0.375).abs() < 1e-7, "{fair:?}");
        let wrong = calibration(&[50.0, 0.0, 0.0, 50.0], &[1, 0], 2);
        assert!((wrong.expected_calibration_error - 1.0).abs() < 1e-12 && (wrong.brier - 2.0).abs() < 1e-12);
        assert_eq!(wrong.bins[14].accuracy, Some(0.0));
    }
}
