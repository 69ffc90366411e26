//! Files of a corpus: listing them, and reading each by its name.
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sottovoce_types::Annotation;

use super::counts::Tally;
use super::{Clip, CorpusKind, LabelSource, Scan, ScanError, SkipReason, Skipped};
use crate::synth;

/// What the name of a recording says.
pub(super) struct Reading {
    /// The same for every copy of the recording, whatever its folder and extension.
    pub(super) id: String,
    pub(super) annotation: Annotation,
}

/// A scan of nothing yet.
pub(super) fn empty(kind: CorpusKind, label_source: LabelSource, root: &Path) -> Scan {
    let synthetic = [Some(root), root.parent()].into_iter().flatten().any(synth::is_synthetic);
    Scan { kind, synthetic, label_source, clips: Vec::new(), skipped: Vec::new() }
}

/// Reads all `files` under `root` by `read` into `scan`; the second of two recordings of one id is a duplicate.
pub(super) fn gather(
    scan: &mut Scan,
    root: &Path,
    files: Vec<PathBuf>,
    read: impl Fn(&Path) -> Result<Reading, SkipReason>,
) {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for path in files {
        let name = name_in(root, &path);
        let reading = hidden_or_not_audio(&path).and_then(|()| read(&path)).and_then(|r| match seen.get(&r.id) {
            Some(first) => Err(SkipReason::Duplicate(first.clone())),
            None => Ok(r),
        });
        match reading {
            Ok(Reading { id, annotation }) => {
                seen.insert(id, name.clone());
                scan.clips.push(Clip { path, name, annotation });
            }
            Err(reason) => scan.skipped.push(Skipped { path, reason }),
        }
    }
}

/// The scan, unless nothing in it can be used: then the error that says why not.
pub(super) fn not_empty(scan: Scan, path: &Path) -> Result<Scan, ScanError> {
    if scan.clips.is_empty() {
        let reasons = Tally::of(&scan.skipped);
        let first = scan.skipped.into_iter().next().map(|s| Box::new(s.reason));
        return Err(ScanError::NoClips { path: path.to_owned(), kind: scan.kind, reasons, first });
    }
    Ok(scan)
}

/// [`gather`] for corpora whose names say everything, labelled as the actors were asked.
pub(super) fn by_name(
    kind: CorpusKind,
    root: &Path,
    read: impl Fn(&Path) -> Result<Reading, SkipReason>,
) -> Result<Scan, ScanError> {
    let mut scan = empty(kind, LabelSource::Intended, root);
    gather(&mut scan, root, recordings(root, &[])?, read);
    not_empty(scan, root)
}

/// All files under `root` but its documentation and the files in `own`, which the corpus ships beside its recordings.
pub(super) fn recordings(root: &Path, own: &[&str]) -> Result<Vec<PathBuf>, ScanError> {
    let mut files = walk(root)?;
    files.retain(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let documentation = ["readme", "license", "licence"].iter().any(|d| name.split('.').next() == Some(d));
        let ours = documentation || own.iter().any(|o| name.eq_ignore_ascii_case(o));
        !(ours && file.parent() == Some(root))
    });
    Ok(files)
}

/// The folder `name` in `path`, or in the only folder of `path` that has one.
pub(super) fn folder_named(path: &Path, name: &str) -> Option<PathBuf> {
    let here = path.join(name);
    if here.is_dir() {
        return Some(here);
    }
    let inside = std::fs::read_dir(path).ok()?.filter_map(Result::ok).map(|e| e.path().join(name));
    let mut found: Vec<PathBuf> = inside.filter(|f| f.is_dir()).collect();
    // Of several, none is the corpus: then the whole path is read, so that nothing goes unlisted.
    if found.len() == 1 { found.pop() } else { None }
}

/// The place of `path` inside `root`, with `/` between folders.
pub(super) fn name_in(root: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(root).unwrap_or(path);
    inside.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

pub(super) fn hidden_or_not_audio(path: &Path) -> Result<(), SkipReason> {
    if path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.')) {
        return Err(SkipReason::Hidden);
    }
    if !path.is_file() {
        return Err(SkipReason::NotAFile);
    }
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    match extension.as_deref() {
        Some("wav" | "flac") => Ok(()),
        _ => Err(SkipReason::NotAudio),
    }
}

pub(super) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Name of the folder that a file lies in.
pub(super) fn folder(path: &Path) -> String {
    path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned()
}

/// All files under `root`, sorted, so that every machine sees one order.
pub(super) fn walk(root: &Path) -> Result<Vec<PathBuf>, ScanError> {
    fn descend(folder: &Path, seen: &mut BTreeSet<PathBuf>, out: &mut Vec<PathBuf>) -> Result<(), ScanError> {
        // Files of a folder that cannot be listed would be missing without a trace: that is an error, not a skip.
        let io = |source| ScanError::Io { path: folder.to_owned(), source };
        // A link to a folder that was walked already, a parent perhaps, ends here.
        if !seen.insert(folder.canonicalize().map_err(io)?) {
            return Ok(());
        }
        let mut paths =
            std::fs::read_dir(folder).map_err(io)?.map(|e| Ok(e?.path())).collect::<Result<Vec<_>, _>>().map_err(io)?;
        // Of a folder and a link to it, the same one is walked on every machine.
        paths.sort_by_key(|p| (p.is_symlink(), p.clone()));
        for path in paths {
            if path.is_dir() {
                descend(&path, seen, out)?;
            } else {
                out.push(path);
            }
        }
        Ok(())
    }
    let mut out = Vec::new();
    descend(root, &mut BTreeSet::new(), &mut out)?;
    out.sort();
    Ok(out)
}
