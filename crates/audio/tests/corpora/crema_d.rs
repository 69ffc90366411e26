use std::path::Path;

use sottovoce_audio::{CorpusKind, LabelSource, Labelling, Published, Scan, ScanError, SkipReason, published, scan};
use sottovoce_types::{Emotion, LabelSet, Level, Sex};
use tempfile::TempDir;

use crate::{clip_names, skipped, touch, trees, write};

const DEMOGRAPHICS: &str = "\"ActorID\",\"Age\",\"Sex\",\"Race\",\"Ethnicity\"\n1001,51,\"Male\",\"Caucasian\",\"Not Hispanic\"\n\
                            1002,21,\"Female\",\"Caucasian\",\"Not Hispanic\"\n1003,unknown,\"\",\"\",\"\"\n";
/// The first lines of the real table, and ties in its form.
const VOTES: &str = "\"\",\"FileName\",\"VoiceVote\",\"VoiceLevel\",\"FaceVote\",\"FaceLevel\",\"MultiModalVote\",\"MultiModalLevel\"\n\
                     \"1\",\"1001_IEO_NEU_XX\",\"N\",\"69.1\",\"N\",\"92.22\",\"N\",\"64.78\"\n\
                     \"2\",\"1001_IEO_HAP_LO\",\"N\",\"71.67\",\"H\",\"57\",\"H\",\"57.38\"\n\
                     \"3\",\"1001_IEO_HAP_MD\",\"N:S\",\"67.71:50\",\"H\",\"62.62\",\"H\",\"56.56\"\n\
                     \"4\",\"1001_IEO_HAP_HI\",\"H\",\"63.5\",\"H\",\"68.25\",\"D:F:N\",\"73.2\"\n\
                     \"5\",\"1001_IEO_SAD_LO\",\"X\",\"63.5\",\"H\",\"68.25\",\"\",\"73.2\"\n";

fn voted(root: &Path) {
    touch(
        root,
        &["NEU_XX", "HAP_LO", "HAP_MD", "HAP_HI", "SAD_LO"]
            .map(|n| format!("AudioWAV/1001_IEO_{n}.wav"))
            .each_ref()
            .map(String::as_str),
    );
    touch(root, &["AudioWAV/1001_IEO_SAD_MD.wav"]);
    write(root, "processedResults/summaryTable.csv", VOTES);
}

fn emotions(scan: &Scan) -> Vec<Emotion> {
    scan.clips.iter().map(|c| c.annotation.emotion).collect()
}

#[test]
fn every_odd_file_is_listed_with_its_reason_and_the_others_are_read() {
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
            "AudioWAV/1001_ZZZ_ANG_XX.wav",
            "AudioWAV/._1001_DFA_ANG_XX.wav",
            "AudioWAV/notes.txt",
            "AudioMP3/1001_DFA_ANG_XX.mp3",
            "VideoFlash/1001_DFA_ANG_XX.flv",
            "SentenceFilenames.csv",
            "README.md",
        ],
    );
    write(root, "VideoDemographics.csv", DEMOGRAPHICS);
    let scan = scan(CorpusKind::Auto, root, Labelling::default()).unwrap();
    assert_eq!((scan.kind, scan.synthetic, scan.label_source), (CorpusKind::CremaD, false, LabelSource::Intended));
    assert_eq!(
        clip_names(&scan),
        ["1001_DFA_ANG_XX.wav", "1001_IEO_SAD_HI.wav", "1002_IEO_FEA_LO.WAV", "1003_WSI_NEU_XX.flac"]
    );
    assert_eq!(scan.skipped.len(), 6, "mp3 and video lie outside AudioWAV: {:?}", scan.skipped);
    assert_eq!(skipped(&scan, "1003_WSI_NEU_XX.wav"), &SkipReason::Duplicate("1003_WSI_NEU_XX.flac".to_owned()));
    assert_eq!(skipped(&scan, "1001_DFA_ANX_XX.wav"), &SkipReason::Emotion("ANX".to_owned()));
    assert_eq!(skipped(&scan, "1001_ZZZ_ANG_XX.wav"), &SkipReason::Sentence("ZZZ".to_owned()));
    assert!(matches!(skipped(&scan, "1001_DFA_ANG.wav"), SkipReason::Name { .. }));
    assert_eq!(skipped(&scan, "._1001_DFA_ANG_XX.wav"), &SkipReason::Hidden);
    assert_eq!(skipped(&scan, "notes.txt"), &SkipReason::NotAudio);
    let a = &scan.clips[1].annotation;
    assert_eq!((a.emotion, a.level, a.sentence.as_str()), (Emotion::Sad, Level::High, "IEO"));
    assert_eq!((a.sex, a.age_years, a.transcript.as_deref()), (Some(Sex::Male), Some(51), Some("It's eleven o'clock")));
    let unknown = &scan.clips[3].annotation;
    assert_eq!((unknown.sex, unknown.age_years), (None, None), "the table does not say");
    let counts = scan.counts();
    assert_eq!((counts.emotions[&Emotion::Angry], counts.speakers["1001"], counts.sexes[&Sex::Male]), (1, 2, 2));
    assert_eq!((counts.speakers_by_sex[&Sex::Male], counts.speakers_by_sex[&Sex::Female]), (1, 1));
    assert!(counts.groups.is_empty());
}

