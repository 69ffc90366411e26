//! Corpora and features as a user meets them: pictures, probes, conventions, an extraction killed and gone on with, and a cache
//! read by h5py.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{arg, program, run};
use serde_json::Value;
use tempfile::TempDir;

fn corpus(speakers: u32, sentences: u32) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let corpus = dir.path().join("corpus");
    let (speakers, sentences) = (speakers.to_string(), sentences.to_string());
    let synth = ["corpus", "synth", "--out", arg(&corpus), "--speakers", &speakers, "--sentences", &sentences];
    run(&synth).expect(0);
    (dir, corpus)
}

#[test]
fn an_extraction_killed_in_the_middle_goes_on_and_ends_with_the_same_cache() {
    let (dir, corpus) = corpus(10, 10);
    let (cache, clean) = (dir.path().join("cache.h5"), dir.path().join("clean.h5"));
    let slow = ["--set", "features.denoise=spectral-gating"];
    let mut child = Command::new(program("sottovoce"))
        .args(["extract", arg(&corpus), "--out", arg(&cache)])
        .args(slow)
        .env("RAYON_NUM_THREADS", "1") // so that most of it is still to do when the first part is seen
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let first_part = dir.path().join("cache.h5.partial/000000.h5");
    let began = Instant::now();
    while !first_part.exists() {
        assert!(began.elapsed() < Duration::from_mins(1), "no part was committed");
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
    assert!(first_part.exists() && !cache.exists(), "killed before it was whole");

    let again = ["extract", arg(&corpus), "--out", arg(&cache), slow[0], slow[1], "--format", "json"];
    let report = run(&again).expect(0).json();
    let (written, reused) = (report["written"].as_u64().unwrap(), report["reused"].as_u64().unwrap());
    assert_eq!(written + reused, 600);
    assert!(reused >= 256, "what was committed is not computed again: {report}");
    run(&["extract", arg(&corpus), "--out", arg(&clean), slow[0], slow[1]]).expect(0);
    assert_eq!(python(READ_ALL, &cache), python(READ_ALL, &clean), "as if it had never been killed");
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "corpus, two caches and no litter: {left:?}");
}

/// Prints what a cache holds, as pandas users would read it.
const READ_ALL: &str = "
import h5py, json, sys, hashlib
with h5py.File(sys.argv[1], 'r') as f:
    index = {k: (v.asstr()[:] if v.dtype.kind == 'O' else v[:]).tolist() for k, v in f['index'].items()}
    mfcc = f['mfcc']
    attributes = {k: (v.item() if hasattr(v, 'item') else v) for k, v in f.attrs.items()}
    index = {k: [None if x != x else x for x in v] for k, v in index.items()}
    o, n = index['offset'][1], index['frames'][1]
    print(json.dumps({'attributes': attributes, 'index': index, 'shape': list(mfcc.shape), 'dtype': str(mfcc.dtype),
        'second': mfcc[o:o + n].tolist(), 'mfcc_sha256': hashlib.sha256(mfcc[:].tobytes()).hexdigest()}))
";

