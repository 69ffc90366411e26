//! A corpus for machines that have none: our own source-filter voices, in the shape of CREMA-D.
//!
//! Each actor has an own voice (sex, pitch, formants, rate, tilt, breath, room) and an own way of each emotion; emotions
//! move pitch, range, rate, tilt, loudness, breath, roughness, flutter, stress and formants, and overlap as those of
//! people do. It serves to run and test everything else. **It says nothing about emotion in human speech**, and every
//! result on it must say so: the folder carries a README by which [`crate::scan`] knows it.
mod clip;
mod manner;
mod phones;
mod random;
mod voice;

use std::fs;
use std::io::{Cursor, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use sottovoce_types::{Emotion, Level, Sex};

pub use clip::synthesise_clip;
pub use voice::Voice;

/// Samples per second of every clip.
pub const SAMPLE_RATE_HZ: u32 = 16_000;
/// Version of the voices: it is raised when the same seed comes to give other samples.
pub const VERSION: u32 = 2;
/// First words of the README by which a synthetic corpus is known.
const MARKER: &str = "SYNTHETIC SPEECH";
/// First actor's number, as in CREMA-D.
const FIRST_ACTOR: u32 = 1001;
/// Actor numbers have four digits.
const MAX_SPEAKERS: u32 = 8_999;

/// Codes of the sentences, in the order in which a corpus of fewer takes them. `IEO` is last: in CREMA-D only it is
/// spoken at three levels, so smaller corpora have one clip per sentence and emotion.
pub const SENTENCES: [&str; 12] = ["DFA", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI", "IEO"];

/// The six emotions and their CREMA-D codes.
pub const EMOTIONS: [(Emotion, &str); 6] = [
    (Emotion::Angry, "ANG"),
    (Emotion::Disgust, "DIS"),
    (Emotion::Fear, "FEA"),
    (Emotion::Happy, "HAP"),
    (Emotion::Neutral, "NEU"),
    (Emotion::Sad, "SAD"),
];

/// Which synthetic corpus: the same spec gives the same bytes (on one platform: sine and exponential come from its
/// mathematics library).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SynthSpec {
    /// Actors, alternately male and female.
    pub speakers: u32,
    /// Sentences per actor, 1 to 12; each is spoken in six emotions, and the twelfth at three levels, so that twelve
    /// give the 82 clips per actor of CREMA-D.
    pub sentences: u32,
    /// Seed of all voices and clips.
    pub seed: u64,
}

/// What was written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SynthReport {
    /// Clips.
    pub clips: usize,
    /// Their length in all.
    pub seconds: f64,
}

/// A synthetic corpus that cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum SynthError {
    #[error("{path}: cannot be written: {source}")]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path}: already holds files that are not this synthetic corpus; choose an empty folder")]
    NotOurs { path: PathBuf },
    #[error("{speakers} speakers cannot be numbered in four digits from 1001; ask for 1 to {MAX_SPEAKERS}")]
    Speakers { speakers: u32 },
    #[error("there are 12 sentences and {sentences} are asked for; ask for 1 to 12")]
    Sentences { sentences: u32 },
    #[error("{path}: {source}")]
    Wav {
        path: PathBuf,
        #[source]
        source: WavError,
    },
}

/// Samples that cannot be written as wav.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot be encoded as wav: {0}")]
pub struct WavError(String);

/// Whether `root` carries the README of a synthetic corpus.
pub fn is_synthetic(root: &Path) -> bool {
    fs::read(root.join("README.txt")).is_ok_and(|text| text.starts_with(MARKER.as_bytes()))
}

/// Whether a file lies in a synthetic corpus: in its folder or in the one above.
pub fn is_recording(file: &Path) -> bool {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    absolute.ancestors().skip(1).take(2).any(is_synthetic)
}

/// Writes the corpus to `out`, in parallel: `AudioWAV/1001_DFA_ANG_XX.wav` … (16 kHz, mono, 16 bit),
/// `VideoDemographics.csv`, `README.txt`. Writing the same spec again gives the same files. `progress` is told
/// (done, total) from several threads.
///
/// # Errors
/// [`SynthError`] if the numbers are out of range, if `out` holds anything else, or if the disk refuses.
pub fn write_corpus(
    out: &Path,
    spec: &SynthSpec,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<SynthReport, SynthError> {
    let plan = Plan::new(spec)?;
    let audio = out.join("AudioWAV");
    claim(out, spec)?;
    fs::create_dir_all(&audio).map_err(|source| SynthError::Io { path: audio.clone(), source })?;
    write(&out.join("VideoDemographics.csv"), plan.demographics().as_bytes())?;
    let done = AtomicUsize::new(0);
    let one = |take: &Take| {
        let voice = &plan.voices[take.actor];
        let samples = synthesise_clip(voice, take.sentence, take.emotion, take.level);
        let path = audio.join(format!("{}.wav", take.name()));
        let mut bytes = Cursor::new(Vec::with_capacity(44 + 2 * samples.len()));
        write_wav(&mut bytes, &samples).map_err(|source| SynthError::Wav { path: path.clone(), source })?;
        write(&path, bytes.get_ref())?;
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, plan.takes.len());
        Ok(samples.len())
    };
    let lengths: Vec<usize> = plan.takes.par_iter().map(one).collect::<Result<_, SynthError>>()?;
    let seconds = lengths.iter().sum::<usize>() as f64 / f64::from(SAMPLE_RATE_HZ);
    Ok(SynthReport { clips: lengths.len(), seconds })
}

