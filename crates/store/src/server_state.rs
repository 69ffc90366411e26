//! What the server carries beside a model, as safetensors with its digest: `f64`, one tensor a vector.
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};
use sottovoce_round::ServerState;
use sottovoce_types::Digest;

use crate::checkpoint::CheckpointError;
use crate::{Disk, durable};

const KEY: &str = "sottovoce";

/// What the file says of itself.
#[derive(Serialize, Deserialize)]
struct Info {
    model_sha256: Digest,
    state_sha256: Digest,
}

struct Vector<'a> {
    shape: [usize; 1],
    values: &'a [f64],
}

impl View for Vector<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F64
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }
    fn data_len(&self) -> usize {
        self.values.len() * 8
    }
}

/// Writes a state so that after a crash it is there whole or not at all.
pub(crate) fn save(disk: &dyn Disk, path: &Path, state: &ServerState) -> Result<(), CheckpointError> {
    let info = Info { model_sha256: state.model(), state_sha256: state.digest() };
    let json = serde_json::to_string(&info).expect("digests are always JSON");
    let vectors = state.vectors().iter();
    let tensors = vectors.map(|(name, values)| (name.as_str(), Vector { shape: [values.len()], values }));
    let bytes = safetensors::serialize(tensors, Some(HashMap::from([(KEY.to_owned(), json)])))
        .map_err(|source| CheckpointError::NotSafetensors { path: path.to_owned(), source })?;
    durable::write(disk, path, &bytes).map_err(|source| CheckpointError::Io { path: path.to_owned(), source })
}

/// Reads a state and checks its digest.
pub(crate) fn load(path: &Path) -> Result<ServerState, CheckpointError> {
    let bytes = fs::read(path).map_err(|source| CheckpointError::Io { path: path.to_owned(), source })?;
    let not_safetensors = |source| CheckpointError::NotSafetensors { path: path.to_owned(), source };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(not_safetensors)?;
    let json = header.metadata().as_ref().and_then(|m| m.get(KEY));
    let info: Option<Info> = json.and_then(|json| serde_json::from_str(json).ok());
    let info = info.ok_or_else(|| CheckpointError::NoMetadata { path: path.to_owned() })?;
    let mut state = ServerState::of(info.model_sha256);
    for (name, tensor) in SafeTensors::deserialize(&bytes).map_err(not_safetensors)?.iter() {
        let eight = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().expect("chunks of eight"));
        // Another type gives another digest below.
        state.keep(name, tensor.data().chunks_exact(8).map(eight).collect());
    }
    let found = state.digest();
    if found != info.state_sha256 {
        return Err(CheckpointError::Damaged { path: path.to_owned(), expected: info.state_sha256, found });
    }
    Ok(state)
}
