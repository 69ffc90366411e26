//! Speakers, or single clips, to clients and the test set.
use std::collections::{BTreeMap, BTreeSet};

use sottovoce_types::Examples;

use super::groups::groups;
use super::spec::{PartitionMode, PartitionSpec, TestSpeakers};
use super::tested::Tested;
use super::{Clips, PartitionError, TooFewSpeakers, fraction_of};
use crate::random::Draws;

/// Clips to places.
pub(super) struct Dealt {
    /// Client by client.
    pub(super) clients: Vec<Clips>,
    /// The test set.
    pub(super) test: Clips,
}

pub(super) fn deal_speakers(data: &Examples, spec: &PartitionSpec, draws: &mut Draws) -> Result<Dealt, PartitionError> {
    let mut speakers: BTreeMap<&str, Clips> = BTreeMap::new();
    for (i, meta) in data.meta.iter().enumerate() {
        speakers.entry(&meta.speaker).or_default().push(i);
    }
    let found = speakers.len();
    let tested = Tested::new(data, &speakers, &spec.test_speakers)?;
    let test = tested.len();
    let per_client = spec.speakers_per_client.unwrap_or(1);
    let needed = spec.clients.saturating_mul(per_client).saturating_add(test);
    if found < needed {
        return Err(TooFewSpeakers { needed, found, clients: spec.clients, per_client, test }.into());
    }

    let tested = tested.draw(data, &speakers, draws);
    let test = tested.iter().filter_map(|name| speakers.remove(name)).flatten().collect();
    let mut training: Vec<Clips> = match as_recorded(data, &speakers, spec) {
        Some(groups) => groups,
        None => speakers.into_values().collect(),
    };
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

/// The clips of each recording group of the training speakers, where there is one for each client.
fn as_recorded(data: &Examples, speakers: &BTreeMap<&str, Clips>, spec: &PartitionSpec) -> Option<Vec<Clips>> {
    if spec.mode != PartitionMode::Natural || spec.speakers_per_client.is_some() {
        return None;
    }
    // Clips without a group, or speakers with two, are no error here: names still give an order.
    let groups = groups(speakers.values().flatten().map(|&i| &data.meta[i])).ok()?;
    let clips_of = |group: BTreeSet<&str>| group.into_iter().flat_map(|speaker| speakers[speaker].clone()).collect();
    (groups.len() == spec.clients).then(|| groups.into_values().map(clips_of).collect())
}

pub(super) fn deal_clips(data: &Examples, spec: &PartitionSpec, draws: &mut Draws) -> Result<Dealt, PartitionError> {
    let found = data.len();
    let speakers = data.speakers().len();
    let tested = match &spec.test_speakers {
        TestSpeakers::Count(n) if *n >= speakers => {
            let (clients, per_client) = (spec.clients, 0);
            return Err(TooFewSpeakers { needed: n + 1, found: speakers, clients, per_client, test: *n }.into());
        }
        TestSpeakers::Count(n) => 0..fraction_of(found, *n as f64 / speakers as f64),
        TestSpeakers::Fraction(f) => 0..fraction_of(found, *f),
        TestSpeakers::Fold(fold) if fold.of > found => {
            return Err(PartitionError::TooManyFolds { folds: fold.of, what: "clips", found });
        }
        TestSpeakers::Fold(fold) => fold.block(found),
        TestSpeakers::Named(_) => return Err(PartitionError::NamedInRandomSplit),
    };
    let mut rest: Clips = (0..found).collect();
    draws.shuffle(&mut rest);
    let test = rest.drain(tested).collect();
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
