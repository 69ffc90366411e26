//! Extraction to a cache: round trip, refusal, reuse, failures, crashes.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::path::{Path, PathBuf};

use sottovoce_audio::synth::{SynthSpec, write_corpus};
use sottovoce_audio::{
    CacheError, CacheInfo, CorpusKind, DecodeError, ExtractError, ExtractOptions, ExtractReport, Labelling, cache,
    extract, extract_to_memory, scan, unreadable,
};
use sottovoce_types::FeatureSpec;
use tempfile::TempDir;

const SPEC: SynthSpec = SynthSpec { speakers: 2, sentences: 1, seed: 5 };

fn corpus(folder: &TempDir) -> PathBuf {
    let root = folder.path().join("corpus");
    write_corpus(&root, &SPEC, &|_, _| ()).unwrap();
    root
}

fn run(root: &Path, out: &Path, options: ExtractOptions) -> Result<ExtractReport, ExtractError> {
    extract(
        &scan(CorpusKind::Auto, root, Labelling::default()).unwrap(),
        &FeatureSpec::default(),
        &options,
        out,
        &|_, _| (),
    )
}

fn counts(report: &ExtractReport) -> (usize, usize, usize) {
    (report.written, report.reused, report.failed.len())
}

#[test]
fn a_cache_reads_back_exactly_what_was_extracted() {
    let folder = TempDir::new().unwrap();
    let (root, out) = (corpus(&folder), folder.path().join("deep/cache.h5"));
    let report = run(&root, &out, ExtractOptions::default()).unwrap();
    assert_eq!(counts(&report), (12, 0, 0));
    let scan = scan(CorpusKind::Auto, &root, Labelling::default()).unwrap();
    let wanted = extract_to_memory(&scan, &FeatureSpec::default(), &ExtractOptions::default(), &|_, _| ()).unwrap();
    let (info, utterances) = cache::read(&out, &FeatureSpec::default(), &ExtractOptions::default()).unwrap();
    assert_eq!(utterances, wanted.utterances);
    assert!(utterances.iter().all(|u| u.annotation.sex.is_some() && u.frames() > 50));
    assert_eq!((info.kind, info.synthetic), (CorpusKind::CremaD, true), "a synthetic corpus stays known as one");
    assert_eq!(cache::info(&out).unwrap(), info);
}

#[test]
fn a_cache_of_another_spec_is_refused_naming_the_first_key_and_both_values() {
    let folder = TempDir::new().unwrap();
    let (root, out) = (corpus(&folder), folder.path().join("cache.h5"));
    run(&root, &out, ExtractOptions::default()).unwrap();
    let other = FeatureSpec { hop_ms: 10.0, n_mels: 40, ..FeatureSpec::default() };
    let error = cache::read(&out, &other, &ExtractOptions::default()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("features.hop_ms = 20.0") && text.contains("features.hop_ms = 10.0"), "{text}");
    let trimmed = ExtractOptions { trim_db: Some(30.0) };
    let text = cache::read(&out, &FeatureSpec::default(), &trimmed).unwrap_err().to_string();
    assert!(text.contains("options.trim_db = null") && text.contains("options.trim_db = 30.0"), "{text}");
    assert_eq!(counts(&run(&root, &out, trimmed).unwrap()), (12, 0, 0), "extraction made otherwise starts over");
    assert!(cache::read(&out, &FeatureSpec::default(), &trimmed).is_ok());
}

#[test]
fn what_is_not_a_cache_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let (root, out) = (corpus(&folder), folder.path().join("thesis.h5"));
    std::fs::write(&out, b"my thesis").unwrap();
    assert!(matches!(cache::read_any(&out), Err(CacheError::NotACache { .. })));
    let error = run(&root, &out, ExtractOptions::default()).unwrap_err();
    assert!(matches!(error, ExtractError::Cache(CacheError::NotACache { .. })), "{error}");
    assert_eq!(std::fs::read(&out).unwrap(), b"my thesis");
    assert!(matches!(cache::read_any(&folder.path().join("none.h5")), Err(CacheError::Io { .. })));
}

