//! Recording groups: speakers who were recorded together.
use std::collections::{BTreeMap, BTreeSet};

use sottovoce_types::ExampleMeta;

use super::PartitionError;

/// The speakers of each group, by name.
pub(super) type Groups<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// The groups that `clips` come from.
///
/// # Errors
/// A clip without a group, or a speaker with two.
pub(super) fn groups<'a>(clips: impl Iterator<Item = &'a ExampleMeta>) -> Result<Groups<'a>, PartitionError> {
    let mut groups = Groups::new();
    let mut group_of: BTreeMap<&str, &str> = BTreeMap::new();
    for clip in clips {
        let Some(group) = clip.group.as_deref() else {
            return Err(PartitionError::NoGroup { path: clip.path.clone() });
        };
        let first = *group_of.entry(&clip.speaker).or_insert(group);
        if first != group {
            let groups = [first.to_owned(), group.to_owned()];
            return Err(PartitionError::SpeakerInTwoGroups { speaker: clip.speaker.clone(), groups });
        }
        groups.entry(group).or_default().insert(&clip.speaker);
    }
    Ok(groups)
}
