//! The feature cache: one HDF5 file that h5py and HDFView open.
//!
//! | where | what |
//! |---|---|
//! | `/mfcc` | float32 `[total_frames, n_mfcc]`, the frames of all utterances one after another |
//! | `/index/offset`, `/index/frames` | uint64 `[n]`: utterance i is rows offset..offset + frames |
//! | `/index/label`, `speaker`, `sex`, `path`, `sha256` | strings `[n]`; `sex` is empty where the corpus states none |
//! | attributes of `/` | `format`, `format_version`, `features` (JSON), `features_digest`, `options` (JSON), `corpus`, `labelling`, `synthetic` |
//!
//! A cache is replaced by rename after it is whole and on disk, so a crash leaves the old one. HDF5 calls are serialised
//! by the `hdf5` crate's own lock.
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use hdf5::types::VarLenUnicode;
use serde::Serialize;
use sottovoce_types::{Annotation, Digest, Emotion, FeatureSpec, Sex, Utterance};

use crate::{CorpusKind, ExtractOptions};

/// The value of the attribute `format`.
pub const FORMAT: &str = "sottovoce-features";
/// The value of the attribute `format_version`.
pub const FORMAT_VERSION: u32 = 1;
/// Which labels the cache holds: the emotion that the actor was asked for.
pub const LABELLING: &str = "intended";

/// What a cache was made from, and how.
#[derive(Clone, PartialEq, Debug)]
pub struct CacheInfo {
    /// The feature spec.
    pub features: FeatureSpec,
    /// What was done to the audio before it.
    pub options: ExtractOptions,
    /// The corpus.
    pub kind: CorpusKind,
    /// Whether the corpus is synthesised: then nothing measured on it is about human speech.
    pub synthetic: bool,
}

/// A cache that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum CacheError {
    #[error("{path}: the cache is damaged: {what}; delete it and extract again")]
    Damaged { path: PathBuf, what: &'static str },
    #[error("{path}: HDF5 could not {action}: {reason}")]
    Hdf5 { path: PathBuf, action: &'static str, reason: String },
    #[error("{path}: could not {action}: {source}")]
    Io {
        path: PathBuf,
        action: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("{path}: is not a Sottovoce feature cache ({why}); name a file made by `sottovoce extract`")]
    NotACache { path: PathBuf, why: &'static str },
    #[error(
        "{path}: was made with {key} = {cached} and {key} = {wanted} is asked for; \
         extract again, or set {key} = {cached}"
    )]
    OtherSpec { path: PathBuf, key: String, cached: String, wanted: String },
    #[error(
        "{path}: is a cache of format version {found}, and this program reads version {FORMAT_VERSION}; extract again"
    )]
    Version { path: PathBuf, found: u32 },
    #[error("{path}: utterance {utterance} has {found} coefficients a frame and the spec says {wanted}")]
    Width { path: PathBuf, utterance: String, found: usize, wanted: usize },
}

/// Writes a cache of `utterances`, replacing `path` only when the new file is whole and on disk (temporary file beside
/// it, fsync, rename, fsync of the folder).
///
/// # Errors
/// [`CacheError`] if the disk or HDF5 refuses, or if an utterance does not have the spec's width; `path` is then as it was.
pub fn write(path: &Path, info: &CacheInfo, utterances: &[Utterance]) -> Result<(), CacheError> {
    let wanted = usize::from(info.features.n_mfcc);
    if let Some(u) = utterances.iter().find(|u| u.width != wanted || !u.mfcc.len().is_multiple_of(wanted)) {
        let (path, utterance) = (path.to_owned(), u.path.clone());
        return Err(CacheError::Width { path, utterance, found: u.width, wanted });
    }
    let io = |action| move |source| CacheError::Io { path: path.to_owned(), action, source };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(io("make its folder"))?;
    let temporary = Temporary::beside(path, folder);
    fill(&temporary.0, info, utterances).map_err(|e| hdf5_error(path, "write the new cache", &e))?;
    fs::File::open(&temporary.0).and_then(|f| f.sync_all()).map_err(io("flush the new cache to disk"))?;
    fs::rename(&temporary.0, path).map_err(io("replace the cache"))?;
    // The rename itself must survive a power cut.
    fs::File::open(folder).and_then(|f| f.sync_all()).map_err(io("flush its folder to disk"))
}

/// Reads a cache made with exactly `features` and `options`.
///
/// # Errors
/// [`CacheError::OtherSpec`] naming the first key that differs and both values; otherwise as [`read_any`].
pub fn read(
    path: &Path,
    features: &FeatureSpec,
    options: &ExtractOptions,
) -> Result<(CacheInfo, Vec<Utterance>), CacheError> {
    let found = info(path)?;
    same_keys(path, "features", &found.features, features)?;
    same_keys(path, "options", &found.options, options)?;
    read_any(path)
}

