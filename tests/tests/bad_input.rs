//! Broken files, caches and configs, given to the real programs: each is an error that names the place and the mend, by its
//! exit code and its words, and nothing that was there is touched.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Ran, arg, program, run};
use tempfile::TempDir;

/// Every file below a folder, with what it holds.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                all.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    all
}

/// A folder with a small synthetic corpus in `corpus`.
fn with_corpus() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let corpus = dir.path().join("corpus");
    run(&["corpus", "synth", "--out", arg(&corpus), "--speakers", "2", "--sentences", "1"]).expect(0);
    (dir, corpus)
}

fn clips(corpus: &Path) -> Vec<PathBuf> {
    let mut clips: Vec<_> = fs::read_dir(corpus.join("AudioWAV")).unwrap().map(|e| e.unwrap().path()).collect();
    clips.sort();
    clips
}

/// A wav whose header is right and promises no samples.
fn without_samples(wav: &[u8]) -> Vec<u8> {
    let mut header = wav[..44].to_vec();
    assert_eq!(&header[36..40], b"data");
    header[4..8].copy_from_slice(&36u32.to_le_bytes());
    header[40..44].copy_from_slice(&0u32.to_le_bytes());
    header
}

#[test]
fn a_truncated_and_an_empty_wav_are_named_with_their_mend() {
    let (_dir, corpus) = with_corpus();
    let clips = clips(&corpus);
    let (cut, empty, nothing) = (&clips[0], &clips[1], &clips[2]);
    let whole = fs::read(cut).unwrap();
    fs::write(cut, &whole[..whole.len() / 2]).unwrap();
    fs::write(empty, without_samples(&whole)).unwrap();
    fs::write(nothing, b"").unwrap();
    let before = contents(&corpus);
    let refused = run(&["mfcc", arg(cut)]).expect(1);
    refused.complains(&[arg(cut), "is cut short: its header promises", "fetch it again"]);
    assert!(refused.stdout.is_empty(), "half a file gives no features:\n{}", refused.stdout);
    for file in [empty, nothing] {
        run(&["mfcc", arg(file)]).expect(1).complains(&[arg(file), "holds no audio (0 samples)", "leave it out"]);
    }
    let missing = corpus.join("AudioWAV/9999_XXX_ANG_XX.wav");
    run(&["mfcc", arg(&missing)]).expect(1).complains(&[arg(&missing), "cannot be read"]);
    assert_eq!(contents(&corpus), before);
}

