//! From utterances to what a model reads: frames or statistics, brought to one scale.
use std::collections::BTreeMap;
use std::path::Path;

use sottovoce_types::{
    Emotion, ExampleMeta, Examples, FeatureSpec, InputKind, LabelSet, Level, Standardisation, Utterance, word_hashes,
};

use crate::Signal;
use crate::front_end::FrontEnd;
use crate::mfcc::SpecError;
use crate::pooled::{POOLED_STATISTICS, mean_and_deviation, pooled_statistics};
use crate::synth::{self, Voice};

/// How features are brought to one scale.
#[derive(Clone, PartialEq, Debug)]
pub enum Scaling {
    /// Not at all.
    None,
    /// [`Standardisation::PerUtterance`].
    PerUtterance,
    /// [`Standardisation::PerSpeaker`].
    PerSpeaker,
    /// By numbers that are nobody's.
    Public(PublicStatistics),
}

impl Scaling {
    /// What a config's word means under its front end.
    ///
    /// # Errors
    /// [`SpecError`] when the front end cannot be built, which [`Standardisation::Public`] needs.
    pub fn of(standardisation: Standardisation, spec: &FeatureSpec) -> Result<Self, SpecError> {
        Ok(match standardisation {
            Standardisation::None => Self::None,
            Standardisation::PerUtterance => Self::PerUtterance,
            Standardisation::PerSpeaker => Self::PerSpeaker,
            Standardisation::Public => Self::Public(PublicStatistics::of(spec)?),
        })
    }
}

/// Mean and standard deviation of each coefficient over the frames of synthesised voices, and of each statistic over their clips.
///
/// Every site computes the same from the front end alone. Neither holds anything of anyone's recordings, so that, other than with
/// statistics of the training speakers, nothing private is in the features' scale and one utterance's features depend on no other.
#[derive(Clone, PartialEq, Debug)]
pub struct PublicStatistics {
    frames: Vec<(f64, f64)>,
    statistics: Vec<(f64, f64)>,
}

impl PublicStatistics {
    /// Voices behind the statistics, each in every emotion.
    const VOICES: u32 = 8;
    /// Seed of the voices.
    const SEED: u64 = 0;

    /// Of voices under a front end; one clip a voice and emotion.
    ///
    /// # Errors
    /// [`SpecError`] when the front end cannot be built.
    pub fn of(spec: &FeatureSpec) -> Result<Self, SpecError> {
        let (front_end, width) = (FrontEnd::new(spec)?, spec.width());
        let (mut frames, mut statistics) = (Vec::new(), Vec::new());
        for actor in 0..Self::VOICES {
            let voice = Voice::new(Self::SEED, actor);
            for (i, (emotion, _)) in (0..).zip(synth::EMOTIONS) {
                let sentence = synth::SENTENCES[(actor as usize + i) % synth::SENTENCES.len()];
                let samples = clip(&voice, sentence, emotion);
                let signal = Signal { sample_rate_hz: synth::SAMPLE_RATE_HZ, channels: 1, samples };
                let mfcc = front_end.features(&signal, Path::new("synthesised"));
                let mfcc = mfcc.expect("a synthesised clip of more than a second has frames, and they are finite");
                statistics.extend(pooled_statistics(&mfcc, width));
                frames.extend(mfcc);
            }
        }
        Ok(Self { frames: columns(&frames, width), statistics: columns(&statistics, POOLED_STATISTICS * width) })
    }
}

fn clip(voice: &Voice, sentence: &str, emotion: Emotion) -> Vec<f32> {
    synth::synthesise_clip(voice, sentence, emotion, Level::Unspecified)
}

/// Mean and deviation of each column of `[rows, width]`.
fn columns(values: &[f32], width: usize) -> Vec<(f64, f64)> {
    let column = |k| values.iter().skip(k).step_by(width).map(|&x| f64::from(x)).collect::<Vec<_>>();
    (0..width).map(|k| mean_and_deviation(&column(k))).collect()
}

