//! Extraction to a cache: round trip, refusal, reuse, failures, crashes.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::path::{Path, PathBuf};

use sottovoce_audio::synth::{SynthSpec, write_corpus};
use sottovoce_audio::{
    CacheError, CacheInfo, CorpusKind, DecodeError, ExtractError, ExtractReport, FrontEnd, LabelSource, Labelling,
    Scan, Signal, cache, extract, extract_to_memory, inspect,
};
use sottovoce_types::{Annotation, Convention, Dimensions, Emotion, FeatureSpec, Level, Sex};
use tempfile::TempDir;

const SPEC: SynthSpec = SynthSpec { speakers: 2, sentences: 1, seed: 5 };

fn corpus(folder: &TempDir) -> PathBuf {
    let root = folder.path().join("corpus");
    write_corpus(&root, &SPEC, &|_, _| ()).unwrap();
    root
}

fn scan(root: &Path) -> Scan {
    sottovoce_audio::scan(CorpusKind::Auto, root, Labelling::default()).unwrap()
}

fn run(root: &Path, out: &Path) -> Result<ExtractReport, ExtractError> {
    run_with(root, out, &FeatureSpec::default())
}

fn run_with(root: &Path, out: &Path, features: &FeatureSpec) -> Result<ExtractReport, ExtractError> {
    extract(&scan(root), features, out, &|_, _| ())
}

fn counts(report: &ExtractReport) -> (usize, usize, usize) {
    (report.written, report.reused, report.failed.len())
}

#[test]
fn a_cache_reads_back_exactly_what_was_extracted() {
    let folder = TempDir::new().unwrap();
    let (root, out) = (corpus(&folder), folder.path().join("deep/cache.h5"));
    let report = run(&root, &out).unwrap();
    assert_eq!(counts(&report), (12, 0, 0));
    let wanted = extract_to_memory(&scan(&root), &FeatureSpec::default(), &|_, _| ()).unwrap();
    let (info, utterances) = cache::read(&out, &FeatureSpec::default()).unwrap();
    assert_eq!(utterances, wanted.utterances);
    assert!(utterances.iter().all(|u| u.annotation.sex.is_some() && u.frames() > 50));
    assert_eq!((info.kind, info.synthetic), (CorpusKind::CremaD, true), "a synthetic corpus stays known as one");
    assert_eq!(cache::info(&out).unwrap(), info);
}

#[test]
fn a_cache_of_another_spec_is_refused_naming_the_first_key_and_both_values() {
    let folder = TempDir::new().unwrap();
    let (root, out) = (corpus(&folder), folder.path().join("cache.h5"));
    run(&root, &out).unwrap();
    let other = FeatureSpec { hop_ms: 10.0, n_mels: 40, ..FeatureSpec::default() };
    let error = cache::read(&out, &other).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("features.hop_ms = 20.0") && text.contains("features.hop_ms = 10.0"), "{text}");
    let trimmed = FeatureSpec { trim_db: Some(30.0), ..FeatureSpec::default() };
    let text = cache::read(&out, &trimmed).unwrap_err().to_string();
    assert!(text.contains("features.trim_db = \"none\"") && text.contains("features.trim_db = 30.0"), "{text}");
    let text = cache::read(&out, &FeatureSpec::of(Convention::Kaldi)).unwrap_err().to_string();
    assert!(text.contains("features.convention = \"sottovoce\""), "the key that brings the others along: {text}");
    assert_eq!(counts(&run_with(&root, &out, &trimmed).unwrap()), (12, 0, 0), "extraction made otherwise starts over");
    assert!(cache::read(&out, &trimmed).is_ok());
}

#[test]
fn what_is_not_a_cache_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let (root, out) = (corpus(&folder), folder.path().join("thesis.h5"));
    std::fs::write(&out, b"my thesis").unwrap();
    assert!(matches!(cache::read_any(&out), Err(CacheError::NotACache { .. })));
    let error = run(&root, &out).unwrap_err();
    assert!(matches!(error, ExtractError::Cache(CacheError::NotACache { .. })), "{error}");
    assert_eq!(std::fs::read(&out).unwrap(), b"my thesis");
    assert!(matches!(cache::read_any(&folder.path().join("none.h5")), Err(CacheError::Io { .. })));
}

