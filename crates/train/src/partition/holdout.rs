//! Clips that nobody trains on, of speakers that are trained on.
use std::collections::BTreeMap;

use sottovoce_types::Examples;

use super::spec::{PartitionMode, PartitionSpec, Split};
use super::{Clips, fraction_of};
use crate::random::Draws;

/// Takes a random fraction of each of a client's speakers' clips out of its training, after thinning: members and
/// non-members of a membership audit are then exchangeable. Where speakers are kept apart, none loses its last clip. A
/// balanced client gives the same number of each emotion, what all of them can give, and stays balanced.
pub(super) fn hold_out(data: &Examples, mut clips: Clips, spec: &PartitionSpec, draws: &mut Draws) -> (Clips, Clips) {
    draws.shuffle(&mut clips);
    let by_emotion = spec.mode == PartitionMode::Balanced && spec.split == Split::Speaker;
    // Groups side by side; the sort is stable, so within one the order stays random: members and non-members of a
    // membership audit must be exchangeable.
    match (by_emotion, spec.split) {
        (true, _) => clips.sort_by_key(|&i| data.labels[i]),
        (false, Split::Speaker) => clips.sort_by_key(|&i| &data.meta[i].speaker),
        (false, Split::Random) => {}
    }
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for &i in &clips {
        *left.entry(&data.meta[i].speaker).or_default() += 1;
    }
    let same_group = |&a: &usize, &b: &usize| match (by_emotion, spec.split) {
        (true, _) => data.labels[a] == data.labels[b],
        (false, Split::Speaker) => data.meta[a].speaker == data.meta[b].speaker,
        (false, Split::Random) => true,
    };
    let mut kept = Clips::new();
    let mut held: Vec<Clips> = Vec::new();
    for group in clips.chunk_by(same_group) {
        let wanted = fraction_of(group.len(), spec.holdout_fraction);
        let mut given = Clips::new();
        for (place, &i) in group.iter().enumerate() {
            let speaker_left = left.get_mut(data.meta[i].speaker.as_str()).expect("counted above");
            let may_go = spec.split == Split::Random || *speaker_left > 1;
            if place < wanted && may_go {
                *speaker_left -= 1;
                given.push(i);
            } else {
                kept.push(i);
            }
        }
        held.push(given);
    }
    if by_emotion {
        // The last clips of speakers fall on some emotions and not on others: the rest takes back what it gave more.
        let least = held.iter().map(Clips::len).min().unwrap_or(0);
        kept.extend(held.iter_mut().flat_map(|given| given.split_off(least)));
    }
    (kept, held.concat())
}
