//! Where the journal ended, in a file of its own: an old copy of the database put back beside it is noticed at the next start, without a network.
//!
//! It is written after the commit, so that after a crash the database may be ahead of it, and never behind. Who puts back both files
//! is noticed by the peers, who had what the old copy forgot ([`sottovoce_round::Welcome`]). Opened with an identity it is signed: a state made
//! or edited by somebody without that party's key does not open.
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sottovoce_secagg::{Identity, labels, verify};
use sottovoce_types::Digest;

use crate::{Disk, Head, durable};

const FILE: &str = "state.head";

/// A signature over a head, and whose it claims to be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Seal {
    /// The signer's public key.
    pub public_key: Digest,
    /// The signature, in hexadecimal digits.
    pub signature: String,
}

/// What the file holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Witness {
    /// Entries of the journal when it was written.
    pub entries: u64,
    /// The chain there.
    pub chain: Digest,
    /// The party's signature, where it was opened with its identity.
    pub seal: Option<Seal>,
}

impl Witness {
    /// Of a head, signed where there is somebody to sign.
    pub(crate) fn of(head: Head, identity: Option<&Identity>) -> Self {
        let seal = identity.map(|identity| Seal {
            public_key: Digest(identity.public_key()),
            signature: hex(&identity.sign(labels::JOURNAL_HEAD, &message(&head))),
        });
        Self { entries: head.entries, chain: head.chain, seal }
    }

    /// Reads it from a state directory; `None` where there is none.
    ///
    /// # Errors
    /// What the file system says; [`io::ErrorKind::InvalidData`] for a file that holds no witness.
    pub fn read(dir: &Path) -> io::Result<Option<Self>> {
        match fs::read(dir.join(FILE)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| {
                let what = format!("{FILE} holds no head of a journal ({e}): restore the whole directory from a copy");
                io::Error::new(io::ErrorKind::InvalidData, what)
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub(crate) fn write(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let text = serde_json::to_string(self).expect("numbers and text");
        durable::write(disk, &dir.join(FILE), text.as_bytes())
    }

    /// Whether its seal, if it has one, is a signature over it by the key that it names.
    pub fn seal_holds(&self) -> bool {
        let Some(seal) = &self.seal else { return true };
        let head = Head { entries: self.entries, chain: self.chain };
        let signature = bytes(&seal.signature);
        signature.is_some_and(|s| verify(&seal.public_key.0, labels::JOURNAL_HEAD, &message(&head), &s).is_ok())
    }

    /// What is wrong between it and a journal whose entries' chains are `chains`, oldest first.
    pub(crate) fn contradicts(&self, chains: &[Digest]) -> Option<&'static str> {
        let Ok(entries) = usize::try_from(self.entries) else { return Some("state.head cannot be read") };
        if entries > chains.len() {
            return Some(
                "state.head has seen more entries: state.sqlite was put back from an old copy, and its ledger forgot what was spent since",
            );
        }
        let there = entries.checked_sub(1).map_or(Head::empty().chain, |i| chains[i]);
        (there != self.chain).then_some("state.head belongs to another journal: the two files were mixed")
    }
}

fn message(head: &Head) -> Vec<u8> {
    [head.entries.to_le_bytes().as_slice(), head.chain.as_bytes()].concat()
}

fn bytes(hex: &str) -> Option<[u8; 64]> {
    let digits: Option<Vec<u8>> = hex.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    digits?.chunks_exact(2).map(|pair| (pair[0] << 4) | pair[1]).collect::<Vec<_>>().try_into().ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|d| char::from_digit(d.into(), 16).expect("a nibble")).collect()
}
