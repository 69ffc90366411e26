//! The federation's manifest on disk.
use std::path::{Path, PathBuf};

use sottovoce_round::Manifest;

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
