//! The hash chain over journal entries.
use sottovoce_types::{Digest, Sha256Writer};

/// Where a journal ends: how many entries, and the hash that fixes all of them. Noted down elsewhere, it shows later
/// whether the journal was cut back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Entries.
    pub entries: u64,
    /// Hash over all of them, in order.
    pub chain: Digest,
}

impl Head {
    /// The head of an empty journal.
    pub(crate) fn empty() -> Self {
        Self { entries: 0, chain: Sha256Writer::new("sottovoce/1/journal").finish() }
    }

    /// The head of a journal whose entries have these links.
    pub(crate) fn at_end(chains: &[Digest]) -> Self {
        let entries = u64::try_from(chains.len()).expect("a length in memory");
        chains.last().map_or_else(Self::empty, |chain| Self { entries, chain: *chain })
    }

    /// The head after one more entry, as it is written.
    pub(crate) fn after(self, entry: &str) -> Self {
        let entries = self.entries + 1;
        let mut writer = Sha256Writer::new("sottovoce/1/journal-entry");
        let chain = writer.field(self.chain.as_bytes()).number(entries).field(entry.as_bytes()).finish();
        Self { entries, chain }
    }
}
