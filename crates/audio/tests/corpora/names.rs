//! Corpora whose file names say everything.
use std::path::Path;

use sottovoce_audio::{CorpusKind, LabelSource, Labelling, Scan, SkipReason, scan};
use sottovoce_types::{Emotion, Level, Sex};
use tempfile::TempDir;

use crate::{clip_names, skipped, touch};

fn read(kind: CorpusKind, root: &Path) -> Scan {
    let found = scan(CorpusKind::Auto, root, Labelling::default()).unwrap();
    assert_eq!((found.kind, found.label_source), (kind, LabelSource::Intended));
    assert_eq!(found, scan(kind, root, Labelling::default()).unwrap());
    found
}

#[test]
fn ravdess_songs_copies_and_misplaced_files_are_listed_and_odd_actors_are_male() {
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
    let scan = read(CorpusKind::Ravdess, folder.path());
    assert!(matches!(skipped(&scan, "03-02-05-01-01-01-02.wav"), SkipReason::NotSpeech(_)));
    assert!(matches!(skipped(&scan, "03-01-05-01-01-01-04.wav"), SkipReason::Folder { .. }));
    assert!(matches!(
        skipped(&scan, "audio_speech_actors_01-24/Actor_01/03-01-05-02-01-01-01.wav"),
        SkipReason::Duplicate(_)
    ));
    assert_eq!(scan.skipped.len(), 4);
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
    assert_eq!(scan.clips[0].annotation.transcript.as_deref(), Some("Kids are talking by the door"));
}

#[test]
fn emodb_is_read_from_its_wav_folder_and_label_files_beside_it_are_not_its_recordings() {
    let folder = TempDir::new().unwrap();
    touch(
        folder.path(),
        &[
            "wav/03a01Fa.wav",
            "wav/08b03Wc.wav",
            "wav/08b03Wc.flac",
            "wav/04a01Fa.wav",
            "wav/03a01Xa.wav",
            "wav/._03a01Fa.wav",
            "wav/test.wav",
            "wav/list.txt",
            "lablaut/03a01Fa.lablaut",
            "erkennung.txt",
        ],
    );
    let scan = read(CorpusKind::Emodb, folder.path());
    assert!(matches!(skipped(&scan, "04a01Fa.wav"), SkipReason::Actor(_)));
    assert!(matches!(skipped(&scan, "03a01Xa.wav"), SkipReason::Emotion(_)));
    assert!(matches!(skipped(&scan, "test.wav"), SkipReason::Name { .. }));
    assert_eq!(skipped(&scan, "08b03Wc.wav"), &SkipReason::Duplicate("08b03Wc.flac".to_owned()));
    assert_eq!(scan.skipped.len(), 6, "{:?}", scan.skipped);
    assert_eq!(clip_names(&scan), ["03a01Fa.wav", "08b03Wc.flac"]);
    let a = &scan.clips[0].annotation;
    assert_eq!((a.speaker.as_str(), a.sex, a.age_years, a.emotion), ("03", Some(Sex::Male), Some(31), Emotion::Happy));
    assert_eq!(scan.clips[1].annotation.emotion, Emotion::Angry);
}

#[test]
fn savee_takes_a_file_for_its_own_only_by_speaker_and_knows_a_recording_under_both_names() {
    let folder = TempDir::new().unwrap();
    touch(
        folder.path(),
        &[
            "AudioData/DC/a01.wav",
            "AudioData/JE/a01.wav",
            "AudioData/JE/sa01.wav",
            "AudioData/KL/su02.wav",
            "AudioData/KL/KL_su02.wav",
            "AudioData/KL/JK_d01.wav",
            "AudioData/Others/a01.wav",
            "AudioData/KL/._su02.wav",
            "AudioData/Info.txt",
            "VideoData/DC/a01.avi",
        ],
    );
    let scan = read(CorpusKind::Savee, folder.path());
    assert!(matches!(skipped(&scan, "Others/a01.wav"), SkipReason::Name { .. }));
    assert!(matches!(skipped(&scan, "KL/JK_d01.wav"), SkipReason::Folder { .. }));
    assert_eq!(skipped(&scan, "KL/su02.wav"), &SkipReason::Duplicate("KL/KL_su02.wav".to_owned()));
    assert_eq!(scan.skipped.len(), 4, "{:?}", scan.skipped);
    let seen: Vec<_> = scan.clips.iter().map(|c| (c.annotation.speaker.as_str(), c.annotation.emotion)).collect();
    let wanted = [("DC", Emotion::Angry), ("JE", Emotion::Angry), ("JE", Emotion::Sad), ("KL", Emotion::Surprised)];
    assert_eq!(seen, wanted, "a01 of two speakers is two recordings");
    assert_eq!(scan.counts().speakers_by_sex[&Sex::Male], 3);
}

#[test]
fn tess_is_read_by_file_name_whatever_its_folders_and_its_misspelt_name_is_known() {
    let folder = TempDir::new().unwrap();
    touch(
        folder.path(),
        &[
            "TESS/OAF_Pleasant_surprise/OAF_back_ps.wav",
            "TESS/YAF_pleasant_surprised/YAF_back_ps.wav",
            "TESS/OAF_neutral/OA_bite_neutral.wav",
            "TESS/OAF_neutral/OAF_bite_neutral.wav",
            "TESS/YAF_angry/YAF_back_furious.wav",
            "TESS/YAF_angry/._YAF_back_angry.wav",
            "TESS/TESS/YAF_pleasant_surprised/YAF_back_ps.wav",
            "readme.txt",
        ],
    );
    let scan = read(CorpusKind::Tess, folder.path());
    assert!(matches!(skipped(&scan, "YAF_back_furious.wav"), SkipReason::Emotion(_)));
    assert_eq!(
        skipped(&scan, "OA_bite_neutral.wav"),
        &SkipReason::Duplicate("TESS/OAF_neutral/OAF_bite_neutral.wav".to_owned())
    );
    let tally: Vec<_> = scan.skipped_by_reason().into_iter().collect();
    assert_eq!(tally, [("duplicate", 2), ("hidden", 1), ("unknown emotion", 1)]);
    let seen: Vec<_> = scan
        .clips
        .iter()
        .map(|c| &c.annotation)
        .map(|a| (a.speaker.as_str(), a.age_years, a.emotion, a.transcript.as_deref().unwrap()))
        .collect();
    assert_eq!(
        seen,
        [
            ("OAF", Some(64), Emotion::Surprised, "Say the word back"),
            ("OAF", Some(64), Emotion::Neutral, "Say the word bite"),
            ("YAF", Some(26), Emotion::Surprised, "Say the word back")
        ]
    );
}
