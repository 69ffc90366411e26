//! Which speakers are tested on.
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use sottovoce_types::{Examples, Sex};

use super::groups::groups;
use super::spec::{Fold, FoldBy, TestSpeakers};
use super::{Clips, PartitionError, fraction_of};
use crate::random::Draws;

/// Test speakers.
pub(super) enum Tested<'a> {
    /// So many, still to be drawn.
    Some(usize),
    /// These.
    These(BTreeSet<&'a str>),
}

impl<'a> Tested<'a> {
    /// What a spec asks for among the speakers of `data`, whose clips are sorted by path.
    pub(super) fn new(
        data: &'a Examples,
        speakers: &BTreeMap<&'a str, Clips>,
        spec: &TestSpeakers,
    ) -> Result<Self, PartitionError> {
        Ok(match spec {
            TestSpeakers::Count(n) => Self::Some(*n),
            TestSpeakers::Fraction(f) => Self::Some(fraction_of(speakers.len(), *f)),
            TestSpeakers::Fold(fold) => Self::These(left_out(data, speakers, *fold)?),
            TestSpeakers::Named(names) => {
                let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
                let unknown = names.iter().filter(|&n| !speakers.contains_key(n));
                let unknown: Vec<String> = unknown.map(|&n| n.to_owned()).collect();
                if !unknown.is_empty() {
                    return Err(PartitionError::UnknownSpeakers { names: unknown });
                }
                Self::These(speakers.keys().copied().filter(|s| names.contains(s)).collect())
            }
        })
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Some(n) => *n,
            Self::These(names) => names.len(),
        }
    }

    /// Their names.
    pub(super) fn draw(
        self,
        data: &'a Examples,
        speakers: &BTreeMap<&'a str, Clips>,
        draws: &mut Draws,
    ) -> BTreeSet<&'a str> {
        match self {
            Self::Some(n) => {
                let sexes = speakers.iter().map(|(&name, clips)| (name, data.meta[clips[0]].sex)).collect::<Vec<_>>();
                of_both_sexes(&sexes, n, draws)
            }
            Self::These(names) => names,
        }
    }
}

fn left_out<'a>(
    data: &'a Examples,
    speakers: &BTreeMap<&'a str, Clips>,
    fold: Fold,
) -> Result<BTreeSet<&'a str>, PartitionError> {
    let (folds, found) = (fold.of, speakers.len());
    match fold.by {
        FoldBy::Speaker if folds > found => Err(PartitionError::TooManyFolds { folds, what: "speakers", found }),
        FoldBy::Speaker => {
            let block = fold.block(found);
            Ok(speakers.keys().copied().skip(block.start).take(block.len()).collect())
        }
        FoldBy::Group => {
            let groups = groups(data.meta.iter())?;
            let count = groups.len();
            match groups.into_values().nth(fold.index) {
                Some(left_out) if count == folds => Ok(left_out),
                _ => Err(PartitionError::FoldsAreNotGroups { folds, groups: count }),
            }
        }
    }
}

/// Draws `count` speakers, from each sex in turn while it has any; speakers of unknown sex are a group of their own.
fn of_both_sexes<'a>(speakers: &[(&'a str, Option<Sex>)], count: usize, draws: &mut Draws) -> BTreeSet<&'a str> {
    let mut groups: Vec<Vec<&str>> = [Some(Sex::Female), Some(Sex::Male), None]
        .into_iter()
        .map(|sex| speakers.iter().filter(|(_, s)| *s == sex).map(|&(name, _)| name).collect())
        .collect();
    for group in &mut groups {
        draws.shuffle(group);
    }
    // The larger group first, so that an odd one out falls where it is missed least.
    groups.sort_by_key(|g| Reverse(g.len()));
    let longest = groups.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|i| groups.iter().filter_map(move |g| g.get(i).copied())).take(count).collect()
}