/// Reads a cache whatever its spec.
///
/// # Errors
/// [`CacheError`] if the file is not a cache, is of another version, or is damaged.
pub fn read_any(path: &Path) -> Result<(CacheInfo, Vec<Utterance>), CacheError> {
    let (file, info) = open(path)?;
    let damaged = |what| CacheError::Damaged { path: path.to_owned(), what };
    let columns = Columns::load(&file).map_err(|e| hdf5_error(path, "read the index", &e))?;
    let mfcc = file.dataset("mfcc").map_err(|e| hdf5_error(path, "open /mfcc", &e))?;
    let n_mfcc = usize::from(info.features.n_mfcc);
    if mfcc.shape().get(1) != Some(&n_mfcc) {
        return Err(damaged("/mfcc does not have n_mfcc columns"));
    }
    let mfcc = mfcc.read_raw::<f32>().map_err(|e| hdf5_error(path, "read /mfcc", &e))?;
    let utterances = columns.utterances(&mfcc, n_mfcc).map_err(damaged)?;
    Ok((info, utterances))
}

/// Reads only what a cache was made from.
///
/// # Errors
/// As [`read_any`].
pub fn info(path: &Path) -> Result<CacheInfo, CacheError> {
    open(path).map(|(_, info)| info)
}

/// A file that is removed unless it was renamed away.
struct Temporary(PathBuf);

impl Temporary {
    fn beside(path: &Path, folder: &Path) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(folder.join(format!(".{name}.{}.{count}.tmp", std::process::id())))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After the rename there is nothing to remove; after a failure a left-over does no harm.
        let _ = fs::remove_file(&self.0);
    }
}

fn hdf5_error(path: &Path, action: &'static str, error: &hdf5::Error) -> CacheError {
    CacheError::Hdf5 { path: path.to_owned(), action, reason: error.to_string() }
}

fn fill(path: &Path, info: &CacheInfo, utterances: &[Utterance]) -> hdf5::Result<()> {
    let file = hdf5::File::create(path)?;
    let json = |text: serde_json::Result<String>| text.expect("specs are plain numbers and always have JSON");
    for (name, value) in [
        ("format", FORMAT),
        ("features", &json(serde_json::to_string(&info.features))),
        ("features_digest", &info.features.digest().to_string()),
        ("options", &json(serde_json::to_string(&info.options))),
        ("corpus", info.kind.name()),
        ("labelling", LABELLING),
    ] {
        file.new_attr::<VarLenUnicode>().create(name)?.write_scalar(&text(value))?;
    }
    file.new_attr::<u32>().create("format_version")?.write_scalar(&FORMAT_VERSION)?;
    file.new_attr::<bool>().create("synthetic")?.write_scalar(&info.synthetic)?;

    let n_mfcc = usize::from(info.features.n_mfcc);
    let mfcc: Vec<f32> = utterances.iter().flat_map(|u| u.mfcc.iter().copied()).collect();
    file.new_dataset::<f32>().shape((mfcc.len() / n_mfcc, n_mfcc)).create("mfcc")?.write_raw(&mfcc)?;

    let index = file.create_group("index")?;
    let frames: Vec<u64> = utterances.iter().map(|u| u.frames() as u64).collect();
    let offsets: Vec<u64> = frames.iter().scan(0, |next, f| Some(std::mem::replace(next, *next + f))).collect();
    for (name, numbers) in [("offset", &offsets), ("frames", &frames)] {
        index.new_dataset::<u64>().shape(numbers.len()).create(name)?.write_raw(numbers)?;
    }
    let column = |name: &str, value: fn(&Utterance) -> String| {
        let strings: Vec<VarLenUnicode> = utterances.iter().map(|u| text(&value(u))).collect();
        index.new_dataset::<VarLenUnicode>().shape(strings.len()).create(name)?.write_raw(&strings)
    };
    column("label", |u| u.annotation.emotion.name().to_owned())?;
    column("speaker", |u| u.annotation.speaker.clone())?;
    column("sex", |u| u.annotation.sex.map_or("", sex_name).to_owned())?;
    column("path", |u| u.path.clone())?;
    column("sha256", |u| u.sha256.to_string())?;
    file.flush()?;
    file.close()
}

/// HDF5 strings end at the first NUL, which no file name or speaker has; one that had would be cut there.
fn text(value: &str) -> VarLenUnicode {
    let until_nul = value.split('\0').next().unwrap_or_default();
    until_nul.parse().expect("a string without NUL is a valid HDF5 string")
}

fn sex_name(sex: Sex) -> &'static str {
    match sex {
        Sex::Female => "female",
        Sex::Male => "male",
    }
}

