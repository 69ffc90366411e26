//! What an utterance of any length comes to as one vector.
use sottovoce_types::FeatureSpec;

/// Statistics per coefficient in [`pooled_statistics`]: mean, standard deviation, standard deviation of the differences
/// between frames, 10th percentile, 90th percentile.
pub const POOLED_STATISTICS: usize = FeatureSpec::STATISTICS;

/// Statistics of an utterance's MFCCs `[frames, n_mfcc]` over its frames: `[5 * n_mfcc]`, all means first, then standard
/// deviations, standard deviations of the frame-to-frame differences, 10th and 90th percentiles. Deviations are those of
/// a population (numpy's default) and percentiles interpolate linearly (numpy's default). No frames give zeros, and one
/// frame has no differences: zeros.
pub fn pooled_statistics(mfcc: &[f32], n_mfcc: usize) -> Vec<f32> {
    let mut out = vec![0.0f32; POOLED_STATISTICS * n_mfcc];
    let frames = mfcc.len().checked_div(n_mfcc).unwrap_or(0);
    if frames == 0 {
        return out;
    }
    let mut column: Vec<f64> = Vec::with_capacity(frames);
    let mut deltas: Vec<f64> = Vec::with_capacity(frames);
    for k in 0..n_mfcc {
        column.clear();
        column.extend(mfcc.iter().skip(k).step_by(n_mfcc).map(|&x| f64::from(x)));
        deltas.clear();
        deltas.extend(column.windows(2).map(|pair| pair[1] - pair[0]));
        let (mean, deviation) = mean_and_deviation(&column);
        let (_, delta_deviation) = mean_and_deviation(&deltas);
        column.sort_unstable_by(f64::total_cmp);
        let statistics = [mean, deviation, delta_deviation, percentile(&column, 0.1), percentile(&column, 0.9)];
        for (s, value) in statistics.into_iter().enumerate() {
            out[s * n_mfcc + k] = value as f32;
        }
    }
    out
}

pub(crate) fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    if values.is_empty() {
        return (0.0, 0.0);
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

/// numpy's `percentile(..., method="linear")` of sorted, non-empty values; `q` in 0..1.
fn percentile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_equal_numpys() {
        // numpy 2.4.6: x = [1, 4, 2, 9, 7]; x.mean(), x.std(), numpy.diff(x).std(), numpy.percentile(x, 10), (x, 90)
        let mfcc: Vec<f32> = [1.0, 4.0, 2.0, 9.0, 7.0].into_iter().flat_map(|x| [x, -x]).collect();
        let wanted = [4.6, 3.006_659_275_674_582, 3.774_917_217_635_375, 1.4, 8.2];
        let got = pooled_statistics(&mfcc, 2);
        for (s, want) in wanted.into_iter().enumerate() {
            assert!((f64::from(got[2 * s]) - want).abs() < 1e-6, "statistic {s}: {} and {want}", got[2 * s]);
        }
        assert!((got[1] + 4.6).abs() < 1e-6 && (got[7] + 8.2).abs() < 1e-6, "the second coefficient is its own");
    }

    #[test]
    fn no_frames_and_one_frame_stay_finite() {
        assert_eq!(pooled_statistics(&[], 2), vec![0.0; 10]);
        assert_eq!(pooled_statistics(&[3.0, 5.0], 2), [3.0, 5.0, 0.0, 0.0, 0.0, 0.0, 3.0, 5.0, 3.0, 5.0]);
    }
}
