//! The Merkle tree over a vector in chunks of 64 KiB: what a client signs of its masked input, and what a coordinator announces of
//! a sum, so that one chunk can be shown without the rest.
//!
//! BLAKE3 (O'Connor, Aumasson, Neves & Wilcox-O'Hearn, "BLAKE3: one function, fast everywhere", 2020) in two of its modes, which
//! never give one value for two purposes: leaves are keyed hashes, nodes are hashes of its key derivation mode.
//!
//! ```text
//! key        = BLAKE3-derive("sottovoce/1/chunk",      owner)             owner: 0 ‖ client id, or 1 for a sum
//! key_k      = BLAKE3-keyed(key, k as 8 little-endian bytes)
//! leaf_k     = BLAKE3-keyed(key_k, words of chunk k, little-endian)       8192 words; the last chunk has those that are left
//! node(l, r) = BLAKE3-derive("sottovoce/1/chunk-node", l ‖ r)
//! root       = node over node, level by level; a node without a right neighbour moves up as it is
//! root of no words = BLAKE3-derive("sottovoce/1/chunk-node", nothing)
//! ```
//!
//! Why no other vector has this root, unless BLAKE3 has collisions: a leaf says whose it is and where it stands, so it stands for
//! nobody else's chunk and for no other place; node and leaf come from different modes of the hash, so neither passes for the
//! other; and the number of words, which fixes the shape of the tree, is signed beside the root.
use std::num::NonZeroUsize;

use sottovoce_types::{ClientId, Digest};

use crate::labels;

/// Words of a chunk: 64 KiB.
pub const CHUNK_WORDS: usize = 8192;

/// Words that are added and turned to bytes before they are hashed: 16 KiB, in the first-level cache, and as many blocks as
/// BLAKE3 hashes side by side on the widest registers.
const PIECE_WORDS: usize = 2048;

/// Fewest chunks that are worth a thread of their own.
const PART_CHUNKS: usize = 8;

/// Whose vector it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// A client's masked input.
    Input(ClientId),
    /// A published sum.
    Sum,
}

impl Owner {
    fn key(self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key(labels::CHUNK.name());
        match self {
            Self::Input(client) => hasher.update(&[0]).update(&client.0),
            Self::Sum => hasher.update(&[1]),
        };
        *hasher.finalize().as_bytes()
    }
}

/// Chunks of a vector of so many words.
pub fn chunk_count(words: usize) -> usize {
    words.div_ceil(CHUNK_WORDS)
}

/// The words of chunk `index` in a vector of `words` words; `None` where the vector has no such chunk.
pub fn chunk_range(index: usize, words: usize) -> Option<std::ops::Range<usize>> {
    let start = index.checked_mul(CHUNK_WORDS).filter(|start| *start < words)?;
    Some(start..start.saturating_add(CHUNK_WORDS).min(words))
}

/// The leaves of a vector: 32 bytes for 64 KiB.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChunkTree {
    leaves: Vec<Digest>,
}

impl ChunkTree {
    /// Of a vector, on up to `workers` threads.
    pub fn of(owner: Owner, words: &[u64], workers: NonZeroUsize) -> Self {
        let mut leaves = vec![Digest::default(); chunk_count(words.len())];
        let (key, part) = (owner.key(), part_chunks(leaves.len(), workers));
        let mut parts = (0..).step_by(part).zip(leaves.chunks_mut(part)).zip(words.chunks(words_of(part)));
        std::thread::scope(|scope| {
            let first = parts.next();
            for ((index, leaves), words) in parts {
                scope.spawn(move || Hashing::new(key).leaves(index, leaves, words));
            }
            if let Some(((index, leaves), words)) = first {
                Hashing::new(key).leaves(index, leaves, words);
            }
        });
        Self { leaves }
    }

    /// Of a vector that is added to `sum` on the way, mod 2^64: each word passes through the cache once for both.
    pub(crate) fn adding(owner: Owner, words: &[u64], sum: &mut [u64], workers: NonZeroUsize) -> Self {
        let mut leaves = vec![Digest::default(); chunk_count(words.len())];
        let (key, part) = (owner.key(), part_chunks(leaves.len(), workers));
        let places = leaves.chunks_mut(part).zip(sum.chunks_mut(words_of(part)));
        let mut parts = (0..).step_by(part).zip(places).zip(words.chunks(words_of(part)));
        std::thread::scope(|scope| {
            let first = parts.next();
            for ((index, (leaves, sum)), words) in parts {
                scope.spawn(move || Hashing::new(key).leaves_adding(index, leaves, words, sum));
            }
            if let Some(((index, (leaves, sum)), words)) = first {
                Hashing::new(key).leaves_adding(index, leaves, words, sum);
            }
        });
        Self { leaves }
    }

    /// Of leaves that were kept.
    pub fn of_leaves(leaves: Vec<Digest>) -> Self {
        Self { leaves }
    }

    /// One a chunk.
    pub fn leaves(&self) -> &[Digest] {
        &self.leaves
    }