#[test]
fn the_audio_folder_its_parent_and_the_folder_above_may_be_named_and_a_folder_without_it() {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    touch(root, &["CREMA-D/AudioWAV/1001_DFA_ANG_XX.wav", "CREMA-D/AudioMP3/1001_DFA_ANG_XX.mp3", "CREMA-D/README.md"]);
    write(root, "CREMA-D/VideoDemographics.csv", "ActorID,Sex\n1001,Female\n");
    for path in [root.to_owned(), root.join("CREMA-D"), root.join("CREMA-D/AudioWAV")] {
        let scan = scan(CorpusKind::Auto, &path, Labelling::default()).unwrap();
        assert_eq!((clip_names(&scan), scan.skipped.len()), (vec!["1001_DFA_ANG_XX.wav"], 0), "{}", path.display());
        assert_eq!(scan.clips[0].annotation.sex, Some(Sex::Female));
    }
    let flat = root.join("flat");
    touch(&flat, &["1001_DFA_ANG_XX.wav", "README.txt", "LICENSE.txt"]);
    write(&flat, "VideoDemographics.csv", DEMOGRAPHICS);
    let scan = scan(CorpusKind::CremaD, &flat, Labelling::default()).unwrap();
    assert_eq!((scan.clips[0].annotation.age_years, scan.skipped.len()), (Some(51), 0));
}

#[test]
fn a_copy_without_recordings_is_an_error_that_says_what_is_there_instead() {
    let folder = TempDir::new().unwrap();
    touch(folder.path(), &["AudioMP3/1001_DFA_ANG_XX.mp3", "AudioMP3/1001_DFA_SAD_XX.mp3"]);
    let error = scan(CorpusKind::Auto, folder.path(), Labelling::default()).unwrap_err();
    assert!(matches!(error, ScanError::NoClips { kind: CorpusKind::CremaD, .. }));
    assert!(error.to_string().contains("2 not audio"), "{error}");
}

#[test]
fn votes_that_cannot_be_found_are_an_error_that_says_where_they_belong() {
    let folder = TempDir::new().unwrap();
    touch(folder.path(), &["AudioWAV/1001_IEO_NEU_XX.wav"]);
    let error = scan(CorpusKind::CremaD, folder.path(), Labelling::Voice).unwrap_err();
    assert!(
        matches!(&error, ScanError::Votes { path } if *path == folder.path().join("processedResults/summaryTable.csv"))
    );
    assert!(error.to_string().contains("beside AudioWAV"), "{error}");
    // What git leaves where large files were not fetched.
    write(
        folder.path(),
        "processedResults/summaryTable.csv",
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    );
    let error = scan(CorpusKind::CremaD, folder.path(), Labelling::Voice).unwrap_err();
    assert!(matches!(error, ScanError::Column { column: "FileName", .. }));
    assert!(error.to_string().contains("git-lfs"), "{error}");
}

