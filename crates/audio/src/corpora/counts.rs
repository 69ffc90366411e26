//! What a scan found, counted.
use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use sottovoce_types::{Annotation, Emotion, Sex};

use super::{Scan, Skipped};

/// Clips per emotion, speaker, group and sex.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counts {
    /// Clips per emotion.
    pub emotions: BTreeMap<Emotion, usize>,
    /// Clips per speaker.
    pub speakers: BTreeMap<String, usize>,
    /// Clips per recording group (IEMOCAP: session), where the corpus has such.
    pub groups: BTreeMap<String, usize>,
    /// Clips per sex, where stated.
    pub sexes: BTreeMap<Sex, usize>,
    /// Speakers per sex, where stated.
    pub speakers_by_sex: BTreeMap<Sex, usize>,
}

impl Scan {
    /// Clips per emotion, speaker, group and sex.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        let mut sex_of: BTreeMap<&str, Sex> = BTreeMap::new();
        for clip in &self.clips {
            let Annotation { emotion, speaker, sex, group, .. } = &clip.annotation;
            *counts.emotions.entry(*emotion).or_default() += 1;
            *counts.speakers.entry(speaker.clone()).or_default() += 1;
            if let Some(group) = group {
                *counts.groups.entry(group.clone()).or_default() += 1;
            }
            if let Some(sex) = sex {
                *counts.sexes.entry(*sex).or_default() += 1;
                sex_of.insert(speaker, *sex);
            }
        }
        for sex in sex_of.into_values() {
            *counts.speakers_by_sex.entry(sex).or_default() += 1;
        }
        counts
    }

    /// Files not used per [`tally_name`](super::SkipReason::tally_name).
    pub fn skipped_by_reason(&self) -> BTreeMap<&'static str, usize> {
        Tally::of(&self.skipped).0
    }
}

/// Files not used per reason; prints as "2507 no agreement, 3 other emotion".
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally(pub BTreeMap<&'static str, usize>);

impl Tally {
    pub(super) fn of(skipped: &[Skipped]) -> Self {
        let mut tally = Self::default();
        for s in skipped {
            *tally.0.entry(s.reason.tally_name()).or_default() += 1;
        }
        tally
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("it is empty");
        }
        let parts: Vec<String> = self.0.iter().map(|(name, n)| format!("{n} {name}")).collect();
        f.write_str(&parts.join(", "))
    }
}
