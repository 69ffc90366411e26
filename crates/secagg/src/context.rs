//! The chain of contexts cfg → ctx1 → ctx2 → ctx3. Each covers the one before and what was agreed since, and keys are
//! derived from them, so parties that saw different things hold different keys.
use sottovoce_types::{ClientId, Digest};

use crate::labels;
use crate::session::Session;

/// ctx1: the configuration, this party's terms, and the roster.
pub(crate) fn ctx1(session: &Session, adverts_root: &Digest, roster: &[ClientId]) -> Digest {
    let words = u64::try_from(session.words).expect("a length fits 64 bits");
    // The ids by themselves, too: so that who has no adverts can still check who took part.
    let ids: Vec<u8> = roster.iter().flat_map(|client| client.0).collect();
    labels::CTX1
        .hasher()
        .field(session.cfg.as_bytes())
        .field(&session.coordinator)
        .field(adverts_root.as_bytes())
        .field(&ids)
        .number(session.n_min.into())
        .number(session.max_corrupt.into())
        .number(u64::from(u8::from(session.lanes)))
        .number(words)
        .number(session.suite.byte().into())
        .number(session.key_agreement.byte().into())
        .finish()
}

/// ctx2: the set of dealers U2 and what they dealt.
pub(crate) fn ctx2(ctx1: &Digest, n: u32, u2: impl IntoIterator<Item = u32>, shares_root: &Digest) -> Digest {
    labels::CTX2
        .hasher()
        .field(ctx1.as_bytes())
        .field(members_digest(n, u2).as_bytes())
        .field(shares_root.as_bytes())
        .finish()
}

/// ctx3: the survivor set U3 and the inputs received.
pub(crate) fn ctx3(ctx2: &Digest, n: u32, u3: impl IntoIterator<Item = u32>, inputs_root: &Digest) -> Digest {
    labels::CTX3
        .hasher()
        .field(ctx2.as_bytes())
        .field(members_digest(n, u3).as_bytes())
        .field(inputs_root.as_bytes())
        .finish()
}

/// Digest of a set of roster indices below `n`, as a bitmap (bit i of byte i/8, least significant first).
pub(crate) fn members_digest(n: u32, set: impl IntoIterator<Item = u32>) -> Digest {
    let bytes = usize::try_from(n.div_ceil(8)).expect("a roster fits memory");
    let mut bitmap = vec![0u8; bytes];
    for index in set {
        let byte = usize::try_from(index / 8).ok().and_then(|i| bitmap.get_mut(i));
        *byte.expect("callers pass indices of the roster") |= 1u8 << (index % 8);
    }
    labels::MEMBERS.hasher().number(n.into()).field(&bitmap).finish()
}

/// Root of a binary Merkle tree over `leaves` in their order. Leaves carry their position and inner nodes have their own
/// label, so neither can stand for the other; a node without a neighbour moves up as it is.
pub(crate) fn merkle_root<L: AsRef<[u8]>>(leaves: impl IntoIterator<Item = L>) -> Digest {
    let mut level: Vec<Digest> = (0u64..)
        .zip(leaves)
        .map(|(position, leaf)| labels::LEAF.hasher().number(position).field(leaf.as_ref()).finish())
        .collect();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => labels::NODE.hasher().field(left.as_bytes()).field(right.as_bytes()).finish(),
                rest => rest.first().copied().unwrap_or_default(),
            })
            .collect();
    }
    level.first().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_root_tells_order_length_and_content_apart() {
        let root = |leaves: &[&[u8]]| merkle_root(leaves.iter());
        let base = root(&[b"a", b"b", b"c"]);
        for other in
            [root(&[b"a", b"c", b"b"]), root(&[b"a", b"b"]), root(&[b"a", b"b", b"c", b"c"]), root(&[b"a", b"b", b"d"])]
        {
            assert_ne!(base, other);
        }
        assert_eq!(base, root(&[b"a", b"b", b"c"]));
        // A node's hash offered as a leaf is not that node.
        let left = root(&[b"a", b"b"]);
        assert_ne!(root(&[left.as_bytes(), b"c"]), base);
    }

    proptest! {
        #[test]
        fn different_sets_have_different_digests(
            n in 1u32..40, a in prop::collection::btree_set(0u32..40, 0..40), b in prop::collection::btree_set(0u32..40, 0..40),
        ) {
            let fit = |s: &std::collections::BTreeSet<u32>| s.iter().copied().filter(|i| *i < n).collect::<Vec<_>>();
            let (a, b) = (fit(&a), fit(&b));
            prop_assert_eq!(members_digest(n, a.iter().copied()) == members_digest(n, b.iter().copied()), a == b);
        }
    }
}
