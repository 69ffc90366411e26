//! Every architecture from training to a checkpoint to a prediction, and the same logits from PyTorch where it is installed.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "tests")]
mod common;

use std::path::PathBuf;
use std::process::Command;

use common::{arg, repository, run};

const KINDS: [&str; 6] = ["dnn", "cnn", "lstm", "lstm-transformer", "attention-fcn", "text-cnn"];

/// A Python that has PyTorch: `SOTTOVOCE_TORCH_PYTHON`, or `python3`.
fn python_with_torch() -> Option<String> {
    let python = std::env::var("SOTTOVOCE_TORCH_PYTHON").unwrap_or_else(|_| "python3".into());
    let has_torch = Command::new(&python).args(["-c", "import torch"]).output().is_ok_and(|o| o.status.success());
    has_torch.then_some(python)
}

#[test]
fn every_architecture_trains_predicts_from_files_and_gives_pytorchs_logits() {
    let dir = tempfile::tempdir().unwrap();
    let voices = dir.path().join("voices");
    run(&["corpus", "synth", "--out", arg(&voices), "--speakers", "1", "--sentences", "1", "--seed", "9"]).expect(0);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(voices.join("AudioWAV")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let python = python_with_torch();
    if python.is_none() {
        println!("not compared with PyTorch: no Python with torch (SOTTOVOCE_TORCH_PYTHON names one)");
    }
    for kind in KINDS {
        let out = dir.path().join(kind);
        let model = format!("model.kind={kind}");
        // The key of smoke.toml's own model is the dnn's.
        let config = dir.path().join(format!("{kind}.toml"));
        let smoke = std::fs::read_to_string(repository().join("configs/smoke.toml")).unwrap();
        let text = smoke
            .replace("extends = \"base.toml\"", &format!("extends = \"{}/configs/base.toml\"", arg(&repository())))
            .replace("hidden = [8]", "size = \"small\"");
        assert!(text.contains("size") && text.contains("configs/base.toml"), "smoke.toml changed: {text}");
        std::fs::write(&config, text).unwrap();
        let trained =
            run(&["simulate", arg(&config), "--set", &model, "--out", arg(&out), "--format", "json"]).expect(0);
        assert_eq!(trained.json()["model"], kind, "{}", trained.stdout);
        let checkpoint = out.join("checkpoints/round-0002.safetensors");
        let mut command = vec!["predict", "--model", arg(&checkpoint), "--with-features", "--format", "json"];
        for file in &files {
            command.push(arg(file));
            if kind == "text-cnn" {
                command.extend(["--text", "Don't forget a jacket"]);
            }
        }
        let predicted = run(&command).expect(0);
        let json = predicted.json();
        assert_eq!(json["model"]["kind"], kind);
        for file in json["files"].as_array().unwrap() {
            let sum: f64 = file["probabilities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{kind}: probabilities add to {sum}");
        }
        let Some(python) = &python else { continue };
        let written = dir.path().join(format!("{kind}.json"));
        std::fs::write(&written, &predicted.stdout).unwrap();
        let checked = Command::new(python)
            .args([repository().join("docs/pytorch/check.py"), checkpoint, written])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
        println!("{}", said.trim_end());
        assert!(checked.status.success(), "{kind}: {said}");
    }
}
