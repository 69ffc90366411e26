//! What a straight line can read from features: a linear probe, on speakers or clips that it was not shown.
//!
//! It answers what there is to learn in a corpus (emotion), and what there is to find for an attack (sex, speaker), before any
//! federation is run. The probe is multinomial logistic regression with an L2 penalty on features brought to mean 0 and
//! variance 1 over its training part, fitted by accelerated gradient descent (Nesterov 1983) at the step that the largest
//! eigenvalue allows; it draws nothing, so the same features give the same figures.
use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use sottovoce_types::{ExampleMeta, Examples, Sex};

/// Steps of the fit: enough for four digits of the loss on the corpora here.
const STEPS: usize = 250;
/// L2 penalty on weights, not on biases.
const PENALTY: f64 = 1e-3;

/// How well a linear probe reads a label from what it was not shown.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ProbeScore {
    /// Share of right answers, over all folds.
    pub accuracy: f64,
    /// Unweighted average recall: the mean of the classes' shares of right answers.
    pub uar: f64,
    /// UAR of guessing: 1 / classes.
    pub chance: f64,
    /// Classes present.
    pub classes: usize,
    /// Examples tested, each once.
    pub examples: usize,
}

/// Trains on all folds but one and tests on that one, for each fold; `fold[i]` is the fold of example i. `None` where there are fewer than
/// two folds or two classes.
pub fn probe(data: &Examples, fold: &[usize]) -> Option<ProbeScore> {
    assert_eq!(fold.len(), data.len(), "a fold per example");
    let folds: BTreeSet<usize> = fold.iter().copied().collect();
    let classes: BTreeSet<u16> = data.labels.iter().copied().collect();
    if folds.len() < 2 || classes.len() < 2 {
        return None;
    }
    let width = usize::from(*classes.last().expect("two at least")) + 1;
    let folds: Vec<usize> = folds.into_iter().collect();
    let answers: Vec<(u16, u16)> = folds
        .par_iter()
        .flat_map_iter(|&tested| {
            let (test, train): (Vec<usize>, Vec<usize>) = (0..data.len()).partition(|&i| fold[i] == tested);
            let model = Linear::fit(data, &train, width);
            test.into_iter().map(move |i| (data.labels[i], model.answer(data.row(i)))).collect::<Vec<_>>()
        })
        .collect();
    let mut right_and_all: BTreeMap<u16, (usize, usize)> = BTreeMap::new();
    for &(label, answer) in &answers {
        let (right, all) = right_and_all.entry(label).or_default();
        *right += usize::from(label == answer);
        *all += 1;
    }
    let share = |&(right, all): &(usize, usize)| right as f64 / all as f64;
    let right: usize = right_and_all.values().map(|(right, _)| right).sum();
    Some(ProbeScore {
        accuracy: right as f64 / answers.len() as f64,
        uar: right_and_all.values().map(share).sum::<f64>() / right_and_all.len() as f64,
        chance: 1.0 / right_and_all.len() as f64,
        classes: right_and_all.len(),
        examples: answers.len(),
    })
}

/// Folds of whole speakers, each with both sexes as far as there are enough: no speaker is trained and tested on.
pub fn speaker_folds(data: &Examples, folds: usize) -> Vec<usize> {
    // A speaker whose sex is stated in some clips alone is one speaker.
    let mut sexes: BTreeMap<&str, Option<Sex>> = BTreeMap::new();
    for m in &data.meta {
        let sex = sexes.entry(&m.speaker).or_default();
        *sex = sex.or(m.sex);
    }
    let mut speakers: Vec<(&str, Option<Sex>)> = sexes.into_iter().collect();
    speakers.sort_by_key(|(_, sex)| *sex);
    let number: BTreeMap<&str, usize> = speakers.into_iter().map(|(name, _)| name).zip((0..folds).cycle()).collect();
    data.meta.iter().map(|m| number[m.speaker.as_str()]).collect()
}

/// Folds of clips, each with as many of every speaker and class as divide: speakers are trained and tested on, as a probe for speakers
/// must.
pub fn clip_folds(data: &Examples, folds: usize) -> Vec<usize> {
    let mut seen: BTreeMap<(&str, u16), usize> = BTreeMap::new();
    let mut out = Vec::with_capacity(data.len());
    for (meta, &label) in data.meta.iter().zip(&data.labels) {
        let count = seen.entry((&meta.speaker, label)).or_default();
        out.push(*count % folds);
        *count += 1;
    }
    out
}

