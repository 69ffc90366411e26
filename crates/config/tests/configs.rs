//! The files under `configs/`: each parses and plans, and their README shows the keys as they are.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::path::{Path, PathBuf};

use sottovoce_config::{Config, Role, SweepPlan, key_table};
use sottovoce_types::Unit;

const NONE: &[&str] = &[];
const BEGIN: &str = "-- --ignored` writes them -->\n";
const END: &str = "<!-- keys: end -->";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs")
}

fn config_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(config_files(&path));
        } else if path.extension().is_some_and(|e| e == "toml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn every_file_under_configs_parses_and_is_accepted() {
    let files = config_files(&folder());
    assert!(files.len() >= 10, "{files:?}");
    for path in files {
        let config = Config::load(&path, NONE).unwrap_or_else(|e| panic!("{}", e.render(false)));
        let again = Config::parse(&config.to_toml(), NONE).unwrap_or_else(|e| panic!("{}", e.render(false)));
        assert_eq!(again, config, "{} does not survive being written and read back", path.display());
    }
}

#[test]
fn every_run_of_every_sweep_is_accepted() {
    let mut sweeps = 0;
    for path in config_files(&folder()) {
        let plan = SweepPlan::load(&path, NONE).unwrap_or_else(|e| panic!("{}", e.render(false)));
        sweeps += usize::from(plan.cells.len() > 6);
        for cell in plan.cells {
            Config::parse(&cell.config.to_toml(), NONE).unwrap_or_else(|e| panic!("{}", e.render(false)));
        }
    }
    assert!(sweeps >= 9, "{sweeps} sweeps");
}

#[test]
fn the_federation_example_says_all_that_each_role_needs_but_the_pin() {
    let coordinator = Config::load(&folder().join("federation/coordinator.toml"), NONE).unwrap();
    coordinator.deployment(Role::Coordinator).unwrap();
    // What to pin is what the sites' people compared: no file in this repository can know it.
    let client = |set: &[&str]| Config::load(&folder().join("federation/client.toml"), set).unwrap();
    let refused = client(NONE).deployment(Role::Client).unwrap_err().render(false);
    assert!(refused.contains("transport.manifest_sha256") && refused.contains("cert show"), "{refused}");
    let digest = "a".repeat(64);
    for pin in [format!("transport.manifest_sha256={digest:?}"), format!("transport.consortium=[{digest:?}]")] {
        assert!(!client(&[&pin]).deployment(Role::Client).unwrap().pin.is_empty());
    }
}

#[test]
fn the_demo_stands_alone_since_the_program_carries_it() {
    let text = include_str!("../../../configs/demo.toml");
    Config::parse(text, NONE).unwrap();
    // It sets the noise itself, with room for a spare attempt.
    Config::parse(text, &["privacy.noise_multiplier=3"]).unwrap_or_else(|e| panic!("{}", e.render(false)));
}

#[test]
fn the_ravdess_runs_differ_in_their_unit() {
    let unit = |name: &str| Config::load(&folder().join(name), NONE).unwrap().privacy.unit;
    assert_eq!(unit("ravdess-none.toml"), Unit::None);
    assert_eq!(unit("ravdess-speaker.toml"), Unit::Speaker);
    assert_eq!(unit("ravdess-client.toml"), Unit::Client);
}

fn readme_with_keys() -> (PathBuf, String, String) {
    let path = folder().join("README.md");
    let then = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = then.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let now = format!("{before}{BEGIN}{}\n{END}{after}", key_table());
    (path, now, then)
}

#[test]
fn the_table_of_keys_in_the_readme_is_current() {
    let (_, now, then) = readme_with_keys();
    assert!(now == then, "configs/README.md is stale: cargo test -p sottovoce-config --test configs -- --ignored");
}

#[test]
#[ignore = "writes configs/README.md"]
fn write_the_table_of_keys_into_the_readme() {
    let (path, now, _) = readme_with_keys();
    std::fs::write(path, now).unwrap();
}
