//! Cells on a cluster: one Slurm job array, each task of which runs one cell into the shared folder; whoever waits joins what they leave.
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use sottovoce_config::{Config, SweepCell};
use sottovoce_report::write_text;
use sottovoce_types::Digest;

use super::progress::Progress;
use super::table::Table;
use super::{Failed, files};
use crate::args::SweepArgs;
use crate::output::Output;

/// How often a cell is submitted whose task ended without a result: killed, out of memory or time, a node lost.
const TRIES: usize = 3;
/// Slurm's own limit on the tasks of an array is 1001 (`MaxArraySize`).
const TASKS: usize = 1000;
/// Between two looks at the queue.
const POLL: Duration = Duration::from_secs(2);
/// Looks at which a task is neither in the queue nor has left a file, until it counts as lost: a shared folder may show a file late.
const LOOKS: usize = 3;

/// A job array: its id, and the cell of each task, from 1.
struct Flight {
    job: String,
    cells: BTreeMap<usize, Digest>,
}

/// Runs cells on the cluster and waits for them.
pub(super) fn run(
    args: &SweepArgs,
    config: &Config,
    todo: &[&(Digest, SweepCell)],
    table: &mut Table,
    progress: &Progress<'_>,
    output: &Output,
) -> Result<Vec<Failed>> {
    let out = std::path::absolute(&args.out)?;
    let mut options = config.sweep.slurm.arguments();
    options.extend(args.slurm_arg.iter().cloned());
    let cluster = Cluster { args, folder: out.join("slurm"), out, options };
    std::fs::create_dir_all(&cluster.folder)?;
    let mut open: BTreeMap<[u8; 32], &SweepCell> = todo.iter().map(|(digest, cell)| (digest.0, cell)).collect();
    let mut flights = cluster.in_flight(&open)?;
    let flying: BTreeSet<[u8; 32]> = flights.iter().flat_map(|f| f.cells.values()).map(|d| d.0).collect();
    if !flying.is_empty() {
        output.remark(format!("{} cells are in the queue already", flying.len()));
    }
    let missing: Vec<Digest> = todo.iter().map(|(digest, _)| *digest).filter(|d| !flying.contains(&d.0)).collect();
    for digest in &missing {
        files::forget(&cluster.out, *digest)?;
    }
    flights.extend(cluster.submit(&missing, output)?);
    let (mut tries, mut unseen) = (BTreeMap::new(), BTreeMap::<[u8; 32], usize>::new());
    let mut failed = Vec::new();
    while !open.is_empty() {
        let mut lost = Vec::new();
        for flight in &mut flights {
            let queued = queued(&flight.job)?;
            let mut settled = Vec::new();
            for (task, digest) in &flight.cells {
                let Some(cell) = open.get(&digest.0) else {
                    settled.push(*task);
                    continue;
                };
                if let Some(outcome) = files::read(&cluster.out, *digest)? {
                    let is_failed = outcome.is_err();
                    match outcome {
                        Ok(result) => table.push(result)?,
                        Err(error) => failed.push(Failed { cell: cell.name(), error }),
                    }
                    progress.ended(is_failed);
                    open.remove(&digest.0);
                    settled.push(*task);
                } else if !queued.contains(task) {
                    let looks = unseen.entry(digest.0).or_default();
                    *looks += 1;
                    if *looks >= LOOKS {
                        unseen.remove(&digest.0);
                        lost.push((*digest, format!("task {task} of job {}", flight.job)));
                        settled.push(*task);
                    }
                }
            }
            flight.cells.retain(|task, _| !settled.contains(task));
        }
        flights.retain(|flight| !flight.cells.is_empty());
        let mut again = Vec::new();
        for (digest, task) in lost {
            let Some(cell) = open.get(&digest.0) else { continue };
            let tried = tries.entry(digest.0).or_insert(1usize);
            if *tried < TRIES {
                *tried += 1;
                output.remark(format!("{task} ended without a result: {} is submitted again", cell.name()));
                again.push(digest);
            } else {
                let error = format!(
                    "{task} ended without a result, as did {} before it: its log is in {}",
                    TRIES - 1,
                    cluster.folder.display()
                );
                failed.push(Failed { cell: cell.name(), error });
                progress.ended(true);
                open.remove(&digest.0);
            }
        }
        flights.extend(cluster.submit(&again, output)?);
        if !open.is_empty() {
            std::thread::sleep(POLL);
        }
    }
    Ok(failed)
}

struct Cluster<'a> {
    args: &'a SweepArgs,
    out: PathBuf,
    /// Scripts, lists of cells, numbers of jobs, logs.
    folder: PathBuf,
    options: Vec<String>,
}