/// `data` with another label: the place of each example's key among all keys. Examples without a key are left out.
pub fn relabelled<K: Ord>(data: &Examples, key: impl Fn(&ExampleMeta) -> Option<K>) -> Examples {
    let keys: BTreeSet<K> = data.meta.iter().filter_map(&key).collect();
    let number: BTreeMap<K, u16> = keys.into_iter().zip(0..).collect();
    let mut out = Examples::empty(data.width);
    for (i, meta) in data.meta.iter().enumerate() {
        if let Some(key) = key(meta) {
            out.push(data.row(i), number[&key], meta.clone());
        }
    }
    out
}

/// Softmax regression.
struct Linear {
    /// Mean and 1 / deviation of each feature over the training part; 0 for one that does not vary.
    scale: Vec<(f64, f64)>,
    /// `[classes, features + 1]`, the bias last.
    weights: Vec<f64>,
    classes: usize,
}

impl Linear {
    fn fit(data: &Examples, train: &[usize], classes: usize) -> Self {
        let n = train.len() as f64;
        let scale = (0..data.width)
            .map(|k| {
                let values = || train.iter().map(|&i| f64::from(data.row(i)[k]));
                let mean = values().sum::<f64>() / n;
                let deviation = (values().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n).sqrt();
                // Rounding of f32 features is no variation.
                (mean, if deviation > 1e-6 * mean.abs().max(1e-3) { 1.0 / deviation } else { 0.0 })
            })
            .collect();
        let mut model = Self { scale, weights: vec![0.0; classes * (data.width + 1)], classes };
        let inputs: Vec<f64> = train.iter().flat_map(|&i| model.input(data.row(i))).collect();
        let labels: Vec<usize> = train.iter().map(|&i| usize::from(data.labels[i])).collect();
        let width = data.width + 1;
        // The softmax loss curves by at most half the largest eigenvalue of the inputs' second moments (Böhning 1992).
        let step = 1.0 / (0.5 * largest_eigenvalue(&inputs, width) + PENALTY);
        let mut before = model.weights.clone();
        for k in 0..STEPS {
            let momentum = k as f64 / (k as f64 + 3.0);
            let ahead: Vec<f64> = model.weights.iter().zip(&before).map(|(w, b)| w + momentum * (w - b)).collect();
            let gradient = gradient(&inputs, &labels, &ahead, width, classes);
            before = std::mem::take(&mut model.weights);
            model.weights = ahead.iter().zip(gradient).map(|(w, g)| w - step * g).collect();
        }
        model
    }

    fn input(&self, row: &[f32]) -> Vec<f64> {
        let scaled = row.iter().zip(&self.scale).map(|(&x, (mean, inverse))| (f64::from(x) - mean) * inverse);
        scaled.chain([1.0]).collect()
    }

