//! Fixed-width examples from utterances of any length.
use std::collections::BTreeMap;

use sottovoce_types::{ExampleMeta, Examples, LabelSet, Standardisation, Utterance};

/// Statistics per coefficient in [`pooled_statistics`]: mean, standard deviation, standard deviation of the differences
/// between frames, 10th percentile, 90th percentile.
pub const POOLED_STATISTICS: usize = 5;

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

/// The pooled statistics of every utterance whose emotion is in `labels`, in order, standardised as asked.
///
/// [`Standardisation::PerSpeaker`] gives each feature mean 0 and variance 1 over each speaker's own clips among these
/// (no labels are used and nothing leaves the device that holds the speaker). A feature that does not vary over a
/// speaker's clips, so all of them for a speaker with one clip, becomes 0. [`Standardisation::PerUtterance`] does so with each
/// coefficient over the frames of each clip, before the statistics: means and deviations then say nothing.
///
/// # Panics
/// If utterances have different numbers of coefficients.
pub fn examples(utterances: &[Utterance], labels: &LabelSet, standardisation: Standardisation) -> Examples {
    let width = utterances.first().map_or(0, |u| u.width);
    let mut out = Examples::empty(POOLED_STATISTICS * width);
    for u in utterances {
        assert_eq!(u.width, width, "one feature spec for all utterances");
        if let Some(label) = labels.index_of(u.annotation.emotion) {
            let meta = ExampleMeta {
                path: u.path.clone(),
                speaker: u.annotation.speaker.clone(),
                sex: u.annotation.sex,
                group: u.annotation.group.clone(),
            };
            let statistics = match standardisation {
                Standardisation::PerUtterance => pooled_statistics(&standardised_over_frames(&u.mfcc, width), width),
                Standardisation::None | Standardisation::PerSpeaker => pooled_statistics(&u.mfcc, width),
            };
            out.push(&statistics, label, meta);
        }
    }
    match standardisation {
        Standardisation::None | Standardisation::PerUtterance => {}
        Standardisation::PerSpeaker => standardise_per_speaker(&mut out),
    }
    out
}

/// MFCCs `[frames, width]` with mean 0 and variance 1 of each coefficient over the frames; one that does not vary becomes 0.
fn standardised_over_frames(mfcc: &[f32], width: usize) -> Vec<f32> {
    let mut out = mfcc.to_vec();
    let mut column = Vec::with_capacity(mfcc.len() / width.max(1));
    for k in 0..width {
        column.clear();
        column.extend(mfcc.iter().skip(k).step_by(width).map(|&x| f64::from(x)));
        let scaled = standardised(&column);
        out.iter_mut().skip(k).step_by(width).zip(scaled).for_each(|(o, x)| *o = x);
    }
    out
}

/// Values brought to mean 0 and variance 1; all 0 where they do not vary.
fn standardised(values: &[f64]) -> impl Iterator<Item = f32> {
    let (mean, deviation) = mean_and_deviation(values);
    // Rounding of f32 features is no variation: 1e-6 of the mean is below what they can resolve.
    let scale = if deviation > 1e-6 * mean.abs().max(1e-3) { 1.0 / deviation } else { 0.0 };
    values.iter().map(move |x| ((x - mean) * scale) as f32)
}

fn standardise_per_speaker(examples: &mut Examples) {
    let mut rows: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, meta) in examples.meta.iter().enumerate() {
        rows.entry(&meta.speaker).or_default().push(i);
    }
    let width = examples.width;
    let mut column = Vec::new();
    for rows in rows.values() {
        for feature in 0..width {
            column.clear();
            column.extend(rows.iter().map(|&i| f64::from(examples.features[i * width + feature])));
            for (&i, x) in rows.iter().zip(standardised(&column)) {
                examples.features[i * width + feature] = x;
            }
        }
    }
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
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
    use sottovoce_types::{Annotation, Digest, Emotion};

    use super::*;

    fn utterance(speaker: &str, emotion: Emotion, mfcc: &[f32]) -> Utterance {
        Utterance {
            path: format!("{speaker}_{emotion}.wav"),
            annotation: Annotation::new(speaker, emotion),
            sha256: Digest::default(),
            width: 2,
            mfcc: mfcc.to_vec(),
        }
    }

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

    #[test]
    fn each_speaker_is_standardised_over_its_own_clips_and_a_single_clip_becomes_zero() {
        let clips = [
            utterance("a", Emotion::Angry, &[1.0, 10.0]),
            utterance("b", Emotion::Angry, &[100.0, 7.0]),
            utterance("a", Emotion::Sad, &[3.0, 10.0]),
            utterance("a", Emotion::Disgust, &[900.0, 10.0]),
        ];
        let set = examples(&clips, &LabelSet::five(), Standardisation::PerSpeaker);
        assert_eq!(set.labels, [0, 0, 4], "disgust is not one of the five");
        assert_eq!(&set.row(0)[..2], [-1.0, 0.0], "mean 0, variance 1; a constant feature is 0");
        assert_eq!(&set.row(2)[..2], [1.0, 0.0]);
        assert!(set.row(1).iter().all(|&x| x == 0.0), "one clip varies in nothing");
        let raw = examples(&clips, &LabelSet::five(), Standardisation::None);
        assert_eq!(&raw.row(1)[..2], [100.0, 7.0]);
        assert!(examples(&[], &LabelSet::five(), Standardisation::PerSpeaker).is_empty());
        let own = examples(
            &[utterance("a", Emotion::Angry, &[1.0, 5.0, 3.0, 5.0])],
            &LabelSet::five(),
            Standardisation::PerUtterance,
        );
        assert_eq!(
            own.row(0)[..6],
            [0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
            "mean 0, deviation 1; one difference has no deviation"
        );
    }
}