fn open(path: &Path) -> Result<(hdf5::File, CacheInfo), CacheError> {
    let not_a_cache = |why| CacheError::NotACache { path: path.to_owned(), why };
    fs::metadata(path).map_err(|source| CacheError::Io { path: path.to_owned(), action: "open the cache", source })?;
    let file = hdf5::File::open(path).map_err(|_| not_a_cache("it is not a whole HDF5 file"))?;
    let string = |name: &str| file.attr(name).and_then(|a| a.read_scalar::<VarLenUnicode>()).ok();
    if string("format").is_none_or(|f| f.as_str() != FORMAT) {
        return Err(not_a_cache("it has no attribute `format` that says so"));
    }
    let found = file.attr("format_version").and_then(|a| a.read_scalar::<u32>());
    let found = found.map_err(|e| hdf5_error(path, "read the attribute format_version", &e))?;
    if found != FORMAT_VERSION {
        return Err(CacheError::Version { path: path.to_owned(), found });
    }
    let damaged = |what| CacheError::Damaged { path: path.to_owned(), what };
    let features = string("features").and_then(|t| serde_json::from_str::<FeatureSpec>(t.as_str()).ok());
    let features = features.ok_or_else(|| damaged("the attribute `features` is no feature spec"))?;
    let options = string("options").and_then(|t| serde_json::from_str(t.as_str()).ok());
    let kind = string("corpus").and_then(|t| t.as_str().parse().ok());
    let synthetic = file.attr("synthetic").and_then(|a| a.read_scalar::<bool>()).ok();
    if string("features_digest").is_none_or(|d| Digest::from_hex(d.as_str()) != Some(features.digest())) {
        return Err(damaged("the attributes `features` and `features_digest` disagree"));
    }
    let info = CacheInfo {
        features,
        options: options.ok_or_else(|| damaged("the attribute `options` cannot be read"))?,
        kind: kind.ok_or_else(|| damaged("the attribute `corpus` names no corpus"))?,
        synthetic: synthetic.ok_or_else(|| damaged("the attribute `synthetic` is missing"))?,
    };
    Ok((file, info))
}

/// `Err` names the first key, in alphabetical order, whose values differ.
fn same_keys<T: Serialize + PartialEq>(path: &Path, section: &str, cached: &T, wanted: &T) -> Result<(), CacheError> {
    if cached == wanted {
        return Ok(());
    }
    let values = |spec: &T| serde_json::to_value(spec).expect("specs are plain numbers and always have JSON");
    let (cached, wanted) = (values(cached), values(wanted));
    let keys = cached.as_object().into_iter().flat_map(|map| map.keys());
    let key = keys.into_iter().find(|key| cached[key.as_str()] != wanted[key.as_str()]).map_or("", |key| key);
    Err(CacheError::OtherSpec {
        path: path.to_owned(),
        key: format!("{section}.{key}"),
        cached: cached[key].to_string(),
        wanted: wanted[key].to_string(),
    })
}

/// `/index` as read, before anything in it is believed.
struct Columns {
    offset: Vec<u64>,
    frames: Vec<u64>,
    strings: [Vec<VarLenUnicode>; 5],
}

impl Columns {
    fn load(file: &hdf5::File) -> hdf5::Result<Self> {
        let index = file.group("index")?;
        let strings = |name: &str| index.dataset(name)?.read_raw::<VarLenUnicode>();
        Ok(Self {
            offset: index.dataset("offset")?.read_raw()?,
            frames: index.dataset("frames")?.read_raw()?,
            strings: [strings("label")?, strings("speaker")?, strings("sex")?, strings("path")?, strings("sha256")?],
        })
    }

    fn utterances(&self, mfcc: &[f32], n_mfcc: usize) -> Result<Vec<Utterance>, &'static str> {
        let n = self.offset.len();
        if self.frames.len() != n || self.strings.iter().any(|column| column.len() != n) {
            return Err("the columns of /index have different lengths");
        }
        (0..n).map(|i| self.utterance(i, mfcc, n_mfcc)).collect()
    }

    fn utterance(&self, i: usize, mfcc: &[f32], n_mfcc: usize) -> Result<Utterance, &'static str> {
        let [label, speaker, sex, path, sha256] = [0, 1, 2, 3, 4].map(|c| self.strings[c][i].as_str());
        let scaled = |rows: u64| usize::try_from(rows).ok()?.checked_mul(n_mfcc);
        let (start, len) = (scaled(self.offset[i]), scaled(self.frames[i]));
        let end = start.zip(len).and_then(|(start, len)| start.checked_add(len));
        let rows = start.zip(end).and_then(|(start, end)| mfcc.get(start..end));
        Ok(Utterance {
            path: path.to_owned(),
            annotation: Annotation {
                sex: match sex {
                    "" => None,
                    "female" => Some(Sex::Female),
                    "male" => Some(Sex::Male),
                    _ => return Err("/index/sex holds a word that is neither female nor male"),
                },
                ..Annotation::new(
                    speaker,
                    label.parse::<Emotion>().map_err(|_| "/index/label holds a word that names no emotion")?,
                )
            },
            sha256: Digest::from_hex(sha256).ok_or("/index/sha256 holds no SHA-256")?,
            width: n_mfcc,
            mfcc: rows.ok_or("/index points outside /mfcc")?.to_vec(),
        })
    }
}
