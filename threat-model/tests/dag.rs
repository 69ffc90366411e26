//! The crates form the DAG of the first table below, each heavy dependency has its owners, and the coordinator links no
//! machine learning, HDF5 or audio decoder. Change a table only with a reason in the change.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Folder of each crate, and what it may use besides `types`, which everything may.
const ALLOWED: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("wire", &[]),
    ("encode", &[]),
    ("audio", &[]),
    ("train", &[]),
    ("report", &[]),
    ("secagg", &["wire"]),
    ("dp", &["encode"]),
    ("transcript", &["wire"]),
    ("round", &["wire", "encode", "dp", "secagg"]),
    // `round` for the public plan and the chain of models, which everybody can follow.
    ("attack", &["wire", "encode", "secagg", "round", "transcript", "train", "dp"]),
    ("config", &["encode", "dp", "secagg", "round"]),
    ("store", &["dp", "round", "secagg"]),
    ("net", &["wire", "round", "transcript", "secagg"]),
    ("sim", &["wire", "encode", "dp", "secagg", "round", "transcript"]),
    ("live", &["round", "report"]),
    ("coordinator", &["wire", "secagg", "config", "round", "dp", "store", "net", "transcript", "live"]),
    (
        "cli",
        &[
            "wire",
            "encode",
            "audio",
            "train",
            "report",
            "secagg",
            "dp",
            "transcript",
            "round",
            "attack",
            "config",
            "store",
            "net",
            "sim",
        ],
    ),
    ("threat-model", &[]),
    ("fuzz-targets", &["wire", "dp", "secagg", "round", "store", "transcript"]),
    ("tests", &[]),
    ("benches", &[]),
];

/// Who may depend directly on what is heavy, or on what would blur a boundary.
const OWNERS: &[(&str, &[&str])] = &[
    ("burn", &["train"]),
    ("hdf5-metno", &["audio"]),
    ("symphonia", &["audio"]),
    ("hound", &["audio"]),
    ("realfft", &["audio", "dp"]),
    ("rustfft", &["audio", "dp"]),
    ("opendp", &["dp"]),
    ("x25519-dalek", &["secagg"]),
    ("ed25519-dalek", &["secagg"]),
    ("aes-gcm", &["secagg"]),
    ("aes", &["secagg"]),
    ("ctr", &["secagg"]),
    ("chacha20", &["secagg"]),
    ("hkdf", &["secagg"]),
    ("quinn", &["net"]),
    ("rustls", &["net"]),
    ("rcgen", &["net"]),
    ("tokio", &["net", "live", "coordinator", "cli"]),
    ("rusqlite", &["store"]),
    ("safetensors", &["store"]),
    ("toml", &["config", "cli", "threat-model"]),
    ("miette", &["config", "cli", "coordinator"]),
    ("anyhow", &["cli", "coordinator", "threat-model"]),
    ("clap", &["cli", "coordinator"]),
    ("indicatif", &["cli"]),
    ("rustix", &["cli"]),
    ("maud", &["report", "live"]),
    ("axum", &["live"]),
];

/// What must not be in the coordinator, at any depth: it sees sums of updates and never a recording or a model's code.
const NOT_IN_COORDINATOR: &[&str] =
    &["burn", "hdf5", "symphonia", "hound", "cubecl", "sottovoce-train", "sottovoce-audio"];

#[test]
fn crates_depend_on_each_other_only_as_the_dag_allows() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut faults = Vec::new();
    for (folder, dependencies) in direct_dependencies() {
        let Some(may) = allowed.get(folder.as_str()) else {
            faults.push(format!("`{folder}` is not in the table of this test"));
            continue;
        };
        let internal = dependencies.iter().filter_map(|d| d.strip_prefix("sottovoce-"));
        let unlisted = internal.filter(|d| *d != "types" && !may.contains(d));
        faults.extend(unlisted.map(|d| format!("`{folder}` may not use `{d}`")));
    }
    assert!(faults.is_empty(), "the crates leave the DAG:\n{}", faults.join("\n"));
}

#[test]
fn the_dag_has_no_cycle_and_every_crate_of_the_table_exists() {
    // The table is in topological order up to `cli`, except that siblings may stand in any order: every use points up.
    let place: BTreeMap<&str, usize> = ALLOWED.iter().enumerate().map(|(i, (name, _))| (*name, i)).collect();
    for (name, may) in ALLOWED {
        for used in *may {
            assert!(place[used] < place[name], "`{name}` stands above `{used}`, which it uses");
        }
    }
    let exist: BTreeSet<String> = direct_dependencies().into_keys().collect();
    let listed: BTreeSet<String> = ALLOWED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(exist, listed);
}

#[test]
fn heavy_dependencies_are_used_directly_only_by_their_owners() {
    let mut faults = Vec::new();
    for (folder, dependencies) in direct_dependencies() {
        for (heavy, owners) in OWNERS {
            if dependencies.contains(*heavy) && !owners.contains(&folder.as_str()) {
                faults.push(format!("`{folder}` uses `{heavy}`, which belongs to {owners:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "heavy dependencies outside of their owners:\n{}", faults.join("\n"));
}

#[test]
fn the_coordinator_links_no_machine_learning_hdf5_or_audio_decoder() {
    let closure = closure_of("sottovoce-coordinator");
    // Positive control: the list is the closure and not an empty answer.
    assert!(closure.contains("sottovoce-round") && closure.contains("quinn"), "{closure:?}");
    let linked: Vec<&String> =
        closure.iter().filter(|name| NOT_IN_COORDINATOR.iter().any(|bad| name.starts_with(bad))).collect();
    assert!(linked.is_empty(), "the coordinator links {linked:?}");
}

#[test]
fn the_same_search_finds_machine_learning_and_hdf5_in_the_client() {
    let closure = closure_of("sottovoce");
    for bad in ["burn", "hdf5-metno", "symphonia"] {
        assert!(closure.contains(bad), "the client trains and reads speech, so {bad} must be found in it");
    }
}

/// Folder -> names of normal and build dependencies (development dependencies may cross: they are never shipped).
fn direct_dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let mut out = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let dependencies = package["dependencies"].as_array().unwrap();
        let shipped = dependencies.iter().filter(|d| d["kind"] != "dev");
        let names = shipped.map(|d| d["name"].as_str().unwrap().to_owned()).collect();
        out.insert(folder(package["name"].as_str().unwrap()).to_owned(), names);
    }
    out
}

fn folder(package: &str) -> &str {
    package.strip_prefix("sottovoce-").unwrap_or("cli")
}

/// Names of all that is linked into a package, or run to build it, with default features on this platform.
fn closure_of(package: &str) -> BTreeSet<String> {
    let tree =
        cargo(&["tree", "--locked", "--offline", "-p", package, "-e", "normal,build", "--prefix", "none", "-f", "{p}"]);
    tree.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let output = Command::new(cargo).args(arguments).current_dir(root).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