/// What a Python that has h5py says of a file.
fn python(script: &str, file: &Path) -> Value {
    let named = std::env::var("SOTTOVOCE_PYTHON").ok();
    let candidates = named.as_deref().into_iter().chain(["python3", "/usr/bin/python3"]);
    let has_h5py =
        |python: &&str| Command::new(python).args(["-c", "import h5py"]).output().is_ok_and(|o| o.status.success());
    let python = candidates.into_iter().find(has_h5py).unwrap_or_else(|| {
        panic!("no Python with h5py: run `make setup-test`, or name one that has it in SOTTOVOCE_PYTHON")
    });
    let out = Command::new(python).args(["-c", script]).arg(file).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

#[test]
fn h5py_reads_a_cache_as_its_documentation_says() {
    let (dir, corpus) = corpus(2, 1);
    let cache = dir.path().join("cache.h5");
    run(&["extract", arg(&corpus), "--out", arg(&cache)]).expect(0);
    let read = python(READ_ALL, &cache);
    let attributes = &read["attributes"];
    assert_eq!(attributes["format"], "sottovoce-features");
    assert_eq!((&attributes["corpus"], &attributes["label_source"]), (&"crema-d".into(), &"intended".into()));
    assert_eq!(attributes["synthetic"], true);
    let features: Value = serde_json::from_str(attributes["features"].as_str().unwrap()).unwrap();
    assert_eq!(features["n_mfcc"], 13);
    assert_eq!((&read["dtype"], &read["shape"][1]), (&"float32".into(), &13.into()));
    let index = &read["index"];
    let path = index["path"][1].as_str().unwrap();
    assert_eq!((path, &index["label"][1]), ("1001_DFA_DIS_XX.wav", &"disgust".into()));
    assert_eq!((&index["speaker"][1], &index["sex"][1]), (&"1001".into(), &"male".into()));
    assert_eq!(index["transcript"][1], "Don't forget a jacket");
    assert!(index["age_years"][1].as_f64().unwrap() >= 20.0 && index["valence"][1].is_null(), "unknown is NaN");
    let mfcc = run(&["mfcc", arg(&corpus.join("AudioWAV").join(path)), "--format", "json"]).expect(0).json();
    assert_eq!(read["second"], mfcc["mfcc"], "the rows that the index points at are the clip's");
}

fn svg(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"), "{}", path.display());
    text
}

#[test]
fn pictures_are_drawn_of_a_corpus_a_recording_and_who_holds_what() {
    let (dir, corpus) = corpus(6, 2);
    let picture = dir.path().join("picture.svg");
    let out = ["--out", arg(&picture)];
    run(&["corpus", "plot", out[0], out[1]]).expect(2).complains(&["--wave"]);

    run(&["corpus", "plot", arg(&corpus), out[0], out[1]]).expect(0);
    let counts = svg(&picture);
    assert!(
        counts.contains("angry") && counts.contains(">12 (17 %)<") && counts.contains("synthetic voices"),
        "{counts}"
    );

    let clip = corpus.join("AudioWAV/1001_DFA_ANG_XX.wav");
    let json = run(&["corpus", "plot", "--wave", arg(&clip), out[0], out[1], "--format", "json"]).expect(0).json();
    assert_eq!(json["picture"], "recording");
    let recording = svg(&picture);
    assert!(recording.contains("1001_DFA_ANG_XX.wav") && recording.contains("MFCC") && recording.contains("kHz"));
    assert!(recording.len() < 600_000 && recording.contains("synthetic voices"));

    for (flag, words) in [("--partition", ["client-01", "test"]), ("--clients", ["client-01", "neutral"])] {
        run(&["corpus", "plot", flag, "configs/smoke.toml", out[0], out[1]]).expect(0);
        let dealt = svg(&picture);
        assert!(words.iter().all(|w| dealt.contains(w)), "{flag}: {dealt}");
    }
}

#[test]
fn a_probe_reads_what_is_there_and_prints_its_control() {
    let (dir, corpus) = corpus(8, 6);
    let cache = dir.path().join("cache.h5");
    run(&["extract", arg(&corpus), "--out", arg(&cache)]).expect(0);
    let probed = run(&["corpus", "probe", arg(&cache), "--folds", "4", "--format", "json"]).expect(0).json();
    assert_eq!(probed["synthetic"], true);
    let score = |reads: &str, standardised: &str| {
        let rows = probed["probes"].as_array().unwrap();
        let row = rows.iter().find(|r| r["reads"] == reads && r["standardisation"] == standardised).unwrap();
        (row["uar"].as_f64().unwrap(), row["uar_chance"].as_f64().unwrap())
    };
    assert!(
        score("emotion", "per-speaker").0 > 0.4 && score("sex", "none").0 > 0.6 && score("speaker", "none").0 > 0.4
    );
    let (coin, _) = score("control: a coin per speaker", "none");
    assert!(coin < 0.85, "with eight speakers a coin is read by luck now and then: {coin}");
}

#[test]
fn a_convention_is_chosen_by_one_key_and_a_rate_is_resampled() {
    let (_dir, corpus) = corpus(1, 1);
    let clip = corpus.join("AudioWAV/1001_DFA_ANG_XX.wav");
    let mfcc = |set: &[&str]| {
        let mut line = vec!["mfcc", arg(&clip), "--format", "json"];
        for s in set {
            line.extend(["--set", s]);
        }
        run(&line)
    };
    let librosa = mfcc(&["features.convention=librosa"]).expect(0).json();
    assert_eq!((&librosa["n_mfcc"], &librosa["convention"]), (&20.into(), &"librosa".into()));
    let kaldi = mfcc(&["features.convention=kaldi", "features.deltas=2"]).expect(0).json();
    assert_eq!(kaldi["mfcc"][0].as_array().unwrap().len(), 39);
    let low = mfcc(&["features.sample_rate_hz=8000", "features.mel_high_hz=4000"]).expect(0).json();
    let full = mfcc(&[]).expect(0).json();
    assert_eq!(low["frames"], full["frames"], "8 kHz from 16 kHz: the same seconds");
    mfcc(&["features.convention=matlab"]).expect(2).complains(&["features.convention", "torchaudio"]);
    mfcc(&["features.n_mels=300"]).expect(2).complains(&["features.n_mels"]);
}

/// The same samples in another file: a chunk that says nothing is added at its end.
fn with_a_chunk(wav: &[u8]) -> Vec<u8> {
    let mut bytes = [wav, b"note", &4u32.to_le_bytes(), b"mine"].concat();
    let size = u32::try_from(bytes.len() - 8).unwrap();
    bytes[4..8].copy_from_slice(&size.to_le_bytes());
    bytes
}

#[test]
fn a_recording_under_two_speakers_names_fails_the_run_even_in_another_file() {
    let (dir, corpus) = corpus(8, 1);
    let wav = fs::read(corpus.join("AudioWAV/1001_DFA_ANG_XX.wav")).unwrap();
    let path = format!("corpus.path={:?}", arg(&corpus));
    let out = dir.path().join("run");
    for copy in [wav.clone(), with_a_chunk(&wav)] {
        fs::write(corpus.join("AudioWAV/1002_DFA_ANG_XX.wav"), copy).unwrap();
        let refused = run(&["simulate", "configs/smoke.toml", "--set", &path, "--out", arg(&out)]);
        refused.expect(1).complains(&["1001_DFA_ANG_XX.wav", "1002_DFA_ANG_XX.wav", "the same recording"]);
        assert!(!out.exists());
    }
}

#[test]
fn a_speakers_own_copies_count_once() {
    let (_dir, corpus) = corpus(20, 1);
    fs::copy(corpus.join("AudioWAV/1001_DFA_ANG_XX.wav"), corpus.join("AudioWAV/1001_DFA_SAD_XX.wav")).unwrap();
    let path = format!("corpus.path={:?}", arg(&corpus));
    let trained = run(&["train", "configs/smoke.toml", "--set", &path]).expect(0);
    assert!(
        trained.stderr.contains("left out 1001_DFA_SAD_XX.wav: the same recording as 1001_DFA_ANG_XX.wav"),
        "{}",
        trained.stderr
    );
}

#[cfg(unix)]
#[test]
fn names_that_are_not_unicode_are_listed_and_never_fatal() {
    use std::os::unix::ffi::OsStrExt;
    let (_dir, corpus) = corpus(1, 1);
    fs::write(corpus.join("AudioWAV").join(std::ffi::OsStr::from_bytes(b"\xe4.wav")), b"x").unwrap();
    let checked = run(&["corpus", "check", arg(&corpus), "--format", "json"]).expect(0).json();
    assert_eq!(checked["skipped"].as_array().unwrap().len(), 1, "{checked}");
}

#[test]
fn labels_that_a_corpus_does_not_have_are_refused_by_name() {
    let (dir, corpus) = corpus(1, 1);
    let cache = dir.path().join("cache.h5");
    let voted = ["extract", "--labelling", "voice", "--kind", "crema-d", arg(&corpus), "--out", arg(&cache)];
    run(&voted).expect(2).complains(&["summaryTable.csv"]);
    let check = ["corpus", "check", "--kind", "ravdess", "--labelling", "voice", arg(&corpus)];
    run(&check).expect(2).complains(&["ravdess has no labelling \"voice\""]);
    let other_section = ["extract", arg(&corpus), "--out", arg(&cache), "--set", "corpus.kind=ravdess"];
    run(&other_section).expect(2).complains(&["corpus.kind=ravdess", "[features]"]);
    run(&["corpus", "check", "--kind", "msp", arg(&corpus)]).expect(2).complains(&["crema-d", "iemocap", "manifest"]);
}

#[test]
fn a_bench_says_what_each_stage_does_beside_the_limit() {
    let bench = run(&["bench", "mfcc", "--seconds", "0.1", "--format", "json"]).expect(0).json();
    let stages = bench["stages"].as_array().unwrap();
    let names: Vec<&str> = stages.iter().map(|s| s["stage"].as_str().unwrap()).collect();
    assert!(
        ["decode", "mfcc", "pipeline", "limit: copying the samples"].iter().all(|n| names.contains(n)),
        "{names:?}"
    );
    assert!(stages.iter().all(|s| s["audio_s_per_cpu_s"].as_f64().unwrap() > 0.0), "{bench}");
}
