//! RAVDESS (Livingstone & Russo 2018): `Actor_<AA>/<MM>-<CC>-<EE>-<II>-<SS>-<RR>-<AA>.wav`.
use std::path::Path;

use sottovoce_types::{Annotation, Emotion, Level, Sex};

use super::files::{Reading, by_name, folder, stem};
use super::{CorpusKind, Scan, ScanError, SkipReason};

const FORM: &str = "modality-channel-emotion-intensity-statement-repetition-actor, as in 03-01-05-01-01-01-01";

pub(super) fn scan(path: &Path) -> Result<Scan, ScanError> {
    by_name(CorpusKind::Ravdess, path, |file| Ok(Reading { id: stem(file), annotation: read(file)? }))
}

/// Whether the name is of this corpus, usable or not.
pub(super) fn fits(path: &Path) -> bool {
    fields(&stem(path)).is_some()
}

fn fields(stem: &str) -> Option<[&str; 7]> {
    let fields: [&str; 7] = stem.split('-').collect::<Vec<_>>().try_into().ok()?;
    fields.iter().all(|f| f.len() == 2 && f.bytes().all(|b| b.is_ascii_digit())).then_some(fields)
}

fn read(path: &Path) -> Result<Annotation, SkipReason> {
    let stem = stem(path);
    let [modality, channel, emotion, intensity, statement, repetition, actor] =
        fields(&stem).ok_or(SkipReason::Name { expected: FORM })?;
    if modality != "03" {
        return Err(SkipReason::NotAudioOnly(modality.to_owned()));
    }
    if channel != "01" {
        return Err(SkipReason::NotSpeech(channel.to_owned()));
    }
    let emotion = match emotion {
        "01" => Emotion::Neutral,
        "02" => Emotion::Calm,
        "03" => Emotion::Happy,
        "04" => Emotion::Sad,
        "05" => Emotion::Angry,
        "06" => Emotion::Fear,
        "07" => Emotion::Disgust,
        "08" => Emotion::Surprised,
        other => return Err(SkipReason::Emotion(other.to_owned())),
    };
    let level = match intensity {
        "01" => Level::Normal,
        // Neutral was recorded without a strong form.
        "02" if emotion != Emotion::Neutral => Level::Strong,
        other => return Err(SkipReason::Level { level: other.to_owned() }),
    };
    let words = match (statement, repetition) {
        ("01", "01" | "02") => "Kids are talking by the door",
        ("02", "01" | "02") => "Dogs are sitting by the door",
        _ => return Err(SkipReason::Sentence(format!("{statement}-{repetition}"))),
    };
    let number: u8 = actor.parse().unwrap_or(0);
    if !(1..=24).contains(&number) {
        return Err(SkipReason::Actor(actor.to_owned()));
    }
    let speaker = format!("Actor_{actor}");
    let folder = folder(path);
    if folder.starts_with("Actor_") && folder != speaker {
        return Err(SkipReason::Folder { name: speaker, folder });
    }
    // "Odd numbered actors are male, even numbered actors are female."
    let sex = Some(if number % 2 == 1 { Sex::Male } else { Sex::Female });
    let (sentence, transcript) = (statement.to_owned(), Some(words.to_owned()));
    Ok(Annotation { sex, sentence, transcript, level, ..Annotation::new(speaker, emotion) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_of_the_corpus_are_refused_and_those_that_are_are_read() {
        let refused = |name: &str| read(Path::new(name)).err().unwrap();
        assert!(matches!(refused("03-01-05-01-01-01.wav"), SkipReason::Name { .. }));
        assert!(matches!(refused("3-01-05-01-01-01-01.wav"), SkipReason::Name { .. }));
        assert!(matches!(refused("01-01-05-01-01-01-01.wav"), SkipReason::NotAudioOnly(_)));
        assert!(matches!(refused("03-02-05-01-01-01-01.wav"), SkipReason::NotSpeech(_)));
        assert!(matches!(refused("03-01-09-01-01-01-01.wav"), SkipReason::Emotion(_)));
        assert!(matches!(refused("03-01-01-02-01-01-01.wav"), SkipReason::Level { .. }));
        assert!(matches!(refused("03-01-05-01-03-01-01.wav"), SkipReason::Sentence(_)));
        assert!(matches!(refused("03-01-05-01-01-01-25.wav"), SkipReason::Actor(_)));
        assert!(matches!(refused("Actor_03/03-01-05-01-01-01-02.wav"), SkipReason::Folder { .. }));
        let r = read(Path::new("Actor_02/03-01-06-02-02-01-02.flac")).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((r.speaker.as_str(), r.sex, r.emotion), ("Actor_02", Some(Sex::Female), Emotion::Fear));
        assert_eq!((r.sentence.as_str(), r.level), ("02", Level::Strong));
        assert_eq!(r.transcript.as_deref(), Some("Dogs are sitting by the door"));
    }
}
