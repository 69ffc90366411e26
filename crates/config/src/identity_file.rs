//! A party's private identity key on disk: 64 hexadecimal digits of an Ed25519 seed, readable by its owner alone.
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rand_core::CryptoRng;
use sottovoce_secagg::Identity;
use zeroize::Zeroizing;

/// Why an identity cannot be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityFileError {
    /// There is one already.
    #[error("{path} exists already: an identity is never overwritten, move it away first if it is no longer used")]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// Others can read it.
    #[error("{path} can be read by others (mode {mode:o}): `chmod 600` it; if others had access, make a new identity")]
    Exposed {
        /// Where.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is no identity.
    #[error("{path} is no identity key: 64 hexadecimal digits, as `sottovoce cert init` writes them")]
    Malformed {
        /// Where.
        path: PathBuf,
    },
    /// It cannot be read or written.
    #[error("the identity key {path} cannot be read or written (`sottovoce cert init --out {path}` makes one)")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Makes an identity and writes its key, mode 600, synced to disk.
///
/// # Errors
/// [`IdentityFileError`] when the file exists or cannot be written.
pub fn create(path: &Path, rng: &mut impl CryptoRng) -> Result<Identity, IdentityFileError> {
    let io = |source| IdentityFileError::Io { path: path.to_owned(), source };
    let identity = Identity::generate(rng);
    let mut text = Zeroizing::new(String::with_capacity(65));
    for byte in identity.seed().iter() {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(nibble.into(), 16).expect("a nibble is a digit"));
        }
    }
    text.push('\n');
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(io)?;
    }
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(IdentityFileError::Exists { path: path.to_owned() });
        }
        Err(e) => return Err(io(e)),
    };
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    Ok(identity)
}

/// Reads an identity.
///
/// # Errors
/// [`IdentityFileError`] when it is missing, malformed, or readable by others.
pub fn load(path: &Path) -> Result<Identity, IdentityFileError> {
    let io = |source| IdentityFileError::Io { path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(io)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(IdentityFileError::Exposed { path: path.to_owned(), mode });
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(io)?);
    let malformed = || IdentityFileError::Malformed { path: path.to_owned() };
    let digits = text.trim_end().as_bytes();
    if digits.len() != 64 {
        return Err(malformed());
    }
    let mut seed = Zeroizing::new([0u8; 32]);
    for (byte, pair) in seed.iter_mut().zip(digits.chunks_exact(2)) {
        for &digit in pair {
            let value = char::from(digit).to_digit(16).and_then(|v| u8::try_from(v).ok()).ok_or_else(malformed)?;
            *byte = (*byte << 4) | value;
        }
    }
    Ok(Identity::from_seed(*seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_never_overwritten_and_never_read_when_others_can() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        let made = create(&path, &mut rand::rng()).unwrap();
        assert!(matches!(create(&path, &mut rand::rng()), Err(IdentityFileError::Exists { .. })));
        assert_eq!(load(&path).unwrap().public_key(), made.public_key());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(load(&path), Err(IdentityFileError::Exposed { mode: 0o644, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "not a key").unwrap();
        assert!(matches!(load(&path), Err(IdentityFileError::Malformed { .. })));
    }
}
