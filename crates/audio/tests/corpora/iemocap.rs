use std::path::Path;

use sottovoce_audio::{CorpusKind, LabelSource, Labelling, Scan, ScanError, SkipReason, scan};
use sottovoce_types::{Dimensions, Emotion, LabelSet, Level, Sex};
use tempfile::TempDir;

use crate::{clip_names, skipped, touch, trees, write};

const WAV: &str = "Session1/sentences/wav/Ses01F_impro01";
const LABELS: &str = "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt";

fn read(root: &Path) -> Scan {
    scan(CorpusKind::Auto, root, Labelling::default()).unwrap()
}

/// A session of one dialog whose utterances have the labels given.
fn session(root: &Path, labels: &[(&str, &str)]) {
    write(root, LABELS, &trees::evaluation_file(labels));
    for (utterance, _) in labels {
        touch(root, &[&format!("{WAV}/{utterance}.wav")]);
    }
}

#[test]
fn a_folder_without_sessions_is_an_error_that_says_which_folder_to_name() {
    let folder = TempDir::new().unwrap();
    touch(folder.path(), &["deep/er/Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav", "Session1.txt"]);
    let error = scan(CorpusKind::Iemocap, folder.path(), Labelling::default()).unwrap_err();
    assert!(matches!(error, ScanError::NoSessions { .. }));
    assert!(error.to_string().contains("IEMOCAP_full_release"), "{error}");
}

#[test]
fn utterances_on_which_raters_disagree_are_listed_with_what_they_gave_and_the_others_are_read() {
    let folder = TempDir::new().unwrap();
    let labels = [
        ("Ses01F_impro01_F000", "neu"),
        ("Ses01F_impro01_F001", "xxx"),
        ("Ses01F_impro01_F002", "oth"),
        ("Ses01F_impro01_F003", "bor"),
        ("Ses01F_impro01_M000", "exc"),
        ("Ses01F_impro01_M001", "XXX"),
        ("Ses01F_impro01_M002", "Fru"),
    ];
    session(folder.path(), &labels);
    write(
        folder.path(),
        "Session1/dialog/transcriptions/Ses01F_impro01.txt",
        "Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.\nM: hm\nSes01F_impro01_MXX0 [1-2]: Yeah.\n",
    );
    let scan = read(folder.path());
    assert_eq!((scan.kind, scan.label_source), (CorpusKind::Iemocap, LabelSource::RaterMajority));
    assert_eq!(skipped(&scan, "Ses01F_impro01_F001.wav").to_string(), "raters did not agree (xxx)");
    assert_eq!(skipped(&scan, "Ses01F_impro01_M001.wav"), &SkipReason::NoAgreement);
    assert!(skipped(&scan, "Ses01F_impro01_F002.wav").to_string().contains("raters gave `oth`"));
    assert_eq!(skipped(&scan, "Ses01F_impro01_F003.wav"), &SkipReason::Emotion("bor".to_owned()));
    let tally: Vec<_> = scan.skipped_by_reason().into_iter().collect();
    assert_eq!(tally, [("no agreement", 2), ("other emotion", 1), ("unknown emotion", 1)]);
    let seen: Vec<_> = scan.clips.iter().map(|c| (c.annotation.speaker.as_str(), c.annotation.emotion)).collect();
    assert_eq!(seen, [("Ses01F", Emotion::Neutral), ("Ses01M", Emotion::Excited), ("Ses01M", Emotion::Frustrated)]);
    assert_eq!(scan.clips[0].name, format!("{WAV}/Ses01F_impro01_F000.wav"));
    let a = &scan.clips[0].annotation;
    assert_eq!((a.sex, a.group.as_deref(), a.level), (Some(Sex::Female), Some("Ses01"), Level::Unspecified));
    assert_eq!((a.sentence.as_str(), a.transcript.as_deref()), ("impro01", Some("Excuse me.")));
    assert_eq!(a.dimensions, Some(Dimensions { valence: 2.5, activation: 3.5, dominance: 3.0 }));
    assert_eq!(scan.clips[1].annotation.transcript, None);
    assert_eq!(scan.counts().groups["Ses01"], 3);
}