#[test]
fn only_what_changed_is_extracted_again() {
    let folder = TempDir::new().unwrap();
    let (root, out) = (corpus(&folder), folder.path().join("cache.h5"));
    run(&root, &out).unwrap();
    let before = std::fs::read(&out).unwrap();
    assert_eq!(counts(&run(&root, &out).unwrap()), (0, 12, 0));
    assert_eq!(std::fs::read(&out).unwrap(), before, "nothing changed, nothing written");
    let (one, other) = (root.join("AudioWAV/1001_DFA_ANG_XX.wav"), root.join("AudioWAV/1002_DFA_SAD_XX.wav"));
    let mut bytes = std::fs::read(&one).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&one, bytes).unwrap();
    std::fs::remove_file(&other).unwrap();
    assert_eq!(counts(&run(&root, &out).unwrap()), (1, 10, 0));
    assert_eq!(cache::read_any(&out).unwrap().1.len(), 11);
}

#[test]
fn files_that_fail_are_listed_and_the_rest_is_kept() {
    let folder = TempDir::new().unwrap();
    let (root, out) = (corpus(&folder), folder.path().join("cache.h5"));
    let (cut, text) = (root.join("AudioWAV/1001_DFA_ANG_XX.wav"), root.join("AudioWAV/1002_DFA_SAD_XX.wav"));
    let bytes = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(&text, b"no audio here").unwrap();
    let report = run(&root, &out).unwrap();
    assert_eq!(counts(&report), (10, 0, 2));
    assert!(matches!(&report.failed[0].error, DecodeError::Truncated { path, .. } if *path == cut));
    assert!(matches!(&report.failed[1].error, DecodeError::NotAudio { path, .. } if *path == text));
    let inspection = inspect(&scan(&root), &|_, _| ());
    assert_eq!((inspection.failed.len(), inspection.seconds.len()), (2, 10));
    assert_eq!((inspection.sample_rates[&16_000], inspection.channels[&1]), (10, 10));
    for wav in std::fs::read_dir(root.join("AudioWAV")).unwrap() {
        std::fs::write(wav.unwrap().path(), b"").unwrap();
    }
    let kept = std::fs::read(&out).unwrap();
    assert!(matches!(
        run(&root, &out),
        Err(ExtractError::NothingReadable { clips: 12, first: DecodeError::Empty { .. } })
    ));
    assert_eq!(std::fs::read(&out).unwrap(), kept, "a good cache is not replaced by nothing");
}

#[test]
fn recordings_at_another_rate_are_resampled() {
    let folder = TempDir::new().unwrap();
    let root = corpus(&folder);
    let features = FeatureSpec { sample_rate_hz: 8_000, mel_high_hz: 4_000.0, ..FeatureSpec::default() };
    let low = extract_to_memory(&scan(&root), &features, &|_, _| ()).unwrap().utterances;
    let full = extract_to_memory(&scan(&root), &FeatureSpec::default(), &|_, _| ()).unwrap().utterances;
    assert!(low.iter().zip(&full).all(|(a, b)| a.frames() == b.frames() && a.mfcc != b.mfcc));
}

#[test]
fn a_write_that_fails_leaves_the_good_cache_and_no_litter() {
    let folder = TempDir::new().unwrap();
    let (root, out) = (corpus(&folder), folder.path().join("cache.h5"));
    run(&root, &out).unwrap();
    let good = std::fs::read(&out).unwrap();
    let (info, mut utterances) = cache::read_any(&out).unwrap();
    // Left by a process killed while writing: never read, never in the way.
    let left_over = folder.path().join(".cache.h5.1.0.tmp");
    std::fs::write(&left_over, &good[..good.len() / 2]).unwrap();
    utterances[3].width = 7;
    assert!(matches!(cache::write(&out, &info, &utterances), Err(CacheError::Width { found: 7, .. })));
    // The rename fails after the temporary file is whole: the target is a folder.
    let taken = folder.path().join("taken.h5");
    std::fs::create_dir(&taken).unwrap();
    utterances[3].width = 13;
    assert!(matches!(
        cache::write(&taken, &info, &utterances),
        Err(CacheError::Io { action: "replace the cache", .. })
    ));
    assert_eq!(std::fs::read(&out).unwrap(), good);
    let litter: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "tmp") && *p != left_over)
        .collect();
    assert!(litter.is_empty(), "{litter:?}");
}