/// Every utterance whose emotion is in `labels`, in order, as a model of `kind` reads it, on the scale asked for: `[1, 5·width]`
/// statistics ([`pooled_statistics`]), or its first [`FeatureSpec::MAX_FRAMES`] frames `[frames, width]`. The words of its transcript are with it where the corpus has one.
///
/// [`Scaling::PerSpeaker`] gives each statistic mean 0 and variance 1 over each speaker's own clips among these, or each coefficient
/// over all frames of those clips (no labels are used and nothing leaves the device that holds the speaker). What does not vary becomes
/// 0, so all statistics of a speaker with one clip. [`Scaling::PerUtterance`] does so with each coefficient over the frames of each
/// clip; of statistics, before they are taken: means and deviations then say nothing.
///
/// # Panics
/// If utterances have different numbers of coefficients.
pub fn examples(utterances: &[Utterance], labels: &LabelSet, kind: InputKind, scaling: &Scaling) -> Examples {
    let width = utterances.first().map_or(0, |u| u.width);
    let pooled = kind == InputKind::Statistics;
    let mut out = Examples::empty(if pooled { POOLED_STATISTICS * width } else { width });
    for u in utterances {
        assert_eq!(u.width, width, "one feature spec for all utterances");
        let Some(label) = labels.index_of(u.annotation.emotion) else { continue };
        let meta = ExampleMeta {
            path: u.path.clone(),
            speaker: u.annotation.speaker.clone(),
            sex: u.annotation.sex,
            group: u.annotation.group.clone(),
        };
        let mut mfcc = u.mfcc.clone();
        if *scaling == Scaling::PerUtterance {
            standardise(&mut mfcc, width);
        }
        let features = if pooled {
            pooled_statistics(&mfcc, width)
        } else {
            mfcc.truncate(FeatureSpec::MAX_FRAMES * width);
            mfcc
        };
        let words = u.annotation.transcript.as_deref().map_or_else(Vec::new, word_hashes);
        out.push_with_words(&features, words, label, meta);
    }
    match scaling {
        Scaling::None | Scaling::PerUtterance => {}
        Scaling::PerSpeaker => standardise_per_speaker(&mut out),
        Scaling::Public(public) => {
            let scale = if pooled { &public.statistics } else { &public.frames };
            let width = out.width;
            for row in out.features.chunks_exact_mut(width.max(1)) {
                for (x, (mean, deviation)) in row.iter_mut().zip(scale) {
                    *x = ((f64::from(*x) - mean) * inverse(*mean, *deviation)) as f32;
                }
            }
        }
    }
    out
}

/// Rows `[rows, width]` with mean 0 and variance 1 of each column; a column that does not vary becomes 0.
fn standardise(values: &mut [f32], width: usize) {
    let scale = columns(values, width);
    for row in values.chunks_exact_mut(width.max(1)) {
        for (x, (mean, deviation)) in row.iter_mut().zip(&scale) {
            *x = ((f64::from(*x) - mean) * inverse(*mean, *deviation)) as f32;
        }
    }
}

/// 1 / deviation, or 0 where there is none. Rounding of f32 features is no variation: 1e-6 of the mean is below what they can resolve.
fn inverse(mean: f64, deviation: f64) -> f64 {
    if deviation > 1e-6 * mean.abs().max(1e-3) { 1.0 / deviation } else { 0.0 }
}

fn standardise_per_speaker(examples: &mut Examples) {
    let mut own: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, meta) in examples.meta.iter().enumerate() {
        own.entry(&meta.speaker).or_default().push(i);
    }
    let width = examples.width;
    let mut scaled: Vec<(usize, Vec<f32>)> = Vec::with_capacity(examples.len());
    for clips in own.values() {
        let mut rows: Vec<f32> = clips.iter().flat_map(|&i| examples.row(i)).copied().collect();
        standardise(&mut rows, width);
        let mut rest = rows.as_slice();
        for &i in clips {
            let (clip, after) = rest.split_at(examples.row(i).len());
            scaled.push((i, clip.to_vec()));
            rest = after;
        }
    }
    scaled.sort_unstable_by_key(|(i, _)| *i);
    examples.features = scaled.into_iter().flat_map(|(_, clip)| clip).collect();
}

#[cfg(test)]
mod tests {
    use sottovoce_types::{Annotation, Digest};

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

    fn pooled(clips: &[Utterance], scaling: &Scaling) -> Examples {
        examples(clips, &LabelSet::five(), InputKind::Statistics, scaling)
    }