#[test]
fn broken_clips_of_a_corpus_are_listed_and_the_others_are_kept() {
    let (dir, corpus) = with_corpus();
    let all = clips(&corpus);
    let whole = fs::read(&all[3]).unwrap();
    fs::write(&all[3], &whole[..whole.len() / 2]).unwrap();
    fs::write(&all[7], without_samples(&whole)).unwrap();
    fs::write(corpus.join("AudioWAV/notes.txt"), "not a clip").unwrap();
    let before = contents(&corpus);
    let cache = dir.path().join("features.h5");

    let checked = run(&["corpus", "check", arg(&corpus), "--format", "json"]).expect(1).json();
    let named = |list: &serde_json::Value| -> Vec<String> {
        let mut names: Vec<_> =
            list.as_array().unwrap().iter().map(|f| f["path"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let broken = [arg(&all[3]).to_owned(), arg(&all[7]).to_owned()];
    assert_eq!(named(&checked["unreadable"]), broken);
    assert_eq!(checked["skipped"].as_array().unwrap().len(), 1, "{checked}");

    let extract = ["extract", arg(&corpus), "--out", arg(&cache), "--format", "json"];
    let report = run(&extract).expect(1).json();
    assert_eq!(named(&report["failed"]), broken);
    assert_eq!(report["written"], all.len() - 2);
    assert!(report["failed"][0]["reason"].as_str().unwrap().contains("cut short"), "{report}");
    assert_eq!(contents(&corpus), before);
    // Mended, only the mended clips are decoded.
    fs::write(&all[3], &whole).unwrap();
    fs::remove_file(&all[7]).unwrap();
    let report = run(&extract).expect(0).json();
    assert_eq!((report["written"].as_u64(), report["reused"].as_u64()), (Some(1), Some(all.len() as u64 - 2)));
}

#[test]
fn a_cache_of_another_feature_spec_is_refused_by_its_key_and_kept() {
    let (dir, corpus) = with_corpus();
    let cache = dir.path().join("features.h5");
    run(&["extract", arg(&corpus), "--out", arg(&cache), "--set", "features.n_mfcc=20"]).expect(0);
    let before = contents(dir.path());
    let set = format!("corpus.cache={:?}", arg(&cache));
    let out = dir.path().join("run");
    let refused = run(&["simulate", "configs/smoke.toml", "--set", &set, "--out", arg(&out)]).expect(2);
    refused.complains(&[arg(&cache), "features.n_mfcc = 20", "features.n_mfcc = 13 is asked for", "extract again"]);
    let trained = run(&["train", "configs/smoke.toml", "--set", &set]).expect(2);
    trained.complains(&["features.n_mfcc"]);
    assert_eq!(contents(dir.path()), before, "the cache is kept, and no run is left behind");
    // A file that is no cache at all is never replaced by one.
    let notes = dir.path().join("notes.h5");
    fs::write(&notes, "somebody's notes").unwrap();
    let refused = run(&["extract", arg(&corpus), "--out", arg(&notes)]).expect(1);
    refused.complains(&[arg(&notes), "is not a Sottovoce feature cache"]);
    assert_eq!(fs::read(&notes).unwrap(), b"somebody's notes");
}

/// Both programs say the same about a config, with exit code 2.
fn both_refuse(text: &str, words: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("run.toml");
    fs::write(&config, text).unwrap();
    let before = contents(dir.path());
    let out = dir.path().join("run");
    run(&["simulate", arg(&config), "--out", arg(&out)]).expect(2).complains(words);
    run(&["client", arg(&config)]).expect(2).complains(words);
    Ran::of(Command::new(program("sottovoce-coordinator")).arg(&config)).expect(2).complains(words);
    assert_eq!(contents(dir.path()), before, "nothing was made");
}

#[test]
fn an_unknown_key_is_pointed_at_with_the_nearest_one() {
    both_refuse(
        "[privacy]\nepsilom = 4\n",
        &["unknown key `privacy.epsilom`", "did you mean `privacy.epsilon`?", "run.toml:2:1"],
    );
    both_refuse("[privcy]\nepsilon = 4\n", &["unknown section `[privcy]`", "did you mean `[privacy]`?"]);
    both_refuse("[run]\nrounds = = 3\n", &["this is not TOML", "run.toml:2:"]);
}

#[test]
fn a_ring_that_could_overflow_is_refused_with_the_mend() {
    let config = "[aggregation]\nlanes = 4\n[privacy]\nclip_bits = 20\n[partition]\nclients = 8\n";
    both_refuse(config, &["a coordinate of the sum can need", "4 lanes leave 16", "fewer clip_bits", "lanes = 4"]);
    // The same numbers, given later, when the manifest says how many units there are: no run either.
    let dir = tempfile::tempdir().unwrap();
    let refused =
        run(&["simulate", "configs/smoke.toml", "--set", "aggregation.lanes=6", "--out", arg(&dir.path().join("run"))]);
    refused.expect(2).complains(&["aggregation.lanes", "at most"]);
    assert!(contents(dir.path()).is_empty());
}

#[test]
fn settings_that_would_protect_nobody_are_refused() {
    both_refuse(
        "[aggregation]\nn_min = 2\nmax_corrupt = 1\n[partition]\nclients = 4\n",
        &["honest inputs", "at least 2 are needed", "raise n_min or lower max_corrupt"],
    );
    both_refuse("[privacy]\ndelta = 0.5\n", &["delta = 0.5", "lets one of them be published outright"]);
}

#[test]
fn explain_refuses_a_cohort_whose_sum_could_show_one_site() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("run.toml");
    let explained = |n_min: u32, max_corrupt: u32| {
        let text = format!(
            "[aggregation]\nn_min = {n_min}\nmax_corrupt = {max_corrupt}\n[partition]\nclients = 4\nspeakers_per_client = 2\n\
             [corpus]\nsynth_speakers = 20\n[privacy]\nnoise_multiplier = 3\ndelta = 1e-5\n"
        );
        fs::write(&config, text).unwrap();
        run(&["explain", arg(&config)])
    };
    for (n_min, max_corrupt) in [(2, 1), (3, 2), (4, 3)] {
        let refused = explained(n_min, max_corrupt).expect(2);
        assert_eq!(refused.stdout, "", "nothing is explained");
        refused.complains(&["honest inputs", "at least 2 are needed", "raise n_min or lower max_corrupt"]);
    }
    assert!(explained(4, 1).expect(0).stdout.contains("of whom 1 may be corrupt"), "control");
}

#[test]
fn claim_masks_off_is_refused_by_both_programs() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("run.toml");
    let place = dir.path().display();
    let text = format!(
        "[aggregation]\nmode = \"plain\"\n[transport]\nidentity = \"{place}/key\"\nmanifest = \"{place}/manifest.toml\"\n\
         state = \"{place}/state\"\n"
    );
    fs::write(&config, text).unwrap();
    let before = contents(dir.path());
    let words = ["aggregation.mode", "shows the coordinator every client's update", "use `secure`"];
    run(&["client", arg(&config)]).expect(2).complains(&words);
    Ran::of(Command::new(program("sottovoce-coordinator")).arg(&config)).expect(2).complains(&words);
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn a_gpu_that_is_not_there_is_a_clear_error_and_the_run_that_it_would_replace_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    run(&["simulate", "configs/smoke.toml", "--out", arg(&out), "--quiet"]).expect(0);
    let before = contents(dir.path());
    let cuda = ["simulate", "configs/smoke.toml", "--set", "training.device=cuda", "--out", arg(&out), "--overwrite"];
    let refused = run(&cuda);
    if refused.code == Some(0) {
        // This build has CUDA in it, and this machine a GPU.
        return;
    }
    refused.expect(1).complains(&["cuda:0 was asked for", "choose the device `cpu`"]);
    assert_eq!(contents(dir.path()), before, "the run that was to be replaced is whole");
}

#[test]
fn what_is_there_is_not_replaced_by_accident() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("site.key");
    run(&["cert", "init", "--out", arg(&key)]).expect(0);
    let notes = dir.path().join("notes");
    fs::create_dir(&notes).unwrap();
    fs::write(notes.join("config.toml"), "mine").unwrap();
    let out = dir.path().join("run");
    run(&["simulate", "configs/smoke.toml", "--out", arg(&out), "--quiet"]).expect(0);
    let before = contents(dir.path());
    run(&["cert", "init", "--out", arg(&key)]).expect(1).complains(&["exists already", "never overwritten"]);
    run(&["simulate", "configs/smoke.toml", "--out", arg(&out)])
        .expect(1)
        .complains(&["already holds a run", "--overwrite"]);
    let refused = run(&["simulate", "configs/smoke.toml", "--out", arg(&notes), "--overwrite"]);
    refused.expect(1).complains(&["holds no run"]);
    run(&["demo", "--out", arg(&notes)]).expect(1).complains(&["was not made by a demo"]);
    assert_eq!(contents(dir.path()), before);
    // Said outright, a run is replaced.
    run(&["simulate", "configs/smoke.toml", "--out", arg(&out), "--overwrite", "--quiet"]).expect(0);
}