    /// What stands for the vector.
    pub fn root(&self) -> Digest {
        let nodes = Nodes::new();
        let mut level = self.leaves.clone();
        while level.len() > 1 {
            level = nodes.above(&level);
        }
        level.first().copied().unwrap_or_else(|| nodes.empty())
    }

    /// The neighbours of chunk `index` on its way to the root, lowest first; `None` where there is no such chunk.
    pub fn path(&self, index: usize) -> Option<Vec<Digest>> {
        let nodes = Nodes::new();
        let (mut at, mut level, mut path) = (index, self.leaves.clone(), Vec::new());
        level.get(at)?;
        while level.len() > 1 {
            path.extend(level.get(at ^ 1));
            level = nodes.above(&level);
            at /= 2;
        }
        Some(path)
    }
}

/// The root that chunk `index` of a vector of `total` words has with this path; `None` where the chunk or the path is not as long
/// as the tree of such a vector has it.
pub fn root_of_chunk(owner: Owner, index: usize, chunk: &[u64], total: usize, path: &[Digest]) -> Option<Digest> {
    if chunk_range(index, total)?.len() != chunk.len() {
        return None;
    }
    let nodes = Nodes::new();
    let mut hash = Hashing::new(owner.key()).leaf(index, chunk);
    let (mut at, mut level, mut path) = (index, chunk_count(total), path.iter());
    while level > 1 {
        if at ^ 1 < level {
            let other = path.next()?;
            hash = if at % 2 == 0 { nodes.node(&hash, other) } else { nodes.node(other, &hash) };
        }
        (at, level) = (at / 2, level.div_ceil(2));
    }
    path.next().is_none().then_some(hash)
}

fn part_chunks(chunks: usize, workers: NonZeroUsize) -> usize {
    chunks.div_ceil(workers.get()).max(PART_CHUNKS)
}

fn words_of(chunks: usize) -> usize {
    chunks.saturating_mul(CHUNK_WORDS)
}

/// Hashes leaves of one owner.
struct Hashing {
    key: [u8; 32],
    bytes: Vec<[u8; 8]>,
}

impl Hashing {
    fn new(key: [u8; 32]) -> Self {
        Self { key, bytes: vec![[0; 8]; PIECE_WORDS] }
    }

    fn leaves(&mut self, first: usize, leaves: &mut [Digest], words: &[u64]) {
        for ((index, leaf), chunk) in (first..).zip(leaves).zip(words.chunks(CHUNK_WORDS)) {
            *leaf = self.leaf(index, chunk);
        }
    }

    fn leaves_adding(&mut self, first: usize, leaves: &mut [Digest], words: &[u64], sum: &mut [u64]) {
        let chunks = words.chunks(CHUNK_WORDS).zip(sum.chunks_mut(CHUNK_WORDS));
        for ((index, leaf), (chunk, sum)) in (first..).zip(leaves).zip(chunks) {
            let mut hasher = self.start(index);
            for (piece, sum) in chunk.chunks(PIECE_WORDS).zip(sum.chunks_mut(PIECE_WORDS)) {
                for ((bytes, word), sum) in self.bytes.iter_mut().zip(piece).zip(sum) {
                    *bytes = word.to_le_bytes();
                    *sum = sum.wrapping_add(*word);
                }
                self.feed(&mut hasher, piece.len());
            }
            *leaf = digest(&hasher);
        }
    }

    fn leaf(&mut self, index: usize, chunk: &[u64]) -> Digest {
        let mut hasher = self.start(index);
        for piece in chunk.chunks(PIECE_WORDS) {
            self.bytes.iter_mut().zip(piece).for_each(|(bytes, word)| *bytes = word.to_le_bytes());
            self.feed(&mut hasher, piece.len());
        }
        digest(&hasher)
    }

    fn start(&self, index: usize) -> blake3::Hasher {
        let place = u64::try_from(index).expect("an index fits 64 bits").to_le_bytes();
        blake3::Hasher::new_keyed(blake3::keyed_hash(&self.key, &place).as_bytes())
    }

    fn feed(&self, hasher: &mut blake3::Hasher, words: usize) {
        hasher.update(self.bytes.get(..words).expect("no piece is longer than the buffer").as_flattened());
    }
}

/// Hashes nodes.
struct Nodes(blake3::Hasher);

impl Nodes {
    fn new() -> Self {
        Self(blake3::Hasher::new_derive_key(labels::CHUNK_NODE.name()))
    }

    fn node(&self, left: &Digest, right: &Digest) -> Digest {
        digest(self.0.clone().update(left.as_bytes()).update(right.as_bytes()))
    }

    fn empty(&self) -> Digest {
        digest(&self.0)
    }

    fn above(&self, level: &[Digest]) -> Vec<Digest> {
        let above = |pair: &[Digest]| match pair {
            [left, right] => self.node(left, right),
            rest => rest.first().copied().unwrap_or_default(),
        };
        level.chunks(2).map(above).collect()
    }
}

