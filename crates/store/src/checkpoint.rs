//! Checkpoints: parameters as safetensors, with the digest that they are checked against.
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};
use sottovoce_types::{Digest, FlatParams, ModelSpec, ParamEntry, ParamLayout};

use crate::{Disk, SystemDisk, durable};

/// The one key of the file's metadata. One only, since safetensors keeps them in a hash map: with more, the same model
/// would not give the same file twice.
const KEY: &str = "sottovoce";

/// What a checkpoint says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CheckpointInfo {
    /// Its model hash ([`FlatParams::digest`]); set when it is saved.
    pub model_sha256: Digest,
    /// Its architecture, where the writer knew it.
    pub model: Option<ModelSpec>,
    /// The round after which it was published; 0 for the initial model.
    pub round: Option<u64>,
    /// Anything else, for example the classes' names.
    #[serde(default)]
    pub extra: BTreeMap<String, String>,
}

/// A checkpoint that was read and whose digest was checked.
#[derive(Clone, PartialEq, Debug)]
pub struct Checkpoint {
    /// The parameters.
    pub params: FlatParams,
    /// What it says of itself.
    pub info: CheckpointInfo,
}

/// Why a checkpoint cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Its values are not those that were saved.
    #[error("{path} is damaged: its values hash to {found}, it was saved as {expected}; restore it from a copy")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The digest in its metadata.
        expected: Digest,
        /// The digest of its values.
        found: Digest,
    },
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no safetensors file, or was cut off.
    #[error("{path} is no whole safetensors file: {source}")]
    NotSafetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: safetensors::SafeTensorError,
    },
    /// It was not written by Sottovoce, or its metadata was lost.
    #[error(
        "{path} carries no Sottovoce metadata: only a checkpoint that names its own digest can be checked and is loaded"
    )]
    NoMetadata {
        /// The file.
        path: PathBuf,
    },
    /// It does not say what architecture it is of.
    #[error("{path} does not say what architecture it is of; load it with the layout of the model that it belongs to")]
    NoModelSpec {
        /// The file.
        path: PathBuf,
    },
    /// A tensor is not the one that the model has.
    #[error("{path}: tensor {tensor} should be f32 {expected:?} and is {found}; it is a checkpoint of another model")]
    OtherTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Shape in the layout.
        expected: Vec<usize>,
        /// What is there.
        found: Found,
    },
    /// It has a tensor that the model does not have.
    #[error("{path}: the model has no tensor {tensor}; it is a checkpoint of another model")]
    UnknownTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
}

/// What stands in the place of an expected tensor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A tensor of another type or shape.
    Tensor {
        /// Its type, as safetensors names it.
        dtype: &'static str,
        /// Its shape.
        shape: Vec<usize>,
    },
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => f.write_str("missing"),
            Self::Tensor { dtype, shape } => write!(f, "{dtype} {shape:?}"),
        }
    }
}

/// One tensor's bytes, little-endian.
struct Tensor<'a> {
    shape: &'a [usize],
    bytes: Vec<u8>,
}

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Writes a checkpoint so that after a crash it is there whole or not at all; `info.model_sha256` is set to the
/// parameters' digest. The same parameters and info give the same bytes.
///
/// # Errors
/// [`CheckpointError::Io`]; [`CheckpointError::NotSafetensors`] when the layout cannot be written as one (two tensors of one
/// name).
pub fn save_checkpoint(
    path: impl AsRef<Path>,
    params: &FlatParams,
    info: &CheckpointInfo,
) -> Result<(), CheckpointError> {
    save_on(&SystemDisk, path.as_ref(), params, info)
}

pub(crate) fn save_on(
    disk: &dyn Disk,
    path: &Path,
    params: &FlatParams,
    info: &CheckpointInfo,
) -> Result<(), CheckpointError> {
    let info = CheckpointInfo { model_sha256: params.digest(), ..info.clone() };
    let json = serde_json::to_string(&info).expect("digests, numbers and strings are always JSON");
    let tensors = params.layout().entries().iter().map(|entry| {
        let values = &params.values()[entry.offset..entry.offset + entry.len()];
        (
            entry.path.as_str(),
            Tensor { shape: &entry.shape, bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect() },
        )
    });
    let metadata = HashMap::from([(KEY.to_owned(), json)]);
    let bytes = safetensors::serialize(tensors, Some(metadata))
        .map_err(|source| CheckpointError::NotSafetensors { path: path.to_owned(), source })?;
    durable::write(disk, path, &bytes).map_err(|source| CheckpointError::Io { path: path.to_owned(), source })
}

