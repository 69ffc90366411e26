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
    let mut hasher = labels::CTX1.hasher();
    hasher
        .field(session.cfg.as_bytes())
        .field(&session.coordinator)
        .field(adverts_root.as_bytes())
        .field(&ids)
        .number(session.n_min.into())
        .number(session.max_corrupt.into())
        .number(u64::from(u8::from(session.lanes)))
        .number(words)
        .number(session.suite.byte().into());
    session.graph.write_to(&mut hasher);
    if session.key_agreement.is_hybrid() {
        hasher.field(b"key agreement").field(session.key_agreement.name().as_bytes());
    }
    if let Some(law) = &session.layers {
        hasher.field(b"layers").field(law.as_bytes());
    }
    hasher.finish()
}

/// ctx2: the set of dealers U2, what they dealt, and who picked whom, where clients pick.
pub(crate) fn ctx2(
    ctx1: &Digest,
    n: u32,
    u2: impl IntoIterator<Item = u32>,
    shares_root: &Digest,
    graph_root: Option<&Digest>,
) -> Digest {
    let mut hasher = labels::CTX2.hasher();
    hasher.field(ctx1.as_bytes()).field(members_digest(n, u2).as_bytes()).field(shares_root.as_bytes());
    if let Some(root) = graph_root {
        hasher.field(root.as_bytes());
    }
    hasher.finish()
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
