//! Binary Merkle trees. Leaves carry their position and inner nodes have their own label, so neither can stand for the other;
//! a node without a neighbour moves up as it is.
use sottovoce_types::Digest;

use crate::labels;

/// A tree over leaves in their order, all levels of it: the hashes of the leaves first, the root last.
pub(crate) struct MerkleTree(Vec<Vec<Digest>>);

fn leaf(position: u64, content: &[u8]) -> Digest {
    labels::LEAF.hasher().number(position).field(content).finish()
}

fn node(left: &Digest, right: &Digest) -> Digest {
    labels::NODE.hasher().field(left.as_bytes()).field(right.as_bytes()).finish()
}

fn above(level: &[Digest]) -> Vec<Digest> {
    let up = |pair: &[Digest]| match pair {
        [left, right] => node(left, right),
        rest => rest.first().copied().unwrap_or_default(),
    };
    level.chunks(2).map(up).collect()
}

impl MerkleTree {
    pub(crate) fn new<L: AsRef<[u8]>>(leaves: impl IntoIterator<Item = L>) -> Self {
        let mut levels: Vec<Vec<Digest>> = vec![(0u64..).zip(leaves).map(|(i, l)| leaf(i, l.as_ref())).collect()];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            levels.push(above(level));
        }
        Self(levels)
    }

    /// Zeros for no leaves.
    pub(crate) fn root(&self) -> Digest {
        self.0.last().and_then(|level| level.first()).copied().unwrap_or_default()
    }

    /// The neighbours on the way from a leaf to the root, lowest first.
    pub(crate) fn path(&self, mut position: usize) -> Vec<Digest> {
        let mut path = Vec::with_capacity(self.0.len());
        for level in &self.0 {
            path.extend(level.get(position ^ 1));
            position /= 2;
        }
        path
    }
}

/// Root of a tree of which only the root is needed.
pub(crate) fn merkle_root<L: AsRef<[u8]>>(leaves: impl IntoIterator<Item = L>) -> Digest {
    let mut level: Vec<Digest> = (0u64..).zip(leaves).map(|(i, l)| leaf(i, l.as_ref())).collect();
    while level.len() > 1 {
        level = above(&level);
    }
    level.first().copied().unwrap_or_default()
}

/// Root of the tree of `len` leaves in which this leaf has this place and this path; `None` for a path that no such tree has.
pub(crate) fn root_by_path(content: &[u8], position: usize, len: usize, path: &[Digest]) -> Option<Digest> {
    if position >= len {
        return None;
    }
    let mut path = path.iter();
    let mut at = leaf(u64::try_from(position).ok()?, content);
    let (mut position, mut len) = (position, len);
    while len > 1 {
        let neighbour = position ^ 1;
        if neighbour < len {
            let other = path.next()?;
            at = if neighbour < position { node(other, &at) } else { node(&at, other) };
        }
        (position, len) = (position / 2, len.div_ceil(2));
    }
    path.next().is_none().then_some(at)
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_path_gives_the_root_for_its_leaf_and_place_only() {
        for len in 1..20usize {
            let leaves: Vec<Vec<u8>> = (0..len).map(|i| vec![u8::try_from(i).unwrap(); 3]).collect();
            let tree = MerkleTree::new(&leaves);
            assert_eq!(tree.root(), merkle_root(&leaves));
            for (i, content) in leaves.iter().enumerate() {
                let path = tree.path(i);
                assert_eq!(root_by_path(content, i, len, &path), Some(tree.root()), "{i} of {len}");
                assert_ne!(root_by_path(b"other", i, len, &path), Some(tree.root()));
                for j in (0..len).filter(|j| *j != i) {
                    assert_ne!(root_by_path(content, j, len, &path), Some(tree.root()), "{i} at {j} of {len}");
                }
                assert_eq!(root_by_path(content, len, len, &path), None, "no such place");
                let mut long = path.clone();
                long.push(Digest::default());
                assert_eq!(root_by_path(content, i, len, &long), None, "one too many");
                if let Some(short) = path.split_last().map(|(_, short)| short) {
                    assert_eq!(root_by_path(content, i, len, short), None, "one too few");
                }
            }
        }
        assert_eq!(MerkleTree::new(&[] as &[&[u8]]).root(), Digest::default());
    }
}
