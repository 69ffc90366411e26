//! Differences over time.

/// Frames to each side that the regression looks at.
const REACH: usize = 2;

/// Appends `orders` orders of differences to each frame: `[frames, n]` becomes `[frames, n·(1 + orders)]`. Each is the slope of a
/// regression over two frames to each side, the first and last frame repeated beyond the ends (HTK Book, Eq. 5.16;
/// python_speech_features, `delta` with N = 2), and the second order is that of the first.
pub(super) fn with_deltas<T: realfft::FftNum>(statics: Vec<T>, n: usize, orders: u8) -> Vec<T> {
    if orders == 0 || n == 0 {
        return statics;
    }
    let frames = statics.len() / n;
    let mut parts = vec![statics];
    for order in 0..usize::from(orders) {
        let next = slopes(&parts[order], n);
        parts.push(next);
    }
    let mut out = Vec::with_capacity(frames * n * parts.len());
    for frame in 0..frames {
        for part in &parts {
            out.extend_from_slice(&part[frame * n..(frame + 1) * n]);
        }
    }
    out
}

fn slopes<T: realfft::FftNum>(values: &[T], n: usize) -> Vec<T> {
    let frames = values.len() / n;
    let number = |v: usize| T::from_usize(v).expect("a small count is a number");
    let scale = number(2 * (1..=REACH).map(|k| k * k).sum::<usize>());
    let mut out = Vec::with_capacity(values.len());
    for frame in 0..frames {
        for c in 0..n {
            let at = |place: usize| values[place * n + c];
            let slope = (1..=REACH).fold(T::zero(), |sum, k| {
                let (after, before) = ((frame + k).min(frames - 1), frame.saturating_sub(k));
                sum + number(k) * (at(after) - at(before))
            });
            out.push(slope / scale);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_has_its_slope_as_delta_inside_and_no_second_difference_there() {
        let ramp: Vec<f64> = (0u8..9).map(|t| 3.0 * f64::from(t)).collect();
        let out = with_deltas(ramp, 1, 2);
        assert_eq!(out.len(), 27);
        assert!((out[4 * 3 + 1] - 3.0).abs() < 1e-12 && out[4 * 3 + 2].abs() < 1e-12);
        // At the first frame the signal is repeated to the left: (1·(3 − 0) + 2·(6 − 0)) / 10.
        assert!((out[1] - 1.5).abs() < 1e-12);
    }

    #[test]
    fn one_frame_has_no_slope_and_none_stays_none() {
        assert_eq!(with_deltas(vec![4.0f32, 5.0], 2, 1), [4.0, 5.0, 0.0, 0.0]);
        assert!(with_deltas(Vec::<f32>::new(), 2, 2).is_empty());
    }
}
