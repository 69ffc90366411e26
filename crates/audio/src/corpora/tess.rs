//! TESS (Pichora-Fuller & Dupuis 2020): `<speaker>_<word>_<emotion>.wav`, as in `OAF_back_angry.wav`; two women.
//!
//! Its folders are spelt unevenly (`OAF_Pleasant_surprise`, `YAF_pleasant_surprised`), so only file names count.
use std::path::Path;

use sottovoce_types::{Annotation, Emotion, Sex};

use super::files::{Reading, by_name, stem};
use super::{CorpusKind, Scan, ScanError, SkipReason};

const FORM: &str = "<speaker>_<word>_<emotion>, as in OAF_back_angry";

pub(super) fn scan(path: &Path) -> Result<Scan, ScanError> {
    by_name(CorpusKind::Tess, path, |file| read(&stem(file)))
}

/// Whether the name is of this corpus.
pub(super) fn fits(path: &Path) -> bool {
    read(&stem(path)).is_ok()
}

fn read(stem: &str) -> Result<Reading, SkipReason> {
    let form = || SkipReason::Name { expected: FORM };
    let (speaker, word_and_emotion) = stem.split_once('_').ok_or_else(form)?;
    let (word, emotion) = word_and_emotion.rsplit_once('_').ok_or_else(form)?;
    if word.is_empty() {
        return Err(form());
    }
    let (speaker, age) = match speaker {
        // The release holds one misspelt name, OA_bite_neutral.wav.
        "OAF" | "OA" => ("OAF", 64),
        "YAF" => ("YAF", 26),
        other => return Err(SkipReason::Actor(other.to_owned())),
    };
    let emotion_of = match emotion {
        "angry" => Emotion::Angry,
        "disgust" => Emotion::Disgust,
        "fear" => Emotion::Fear,
        "happy" => Emotion::Happy,
        "neutral" => Emotion::Neutral,
        // "Pleasant surprise".
        "ps" => Emotion::Surprised,
        "sad" => Emotion::Sad,
        other => return Err(SkipReason::Emotion(other.to_owned())),
    };
    let annotation = Annotation {
        sex: Some(Sex::Female),
        age_years: Some(age),
        sentence: word.to_owned(),
        transcript: Some(format!("Say the word {word}")),
        ..Annotation::new(speaker, emotion_of)
    };
    Ok(Reading { id: format!("{speaker}_{word_and_emotion}"), annotation })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_of_the_corpus_are_refused_and_those_that_are_are_read() {
        let refused = |stem: &str| read(stem).err().unwrap();
        for odd in ["OAF", "OAF_angry", "OAF__angry"] {
            assert!(matches!(refused(odd), SkipReason::Name { .. }), "{odd}");
        }
        assert!(matches!(refused("MAF_back_angry"), SkipReason::Actor(_)));
        assert!(matches!(refused("OAF_back_surprise"), SkipReason::Emotion(_)));
        let r = read("YAF_back_ps").unwrap_or_else(|e| panic!("{e}")).annotation;
        assert_eq!((r.speaker.as_str(), r.age_years, r.emotion), ("YAF", Some(26), Emotion::Surprised));
        assert_eq!((r.sentence.as_str(), r.transcript.as_deref()), ("back", Some("Say the word back")));
        let misspelt = read("OA_bite_neutral").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((misspelt.annotation.speaker.as_str(), misspelt.id.as_str()), ("OAF", "OAF_bite_neutral"));
    }
}
