//! The federation's manifest on disk.
use std::path::{Path, PathBuf};

use sottovoce_round::{Manifest, PublicKey};
use sottovoce_types::Digest;

/// What a party holds against a manifest before it believes it. The file travels by mail or by the coordinator; the pin is
/// what a person compared or was handed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pin {
    /// Its digest, where this very revision is pinned.
    pub sha256: Option<Digest>,
    /// Keys of which every one must have signed it. A later revision that they signed is accepted without a word from anyone.
    pub consortium: Vec<PublicKey>,
}

impl Pin {
    /// Whether it pins nothing.
    pub fn is_empty(&self) -> bool {
        self.sha256.is_none() && self.consortium.is_empty()
    }
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestFileError {
    /// It cannot be read.
    #[error("the manifest {path} cannot be read (`sottovoce cert manifest` makes one)")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is no manifest.
    #[error("the manifest {path} is not valid: {reason}")]
    Malformed {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: Box<toml::de::Error>,
    },
    /// It is another than the pinned one.
    #[error(
        "the manifest {path} has digest {found}, transport.manifest_sha256 pins {pinned}: somebody changed it, or it was \
         revised (`sottovoce cert show {path}` prints what it says; ask the other members before you pin another)"
    )]
    NotThePinned {
        /// Where.
        path: PathBuf,
        /// Its digest.
        found: Digest,
        /// The pinned one.
        pinned: Digest,
    },
    /// One who must have signed it did not.
    #[error(
        "the manifest {path} is not signed by {by}, whom transport.consortium names (`sottovoce cert sign {path} --identity \
         KEY` signs)"
    )]
    NotSigned {
        /// Where.
        path: PathBuf,
        /// Whose signature is missing.
        by: PublicKey,
    },
}

/// Reads and checks a manifest.
///
/// # Errors
/// [`ManifestFileError`] when it is missing, malformed, or lists one identity twice.
pub fn load(path: &Path) -> Result<Manifest, ManifestFileError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ManifestFileError::Io { path: path.to_owned(), source })?;
    toml::from_str(&text)
        .map_err(|reason| ManifestFileError::Malformed { path: path.to_owned(), reason: Box::new(reason) })
}

/// [`load`], and holds it against the pin. An empty pin is met by every manifest.
///
/// # Errors
/// As [`load`]; [`ManifestFileError::NotThePinned`], [`ManifestFileError::NotSigned`].
pub fn load_pinned(path: &Path, pin: &Pin) -> Result<Manifest, ManifestFileError> {
    let manifest = load(path)?;
    let found = manifest.digest();
    if let Some(pinned) = pin.sha256.filter(|pinned| *pinned != found) {
        return Err(ManifestFileError::NotThePinned { path: path.to_owned(), found, pinned });
    }
    match pin.consortium.iter().find(|by| manifest.endorsed_by().all(|signer| signer != **by)) {
        Some(&by) => Err(ManifestFileError::NotSigned { path: path.to_owned(), by }),
        None => Ok(manifest),
    }
}

#[cfg(test)]
mod tests {
    use sottovoce_round::Member;
    use sottovoce_secagg::Identity;

    use super::*;

    #[test]
    fn claim_a_manifest_that_is_not_the_pinned_one_or_not_signed_by_all_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manifest.toml");
        let [one, two] = [1, 2].map(|i| Identity::from_seed([i; 32]));
        let key = |identity: &Identity| PublicKey(identity.public_key());
        let member = Member { name: "north".into(), public_key: PublicKey([5; 32]), units: 2 };
        let mut manifest = Manifest::new("f".into(), PublicKey([9; 32]), vec![member]).unwrap();
        let write = |manifest: &Manifest| std::fs::write(&path, toml::to_string(manifest).unwrap()).unwrap();
        write(&manifest);

        let by_hash = Pin { sha256: Some(manifest.digest()), ..Pin::default() };
        assert_eq!(load_pinned(&path, &by_hash).unwrap(), manifest);
        let another = Pin { sha256: Some(Digest::of(b"another")), ..Pin::default() };
        let refused = load_pinned(&path, &another).unwrap_err();
        assert!(matches!(refused, ManifestFileError::NotThePinned { found, .. } if found == manifest.digest()));

        let both = Pin { sha256: None, consortium: vec![key(&one), key(&two)] };
        manifest.endorse(&one);
        write(&manifest);
        assert!(matches!(load_pinned(&path, &both), Err(ManifestFileError::NotSigned { by, .. }) if by == key(&two)));
        manifest.endorse(&two);
        write(&manifest);
        let read = load_pinned(&path, &both).unwrap();
        assert_eq!(read.endorsed_by().count(), 2);
        assert_eq!(load_pinned(&path, &by_hash).unwrap(), read, "signatures are not part of what is pinned");

        let text = std::fs::read_to_string(&path).unwrap().replace("units = 2", "units = 20");
        std::fs::write(&path, text).unwrap();
        let refused = load_pinned(&path, &Pin::default()).unwrap_err();
        assert!(refused.to_string().contains("changed after it was signed"), "{refused}");
    }
}
