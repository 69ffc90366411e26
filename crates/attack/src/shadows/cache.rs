//! Logits of shadows on disk: named by all that they depend on, refused where they are damaged.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sottovoce_types::Digest;

use super::{Masks, ShadowLogits};

const MAGIC: &[u8; 24] = b"sottovoce shadow phi v1\n";

/// Why stored logits cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The disk.
    #[error("{}: {source}", path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not what was written, or written for other shadows.
    #[error("{}: {how}: delete it, and the shadows are trained again", path.display())]
    Damaged {
        /// File.
        path: PathBuf,
        /// How.
        how: &'static str,
    },
}

impl ShadowLogits {
    /// The file of the shadows `key` in `folder`.
    pub fn file(folder: &Path, key: Digest) -> PathBuf {
        folder.join(format!("{}.phi", &key.to_string()[..16]))
    }

    /// Reads the shadows `key` from `folder`; `None` where there are none.
    ///
    /// # Errors
    /// [`CacheError::Damaged`] where a file is there and is not exactly what was written under this key.
    pub fn read(folder: &Path, key: Digest) -> Result<Option<Self>, CacheError> {
        let path = Self::file(folder, key);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CacheError::Io { path, source }),
        };
        Self::from_bytes(&bytes, key).map(Some).map_err(|how| CacheError::Damaged { path, how })
    }

    /// Writes them to `folder` under `key`: beside their place first, so that what is at their place is whole.
    ///
    /// # Errors
    /// [`CacheError::Io`].
    pub fn write(&self, folder: &Path, key: Digest) -> Result<(), CacheError> {
        let path = Self::file(folder, key);
        let failed = |source| CacheError::Io { path: path.clone(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let partial = path.with_extension("partial");
        fs::write(&partial, self.to_bytes(key)).map_err(failed)?;
        fs::rename(&partial, &path).map_err(failed)
    }

    /// Magic, key, S, N, Z, masks, φ of clips, φ of the population, SHA-256 of all that.
    fn to_bytes(&self, key: Digest) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(key.as_bytes());
        let width = |rows: &[Vec<f64>]| rows.first().map_or(0, Vec::len) as u64;
        for n in [self.scored.len() as u64, width(&self.scored), width(&self.population)] {
            out.extend_from_slice(&n.to_le_bytes());
        }
        for s in 0..self.scored.len() {
            out.extend(self.member.row(s).iter().map(|b| u8::from(*b)));
        }
        for row in self.scored.iter().chain(&self.population) {
            for v in row {
                out.extend_from_slice(&v.to_le_bytes());
            }
        }
        let digest = Digest::of(&out);
        out.extend_from_slice(digest.as_bytes());
        out
    }

    fn from_bytes(bytes: &[u8], key: Digest) -> Result<Self, &'static str> {
        let (body, digest) = bytes.split_at_checked(bytes.len().saturating_sub(32)).ok_or("it is empty")?;
        if Digest::of(body).as_bytes() != digest {
            return Err("it is damaged (its digest is another)");
        }
        let rest = body.strip_prefix(MAGIC).ok_or("it holds no shadows of this version")?;
        let rest = rest.strip_prefix(key.as_bytes()).ok_or("it holds other shadows")?;
        let (sizes, mut rest) = rest.split_at_checked(24).ok_or("it is too short")?;
        let size = |i: usize| {
            let bytes: [u8; 8] = sizes[8 * i..][..8].try_into().expect("8 bytes");
            usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| "it is too large")
        };
        let (shadows, clips, population) = (size(0)?, size(1)?, size(2)?);
        let mut take = |n: usize| {
            let (taken, left) = rest.split_at_checked(n).ok_or("it is too short")?;
            rest = left;
            Ok(taken)
        };
        let rows: Vec<Vec<bool>> =
            (0..shadows).map(|_| Ok(take(clips)?.iter().map(|b| *b == 1).collect())).collect::<Result<_, _>>()?;
        let mut numbers = |n: usize| -> Result<Vec<f64>, &'static str> {
            let of = |b: &[u8]| f64::from_le_bytes(b.try_into().expect("8 bytes"));
            Ok(take(8 * n)?.chunks_exact(8).map(of).collect())
        };
        let scored = (0..shadows).map(|_| numbers(clips)).collect::<Result<_, _>>()?;
        let population = (0..shadows).map(|_| numbers(population)).collect::<Result<_, _>>()?;
        if !rest.is_empty() {
            return Err("it is too long");
        }
        Ok(Self { member: Masks::of_rows(rows), scored, population })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> ShadowLogits {
        let member = Masks::of_rows(vec![vec![true, false, true], vec![false, true, false]]);
        let scored = vec![vec![1.5, -0.25, f64::MIN_POSITIVE], vec![0.0, 2.0, -3.0]];
        ShadowLogits { member, scored, population: vec![vec![7.0], vec![8.0]] }
    }

    #[test]
    fn shadows_come_back_to_the_bit_and_only_under_their_key() {
        let folder = std::env::temp_dir().join(format!("sottovoce-shadows-{}", std::process::id()));
        let (key, other) = (Digest::of(b"one"), Digest::of(b"two"));
        assert!(ShadowLogits::read(&folder, key).unwrap().is_none());
        some().write(&folder, key).unwrap();
        assert_eq!(ShadowLogits::read(&folder, key).unwrap().unwrap(), some());
        // A file of other shadows under this name.
        fs::copy(ShadowLogits::file(&folder, key), ShadowLogits::file(&folder, other)).unwrap();
        let error = ShadowLogits::read(&folder, other).unwrap_err().to_string();
        assert!(error.contains("other shadows") && error.contains("delete it"), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn every_changed_byte_and_every_missing_one_is_refused() {
        let key = Digest::of(b"one");
        let bytes = some().to_bytes(key);
        for i in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[i] ^= 1;
            assert!(ShadowLogits::from_bytes(&bad, key).is_err(), "byte {i}");
            assert!(ShadowLogits::from_bytes(&bytes[..i], key).is_err(), "{i} bytes");
        }
        // A digest that fits sizes that do not.
        let mut bad = bytes[..bytes.len() - 32].to_vec();
        bad[56] = 3;
        let digest = Digest::of(&bad);
        bad.extend_from_slice(digest.as_bytes());
        assert_eq!(ShadowLogits::from_bytes(&bad, key), Err("it is too short"));
    }
}
