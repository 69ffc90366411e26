//! Corpus readers on small trees, odd names included.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::path::Path;

use sottovoce_audio::{CorpusKind, Scan, ScanError, SkipReason, scan};
use sottovoce_types::{Emotion, Level, Sex};
use tempfile::TempDir;

fn touch(root: &Path, names: &[&str]) {
    for name in names {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"").unwrap();
    }
}

fn skipped<'a>(scan: &'a Scan, name: &str) -> &'a SkipReason {
    &scan.skipped.iter().find(|s| s.path.ends_with(name)).unwrap_or_else(|| panic!("{name} is listed")).reason
}

#[test]
fn crema_d_is_read_with_sexes_and_every_odd_file_is_listed_with_its_reason() {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    touch(
        root,
        &[
            "AudioWAV/1001_DFA_ANG_XX.wav",
            "AudioWAV/1001_IEO_SAD_HI.wav",
            "AudioWAV/1002_IEO_FEA_LO.WAV",
            "AudioWAV/1003_WSI_NEU_XX.flac",
            "AudioWAV/1003_WSI_NEU_XX.wav",
            "AudioWAV/1001_DFA_ANX_XX.wav",
            "AudioWAV/1001_DFA_ANG.wav",
            "AudioWAV/._1001_DFA_ANG_XX.wav",
            "AudioWAV/notes.txt",
            "AudioMP3/1001_DFA_ANG_XX.mp3",
        ],
    );
    let csv = "\"ActorID\",\"Age\",\"Sex\",\"Race\",\"Ethnicity\"\n1001,51,\"Male\",\"Caucasian\",\"Not Hispanic\"\n\
               1002,21,\"Female\",\"Caucasian\",\"Not Hispanic\"\n";
    std::fs::write(root.join("VideoDemographics.csv"), csv).unwrap();
    let scan = scan(CorpusKind::Auto, root).unwrap();
    assert_eq!((scan.kind, scan.synthetic), (CorpusKind::CremaD, false));
    let names: Vec<&str> = scan.clips.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["1001_DFA_ANG_XX.wav", "1001_IEO_SAD_HI.wav", "1002_IEO_FEA_LO.WAV", "1003_WSI_NEU_XX.flac"]);
    assert_eq!(
        scan.clips.iter().map(|c| c.annotation.sex).collect::<Vec<_>>(),
        [Some(Sex::Male), Some(Sex::Male), Some(Sex::Female), None]
    );
    assert_eq!(
        (scan.clips[1].annotation.emotion, scan.clips[1].annotation.level, scan.clips[1].annotation.sentence.as_str()),
        (Emotion::Sad, Level::High, "IEO")
    );
    assert_eq!(scan.skipped.len(), 5, "the mp3 lies outside AudioWAV: {:?}", scan.skipped);
    assert_eq!(skipped(&scan, "1003_WSI_NEU_XX.wav"), &SkipReason::Duplicate("1003_WSI_NEU_XX.flac".to_owned()));
    assert_eq!(skipped(&scan, "1001_DFA_ANX_XX.wav"), &SkipReason::Emotion("ANX".to_owned()));
    assert!(matches!(skipped(&scan, "1001_DFA_ANG.wav"), SkipReason::Name { .. }));
    assert_eq!(skipped(&scan, "._1001_DFA_ANG_XX.wav"), &SkipReason::Hidden);
    assert_eq!(skipped(&scan, "notes.txt"), &SkipReason::NotAudio);
    let counts = scan.counts();
    assert_eq!((counts.emotions[&Emotion::Angry], counts.speakers["1001"], counts.sexes[&Sex::Male]), (1, 2, 2));
}

#[test]
fn crema_d_may_be_named_by_its_audio_folder() {
    let folder = TempDir::new().unwrap();
    touch(folder.path(), &["AudioWAV/1001_DFA_ANG_XX.wav"]);
    std::fs::write(folder.path().join("VideoDemographics.csv"), "ActorID,Sex\n1001,Female\n").unwrap();
    let scan = scan(CorpusKind::CremaD, &folder.path().join("AudioWAV")).unwrap();
    assert_eq!(scan.clips[0].annotation.sex, Some(Sex::Female));
}

#[test]
fn ravdess_is_read_with_odd_actors_male_and_copies_and_songs_are_listed() {
    let folder = TempDir::new().unwrap();
    touch(
        folder.path(),
        &[
            "Actor_01/03-01-05-02-01-01-01.wav",
            "Actor_02/03-01-01-01-02-02-02.flac",
            "Actor_02/03-02-05-01-01-01-02.wav",
            "Actor_02/03-01-05-01-01-01-04.wav",
            "audio_speech_actors_01-24/Actor_01/03-01-05-02-01-01-01.wav",
            "manifest.csv",
        ],
    );
    let scan = scan(CorpusKind::Auto, folder.path()).unwrap();
    assert_eq!(scan.kind, CorpusKind::Ravdess);
    let seen: Vec<_> =
        scan.clips.iter().map(|c| &c.annotation).map(|a| (a.speaker.as_str(), a.sex, a.emotion, a.level)).collect();
    assert_eq!(
        seen,
        [
            ("Actor_01", Some(Sex::Male), Emotion::Angry, Level::Strong),
            ("Actor_02", Some(Sex::Female), Emotion::Neutral, Level::Normal)
        ]
    );
    assert_eq!(scan.clips[0].name, "Actor_01/03-01-05-02-01-01-01.wav");
    assert!(matches!(skipped(&scan, "03-02-05-01-01-01-02.wav"), SkipReason::NotSpeech(_)));
    assert!(matches!(skipped(&scan, "03-01-05-01-01-01-04.wav"), SkipReason::ActorFolder { .. }));
    assert!(matches!(
        skipped(&scan, "audio_speech_actors_01-24/Actor_01/03-01-05-02-01-01-01.wav"),
        SkipReason::Duplicate(_)
    ));
    assert_eq!(scan.skipped.len(), 4);
}

#[test]
fn a_folder_that_is_no_corpus_and_a_kind_that_cannot_be_read_are_errors_that_teach() {
    let folder = TempDir::new().unwrap();
    touch(folder.path(), &["holiday.wav"]);
    let error = scan(CorpusKind::Auto, folder.path()).unwrap_err();
    assert!(matches!(error, ScanError::Unrecognised { files: 1, .. }), "{error}");
    let error = scan(CorpusKind::Ravdess, folder.path()).unwrap_err();
    assert!(error.to_string().contains("Actor_01/"), "{error}");
    assert!(matches!(scan(CorpusKind::Auto, &folder.path().join("none")), Err(ScanError::Io { .. })));
    let error = "iemocap".parse::<CorpusKind>().unwrap_err();
    assert!(error.to_string().contains("crema-d, ravdess, auto"), "{error}");
    assert_eq!("crema-d".parse(), Ok(CorpusKind::CremaD));
}