#[test]
fn only_what_changed_is_extracted_again() {
    let folder = TempDir::new().unwrap();
    let (root, out) = (corpus(&folder), folder.path().join("cache.h5"));
    run(&root, &out, ExtractOptions::default()).unwrap();
    let before = std::fs::read(&out).unwrap();
    assert_eq!(counts(&run(&root, &out, ExtractOptions::default()).unwrap()), (0, 12, 0));
    assert_eq!(std::fs::read(&out).unwrap(), before, "nothing changed, nothing written");
    let (one, other) = (root.join("AudioWAV/1001_DFA_ANG_XX.wav"), root.join("AudioWAV/1002_DFA_SAD_XX.wav"));
    let mut bytes = std::fs::read(&one).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&one, bytes).unwrap();
    std::fs::remove_file(&other).unwrap();
    assert_eq!(counts(&run(&root, &out, ExtractOptions::default()).unwrap()), (1, 10, 0));
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
    let report = run(&root, &out, ExtractOptions::default()).unwrap();
    assert_eq!(counts(&report), (10, 0, 2));
    assert!(matches!(&report.failed[0].error, DecodeError::Truncated { path, .. } if *path == cut));
    assert!(matches!(&report.failed[1].error, DecodeError::NotAudio { path, .. } if *path == text));
    assert_eq!(unreadable(&scan(CorpusKind::Auto, &root, Labelling::default()).unwrap(), &|_, _| ()).len(), 2);
    for wav in std::fs::read_dir(root.join("AudioWAV")).unwrap() {
        std::fs::write(wav.unwrap().path(), b"").unwrap();
    }
    let kept = std::fs::read(&out).unwrap();
    assert!(matches!(
        run(&root, &out, ExtractOptions::default()),
        Err(ExtractError::NothingReadable { clips: 12, first: DecodeError::Empty { .. } })
    ));
    assert_eq!(std::fs::read(&out).unwrap(), kept, "a good cache is not replaced by nothing");
}

#[test]
fn another_sample_rate_fails_by_name() {
    let folder = TempDir::new().unwrap();
    let root = corpus(&folder);
    let features = FeatureSpec { sample_rate_hz: 8_000, mel_high_hz: 4_000.0, ..FeatureSpec::default() };
    let scan = scan(CorpusKind::Auto, &root, Labelling::default()).unwrap();
    let error = extract_to_memory(&scan, &features, &ExtractOptions::default(), &|_, _| ()).unwrap_err();
    assert!(error.to_string().contains("16000") && error.to_string().contains("8000"), "{error}");
}

#[test]
fn a_write_that_fails_leaves_the_good_cache_and_no_litter() {
    let folder = TempDir::new().unwrap();
    let (root, out) = (corpus(&folder), folder.path().join("cache.h5"));
    run(&root, &out, ExtractOptions::default()).unwrap();
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
    run(&root, &out, ExtractOptions::default()).unwrap();
    let good = std::fs::read(&out).unwrap();
    for cut in [100, 2000, good.len() / 2, good.len() - 1] {
        std::fs::write(&out, &good[..cut]).unwrap();
        assert!(cache::read_any(&out).is_err(), "cut at {cut}");
    }
    let info = CacheInfo {
        features: FeatureSpec::default(),
        options: ExtractOptions::default(),
        kind: CorpusKind::Ravdess,
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
    let scan = scan(CorpusKind::Auto, &root, Labelling::default()).unwrap();
    extract_to_memory(&scan, &FeatureSpec::default(), &ExtractOptions::default(), &note).unwrap();
    let mut calls = calls.into_inner().unwrap();
    calls.sort_unstable();
    assert_eq!(calls, (1..=12).map(|done| (done, 12)).collect::<Vec<_>>());
}