#[test]
fn a_cut_cache_and_an_empty_one_do_not_crash_the_reader() {
    let folder = TempDir::new().unwrap();
    let (root, out) = (corpus(&folder), folder.path().join("cache.h5"));
    run(&root, &out).unwrap();
    let good = std::fs::read(&out).unwrap();
    for cut in [100, 2000, good.len() / 2, good.len() - 1] {
        std::fs::write(&out, &good[..cut]).unwrap();
        assert!(cache::read_any(&out).is_err(), "cut at {cut}");
    }
    let info = CacheInfo {
        features: FeatureSpec::default(),
        kind: CorpusKind::Ravdess,
        label_source: LabelSource::Intended,
        synthetic: false,
    };
    cache::write(&out, &info, &[]).unwrap();
    assert_eq!(cache::read_any(&out).unwrap(), (info, Vec::new()));
}

#[test]
fn progress_counts_every_clip_once() {
    let folder = TempDir::new().unwrap();
    let root = corpus(&folder);
    let calls = std::sync::Mutex::new(Vec::new());
    let note = |done, total| calls.lock().unwrap().push((done, total));
    extract_to_memory(&scan(&root), &FeatureSpec::default(), &note).unwrap();
    let mut calls = calls.into_inner().unwrap();
    calls.sort_unstable();
    assert_eq!(calls, (1..=12).map(|done| (done, 12)).collect::<Vec<_>>());
}

/// What a killed extraction leaves: parts that hold some of the clips.
fn leave_parts(root: &Path, out: &Path, features: &FeatureSpec, clips: usize) -> PathBuf {
    let mut some = scan(root);
    some.clips.truncate(clips);
    let of_some = out.with_extension("some");
    extract(&some, features, &of_some, &|_, _| ()).unwrap();
    let partial = PathBuf::from(format!("{}.partial", out.display()));
    std::fs::create_dir_all(&partial).unwrap();
    std::fs::rename(of_some, partial.join("000000.h5")).unwrap();
    partial
}

#[test]
fn an_extraction_that_was_killed_goes_on_from_its_parts_and_leaves_none() {
    let folder = TempDir::new().unwrap();
    let (root, out) = (corpus(&folder), folder.path().join("cache.h5"));
    let partial = leave_parts(&root, &out, &FeatureSpec::default(), 5);
    std::fs::write(partial.join("000001.h5"), b"cut while it was written").unwrap();
    assert_eq!(counts(&run(&root, &out).unwrap()), (7, 5, 0));
    assert!(!partial.exists());
    let wanted = extract_to_memory(&scan(&root), &FeatureSpec::default(), &|_, _| ()).unwrap();
    assert_eq!(cache::read_any(&out).unwrap().1, wanted.utterances);
}

#[test]
fn parts_of_another_spec_are_not_taken_for_this_one() {
    let folder = TempDir::new().unwrap();
    let (root, out) = (corpus(&folder), folder.path().join("cache.h5"));
    leave_parts(&root, &out, &FeatureSpec { trim_db: Some(30.0), ..FeatureSpec::default() }, 5);
    assert_eq!(counts(&run(&root, &out).unwrap()), (12, 0, 0));
}

#[test]
fn two_extractions_to_one_cache_do_not_write_it_together() {
    let folder = TempDir::new().unwrap();
    let (root, out) = (corpus(&folder), folder.path().join("cache.h5"));
    let partial = PathBuf::from(format!("{}.partial", out.display()));
    std::fs::create_dir_all(&partial).unwrap();
    let lock = std::fs::File::create(partial.join("lock")).unwrap();
    lock.lock().unwrap();
    assert!(matches!(run(&root, &out), Err(ExtractError::Busy { .. })));
    drop(lock);
    assert_eq!(counts(&run(&root, &out).unwrap()), (12, 0, 0));
}

