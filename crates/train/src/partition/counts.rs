//! A partition in numbers, for tables and pictures.
use sottovoce_types::{Examples, LabelSet};

use super::Partition;

/// How many clips of which emotion are where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionCounts {
    /// The emotions, in class order.
    pub classes: Vec<String>,
    /// What each client trains on, in the order of their names.
    pub clients: Vec<SetCounts>,
    /// The test set, named `test`.
    pub test: SetCounts,
    /// The holdout, named `holdout`.
    pub holdout: SetCounts,
    /// Whether test speakers are trained on: print it on every picture.
    pub leaks: bool,
}

/// One set of clips in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetCounts {
    /// Name of the client, or of the set.
    pub name: String,
    /// Number of speakers.
    pub speakers: u64,
    /// Clips of each emotion, `[classes]`.
    pub counts: Vec<u64>,
}

impl Partition {
    /// How many clips of which emotion are where.
    ///
    /// # Panics
    /// If a label is no class of `labels`: they must be those that the examples were made with.
    pub fn counts(&self, labels: &LabelSet) -> PartitionCounts {
        let classes = labels.names();
        let count = |name: &str, set: &Examples| {
            let mut counts = vec![0; classes.len()];
            for &label in &set.labels {
                *counts.get_mut(usize::from(label)).expect("labels are those that the examples were made with") += 1;
            }
            SetCounts { name: name.to_owned(), speakers: set.speakers().len() as u64, counts }
        };
        PartitionCounts {
            clients: self.clients.iter().map(|c| count(&c.name, &c.train)).collect(),
            test: count("test", &self.test),
            holdout: count("holdout", &self.holdout),
            leaks: self.leaks,
            classes,
        }
    }
}
