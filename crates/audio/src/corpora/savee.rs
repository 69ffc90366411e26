//! SAVEE (Haq & Jackson 2010): `DC_a01.wav` or `DC/a01.wav`; four men.
use std::path::Path;

use sottovoce_types::{Annotation, Emotion, Sex};

use super::files::{Reading, empty, folder, folder_named, gather, not_empty, recordings, stem};
use super::{CorpusKind, LabelSource, Scan, ScanError, SkipReason};

const FORM: &str = "<speaker>_<emotion><number> or <speaker>/<emotion><number>, as in DC_a01 or DC/a01";
const SPEAKERS: [&str; 4] = ["DC", "JE", "JK", "KL"];

pub(super) fn scan(path: &Path) -> Result<Scan, ScanError> {
    let root = folder_named(path, "AudioData").unwrap_or_else(|| path.to_owned());
    let mut scan = empty(CorpusKind::Savee, LabelSource::Intended, &root);
    gather(&mut scan, &root, recordings(&root, &["Info.txt"])?, read);
    not_empty(scan, &root)
}

/// Whether the name is of this corpus. `a01.wav` in a folder that is no speaker's is not.
pub(super) fn fits(path: &Path) -> bool {
    read(path).is_ok()
}

fn read(path: &Path) -> Result<Reading, SkipReason> {
    let (stem, folder) = (stem(path), folder(path));
    let folder_speaker = SPEAKERS.into_iter().find(|s| *s == folder);
    let (speaker, code) = match (stem.split_once('_'), folder_speaker) {
        (Some((name, _)), Some(_)) if SPEAKERS.contains(&name) && name != folder => {
            return Err(SkipReason::Folder { name: name.to_owned(), folder });
        }
        (Some((name, code)), _) if SPEAKERS.contains(&name) => (name, code),
        (Some((name, code)), _) if emotion(code).is_some() => return Err(SkipReason::Actor(name.to_owned())),
        (None, Some(speaker)) => (speaker, stem.as_str()),
        _ => return Err(SkipReason::Name { expected: FORM }),
    };
    let Some((emotion, number)) = emotion(code) else {
        return Err(SkipReason::Emotion(code.to_owned()));
    };
    // 15 sentences an emotion, 30 for neutral.
    let last = if emotion == Emotion::Neutral { 30 } else { 15 };
    if !(1..=last).contains(&number) {
        return Err(SkipReason::Sentence(code.to_owned()));
    }
    let annotation =
        Annotation { sex: Some(Sex::Male), sentence: code.to_owned(), ..Annotation::new(speaker, emotion) };
    Ok(Reading { id: format!("{speaker}_{code}"), annotation })
}

/// Emotion and number of a sentence. The two-letter codes come first: `sa01` would also begin with an `s`.
fn emotion(code: &str) -> Option<(Emotion, u8)> {
    let codes = [
        ("sa", Emotion::Sad),
        ("su", Emotion::Surprised),
        ("a", Emotion::Angry),
        ("d", Emotion::Disgust),
        ("f", Emotion::Fear),
        ("h", Emotion::Happy),
        ("n", Emotion::Neutral),
    ];
    let (number, emotion) = codes.into_iter().find_map(|(c, e)| Some((code.strip_prefix(c)?, e)))?;
    let two_digits = number.len() == 2 && number.bytes().all(|b| b.is_ascii_digit());
    two_digits.then(|| number.parse().ok().map(|n| (emotion, n))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_of_the_corpus_are_refused_and_those_that_are_are_read() {
        let refused = |name: &str| read(Path::new(name)).err().unwrap();
        assert!(matches!(refused("a01.wav"), SkipReason::Name { .. }));
        assert!(matches!(refused("takes/a01.wav"), SkipReason::Name { .. }));
        assert!(matches!(refused("DC/notes_a.wav"), SkipReason::Name { .. }));
        assert!(matches!(refused("XY_a01.wav"), SkipReason::Actor(_)));
        assert!(matches!(refused("JE/DC_a01.wav"), SkipReason::Folder { .. }));
        for odd in ["DC/s01.wav", "DC/a1.wav", "DC_x01.wav", "DC_a01b.wav", "DC_.wav", "DC_a+1.wav"] {
            assert!(matches!(refused(odd), SkipReason::Emotion(_)), "{odd}");
        }
        assert!(matches!(refused("DC_a16.wav"), SkipReason::Sentence(_)));
        assert!(matches!(refused("DC_a00.wav"), SkipReason::Sentence(_)));
        for (name, speaker, emotion) in [
            ("DC_sa01.wav", "DC", Emotion::Sad),
            ("JE/su15.wav", "JE", Emotion::Surprised),
            ("JK/JK_a01.flac", "JK", Emotion::Angry),
            ("KL_n30.wav", "KL", Emotion::Neutral),
        ] {
            let r = read(Path::new(name)).unwrap_or_else(|e| panic!("{name}: {e}")).annotation;
            assert_eq!((r.speaker.as_str(), r.emotion, r.sex), (speaker, emotion, Some(Sex::Male)));
        }
    }
}
