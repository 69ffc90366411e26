//! The attributes of `/`: what a cache was made from.
use std::path::Path;

use hdf5::types::VarLenUnicode;
use serde_json::Value;
use sottovoce_types::{Digest, FeatureSpec};

use super::index::text;
use super::{CacheError, CacheInfo, FORMAT, FORMAT_VERSION, hdf5_error};

pub(super) fn write(file: &hdf5::File, info: &CacheInfo) -> hdf5::Result<()> {
    for (name, value) in [
        ("format", FORMAT),
        ("features", json(&info.features).to_string().as_str()),
        ("features_digest", &info.features.digest().to_string()),
        ("corpus", info.kind.name()),
        ("label_source", info.label_source.name()),
    ] {
        file.new_attr::<VarLenUnicode>().create(name)?.write_scalar(&text(value))?;
    }
    file.new_attr::<u32>().create("format_version")?.write_scalar(&FORMAT_VERSION)?;
    file.new_attr::<bool>().create("synthetic")?.write_scalar(&info.synthetic)
}

/// What the cache was made from.
pub(super) fn read(file: &hdf5::File, path: &Path) -> Result<CacheInfo, CacheError> {
    let string = |name: &str| file.attr(name).and_then(|a| a.read_scalar::<VarLenUnicode>()).ok();
    if string("format").is_none_or(|f| f.as_str() != FORMAT) {
        let why = "it has no attribute `format` that says so";
        return Err(CacheError::NotACache { path: path.to_owned(), why });
    }
    let found = file.attr("format_version").and_then(|a| a.read_scalar::<u32>());
    let found = found.map_err(|e| hdf5_error(path, "read the attribute format_version", &e))?;
    if found != FORMAT_VERSION {
        return Err(CacheError::Version { path: path.to_owned(), found });
    }
    let damaged = |what| CacheError::Damaged { path: path.to_owned(), what };
    let features = string("features").and_then(|t| serde_json::from_str::<FeatureSpec>(t.as_str()).ok());
    let features = features.ok_or_else(|| damaged("the attribute `features` is no feature spec"))?;
    if string("features_digest").is_none_or(|d| Digest::from_hex(d.as_str()) != Some(features.digest())) {
        return Err(CacheError::OtherFrontEnd { path: path.to_owned() });
    }
    let kind = string("corpus").and_then(|t| t.as_str().parse().ok());
    let label_source = string("label_source").and_then(|t| t.as_str().parse().ok());
    let synthetic = file.attr("synthetic").and_then(|a| a.read_scalar::<bool>()).ok();
    Ok(CacheInfo {
        features,
        kind: kind.ok_or_else(|| damaged("the attribute `corpus` names no corpus"))?,
        label_source: label_source.ok_or_else(|| damaged("the attribute `label_source` names none"))?,
        synthetic: synthetic.ok_or_else(|| damaged("the attribute `synthetic` is missing"))?,
    })
}

/// `Err` names the first key, in alphabetical order, whose values differ; the convention first, since it brings the others along.
pub(super) fn same_spec(path: &Path, cached: &FeatureSpec, wanted: &FeatureSpec) -> Result<(), CacheError> {
    if cached == wanted {
        return Ok(());
    }
    let (cached, wanted) = (json(cached), json(wanted));
    let keys =
        std::iter::once("convention").chain(cached.as_object().into_iter().flat_map(|m| m.keys().map(String::as_str)));
    let key = keys.into_iter().find(|key| cached[*key] != wanted[*key]).unwrap_or_default();
    Err(CacheError::OtherSpec {
        path: path.to_owned(),
        key: format!("features.{key}"),
        cached: shown(&cached[key]),
        wanted: shown(&wanted[key]),
    })
}

/// As a config has it.
fn shown(value: &Value) -> String {
    if value.is_null() { "\"none\"".to_owned() } else { value.to_string() }
}

fn json(features: &FeatureSpec) -> Value {
    serde_json::to_value(features).expect("a spec is plain numbers and words and always has JSON")
}