#[test]
fn training_that_diverges_sends_nothing_and_says_what_to_lower() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let smoke = ["simulate", "configs/smoke.toml", "--set", "run.rounds=1", "--out", arg(&out)];
    let wild = ["--set", "privacy.unit=none", "--set", "training.learning_rate=1e30"];
    let ran = run(&[&smoke[..], &wild[..]].concat()).expect(11);
    ran.complains(&["4 client(s) sent nothing in round 1", "training diverged in epoch 1", "0000: lower it"]);
    assert!(ran.stdout.is_empty() && !out.exists(), "{}", ran.stdout);
    // The server's own step.
    let wild = ["--set", "server.learning_rate=1e300"];
    run(&[&smoke[..], &wild[..]].concat()).expect(1).complains(&["no longer finite", "server.learning_rate"]);
    assert!(!out.exists());
}

#[test]
fn errors_of_a_config_are_coloured_when_asked_and_never_by_themselves_in_a_pipe() {
    let escapes = |arguments: &[&str]| {
        let refused = run(&[&["explain", "configs/smoke.toml", "--set", "run.round=3"], arguments].concat()).expect(2);
        assert!(refused.stderr.contains("run.rounds"), "it names the nearest key:\n{}", refused.stderr);
        refused.stderr.contains('\u{1b}')
    };
    assert!(escapes(&["--color", "always"]));
    assert!(!escapes(&["--color", "never"]));
    assert!(!escapes(&[]));
    run(&["explain", "configs/smoke.toml", "--color", "red"]).expect(2).complains(&["auto, always or never"]);
}