impl Cluster<'_> {
    /// What an earlier start of this sweep submitted and the queue still has.
    fn in_flight(&self, open: &BTreeMap<[u8; 32], &SweepCell>) -> Result<Vec<Flight>> {
        let mut flights = Vec::new();
        for n in 1.. {
            let cells = self.folder.join(format!("{n}.cells"));
            if !cells.exists() {
                break;
            }
            let Ok(job) = std::fs::read_to_string(self.folder.join(format!("{n}.job"))) else { continue };
            let job = job.trim().to_owned();
            let queued = queued(&job)?;
            let listed = std::fs::read_to_string(&cells)?;
            let of_line = |(i, line): (usize, &str)| {
                let digest = open.keys().find(|digest| Digest(**digest).to_string() == line)?;
                queued.contains(&(i + 1)).then_some((i + 1, Digest(*digest)))
            };
            let cells: BTreeMap<usize, Digest> = listed.lines().enumerate().filter_map(of_line).collect();
            if !cells.is_empty() {
                flights.push(Flight { job, cells });
            }
        }
        Ok(flights)
    }

    /// Submits cells, in as many arrays as it takes.
    fn submit(&self, cells: &[Digest], output: &Output) -> Result<Vec<Flight>> {
        cells.chunks(TASKS).map(|cells| self.submit_array(cells, output)).collect()
    }

    fn submit_array(&self, cells: &[Digest], output: &Output) -> Result<Flight> {
        let mut n = 1;
        while self.folder.join(format!("{n}.cells")).exists() {
            n += 1;
        }
        let file = |ending: &str| self.folder.join(format!("{n}.{ending}"));
        let list: Vec<String> = cells.iter().map(Digest::to_string).collect();
        write_text(file("cells"), &(list.join("\n") + "\n"))?;
        write_text(file("sh"), &self.script(&file("cells"))?)?;
        let at_once = self.args.jobs.map_or(String::new(), |jobs| format!("%{jobs}"));
        let mut command = Command::new("sbatch");
        command.arg("--parsable").arg("--job-name=sottovoce-sweep").arg(format!("--array=1-{}{at_once}", cells.len()));
        command.arg(format!("--output={}", self.folder.join(format!("{n}-%a.log")).display()));
        command.args(&self.options).arg(file("sh"));
        let said =
            said(&mut command)?.map_err(|error| anyhow::anyhow!("sbatch refused {} cells: {error}", cells.len()))?;
        // With several clusters it is the job and the cluster's name.
        let job = said.trim().split(';').next().unwrap_or_default().to_owned();
        write_text(file("job"), &format!("{job}\n"))?;
        output.remark(format!("submitted {} cells as job {job}", cells.len()));
        Ok(Flight { job, cells: (1..).zip(cells.iter().copied()).collect() })
    }

    /// What each task does: its cell by the same program with the same arguments, on the cores that it was given.
    fn script(&self, list: &Path) -> Result<String> {
        let program = std::env::current_exe().context("this program's own path")?;
        let here = std::env::current_dir()?;
        let mut words = vec![quoted(&program), "sweep".to_owned(), quoted(&self.args.config.config)];
        for line in &self.args.config.set {
            words.extend(["--set".to_owned(), quoted(Path::new(line))]);
        }
        words.extend(["--out".to_owned(), quoted(&self.out), "--cell".to_owned(), "\"$cell\"".to_owned()]);
        Ok(format!(
            "#!/bin/sh\nset -eu\ncd {}\ncell=$(sed -n \"${{SLURM_ARRAY_TASK_ID}}p\" {})\nexport RAYON_NUM_THREADS=\"${{SLURM_CPUS_PER_TASK:-1}}\"\nexec {}\n",
            quoted(&here),
            quoted(list),
            words.join(" ")
        ))
    }
}

/// The tasks of a job that wait or run.
fn queued(job: &str) -> Result<BTreeSet<usize>> {
    let mut command = Command::new("squeue");
    command.args(["--noheader", "--array", "--format=%K", "--jobs", job]);
    match said(&mut command)? {
        Ok(text) => Ok(text.lines().filter_map(|line| line.trim().parse().ok()).collect()),
        // It forgets a job some minutes after its end.
        Err(error) if error.contains("Invalid job id") => Ok(BTreeSet::new()),
        Err(error) => {
            anyhow::bail!("squeue: {error}; the cells that were submitted go on, and the same command waits for them")
        }
    }
}

/// What a command printed; what it complained of where it failed.
fn said(command: &mut Command) -> Result<Result<String, String>> {
    let name = command.get_program().display().to_string();
    let ran = command.output().with_context(|| {
        format!("{name} cannot be started: --executor slurm needs Slurm's commands on the path; without them, --executor local")
    })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(if ran.status.success() { Ok(text(&ran.stdout)) } else { Err(text(&ran.stderr).trim().to_owned()) })
}

/// A word of a shell script.
fn quoted(word: &Path) -> String {
    format!("'{}'", word.display().to_string().replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_script() {
        assert_eq!(quoted(Path::new("a b/it's")), "'a b/it'\\''s'");
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("printf %s {}", quoted(Path::new("$(x) 'y' \"z\""))));
        assert_eq!(said(&mut command).unwrap().unwrap(), "$(x) 'y' \"z\"");
    }

    #[test]
    fn without_slurm_the_mend_is_named() {
        let error = said(&mut Command::new("no-such-sbatch")).unwrap_err();
        assert!(format!("{error:#}").contains("--executor local"), "{error:#}");
        let mut command = Command::new("sh");
        assert_eq!(said(command.args(["-c", "echo no >&2; exit 3"])).unwrap(), Err("no".to_owned()));
    }
}
