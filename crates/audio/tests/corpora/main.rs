//! Corpus readers on small trees, odd names included, and on trees of the published sizes.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod any_kind;
mod crema_d;
mod iemocap;
mod manifest;
mod names;
mod trees;

use std::path::Path;

use sottovoce_audio::{Scan, SkipReason};

fn touch(root: &Path, names: &[&str]) {
    for name in names {
        write(root, name, "");
    }
}

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn skipped<'a>(scan: &'a Scan, name: &str) -> &'a SkipReason {
    &scan.skipped.iter().find(|s| s.path.ends_with(name)).unwrap_or_else(|| panic!("{name} is listed")).reason
}

fn clip_names(scan: &Scan) -> Vec<&str> {
    scan.clips.iter().map(|c| c.name.as_str()).collect()
}
