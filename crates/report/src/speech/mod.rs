//! Pictures of speech and of who holds it, each from plain numbers to one SVG file that loads nothing.
//!
//! Nothing here reads a corpus or computes a feature: who draws a spectrogram has computed it. Numbers that are none
//! (NaN, ∞) are drawn in a colour that no number has, and counted in words.
mod emotions;
mod emotions_by_client;
mod matrix;
mod partition;
mod recording;
mod waveform;

pub use emotions::{EmotionCount, emotion_counts};
pub use emotions_by_client::{ClientCounts, emotion_counts_by_client};
pub use matrix::Matrix;
pub use partition::{ClientRow, PartitionPicture, partition};
pub(crate) use partition::{LEAKS, partition_figure};
pub use recording::{Recording, Spectrogram, recording};

use crate::svg::{Head, Warning};

/// How much wider bold text is than text_width says.
const BOLD: f64 = 1.15;
const SYNTHETIC: &str = "synthetic voices: says nothing about emotion in human speech";

/// The head of a picture, which says so where the voices are not human.
fn head(title: &str, width: u32, synthetic: bool) -> Head {
    let head = Head::new(title, width);
    if synthetic { head.warning(Warning::Caution, SYNTHETIC) } else { head }
}

/// `n` things in words.
fn plural(n: u64, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}