fn digest(hasher: &blake3::Hasher) -> Digest {
    Digest(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn workers(n: usize) -> NonZeroUsize {
        NonZeroUsize::new(n).unwrap()
    }

    fn vector(words: usize) -> Vec<u64> {
        (0..words as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect()
    }

    fn tree(client: u8, words: &[u64]) -> ChunkTree {
        ChunkTree::of(Owner::Input(ClientId([client; 32])), words, workers(1))
    }

    /// The definition above, written out with the hash's one-shot functions and no buffers.
    #[test]
    fn the_root_of_three_chunks_is_the_one_written_down() {
        let words = vector(2 * CHUNK_WORDS + 5);
        let mut owner = vec![0u8];
        owner.extend_from_slice(&[7; 32]);
        let key = blake3::derive_key("sottovoce/1/chunk", &owner);
        let leaf = |k: usize| {
            let key = blake3::keyed_hash(&key, &(k as u64).to_le_bytes());
            let range = k * CHUNK_WORDS..words.len().min((k + 1) * CHUNK_WORDS);
            let bytes: Vec<u8> = words[range].iter().flat_map(|w| w.to_le_bytes()).collect();
            *blake3::keyed_hash(key.as_bytes(), &bytes).as_bytes()
        };
        let node = |l: [u8; 32], r: [u8; 32]| blake3::derive_key("sottovoce/1/chunk-node", &[l, r].concat());
        assert_eq!(tree(7, &words).root(), Digest(node(node(leaf(0), leaf(1)), leaf(2))));
        assert_eq!(tree(7, &[]).root(), Digest(blake3::derive_key("sottovoce/1/chunk-node", &[])));
    }

    #[test]
    fn claim_no_other_owner_order_length_or_tree_has_the_root_of_a_vector() {
        let words = vector(3 * CHUNK_WORDS);
        let mut swapped = words.clone();
        swapped.rotate_left(CHUNK_WORDS);
        let mut flipped = words.clone();
        flipped[CHUNK_WORDS] ^= 1 << 63;
        let mut longer = words.clone();
        longer.push(0);
        // The two upper nodes of the tree, offered as a vector of their own.
        let leaves = tree(1, &words).leaves().to_vec();
        let left = Nodes::new().node(&leaves[0], &leaves[1]);
        let nodes: Vec<u64> = [left, leaves[2]]
            .iter()
            .flat_map(|d| d.0.as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b)).collect::<Vec<_>>())
            .collect();
        let roots = [
            tree(1, &words).root(),
            tree(2, &words).root(),
            ChunkTree::of(Owner::Sum, &words, workers(1)).root(),
            tree(1, &swapped).root(),
            tree(1, &flipped).root(),
            tree(1, &longer).root(),
            tree(1, &words[..3 * CHUNK_WORDS - 1]).root(),
            tree(1, &nodes).root(),
            tree(1, &[]).root(),
        ];
        assert_eq!(roots.iter().collect::<BTreeSet<_>>().len(), roots.len());
    }

    #[test]
    fn a_chunk_with_another_index_length_or_path_has_another_root_or_none() {
        let words = vector(5 * CHUNK_WORDS + 3);
        let (tree, owner) = (tree(1, &words), Owner::Input(ClientId([1; 32])));
        let path = tree.path(2).unwrap();
        let chunk = &words[chunk_range(2, words.len()).unwrap()];
        let root = |index, chunk: &[u64], path: &[Digest]| root_of_chunk(owner, index, chunk, words.len(), path);
        assert_eq!(root(2, chunk, &path), Some(tree.root()), "control");
        assert_ne!(root(3, chunk, &path), Some(tree.root()));
        assert_eq!(root(2, &chunk[1..], &path), None);
        assert_eq!(root(2, chunk, &path[1..]), None);
        assert_eq!(root(2, chunk, &[&path[..], &path[..1]].concat()), None);
        assert_eq!(root(6, chunk, &path), None, "there is no such chunk");
        assert_eq!(root(usize::MAX, chunk, &path), None);
        assert_eq!(tree.path(6), None);
        let mut other = path.clone();
        other[1].0[0] ^= 1;
        assert_ne!(root(2, chunk, &other), Some(tree.root()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn every_chunk_leads_to_the_root_however_many_threads_hash_and_add(
            words in 0usize..40 * CHUNK_WORDS, threads in 1usize..5,
        ) {
            let (words, owner) = (vector(words), Owner::Sum);
            let tree = ChunkTree::of(owner, &words, workers(1));
            let mut sum = vec![3u64; words.len()];
            prop_assert_eq!(&ChunkTree::of(owner, &words, workers(threads)), &tree);
            prop_assert_eq!(&ChunkTree::adding(owner, &words, &mut sum, workers(threads)), &tree);
            prop_assert!(sum.iter().zip(&words).all(|(s, w)| *s == w.wrapping_add(3)));
            for index in 0..chunk_count(words.len()) {
                let chunk = &words[chunk_range(index, words.len()).unwrap()];
                let path = tree.path(index).unwrap();
                prop_assert_eq!(root_of_chunk(owner, index, chunk, words.len(), &path), Some(tree.root()));
            }
        }
    }
}
