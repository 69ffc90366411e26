//! What a cell that ran by itself leaves in the sweep's folder, for whoever joins the results: `cells/DIGEST.json`.
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sottovoce_config::SweepCell;
use sottovoce_report::write_text;
use sottovoce_types::{Digest, SCHEMA_VERSION};

use super::cell::{Cells, Centralised};
use super::table::{CellResult, Table};
use super::{find, isolated};
use crate::exit::{Exit, usage};
use crate::output::Output;

/// How a cell ended.
#[derive(Serialize, Deserialize)]
struct CellFile {
    schema: u32,
    cell: String,
    result: Option<CellResult>,
    error: Option<String>,
}

fn path(out: &Path, digest: Digest) -> PathBuf {
    out.join("cells").join(format!("{digest}.json"))
}

/// Makes sure that one process alone writes the tables of a folder; it holds until the file is closed, if only because the process died.
pub(super) fn lock(out: &Path, output: &Output) -> Result<File> {
    let file = File::create(out.join("lock"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(usage(format!(
                "another sweep is writing to {}: wait for it, or choose another --out",
                out.display()
            )));
        }
        Err(TryLockError::Error(error)) => {
            output.remark(format!("{} cannot be locked ({error}): start no second sweep in it", out.display()));
        }
    }
    Ok(file)
}

/// Runs one cell and leaves its result beside the others', whole or not at all.
pub(super) fn run_one(
    wanted: &str,
    cells: &[(Digest, SweepCell)],
    out: &Path,
    workspace: &Path,
    output: &Output,
) -> Result<Exit> {
    let (digest, cell) = find(wanted, cells).map_err(|e| usage(e.to_string()))?;
    let runner = Cells { workspace, centralised: Centralised::known(&[], &[]) };
    let outcome = isolated(|| runner.run(*digest, cell, output));
    let (result, error) = match outcome {
        Ok(result) => (Some(result), None),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    let file = CellFile { schema: SCHEMA_VERSION, cell: cell.name(), result, error };
    let path = path(out, *digest);
    std::fs::create_dir_all(out.join("cells"))?;
    write_text(&path, &serde_json::to_string(&file)?)?;
    let object = json!({
        "schema": SCHEMA_VERSION, "cell": file.cell, "config_sha256": digest, "file": path,
        "row": file.result.as_ref().map(|r| &r.row), "error": file.error,
    });
    output.result(&object, || match &file.error {
        None => format!("{}: {}", file.cell, path.display()),
        Some(error) => format!("FAILED {}: {error}", file.cell),
    })?;
    Ok(if file.error.is_none() { Exit::Ok } else { Exit::Failed })
}

/// How a cell ended that ran by itself; `None` where it has not.
pub(super) fn read(out: &Path, digest: Digest) -> Result<Option<Result<CellResult, String>>> {
    let path = path(out, digest);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let file: CellFile = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    if file.schema != SCHEMA_VERSION {
        anyhow::bail!("{} has schema {}; this program reads schema {SCHEMA_VERSION}", path.display(), file.schema);
    }
    Ok(Some(file.result.ok_or_else(|| file.error.unwrap_or_else(|| "it left no result".to_owned()))))
}

/// Forgets a cell that failed, so that it can be tried again.
pub(super) fn forget(out: &Path, digest: Digest) -> Result<()> {
    match std::fs::remove_file(path(out, digest)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Takes the results of cells that ran by themselves into the table.
pub(super) fn join(out: &Path, cells: &[(Digest, SweepCell)], table: &mut Table) -> Result<()> {
    for (digest, _) in cells {
        if !table.has(digest)
            && let Some(Ok(result)) = read(out, *digest)?
        {
            table.push(result)?;
        }
    }
    Ok(())
}
