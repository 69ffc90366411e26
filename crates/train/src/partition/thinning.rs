//! Clips to a profile of emotions.
use std::collections::BTreeMap;

use sottovoce_types::Examples;

use super::Clips;

/// Keeps as many clips as fit a profile over the emotions that are there: the largest m with m·p_c ≤ n_c for all c,
/// then ⌊m·p_c⌋ clips of emotion c; one clip of the likeliest emotion if that is none.
pub(super) fn thin(data: &Examples, clips: Clips, profile: impl FnOnce(usize) -> Vec<f64>) -> Clips {
    let mut by_label: BTreeMap<u16, Clips> = BTreeMap::new();
    for i in clips {
        by_label.entry(data.labels[i]).or_default().push(i);
    }
    let profile = profile(by_label.len());
    let m = by_label.values().zip(&profile).map(|(n, p)| n.len() as f64 / p).fold(f64::INFINITY, f64::min);
    let mut kept = Vec::new();
    let mut likeliest: Option<(f64, usize)> = None;
    for (clips, p) in by_label.values().zip(profile) {
        // The emotion that bounds m must not lose a clip to rounding.
        kept.extend(clips.iter().take((m * p + 1e-9).floor() as usize));
        if likeliest.is_none_or(|(best, _)| p > best) {
            likeliest = Some((p, clips[0]));
        }
    }
    if kept.is_empty() {
        kept.extend(likeliest.map(|(_, clip)| clip));
    }
    kept
}
