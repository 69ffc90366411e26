//! Trees of CREMA-D and IEMOCAP in their real layout and size, with a breath of silence for each recording: what
//! `sottovoce corpus check` says of the real ones, on a machine that may not hold them.
//!
//! ```text
//! cargo run -p sottovoce-audio --example corpus_trees -- OUT
//! sottovoce corpus check --kind crema-d OUT/CREMA-D
//! sottovoce corpus check --kind iemocap OUT/IEMOCAP_full_release
//! ```
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example")]
use std::path::PathBuf;

#[path = "../tests/corpora/trees.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod trees;

fn main() {
    let out = PathBuf::from(std::env::args().nth(1).expect("name a folder to write to"));
    let mut wav = std::io::Cursor::new(Vec::new());
    sottovoce_audio::synth::write_wav(&mut wav, &[0.0; 320]).unwrap();
    let (crema_d, iemocap) = (out.join("CREMA-D"), out.join("IEMOCAP_full_release"));
    trees::crema_d(&crema_d, Some(wav.get_ref()));
    trees::iemocap(&iemocap, Some(wav.get_ref()));
    println!("{}\n{}", crema_d.display(), iemocap.display());
}
