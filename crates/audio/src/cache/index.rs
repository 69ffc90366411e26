//! `/index`: one entry per utterance, column by column.
use hdf5::types::VarLenUnicode;
use sottovoce_types::{Annotation, Digest, Dimensions, Emotion, Level, Sex};

/// One utterance of a cache, without its features.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// Path inside the corpus.
    pub path: String,
    /// What the corpus says of it.
    pub annotation: Annotation,
    /// SHA-256 of the audio file.
    pub sha256: Digest,
    /// Frames of features.
    pub frames: usize,
}

/// Columns of strings.
const STRINGS: [&str; 9] = ["path", "label", "speaker", "sex", "group", "level", "sentence", "transcript", "sha256"];
/// Columns of numbers that may be unknown.
const NUMBERS: [&str; 4] = ["age_years", "valence", "activation", "dominance"];

impl Entry {
    fn strings(&self) -> [String; STRINGS.len()] {
        let a = &self.annotation;
        [
            self.path.clone(),
            a.emotion.name().to_owned(),
            a.speaker.clone(),
            a.sex.map_or("", sex_name).to_owned(),
            a.group.clone().unwrap_or_default(),
            a.level.name().to_owned(),
            a.sentence.clone(),
            a.transcript.clone().unwrap_or_default(),
            self.sha256.to_string(),
        ]
    }

    fn numbers(&self) -> [f32; NUMBERS.len()] {
        let of = |pick: fn(&Dimensions) -> f32| self.annotation.dimensions.as_ref().map_or(f32::NAN, pick);
        let age = self.annotation.age_years.map_or(f32::NAN, f32::from);
        [age, of(|d| d.valence), of(|d| d.activation), of(|d| d.dominance)]
    }

    fn from_columns(
        strings: [&str; STRINGS.len()],
        numbers: [f32; NUMBERS.len()],
        frames: usize,
    ) -> Result<Self, &'static str> {
        let [path, label, speaker, sex, group, level, sentence, transcript, sha256] = strings;
        let [age, valence, activation, dominance] = numbers;
        let stated = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(Self {
            path: path.to_owned(),
            annotation: Annotation {
                speaker: speaker.to_owned(),
                sex: match sex {
                    "" => None,
                    "female" => Some(Sex::Female),
                    "male" => Some(Sex::Male),
                    _ => return Err("/index/sex holds a word that is neither female nor male"),
                },
                age_years: (age.is_finite() && age >= 0.0).then_some(age as u16),
                group: stated(group),
                emotion: label.parse::<Emotion>().map_err(|_| "/index/label holds a word that names no emotion")?,
                level: Level::ALL
                    .into_iter()
                    .find(|l| l.name() == level)
                    .ok_or("/index/level holds a word that names no level")?,
                sentence: sentence.to_owned(),
                transcript: stated(transcript),
                dimensions: valence.is_finite().then_some(Dimensions { valence, activation, dominance }),
            },
            sha256: Digest::from_hex(sha256).ok_or("/index/sha256 holds no SHA-256")?,
            frames,
        })
    }
}

/// Rows of `/mfcc` before each entry's own, and in all; `None` if there are more than can be counted.
pub(super) fn offsets(entries: &[Entry]) -> Option<(Vec<usize>, usize)> {
    let mut total = 0usize;
    let mut offsets = Vec::with_capacity(entries.len());
    for entry in entries {
        offsets.push(total);
        total = total.checked_add(entry.frames)?;
    }
    Some((offsets, total))
}

pub(super) fn write(file: &hdf5::File, entries: &[Entry]) -> hdf5::Result<()> {
    let index = file.create_group("index")?;
    let n = entries.len();
    let (offset, _) = offsets(entries).expect("rows that are in memory can be counted");
    let offset: Vec<u64> = offset.into_iter().map(|v| v as u64).collect();
    let frames: Vec<u64> = entries.iter().map(|e| e.frames as u64).collect();
    for (name, numbers) in [("offset", &offset), ("frames", &frames)] {
        index.new_dataset::<u64>().shape(n).create(name)?.write_raw(numbers)?;
    }
    for (column, name) in STRINGS.into_iter().enumerate() {
        let values: Vec<VarLenUnicode> = entries.iter().map(|e| text(&e.strings()[column])).collect();
        index.new_dataset::<VarLenUnicode>().shape(n).create(name)?.write_raw(&values)?;
    }
    for (column, name) in NUMBERS.into_iter().enumerate() {
        let values: Vec<f32> = entries.iter().map(|e| e.numbers()[column]).collect();
        index.new_dataset::<f32>().shape(n).create(name)?.write_raw(&values)?;
    }
    Ok(())
}

/// The columns as read, before anything in them is believed.
pub(super) struct Columns {
    frames: Vec<u64>,
    strings: Vec<Vec<VarLenUnicode>>,
    numbers: Vec<Vec<f32>>,
}

impl Columns {
    pub(super) fn load(file: &hdf5::File) -> hdf5::Result<Self> {
        let index = file.group("index")?;
        Ok(Self {
            frames: index.dataset("frames")?.read_raw()?,
            strings: STRINGS.iter().map(|name| index.dataset(name)?.read_raw()).collect::<hdf5::Result<_>>()?,
            numbers: NUMBERS.iter().map(|name| index.dataset(name)?.read_raw()).collect::<hdf5::Result<_>>()?,
        })
    }

    pub(super) fn entries(&self) -> Result<Vec<Entry>, &'static str> {
        let n = self.frames.len();
        if self.strings.iter().any(|c| c.len() != n) || self.numbers.iter().any(|c| c.len() != n) {
            return Err("the columns of /index have different lengths");
        }
        let entry = |i: usize| {
            let frames =
                usize::try_from(self.frames[i]).map_err(|_| "/index/frames holds a number that is too large")?;
            Entry::from_columns(
                std::array::from_fn(|c| self.strings[c][i].as_str()),
                std::array::from_fn(|c| self.numbers[c][i]),
                frames,
            )
        };
        (0..n).map(entry).collect()
    }
}

/// HDF5 strings end at the first NUL, which no file name or speaker has; one that had would be cut there.
pub(super) fn text(value: &str) -> VarLenUnicode {
    let until_nul = value.split('\0').next().unwrap_or_default();
    until_nul.parse().expect("a string without NUL is a valid HDF5 string")
}

fn sex_name(sex: Sex) -> &'static str {
    match sex {
        Sex::Female => "female",
        Sex::Male => "male",
    }
}