    #[test]
    fn each_speaker_is_standardised_over_its_own_clips_and_a_single_clip_becomes_zero() {
        let clips = [
            utterance("a", Emotion::Angry, &[1.0, 10.0]),
            utterance("b", Emotion::Angry, &[100.0, 7.0]),
            utterance("a", Emotion::Sad, &[3.0, 10.0]),
            utterance("a", Emotion::Disgust, &[900.0, 10.0]),
        ];
        let set = pooled(&clips, &Scaling::PerSpeaker);
        assert_eq!(set.labels, [0, 0, 4], "disgust is not one of the five");
        assert_eq!(&set.row(0)[..2], [-1.0, 0.0], "mean 0, variance 1; a constant feature is 0");
        assert_eq!(&set.row(2)[..2], [1.0, 0.0]);
        assert!(set.row(1).iter().all(|&x| x == 0.0), "one clip varies in nothing");
        let raw = pooled(&clips, &Scaling::None);
        assert_eq!(&raw.row(1)[..2], [100.0, 7.0]);
        assert!(pooled(&[], &Scaling::PerSpeaker).is_empty());
        let own = pooled(&[utterance("a", Emotion::Angry, &[1.0, 5.0, 3.0, 5.0])], &Scaling::PerUtterance);
        assert_eq!(
            own.row(0)[..6],
            [0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
            "mean 0, deviation 1; one difference has no deviation"
        );
    }

    #[test]
    fn frames_keep_their_length_and_each_speaker_its_own_scale() {
        let clips = [
            utterance("a", Emotion::Angry, &[1.0, 5.0, 3.0, 5.0]),
            utterance("b", Emotion::Sad, &[50.0, 1.0, 70.0, 3.0]),
            utterance("a", Emotion::Sad, &[2.0, 5.0]),
        ];
        let set = examples(&clips, &LabelSet::five(), InputKind::Frames, &Scaling::PerSpeaker);
        assert_eq!((set.width, set.frames(0), set.frames(2)), (2, 2, 1));
        // Speaker a: 1, 3, 2 have mean 2 and deviation √(2/3); 5, 5, 5 do not vary.
        let one = 1.5f32.sqrt();
        assert!(set.row(0).iter().zip([-one, 0.0, one, 0.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{:?}", set.row(0));
        assert_eq!(set.row(1), [-1.0, -1.0, 1.0, 1.0]);
        assert_eq!(set.row(2), [0.0, 0.0]);
    }

    #[test]
    fn of_a_long_recording_the_first_frames_are_read_and_its_statistics_are_of_all() {
        let mut mfcc = vec![0.0; 2 * FeatureSpec::MAX_FRAMES];
        mfcc.extend(vec![8.0; 2 * FeatureSpec::MAX_FRAMES]);
        let clips = [utterance("a", Emotion::Sad, &mfcc)];
        let set = examples(&clips, &LabelSet::five(), InputKind::Frames, &Scaling::None);
        assert_eq!((set.frames(0), set.row(0).iter().all(|x| *x == 0.0)), (FeatureSpec::MAX_FRAMES, true));
        assert_eq!(pooled(&clips, &Scaling::None).row(0)[..1], [4.0]);
    }

    #[test]
    fn words_come_with_the_example_where_the_corpus_has_them() {
        let mut said = utterance("a", Emotion::Angry, &[1.0, 5.0]);
        said.annotation.transcript = Some("It's eleven o'clock.".into());
        let clips = [said, utterance("a", Emotion::Sad, &[1.0, 5.0])];
        let set = examples(&clips, &LabelSet::five(), InputKind::FramesAndWords, &Scaling::None);
        assert_eq!(set.words(0), word_hashes("it's eleven o'clock"));
        assert_eq!((set.words(0).len(), set.words(1).len()), (3, 0));
    }

    #[test]
    fn public_statistics_bring_a_voice_near_to_one_scale_and_no_utterance_moves_another() {
        let spec = FeatureSpec::default();
        let public = Scaling::of(Standardisation::Public, &spec).unwrap();
        assert_eq!(public, Scaling::of(Standardisation::Public, &spec).unwrap(), "the same at every site");
        let front_end = FrontEnd::new(&spec).unwrap();
        let utterance = |actor: u32| {
            let samples = clip(&Voice::new(77, actor), "DFA", Emotion::Neutral);
            let signal = Signal { sample_rate_hz: synth::SAMPLE_RATE_HZ, channels: 1, samples };
            Utterance {
                width: spec.width(),
                mfcc: front_end.features(&signal, Path::new("v")).unwrap(),
                ..utterance(&actor.to_string(), Emotion::Neutral, &[])
            }
        };
        let clips: Vec<Utterance> = (0..4).map(utterance).collect();
        for kind in [InputKind::Statistics, InputKind::Frames] {
            let all = examples(&clips, &LabelSet::five(), kind, &public);
            let one = examples(&clips[1..2], &LabelSet::five(), kind, &public);
            assert_eq!(all.row(1), one.row(0));
            let size = all.features.iter().map(|x| f64::from(x * x)).sum::<f64>() / all.features.len() as f64;
            assert!((0.1..10.0).contains(&size), "mean square {size}");
        }
    }
}