#[test]
fn clips_on_which_listeners_tie_or_did_not_vote_are_listed_and_the_others_have_the_majority() {
    let folder = TempDir::new().unwrap();
    voted(folder.path());
    let voice = scan(CorpusKind::Auto, folder.path(), Labelling::Voice).unwrap();
    assert_eq!(voice.label_source, LabelSource::VoiceMajority);
    assert_eq!(clip_names(&voice), ["1001_IEO_HAP_HI.wav", "1001_IEO_HAP_LO.wav", "1001_IEO_NEU_XX.wav"]);
    assert_eq!(emotions(&voice), [Emotion::Happy, Emotion::Neutral, Emotion::Neutral], "the votes, not the names");
    assert_eq!(voice.clips[1].annotation.level, Level::Low);
    assert_eq!(skipped(&voice, "1001_IEO_HAP_MD.wav").to_string(), "listeners tie: N:S");
    assert_eq!(skipped(&voice, "1001_IEO_SAD_LO.wav"), &SkipReason::Vote("X".to_owned()));
    assert_eq!(skipped(&voice, "1001_IEO_SAD_MD.wav"), &SkipReason::NoVotes);
    let tally: Vec<_> = voice.skipped_by_reason().into_iter().collect();
    assert_eq!(tally, [("listeners tie", 1), ("no votes", 1), ("unknown vote", 1)]);
    assert_eq!(voice.published(), None, "the published figures are of the intended emotions");
    let multimodal = scan(CorpusKind::Auto, folder.path(), Labelling::Multimodal).unwrap();
    assert_eq!(multimodal.label_source, LabelSource::MultimodalMajority);
    assert_eq!(emotions(&multimodal), [Emotion::Happy, Emotion::Happy, Emotion::Neutral]);
    assert_eq!(skipped(&multimodal, "1001_IEO_HAP_HI.wav"), &SkipReason::Tie("D:F:N".to_owned()));
    let intended = scan(CorpusKind::Auto, folder.path(), Labelling::Intended).unwrap();
    assert_eq!((intended.clips.len(), intended.skipped.len()), (6, 0));
}

#[test]
fn a_whole_copy_has_the_published_counts_under_each_labelling() {
    let folder = TempDir::new().unwrap();
    trees::crema_d(folder.path(), None);
    let counted = |labelling| {
        let scan = scan(CorpusKind::Auto, folder.path(), labelling).unwrap();
        let skipped = scan.skipped.len();
        (scan.counts(), skipped, scan)
    };
    let (counts, skipped, intended) = counted(Labelling::Intended);
    let Published { clips, speakers, emotions, .. } = intended.published().unwrap();
    assert_eq!(published(CorpusKind::CremaD), intended.published());
    assert_eq!((intended.clips.len(), counts.speakers.len(), skipped), (clips, speakers, 0));
    assert_eq!(counts.emotions.iter().map(|(e, n)| (*e, *n)).collect::<Vec<_>>(), emotions);
    assert_eq!((counts.sexes[&Sex::Male], counts.sexes[&Sex::Female]), (3930, 3512));
    assert_eq!((counts.speakers_by_sex[&Sex::Male], counts.speakers_by_sex[&Sex::Female]), (48, 43));
    let level = |level| intended.clips.iter().filter(|c| c.annotation.level == level).count();
    assert_eq!([Level::Unspecified, Level::Low, Level::Medium, Level::High].map(level), [6077, 455, 455, 455]);
    let sentence = |code: &str| intended.clips.iter().filter(|c| c.annotation.sentence == code).count();
    assert_eq!(["IEO", "DFA", "ITS", "TIE", "ITH", "MTI", "WSI"].map(sentence), [1456, 546, 545, 545, 540, 540, 540]);
    let five = intended.clips.iter().filter(|c| LabelSet::five().index_of(c.annotation.emotion).is_some()).count();
    assert_eq!(five, 6171, "the five emotions of the seed paper");

    let (counts, skipped, _) = counted(Labelling::Voice);
    assert_eq!(
        (counts.emotions.values().copied().collect::<Vec<_>>(), skipped),
        (vec![986, 547, 645, 353, 3897, 370], 644)
    );
    let (counts, skipped, _) = counted(Labelling::Multimodal);
    assert_eq!(
        (counts.emotions.values().copied().collect::<Vec<_>>(), skipped),
        (vec![1019, 1139, 1084, 1219, 1972, 589], 420)
    );
}