/// One recording to be made.
struct Take {
    actor: usize,
    sentence: &'static str,
    emotion: Emotion,
    code: &'static str,
    level: Level,
}

impl Take {
    fn name(&self) -> String {
        let level = match self.level {
            Level::Low => "LO",
            Level::Medium => "MD",
            Level::High => "HI",
            Level::Normal | Level::Strong | Level::Unspecified => "XX",
        };
        format!("{}_{}_{}_{level}", actor_id(self.actor), self.sentence, self.code)
    }
}

struct Plan {
    voices: Vec<Voice>,
    takes: Vec<Take>,
}

impl Plan {
    fn new(spec: &SynthSpec) -> Result<Self, SynthError> {
        if !(1..=MAX_SPEAKERS).contains(&spec.speakers) {
            return Err(SynthError::Speakers { speakers: spec.speakers });
        }
        if !(1..=SENTENCES.len() as u32).contains(&spec.sentences) {
            return Err(SynthError::Sentences { sentences: spec.sentences });
        }
        let voices: Vec<Voice> = (0..spec.speakers).map(|actor| Voice::new(spec.seed, actor)).collect();
        let mut takes = Vec::new();
        for actor in 0..voices.len() {
            for &sentence in &SENTENCES[..spec.sentences as usize] {
                for (emotion, code) in EMOTIONS {
                    let levels: &[Level] = match (sentence, emotion) {
                        ("IEO", e) if e != Emotion::Neutral => &[Level::Low, Level::Medium, Level::High],
                        _ => &[Level::Unspecified],
                    };
                    takes.extend(levels.iter().map(|&level| Take { actor, sentence, emotion, code, level }));
                }
            }
        }
        Ok(Self { voices, takes })
    }

    fn demographics(&self) -> String {
        let mut csv = String::from("\"ActorID\",\"Age\",\"Sex\",\"Race\",\"Ethnicity\"\n");
        for (actor, voice) in self.voices.iter().enumerate() {
            let sex = match voice.sex() {
                Sex::Female => "Female",
                Sex::Male => "Male",
            };
            let row = format!("{},{},\"{sex}\",\"Synthetic\",\"Synthetic\"\n", actor_id(actor), voice.age_years());
            csv.push_str(&row);
        }
        csv
    }
}

fn actor_id(actor: usize) -> usize {
    FIRST_ACTOR as usize + actor
}

fn readme(spec: &SynthSpec) -> String {
    let SynthSpec { speakers, sentences, seed } = spec;
    format!(
        "{MARKER}: made by Sottovoce, voices of version {VERSION}, speakers = {speakers}, sentences = {sentences}, seed = {seed}.\n\n\
         No human being spoke any of this. The voices are a source-filter synthesiser, the \"emotions\" are rules for\n\
         pitch, rate, loudness and timbre, and the names follow CREMA-D only so that the same reader reads both.\n\
         Results on it show that the software works; they say nothing about emotion in human speech.\n"
    )
}

/// Makes `out` this spec's folder, or refuses because it is something else's.
fn claim(out: &Path, spec: &SynthSpec) -> Result<(), SynthError> {
    let io = |source| SynthError::Io { path: out.to_owned(), source };
    fs::create_dir_all(out).map_err(io)?;
    let (path, text) = (out.join("README.txt"), readme(spec));
    let empty = fs::read_dir(out).map_err(io)?.next().is_none();
    if !empty && fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
        return Err(SynthError::NotOurs { path: out.to_owned() });
    }
    write(&path, text.as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), SynthError> {
    fs::write(path, bytes).map_err(|source| SynthError::Io { path: path.to_owned(), source })
}

/// Writes samples as a wav file of 16 bits, mono, at [`SAMPLE_RATE_HZ`].
///
/// # Errors
/// What the writer refuses.
pub fn write_wav(out: impl Write + Seek, samples: &[f32]) -> Result<(), WavError> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: SAMPLE_RATE_HZ,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let written = hound::WavWriter::new(out, spec).and_then(|mut writer| {
        for &x in samples {
            writer.write_sample((x.clamp(-1.0, 1.0) * 32_767.0).round() as i16)?;
        }
        writer.finalize()
    });
    written.map_err(|e| WavError(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_sentences_give_the_82_clips_an_actor_of_crema_d() {
        let plan = Plan::new(&SynthSpec { speakers: 2, sentences: 12, seed: 1 }).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(plan.takes.len(), 164);
        assert_eq!(plan.takes.iter().filter(|t| t.level == Level::High).count(), 10);
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let plan = |speakers, sentences| Plan::new(&SynthSpec { speakers, sentences, seed: 1 }).err();
        assert!(matches!(plan(0, 1), Some(SynthError::Speakers { .. })));
        assert!(matches!(plan(9000, 1), Some(SynthError::Speakers { .. })));
        assert!(matches!(plan(1, 13), Some(SynthError::Sentences { sentences: 13 })));
        assert!(plan(1, 12).is_none());
    }
}