    fn answer(&self, row: &[f32]) -> u16 {
        let input = self.input(row);
        let scores: Vec<f64> = self.weights.chunks_exact(input.len()).map(|w| dot(w, &input)).collect();
        let best = (0..self.classes).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(0);
        best as u16
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Gradient of mean cross-entropy and penalty, `[classes, width]`.
fn gradient(inputs: &[f64], labels: &[usize], weights: &[f64], width: usize, classes: usize) -> Vec<f64> {
    let n = labels.len() as f64;
    let mut out = vec![0.0; classes * width];
    let mut scores = vec![0.0; classes];
    for (input, &label) in inputs.chunks_exact(width).zip(labels) {
        for (score, w) in scores.iter_mut().zip(weights.chunks_exact(width)) {
            *score = dot(w, input);
        }
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for s in &mut scores {
            *s = (*s - top).exp();
        }
        let total: f64 = scores.iter().sum();
        for (class, (score, g)) in scores.iter().zip(out.chunks_exact_mut(width)).enumerate() {
            let error = (score / total - f64::from(u8::from(class == label))) / n;
            g.iter_mut().zip(input).for_each(|(g, x)| *g += error * x);
        }
    }
    for (g, w) in out.chunks_exact_mut(width).zip(weights.chunks_exact(width)) {
        g[..width - 1].iter_mut().zip(w).for_each(|(g, w)| *g += PENALTY * w);
    }
    out
}

/// Of the second-moment matrix of the inputs, by power iteration; a little is added, since that comes from below.
fn largest_eigenvalue(inputs: &[f64], width: usize) -> f64 {
    let n = (inputs.len() / width).max(1) as f64;
    let mut vector = vec![1.0; width];
    let mut value = 1.0;
    for _ in 0..30 {
        let norm = dot(&vector, &vector).sqrt().max(f64::MIN_POSITIVE);
        for v in &mut vector {
            *v /= norm;
        }
        let mut next = vec![0.0; width];
        for input in inputs.chunks_exact(width) {
            let along = dot(input, &vector) / n;
            next.iter_mut().zip(input).for_each(|(v, x)| *v += along * x);
        }
        value = dot(&next, &vector);
        vector = next;
    }
    1.05 * value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Speakers of both sexes; feature 0 tells the class apart, 1 the speaker, 2 nothing.
    fn data() -> Examples {
        let mut out = Examples::empty(3);
        for speaker in 0u16..8 {
            for clip in 0u16..10 {
                let label = clip % 2;
                let wobble = f32::from((clip * 7 + speaker * 3) % 5) * 0.1;
                let sex = Some(if speaker % 2 == 0 { Sex::Male } else { Sex::Female });
                let meta =
                    ExampleMeta { path: format!("{speaker}/{clip}"), speaker: format!("s{speaker}"), sex, group: None };
                out.push(&[f32::from(label) + wobble, f32::from(speaker * speaker), 4.0], label, meta);
            }
        }
        out
    }

    #[test]
    fn what_is_not_there_is_read_at_chance_and_what_is_there_is_read() {
        let data = data();
        let folds = speaker_folds(&data, 4);
        let mut nothing = data.clone();
        nothing.labels = (0..data.len()).map(|i| (i as u32 * 7919 % 101 % 2) as u16).collect();
        let score = probe(&nothing, &folds).unwrap();
        assert!((0.3..0.7).contains(&score.accuracy), "{score:?}");
        let score = probe(&data, &folds).unwrap();
        assert!(score.accuracy > 0.99 && (score.chance - 0.5).abs() < 1e-12 && score.examples == 80, "{score:?}");
    }

    #[test]
    fn one_class_or_one_fold_says_nothing() {
        let data = data();
        assert_eq!(probe(&data, &vec![0; data.len()]), None);
        assert_eq!(probe(&relabelled(&data, |_| Some(0)), &speaker_folds(&data, 2)), None);
    }

    #[test]
    fn folds_keep_speakers_whole_with_both_sexes_and_clip_folds_split_each_speaker() {
        let data = data();
        let folds = speaker_folds(&data, 4);
        for fold in 0..4 {
            let within: BTreeSet<_> =
                data.meta.iter().zip(&folds).filter(|(_, f)| **f == fold).map(|(m, _)| m.sex).collect();
            assert_eq!(within.len(), 2, "both sexes in fold {fold}");
        }
        for (a, fa) in data.meta.iter().zip(&folds) {
            assert!(data.meta.iter().zip(&folds).all(|(b, fb)| a.speaker != b.speaker || fa == fb));
        }
        let mut some = data.clone();
        some.meta.iter_mut().step_by(3).for_each(|m| m.sex = None);
        assert_eq!(speaker_folds(&some, 4), folds, "a sex that is stated in some clips splits nobody");
        // A coin thrown for each speaker is read where speakers are trained and tested on, and nowhere else.
        let mut known_by_name = Examples::empty(8);
        for meta in &data.meta {
            let number = usize::from(meta.speaker.as_bytes()[1] - b'0');
            let one_hot: [f32; 8] = std::array::from_fn(|i| f32::from(u8::from(i == number)));
            known_by_name.push(&one_hot, [0u16, 1, 1, 0, 1, 0, 0, 1][number], meta.clone());
        }
        let apart = probe(&known_by_name, &folds).unwrap();
        let together = probe(&known_by_name, &clip_folds(&known_by_name, 5)).unwrap();
        assert!(together.accuracy > 0.99 && apart.accuracy < 0.8, "{apart:?} {together:?}");
        let clips = clip_folds(&data, 5);
        assert!((0..5).all(|f| clips.iter().filter(|c| **c == f).count() == 16));
    }
}
