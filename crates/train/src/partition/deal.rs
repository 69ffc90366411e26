//! Speakers, or single clips, to clients and the test set.
use std::collections::BTreeMap;

use sottovoce_types::{Examples, Sex};

use super::spec::{PartitionMode, PartitionSpec, TestSpeakers};
use super::{Clips, PartitionError, TooFewSpeakers, fraction_of};
use crate::random::Draws;

/// Clips to places.
pub(super) struct Dealt {
    /// Client by client.
    pub(super) clients: Vec<Clips>,
    /// The test set.
    pub(super) test: Clips,
}

pub(super) fn deal_speakers(data: &Examples, spec: &PartitionSpec, draws: &mut Draws) -> Result<Dealt, TooFewSpeakers> {
    let mut speakers: BTreeMap<&str, Clips> = BTreeMap::new();
    for (i, meta) in data.meta.iter().enumerate() {
        speakers.entry(&meta.speaker).or_default().push(i);
    }
    let found = speakers.len();
    let test = match spec.test_speakers {
        TestSpeakers::Count(n) => n,
        TestSpeakers::Fraction(f) => fraction_of(found, f),
    };
    let per_client = spec.speakers_per_client.unwrap_or(1);
    let needed = spec.clients.saturating_mul(per_client).saturating_add(test);
    if found < needed {
        return Err(TooFewSpeakers { needed, found, clients: spec.clients, per_client, test });
    }

    let sexes: Vec<(&str, Option<Sex>)> =
        speakers.iter().map(|(&name, clips)| (name, data.meta[clips[0]].sex)).collect();
    let tested = test_speakers(&sexes, test, draws);
    let test = tested.iter().filter_map(|name| speakers.remove(name)).flatten().collect();
    let mut training: Vec<Clips> = speakers.into_values().collect();
    if spec.mode != PartitionMode::Natural {
        draws.shuffle(&mut training);
    }

    let mut clients = Vec::with_capacity(spec.clients);
    let mut left = training.into_iter();
    for client in 0..spec.clients {
        // Without a number, the speakers still left are shared by the clients still to come.
        let share = spec.speakers_per_client.unwrap_or_else(|| left.len().div_ceil(spec.clients - client));
        let mut own: Clips = left.by_ref().take(share).flatten().collect();
        draws.shuffle(&mut own);
        clients.push(own);
    }
    Ok(Dealt { clients, test })
}

/// Draws `count` speakers, from each sex in turn while it has any; speakers of unknown sex are a group of their own.
fn test_speakers<'a>(speakers: &[(&'a str, Option<Sex>)], count: usize, draws: &mut Draws) -> Vec<&'a str> {
    let mut groups: Vec<Vec<&str>> = [Some(Sex::Female), Some(Sex::Male), None]
        .into_iter()
        .map(|sex| speakers.iter().filter(|(_, s)| *s == sex).map(|&(name, _)| name).collect())
        .collect();
    for group in &mut groups {
        draws.shuffle(group);
    }
    // The larger group first, so that an odd one out falls where it is missed least.
    groups.sort_by_key(|g| std::cmp::Reverse(g.len()));
    let longest = groups.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|i| groups.iter().filter_map(move |g| g.get(i).copied())).take(count).collect()
}

pub(super) fn deal_clips(data: &Examples, spec: &PartitionSpec, draws: &mut Draws) -> Result<Dealt, PartitionError> {
    let speakers = data.speakers().len();
    let test = match spec.test_speakers {
        TestSpeakers::Count(n) if n >= speakers => {
            let (clients, per_client) = (spec.clients, 0);
            return Err(TooFewSpeakers { needed: n + 1, found: speakers, clients, per_client, test: n }.into());
        }
        TestSpeakers::Count(n) => n as f64 / speakers as f64,
        TestSpeakers::Fraction(f) => f,
    };
    let mut clips: Clips = (0..data.len()).collect();
    draws.shuffle(&mut clips);
    let mut rest = clips.split_off(fraction_of(clips.len(), test));
    let test = clips;
    if rest.len() < spec.clients {
        return Err(PartitionError::TooFewClips { needed: spec.clients, found: rest.len() });
    }
    if spec.mode == PartitionMode::Balanced {
        // Dealt in turn within each emotion, so that clients differ by one clip of each at most.
        rest.sort_by_key(|&i| data.labels[i]);
    }
    let deal = |client| rest.iter().copied().skip(client).step_by(spec.clients).collect();
    Ok(Dealt { clients: (0..spec.clients).map(deal).collect(), test })
}