#[test]
fn labels_that_changed_are_written_without_decoding_again() {
    let folder = TempDir::new().unwrap();
    let (root, out) = (corpus(&folder), folder.path().join("cache.h5"));
    run(&root, &out).unwrap();
    let mut relabelled = scan(&root);
    relabelled.clips[0].annotation.emotion = Emotion::Frustrated;
    let report = extract(&relabelled, &FeatureSpec::default(), &out, &|_, _| ()).unwrap();
    assert_eq!(counts(&report), (0, 12, 0));
    assert_eq!(cache::read_any(&out).unwrap().1[0].annotation.emotion, Emotion::Frustrated);
}

#[test]
fn all_that_a_corpus_says_of_a_clip_survives_the_cache() {
    let folder = TempDir::new().unwrap();
    let (root, out) = (corpus(&folder), folder.path().join("cache.h5"));
    let mut scan = scan(&root);
    scan.clips[0].annotation = Annotation {
        sex: Some(Sex::Female),
        age_years: Some(31),
        group: Some("Ses01".to_owned()),
        level: Level::Strong,
        sentence: "impro01".to_owned(),
        transcript: Some("Was wäre, wenn …?".to_owned()),
        dimensions: Some(Dimensions { valence: 1.5, activation: 4.0, dominance: 4.5 }),
        ..Annotation::new("Ses01F", Emotion::Excited)
    };
    scan.clips[1].annotation = Annotation::new("nobody", Emotion::Calm);
    extract(&scan, &FeatureSpec::default(), &out, &|_, _| ()).unwrap();
    let read = cache::read_any(&out).unwrap().1;
    assert!(scan.clips.iter().zip(&read).all(|(clip, u)| clip.annotation == u.annotation && clip.name == u.path));
}

#[test]
fn damage_anywhere_in_a_cache_is_found_or_harmless() {
    let folder = TempDir::new().unwrap();
    let (root, out) = (corpus(&folder), folder.path().join("cache.h5"));
    run(&root, &out).unwrap();
    let (good, bytes) = (cache::read_any(&out).unwrap(), std::fs::read(&out).unwrap());
    let mut found = 0;
    for place in (0..bytes.len()).step_by(bytes.len() / 400) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x10;
        std::fs::write(&out, damaged).unwrap();
        match cache::read_any(&out) {
            Ok(read) => assert_eq!(read, good, "byte {place} changed what is read, and nobody noticed"),
            Err(_) => found += 1,
        }
    }
    assert!(found > 395, "only the padding of the first block is free: {found}");
}

#[test]
fn a_damaged_cache_is_made_anew_by_the_next_extraction() {
    let folder = TempDir::new().unwrap();
    let (root, out) = (corpus(&folder), folder.path().join("cache.h5"));
    run(&root, &out).unwrap();
    let (good, mut bytes) = (cache::read_any(&out).unwrap(), std::fs::read(&out).unwrap());
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&out, &bytes).unwrap();
    let error = cache::read_any(&out).unwrap_err();
    assert!(matches!(error, CacheError::Damaged { .. }) && error.to_string().contains("extract again"), "{error}");
    assert_eq!(counts(&run(&root, &out).unwrap()), (12, 0, 0), "nothing of it is trusted");
    assert_eq!(cache::read_any(&out).unwrap(), good);
}

#[test]
fn features_that_overflow_are_an_error_and_not_a_row_of_infinities() {
    let front_end = FrontEnd::new(&FeatureSpec::default()).unwrap();
    let loud = Signal { sample_rate_hz: 16_000, channels: 1, samples: vec![1e30; 640] };
    let error = front_end.features(&loud, Path::new("loud.wav")).unwrap_err();
    assert!(matches!(&error, DecodeError::TooLoud { .. }) && error.to_string().contains("loud.wav"), "{error}");
    let short = Signal { samples: vec![0.1; 100], ..loud };
    let kaldi = FrontEnd::new(&FeatureSpec::of(Convention::Kaldi)).unwrap();
    assert!(matches!(kaldi.features(&short, Path::new("short.wav")), Err(DecodeError::TooShort { samples: 100, .. })));
    assert_eq!(front_end.features(&short, Path::new("short.wav")).unwrap().len(), 13, "the default pads");
}
