//! The committed corpus and deterministic mutations of it, through every target: no panic, no room made for what was only declared,
//! and what is honest is still accepted.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "tests")]
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use sottovoce_fuzz_targets::{TARGETS, Target};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// The seeds of a target, by name.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut seeds: Vec<(String, Vec<u8>)> = std::fs::read_dir(fuzz().join("corpus").join(target))
        .unwrap_or_else(|e| panic!("no corpus for {target}: {e}"))
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap())
        })
        .collect();
    seeds.sort();
    seeds
}

/// Every truncation, every bit flipped, and at every place four and eight bytes that declare far too much, one more than there is,
/// or nothing. Long seeds are cut and flipped at places spread over them.
fn mutations(seed: &[u8], mut each: impl FnMut(&[u8])) {
    let stride = seed.len() / 700 + 1;
    for len in (0..seed.len()).step_by(stride) {
        each(&seed[..len]);
    }
    let mut bytes = seed.to_vec();
    for at in (0..seed.len()).step_by(stride) {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            each(&bytes);
            bytes[at] ^= 1 << bit;
        }
        let left = u32::try_from(seed.len() - at).unwrap();
        for declared in [u32::MAX, u32::MAX >> 1, 1 << 24, 1 << 16, left, left + 1, 0] {
            for width in [4, 8] {
                let end = (at + width).min(bytes.len());
                let wide = u64::from(declared) | if declared == u32::MAX { u64::MAX << 32 } else { 0 };
                bytes[at..end].copy_from_slice(&wide.to_le_bytes()[..end - at]);
                each(&bytes);
                bytes[at..end].copy_from_slice(&seed[at..end]);
            }
        }
    }
    for more in [1, 4, 64] {
        let mut longer = seed.to_vec();
        longer.resize(seed.len() + more, 0xff);
        each(&longer);
    }
    each(&[seed, seed].concat());
    each(&[]);
    // Text: brackets without end, and numbers beyond all bounds.
    each(&b"[".repeat(10_000));
    each(&b"{\"a\":".repeat(10_000));
    for at in (0..seed.len()).filter(|at| seed[*at].is_ascii_digit()).take(64) {
        each(&[&seed[..at], b"99999999999999999999999999e99", &seed[at + 1..]].concat());
    }
}

/// The most address space that this process ever had, in bytes; `None` where the system does not say. Room that was asked for and
/// not touched counts.
fn peak_address_space() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn replay((name, target): &Target) -> usize {
    let mut tried = 0;
    let seeds = seeds(name);
    assert!(seeds.iter().any(|(seed, _)| seed.starts_with("honest")), "{name}: no honest seed");
    for (seed, bytes) in &seeds {
        let accepted = target(bytes);
        assert!(accepted || !seed.starts_with("honest"), "{name}/{seed} is no longer accepted: write the seeds anew");
        mutations(bytes, |mutated| {
            tried += 1;
            target(mutated);
        });
    }
    tried
}

const CHILD: &str = "SOTTOVOCE_REPLAY";

/// In a process of its own with one heap, so that address space tells what was asked for: glibc's heaps for threads reserve and give
/// back far more.
#[test]
fn every_seed_and_its_mutations_pass_every_target_without_a_panic_and_in_bounded_memory() {
    if std::env::var_os(CHILD).is_some() {
        return replay_all();
    }
    let name = "every_seed_and_its_mutations_pass_every_target_without_a_panic_and_in_bounded_memory";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .env(CHILD, "1")
        .env("MALLOC_ARENA_MAX", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
    println!("{said}");
    assert!(child.status.success() && said.contains("inputs for"), "the replay failed:\n{said}");
}

fn replay_all() {
    // Once first: what the process needs anyway is there.
    for (name, target) in TARGETS {
        for (_, bytes) in seeds(name) {
            target(&bytes);
        }
    }
    let before = peak_address_space();
    let tried: usize = TARGETS.iter().map(replay).sum();
    println!("{tried} inputs for {} targets", TARGETS.len());
    assert!(tried > 100_000, "only {tried} inputs were tried");
    match (before, peak_address_space()) {
        (Some(before), Some(after)) => {
            let grown = after - before;
            println!("address space grew by {} KiB", grown / 1024);
            // A declared length of 2^24 or more, once believed, would show.
            assert!(grown < 12 << 20, "address space grew by {grown} bytes");
            // The control: 16 MiB that are asked for and never touched do show.
            let room = std::hint::black_box(Vec::<u8>::with_capacity(16 << 20));
            let seen = peak_address_space().unwrap() - before;
            assert!(seen > 12 << 20, "{} bytes of room show as {seen}", room.capacity());
        }
        _ => println!("memory is not measured: this system has no /proc/self/status"),
    }
}

/// Each target is there for cargo-fuzz, too, and nothing else is.
#[test]
fn cargo_fuzz_has_the_same_targets_and_each_has_a_corpus() {
    let names = |folder: &str, end: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(fuzz().join(folder)).unwrap();
        let name = |e: std::io::Result<std::fs::DirEntry>| e.unwrap().file_name().to_string_lossy().into_owned();
        entries.map(name).map(|n| n.strip_suffix(end).unwrap_or(&n).to_owned()).collect()
    };
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(targets.len(), TARGETS.len());
    assert_eq!(names("fuzz_targets", ".rs"), targets);
    assert_eq!(names("corpus", ""), targets);
    let manifest: toml::Value = toml::from_str(&std::fs::read_to_string(fuzz().join("Cargo.toml")).unwrap()).unwrap();
    let bins = manifest["bin"].as_array().unwrap();
    for bin in bins {
        let (name, path) = (bin["name"].as_str().unwrap(), bin["path"].as_str().unwrap());
        assert_eq!(path, format!("fuzz_targets/{name}.rs"));
        let text = std::fs::read_to_string(fuzz().join(path)).unwrap();
        assert!(text.contains(&format!("run(\"{name}\", data)")), "{path} runs another target");
    }
    let listed: BTreeSet<String> = bins.iter().map(|b| b["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, targets);
}