#[test]
fn recordings_and_labels_without_each_other_are_listed() {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    session(root, &[("Ses01F_impro01_F000", "neu"), ("Ses01F_impro01_M007", "ang")]);
    std::fs::remove_file(root.join(WAV).join("Ses01F_impro01_M007.wav")).unwrap();
    touch(root, &[&format!("{WAV}/Ses01F_impro01_F001.wav")]);
    touch(root, &["Session1/sentences/wav/Ses01M_script01_1/Ses01M_script01_1_F000.wav"]);
    let scan = read(root);
    assert_eq!(scan.clips.len(), 1);
    assert_eq!(skipped(&scan, &format!("{WAV}/Ses01F_impro01_M007.wav")), &SkipReason::NoAudio);
    let no_label = skipped(&scan, "Ses01F_impro01_F001.wav");
    assert_eq!(no_label.to_string(), "dialog/EmoEvaluation/Ses01F_impro01.txt has no label line for it");
    let no_file = skipped(&scan, "Ses01M_script01_1_F000.wav");
    assert!(matches!(no_file, SkipReason::NoEvaluation { dialog } if dialog == "Ses01M_script01_1"), "{no_file}");
    assert_eq!(scan.skipped.len(), 3);
}

#[test]
fn a_malformed_label_line_is_listed_with_file_and_line_and_the_next_is_read() {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    let text = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\r\n\r\n\
                [6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\r\n\
                [6.2901 - 8.2357]\tSes01F_impro01_F001\tneu\t[2.5000, 2.5000]\r\n\
                [6.2901 - 8.2357]\tSes01F\tneu\t[2.5000, 2.5000, 2.5000]\r\n\
                [6.2901 - 8.2357]\tSes02F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]\r\n\
                [6.2901 - 8.2357]\tSes01F_impro01_F002\tsad\t[2.5000, 2.5000, 2.5000]\r\n\
                [6.2901 - 8.2357]\tSes01F_impro01_F002\tang\t[2.5000, 2.5000, 2.5000]\r\n";
    write(root, LABELS, text);
    touch(
        root,
        &["F000", "F001", "F002"].map(|t| format!("{WAV}/Ses01F_impro01_{t}.wav")).each_ref().map(String::as_str),
    );
    let scan = read(root);
    let lines: Vec<_> = scan
        .skipped
        .iter()
        .filter(|s| s.path.ends_with(LABELS))
        .map(|s| match s.reason {
            SkipReason::LabelLine { line, .. } => line,
            ref other => panic!("{other}"),
        })
        .collect();
    assert_eq!(lines, [3, 4, 5, 6, 8]);
    assert_eq!(
        (clip_names(&scan).len(), scan.clips[0].annotation.emotion),
        (1, Emotion::Sad),
        "the first label stands"
    );
    assert!(matches!(skipped(&scan, "Ses01F_impro01_F000.wav"), SkipReason::NoLabel { .. }));
}

