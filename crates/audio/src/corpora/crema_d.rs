//! CREMA-D (Cao et al. 2014): `AudioWAV/<actor>_<sentence>_<emotion>_<level>.wav`.
use std::collections::BTreeMap;
use std::path::Path;

use sottovoce_types::{Annotation, Emotion, Level, Sex};

use super::{CorpusKind, Scan, ScanError, SkipReason, collect, stem, walk};

pub(super) const EXAMPLE: &str = "1001_DFA_ANG_XX.wav";
const FORM: &str = "<actor>_<sentence>_<emotion>_<level>, as in 1001_DFA_ANG_XX";
/// Its own files beside `AudioWAV`, which are no recordings.
const DEMOGRAPHICS: &str = "VideoDemographics.csv";

pub(super) fn scan(path: &Path) -> Result<Scan, ScanError> {
    let audio = path.join("AudioWAV");
    let root = if audio.is_dir() { audio.as_path() } else { path };
    let mut files = walk(root)?;
    files.retain(|f| f.file_name().is_none_or(|n| n != DEMOGRAPHICS));
    let beside = [Some(path), path.parent()].into_iter().flatten().map(|p| p.join(DEMOGRAPHICS)).find(|p| p.is_file());
    let sexes = match beside {
        Some(csv) => sexes(&csv)?,
        None => BTreeMap::new(),
    };
    let read = |file: &Path| read(&stem(file)).map(|r| Annotation { sex: sexes.get(&r.speaker).copied(), ..r });
    collect(CorpusKind::CremaD, root, files, EXAMPLE, read)
}

/// Whether the name is of this corpus.
pub(super) fn fits(path: &Path) -> bool {
    read(&stem(path)).is_ok()
}

/// All 7442 names of the original match `^\d{4}_[A-Z]{3}_(ANG|DIS|FEA|HAP|NEU|SAD)_(LO|MD|HI|XX)$`.
fn read(stem: &str) -> Result<Annotation, SkipReason> {
    let [actor, sentence, emotion, level] = stem.split('_').collect::<Vec<_>>()[..] else {
        return Err(SkipReason::Name { expected: FORM });
    };
    if actor.len() != 4 || !actor.bytes().all(|b| b.is_ascii_digit()) {
        return Err(SkipReason::Actor(actor.to_owned()));
    }
    if sentence.len() != 3 || !sentence.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(SkipReason::Sentence(sentence.to_owned()));
    }
    let emotion = match emotion {
        "ANG" => Emotion::Angry,
        "DIS" => Emotion::Disgust,
        "FEA" => Emotion::Fear,
        "HAP" => Emotion::Happy,
        "NEU" => Emotion::Neutral,
        "SAD" => Emotion::Sad,
        other => return Err(SkipReason::Emotion(other.to_owned())),
    };
    let level = match level {
        "XX" => Level::Unspecified,
        "LO" => Level::Low,
        "MD" => Level::Medium,
        "HI" => Level::High,
        other => return Err(SkipReason::Level { level: other.to_owned() }),
    };
    Ok(Annotation { sentence: sentence.to_owned(), level, ..Annotation::new(actor, emotion) })
}

/// Sex per actor from `VideoDemographics.csv` (`"ActorID","Age","Sex","Race","Ethnicity"`); others stay unknown.
fn sexes(csv: &Path) -> Result<BTreeMap<String, Sex>, ScanError> {
    let demographics = |source| ScanError::Demographics { path: csv.to_owned(), source };
    let mut reader = csv::Reader::from_path(csv).map_err(demographics)?;
    let headers = reader.headers().map_err(demographics)?.clone();
    let column = |name: &str| headers.iter().position(|h| h.trim().eq_ignore_ascii_case(name));
    let (Some(actor), Some(sex)) = (column("ActorID"), column("Sex")) else {
        return Ok(BTreeMap::new());
    };
    let mut out = BTreeMap::new();
    for row in reader.records() {
        let row = row.map_err(demographics)?;
        let sex = match row.get(sex).map(|s| s.trim().to_ascii_lowercase()).as_deref() {
            Some("female") => Sex::Female,
            Some("male") => Sex::Male,
            _ => continue,
        };
        out.insert(row.get(actor).unwrap_or_default().trim().to_owned(), sex);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_of_the_corpus_are_refused_and_those_that_are_are_read() {
        let refused = |stem: &str| read(stem).err().unwrap();
        assert!(matches!(refused("1001_DFA_ANG"), SkipReason::Name { .. }));
        assert!(matches!(refused("1001_DFA_ANG_XX_2"), SkipReason::Name { .. }));
        assert!(matches!(refused("101_DFA_ANG_XX"), SkipReason::Actor(_)));
        assert!(matches!(refused("1001_dfa_ANG_XX"), SkipReason::Sentence(_)));
        assert!(matches!(refused("1001_DFA_ANX_XX"), SkipReason::Emotion(_)));
        assert!(matches!(refused("1001_DFA_ANG_X"), SkipReason::Level { .. }));
        let r = read("1091_IEO_HAP_HI").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(
            (r.speaker.as_str(), r.emotion, r.sentence.as_str(), r.level),
            ("1091", Emotion::Happy, "IEO", Level::High)
        );
    }
}
