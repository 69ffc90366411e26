//! The block before the HDF5 data that says what follows it.
//!
//! HDF5's own library crashes on some damaged files, so nothing of a cache is given to it before a digest of the whole file holds.
//! The block is HDF5's "user block": every HDF5 reader skips it.
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use sottovoce_types::Digest;

use super::{CacheError, FORMAT_VERSION};

/// The smallest user block that HDF5 allows.
pub(super) const BLOCK: u64 = 512;
const FIRST_LINE: &str = "Sottovoce feature cache, format ";
const SECOND_LINE: &str = "SHA-256 of what follows these 512 bytes: ";

/// Writes the block into a file that was closed with one.
pub(super) fn put(path: &Path) -> std::io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    file.seek(SeekFrom::Start(BLOCK))?;
    let digest = Digest::of_reader(&file)?;
    let mut block = format!("{FIRST_LINE}{FORMAT_VERSION}\n{SECOND_LINE}{digest}\n").into_bytes();
    block.resize(BLOCK as usize, 0);
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&block)
}

/// Whether the file is a cache of this version and as it was written.
pub(super) fn check(path: &Path) -> Result<(), CacheError> {
    let io = |source| CacheError::Io { path: path.to_owned(), action: "open the cache", source };
    let not_a_cache = |why| CacheError::NotACache { path: path.to_owned(), why };
    let mut file = File::open(path).map_err(io)?;
    let mut block = Vec::new();
    (&mut file).take(BLOCK).read_to_end(&mut block).map_err(io)?;
    let text = std::str::from_utf8(&block).unwrap_or_default();
    let mut lines = text.lines();
    let Some(version) = lines.next().and_then(|line| line.strip_prefix(FIRST_LINE)) else {
        let hdf5 = block.starts_with(b"\x89HDF\r\n\x1a\n");
        return Err(not_a_cache(if hdf5 {
            "it is an HDF5 file without our seal: of an older version, to be deleted and extracted again, or of something else"
        } else {
            "it does not begin as one"
        }));
    };
    let version: u32 = version.parse().map_err(|_| not_a_cache("its first line names no version"))?;
    if version != FORMAT_VERSION {
        return Err(CacheError::Version { path: path.to_owned(), found: version });
    }
    let stated = lines.next().and_then(|line| line.strip_prefix(SECOND_LINE)).and_then(Digest::from_hex);
    if stated == Some(Digest::of_reader(&file).map_err(io)?) {
        Ok(())
    } else {
        let what = "it does not have the SHA-256 that its first 512 bytes say";
        Err(CacheError::Damaged { path: path.to_owned(), what })
    }
}