#[test]
fn raters_folders_and_hidden_files_are_no_labels_and_odd_recordings_are_listed() {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    session(root, &[("Ses01F_impro01_F000", "neu")]);
    write(root, "Session1/dialog/EmoEvaluation/._Ses01F_impro01.txt", "[\u{1}binary");
    for single in ["Attribute", "Categorical", "Self-evaluation"] {
        let line = "[1 - 2]\tSes01F_impro01_F000\tang\t[1, 1, 1]\n";
        write(root, &format!("Session1/dialog/EmoEvaluation/{single}/Ses01F_impro01.txt"), line);
    }
    touch(
        root,
        &["Session1/dialog/wav/Ses01F_impro01.wav", "Session1/dialog/avi/DivX/Ses01F_impro01.avi", "README.txt"],
    );
    for odd in [
        "._Ses01F_impro01_F000.wav",
        "Ses01F_impro01_F000.flac",
        "Ses01F_impro01.wav",
        "Ses01F_impro01_F000.txt",
        "Ses03F_impro01_F000.wav",
    ] {
        touch(root, &[&format!("{WAV}/{odd}")]);
    }
    let scan = read(root);
    assert_eq!((scan.clips.len(), scan.clips[0].annotation.emotion), (1, Emotion::Neutral));
    assert_eq!(skipped(&scan, "._Ses01F_impro01_F000.wav"), &SkipReason::Hidden);
    assert!(matches!(skipped(&scan, &format!("{WAV}/Ses01F_impro01.wav")), SkipReason::Name { .. }));
    assert_eq!(skipped(&scan, "Ses01F_impro01_F000.txt"), &SkipReason::NotAudio);
    let first = format!("{WAV}/Ses01F_impro01_F000.flac");
    assert_eq!(skipped(&scan, "Ses01F_impro01_F000.wav"), &SkipReason::Duplicate(first));
    assert!(matches!(skipped(&scan, "Ses03F_impro01_F000.wav"), SkipReason::Folder { .. }));
    assert_eq!(scan.skipped.len(), 5, "{:?}", scan.skipped);
}

#[test]
fn another_labelling_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    session(folder.path(), &[("Ses01F_impro01_F000", "neu")]);
    for kind in [CorpusKind::Iemocap, CorpusKind::Auto] {
        let error = scan(kind, folder.path(), Labelling::Voice).unwrap_err();
        assert!(error.to_string().contains("iemocap has no labelling \"voice\""), "{error}");
        assert!(error.to_string().contains("crema-d"), "{error}");
    }
}

#[test]
fn the_folder_above_the_release_may_be_named_and_a_site_may_hold_one_session() {
    let folder = TempDir::new().unwrap();
    session(&folder.path().join("IEMOCAP_full_release"), &[("Ses01F_impro01_F000", "neu")]);
    for path in [folder.path().to_owned(), folder.path().join("IEMOCAP_full_release")] {
        let scan = read(&path);
        assert_eq!(clip_names(&scan), [format!("{WAV}/Ses01F_impro01_F000.wav")]);
    }
}

#[test]
fn a_whole_copy_has_the_published_counts_by_label_and_session() {
    let folder = TempDir::new().unwrap();
    trees::iemocap(folder.path(), None);
    let scan = read(folder.path());
    let published = scan.published().unwrap();
    let counts = scan.counts();
    assert_eq!(counts.emotions.iter().map(|(e, n)| (*e, *n)).collect::<Vec<_>>(), published.emotions);
    assert_eq!((scan.clips.len() + scan.skipped.len(), counts.speakers.len()), (published.clips, published.speakers));
    let tally: Vec<_> = scan.skipped_by_reason().into_iter().collect();
    assert_eq!(tally, [("no agreement", 2507), ("other emotion", 3)]);
    let dialogs: std::collections::BTreeSet<_> = scan.clips.iter().map(|c| c.path.parent().unwrap()).collect();
    assert_eq!(dialogs.len(), 151);
    let four = LabelSet::four();
    let usual = |session: &str| {
        let of_session = |c: &&sottovoce_audio::Clip| c.annotation.group.as_deref() == Some(session);
        scan.clips.iter().filter(of_session).filter(|c| four.index_of(c.annotation.emotion).is_some()).count()
    };
    let sessions = ["Ses01", "Ses02", "Ses03", "Ses04", "Ses05"].map(usual);
    assert_eq!(sessions, [1085, 1023, 1151, 1031, 1241]);
    assert_eq!(sessions.iter().sum::<usize>(), 5531, "the usual four classes, happy with excited");
    assert_eq!((counts.speakers_by_sex[&Sex::Female], counts.speakers_by_sex[&Sex::Male]), (5, 5));
    assert!(scan.clips.iter().all(|c| c.annotation.transcript.as_deref() == Some("Excuse me.")));
}