/// Reads a checkpoint of a model whose layout is known, and checks its digest.
///
/// # Errors
/// [`CheckpointError`] when it cannot be read, is of another layout, or is damaged.
pub fn load_checkpoint(path: impl AsRef<Path>, layout: &Arc<ParamLayout>) -> Result<Checkpoint, CheckpointError> {
    let path = path.as_ref();
    let bytes = read(path)?;
    let (info, tensors) = open(path, &bytes)?;
    parameters(path, info, &tensors, layout)
}

/// Reads a checkpoint that says what architecture it is of, and checks its digest.
///
/// # Errors
/// [`CheckpointError::NoModelSpec`] when it does not say; otherwise as [`load_checkpoint`].
pub fn read_checkpoint(path: impl AsRef<Path>) -> Result<Checkpoint, CheckpointError> {
    let path = path.as_ref();
    let bytes = read(path)?;
    let (info, tensors) = open(path, &bytes)?;
    let model = info.model.as_ref().ok_or_else(|| CheckpointError::NoModelSpec { path: path.to_owned() })?;
    let layout = Arc::new(model.layout());
    parameters(path, info, &tensors, &layout)
}

fn read(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    fs::read(path).map_err(|source| CheckpointError::Io { path: path.to_owned(), source })
}

fn open<'a>(path: &Path, bytes: &'a [u8]) -> Result<(CheckpointInfo, SafeTensors<'a>), CheckpointError> {
    let not_safetensors = |source| CheckpointError::NotSafetensors { path: path.to_owned(), source };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(not_safetensors)?;
    let json = header.metadata().as_ref().and_then(|m| m.get(KEY));
    let info = json.and_then(|json| serde_json::from_str(json).ok());
    let info = info.ok_or_else(|| CheckpointError::NoMetadata { path: path.to_owned() })?;
    Ok((info, SafeTensors::deserialize(bytes).map_err(not_safetensors)?))
}

fn parameters(
    path: &Path,
    info: CheckpointInfo,
    tensors: &SafeTensors<'_>,
    layout: &Arc<ParamLayout>,
) -> Result<Checkpoint, CheckpointError> {
    let known: BTreeSet<&str> = layout.entries().iter().map(|e| e.path.as_str()).collect();
    let mut names = tensors.names();
    names.sort_unstable(); // The same file gives the same error every time.
    if let Some(tensor) = names.into_iter().find(|name| !known.contains(name)) {
        return Err(CheckpointError::UnknownTensor { path: path.to_owned(), tensor: tensor.to_owned() });
    }
    let mut values = Vec::with_capacity(layout.len());
    for entry in layout.entries() {
        values.extend(tensor(path, entry, tensors)?);
    }
    let params = FlatParams::new(Arc::clone(layout), values).expect("each tensor has the length of its entry");
    let found = params.digest();
    if found != info.model_sha256 {
        return Err(CheckpointError::Damaged { path: path.to_owned(), expected: info.model_sha256, found });
    }
    Ok(Checkpoint { params, info })
}

fn tensor(path: &Path, entry: &ParamEntry, tensors: &SafeTensors<'_>) -> Result<Vec<f32>, CheckpointError> {
    let other = |found| CheckpointError::OtherTensor {
        path: path.to_owned(),
        tensor: entry.path.clone(),
        expected: entry.shape.clone(),
        found,
    };
    let view = tensors.tensor(&entry.path).map_err(|_| other(Found::Nothing))?;
    if view.dtype() != Dtype::F32 || view.shape() != entry.shape {
        let dtype = if view.dtype() == Dtype::F32 { "f32" } else { "another type" };
        return Err(other(Found::Tensor { dtype, shape: view.shape().to_vec() }));
    }
    let four = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("chunks of four"));
    Ok(view.data().chunks_exact(4).map(four).collect())
}
