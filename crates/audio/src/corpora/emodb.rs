//! Emo-DB (Burkhardt et al. 2005): `wav/<speaker><text><emotion><version>.wav`, as in `03a01Fa.wav`.
use std::path::Path;

use sottovoce_types::{Annotation, Emotion, Sex};

use super::files::{Reading, by_name, folder_named, stem};
use super::{CorpusKind, Scan, ScanError, SkipReason};

const FORM: &str = "<speaker><text><emotion><version>, as in 03a01Fa";

/// Speaker, sex and age, from the corpus's documentation.
const SPEAKERS: [(&str, Sex, u16); 10] = [
    ("03", Sex::Male, 31),
    ("08", Sex::Female, 34),
    ("09", Sex::Female, 21),
    ("10", Sex::Male, 32),
    ("11", Sex::Male, 26),
    ("12", Sex::Male, 30),
    ("13", Sex::Female, 32),
    ("14", Sex::Female, 35),
    ("15", Sex::Male, 25),
    ("16", Sex::Female, 31),
];

const TEXTS: [(&str, &str); 10] = [
    ("a01", "Der Lappen liegt auf dem Eisschrank."),
    ("a02", "Das will sie am Mittwoch abgeben."),
    ("a04", "Heute abend könnte ich es ihm sagen."),
    ("a05", "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück."),
    ("a07", "In sieben Stunden wird es soweit sein."),
    ("b01", "Was sind denn das für Tüten, die da unter dem Tisch stehen?"),
    ("b02", "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter."),
    ("b03", "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht."),
    ("b09", "Ich will das eben wegbringen und dann mit Karl was trinken gehen."),
    ("b10", "Die wird auf dem Platz sein, wo wir sie immer hinlegen."),
];

pub(super) fn scan(path: &Path) -> Result<Scan, ScanError> {
    // Beside `wav` lie label and laryngograph files of the same names.
    let root = folder_named(path, "wav").unwrap_or_else(|| path.to_owned());
    by_name(CorpusKind::Emodb, &root, |file| Ok(Reading { id: stem(file), annotation: read(&stem(file))? }))
}

/// Whether the name is of this corpus.
pub(super) fn fits(path: &Path) -> bool {
    read(&stem(path)).is_ok()
}

fn read(stem: &str) -> Result<Annotation, SkipReason> {
    let form = SkipReason::Name { expected: FORM };
    if stem.len() != 7 || !stem.is_ascii() || !matches!(stem.as_bytes()[6], b'a'..=b'f') {
        return Err(form);
    }
    let (speaker, text, emotion) = (&stem[..2], &stem[2..5], &stem[5..6]);
    if !speaker.bytes().all(|b| b.is_ascii_digit()) {
        return Err(form);
    }
    let Some(&(_, sex, age)) = SPEAKERS.iter().find(|s| s.0 == speaker) else {
        return Err(SkipReason::Actor(speaker.to_owned()));
    };
    let Some(&(_, words)) = TEXTS.iter().find(|t| t.0 == text) else {
        return Err(SkipReason::Sentence(text.to_owned()));
    };
    // Initials of the German words: Wut, Langeweile, Ekel, Angst, Freude, Trauer, neutral.
    let emotion = match emotion {
        "W" => Emotion::Angry,
        "L" => Emotion::Boredom,
        "E" => Emotion::Disgust,
        "A" => Emotion::Fear,
        "F" => Emotion::Happy,
        "T" => Emotion::Sad,
        "N" => Emotion::Neutral,
        other => return Err(SkipReason::Emotion(other.to_owned())),
    };
    Ok(Annotation {
        sex: Some(sex),
        age_years: Some(age),
        sentence: text.to_owned(),
        transcript: Some(words.to_owned()),
        ..Annotation::new(speaker, emotion)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_of_the_corpus_are_refused_and_those_that_are_are_read() {
        let refused = |stem: &str| read(stem).err().unwrap();
        for odd in ["03a01F", "03a01Fag", "xxa01Fa", "03a01Fä", "03a01Fz", "03a01FA"] {
            assert!(matches!(refused(odd), SkipReason::Name { .. }), "{odd}");
        }
        assert!(matches!(refused("04a01Fa"), SkipReason::Actor(_)));
        assert!(matches!(refused("03a03Fa"), SkipReason::Sentence(_)));
        assert!(matches!(refused("03a01Xa"), SkipReason::Emotion(_)));
        let r = read("14b10Wc").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((r.speaker.as_str(), r.sex, r.age_years), ("14", Some(Sex::Female), Some(35)));
        assert_eq!((r.emotion, r.sentence.as_str()), (Emotion::Angry, "b10"));
        assert_eq!(r.transcript.as_deref(), Some("Die wird auf dem Platz sein, wo wir sie immer hinlegen."));
    }
}
