//! The closed list of domain-separation labels. Every hash, every signature and every key derivation of the protocol
//! starts with one of them, and no two purposes share one.
use sottovoce_types::Sha256Writer;

/// One label of the list; there is no other way to make one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label(&'static str);

impl Label {
    /// The text of the label.
    pub fn name(self) -> &'static str {
        self.0
    }

    /// A hash that starts with this label; its fields are length-prefixed.
    pub fn hasher(self) -> Sha256Writer {
        Sha256Writer::new(self.0)
    }

    /// The label and the fields, each length-prefixed: HKDF `info`, AEAD associated data, signed messages.
    pub fn framed(self, fields: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for field in std::iter::once(self.0.as_bytes()).chain(fields.iter().copied()) {
            out.extend_from_slice(&u64::try_from(field.len()).expect("a length fits 64 bits").to_le_bytes());
            out.extend_from_slice(field);
        }
        out
    }
}

macro_rules! labels {
    ($($name:ident = $text:literal, $doc:literal;)+) => {
        $(#[doc = $doc] pub const $name: Label = Label(concat!("sottovoce/1/", $text));)+
        /// The whole list.
        pub const ALL: &[Label] = &[$($name),+];
    };
}

labels! {
    MANIFEST = "manifest", "The federation's manifest.";
    REQUEST = "request", "An institution's request to be a member.";
    JOURNAL_HEAD = "journal-head", "Where a party's journal ends.";
    HELLO = "hello", "A client's first message on a connection.";
    CONFIG = "config", "The configuration of an attempt.";
    ADVERT = "advert", "A client's one-time keys.";
    ROSTER = "roster", "The roster of an attempt, signed by the coordinator.";
    CTX1 = "ctx1", "Context once the roster is fixed.";
    NBRS = "nbrs", "A client's signed list of the neighbours it picked.";
    SHARES = "shares", "A dealer's signed list of share commitments.";
    DEALING = "dealing", "A dealing with its signature, where its hash stands for it.";
    SHARE_COMMIT = "share-commit", "The commitment to one share.";
    ENV_KEY = "env-key", "The key of one envelope, and its associated data.";
    ENVELOPE = "envelope", "The hash of one envelope.";
    SK_MASK = "sk-mask", "X25519 mask key from the shared secret s.";
    SK_CHAN = "sk-chan", "X25519 channel key.";
    KEM_SEED = "kem-seed", "ML-KEM key pair beside an X25519 key.";
    KEM_COINS = "kem-coins", "Encapsulation randomness for one peer.";
    KEM_CONFIRM = "kem-confirm", "The confirmation of a pair's ML-KEM secret.";
    COMMIT_B = "commit-b", "The commitment to the self-mask seed b.";
    COMMIT_LAYER = "commit-layer", "The commitment to the seed of a layer.";
    NOISE_LAYER = "noise/layer", "The key of one layer of a client's noise.";
    CTX2 = "ctx2", "Context once the set of dealers (U2) is fixed.";
    MASK_PAIR = "mask/pair", "The key of a pairwise mask.";
    MASK_SELF = "mask/self", "The key of a self mask.";
    MEMBERS = "members", "A set of roster members, as a bitmap.";
    LEAF = "leaf", "Leaf of a Merkle tree.";
    NODE = "node", "Inner node of a Merkle tree.";
    CHUNK = "chunk", "The key of the chunks of a vector.";
    CHUNK_NODE = "chunk-node", "Inner node of the tree over the chunks of a vector.";
    INPUT = "input", "A signed masked input.";
    CTX3 = "u3", "Context once the survivor set (U3) is fixed, and the signature over it.";
    OPEN = "open", "The signed opening.";
    RESULT = "result", "The published result of a round.";
    AUDIT = "audit", "Audit of a result.";
    RECEIPT = "receipt", "A privacy receipt.";
    ABORT = "abort", "A client's signed reason to leave an attempt.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_purposes_share_a_label() {
        let names: BTreeSet<_> = ALL.iter().map(|l| l.name()).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(names.iter().all(|n| n.starts_with("sottovoce/1/")));
    }

    #[test]
    fn framed_fields_cannot_slide_into_each_other() {
        assert_ne!(INPUT.framed(&[b"ab", b"c"]), INPUT.framed(&[b"a", b"bc"]));
        assert_ne!(INPUT.framed(&[]), OPEN.framed(&[]));
    }
}
