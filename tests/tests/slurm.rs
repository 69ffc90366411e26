//! `sottovoce sweep --executor slurm` on a real Slurm of one host, which `tests/slurm/bring-up.sh` starts. Skipped where Slurm is not
//! installed or this is not root; `.ci/run` installs it.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs, reason = "tests")]
mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::{Ran, arg, json_lines, lines, sottovoce};
use serde_json::Value;

/// One at a time: they listen on the same ports.
static ALONE: Mutex<()> = Mutex::new(());

/// A Slurm that stops with the test.
struct Slurm {
    dir: tempfile::TempDir,
    conf: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Slurm {
    /// `None` where there can be none.
    fn up() -> Option<Self> {
        let installed = |program: &str| Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
        let missing = ["sbatch", "slurmctld", "slurmd", "munged"]
            .into_iter()
            .find(|program| !installed(program).is_ok_and(|found| found.status.success()));
        let id = Command::new("id").arg("-u").output().unwrap().stdout;
        if missing.is_some() || id.trim_ascii() != b"0" {
            let why = missing.map_or("this is not root".to_owned(), |program| format!("{program} is not installed"));
            eprintln!("SKIPPED: {why}; tests/slurm/bring-up.sh needs root, and Debian's slurm-wlm and munge");
            return None;
        }
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::Builder::new().prefix("slurm").tempdir().unwrap();
        let ran = script("up", dir.path());
        if ran.code != Some(0) {
            // Not every machine lets Slurm's daemons run, however complete the installation; where one must, the variable says so.
            assert!(std::env::var_os("SLURM_MUST_COME_UP").is_none(), "{}{}", ran.stdout, ran.stderr);
            eprintln!("SKIPPED: Slurm does not come up on this machine: {}", ran.stderr);
            return None;
        }
        let conf = ran.stdout.trim().strip_prefix("SLURM_CONF=").unwrap().into();
        Some(Self { dir, conf, _alone: alone })
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Ran {
        Ran::of(Command::new(program).args(arguments).env("SLURM_CONF", &self.conf))
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        script("down", self.dir.path());
    }
}

fn script(what: &str, dir: &Path) -> Ran {
    Ran::of(Command::new(common::repository().join("tests/slurm/bring-up.sh")).arg(what).arg(dir))
}

/// Four cells, of enough rounds that one can be met while it runs.
fn config(dir: &Path, broken: &str) -> PathBuf {
    let file = dir.join("slurm.toml");
    let smoke = common::repository().join("configs/smoke.toml");
    let text = format!(
        "extends = {:?}\n[run]\nname = \"slurm\"\nrounds = 150\nevaluate_every = 0\n[partition]\nfolds = 5\n[sweep]\nepsilons = [\"none\", 8]\nseeds = [1, 2]\nattacks = false\n\
         [sweep.slurm]\npartition = \"test\"\ntime = \"00:10:00\"\nmemory = \"200M\"\n{broken}",
        arg(&smoke)
    );
    fs::write(&file, text).unwrap();
    file
}

fn sweep(slurm: &Slurm, config: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = sottovoce(["sweep", arg(config), "--out", arg(out), "--format", "json"]);
    command.args(more).env("SLURM_CONF", &slurm.conf);
    command
}

fn plain(mut rows: Vec<Value>) -> Vec<Value> {
    for row in &mut rows {
        row["wall_s"] = Value::Null;
    }
    rows.sort_by_key(|row| row["config_sha256"].as_str().unwrap().to_owned());
    rows
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_mins(1), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_sweep_on_slurm_submits_again_what_was_killed_and_gives_what_one_machine_gives() {
    let Some(slurm) = Slurm::up() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (config, out, here) = (config(dir.path(), ""), dir.path().join("out"), dir.path().join("here"));
    let executor = ["--executor", "slurm", "--jobs", "1", "--slurm-arg=--comment=a b"];
    let waits = sweep(&slurm, &config, &out, &executor).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The second of four is cancelled while it runs.
    let job_file = out.join("slurm/1.job");
    until("a job", || job_file.exists());
    let job = lines(&job_file)[0].clone();
    let second = format!("{job}_2");
    let runs = ["--noheader", "--array", "--format=%i", "--states=RUNNING", "--jobs", &job];
    until("the second task", || slurm.command("squeue", &runs).stdout.lines().any(|task| task.trim() == second));
    slurm.command("scancel", &[&second]).expect(0);
    let ended = waits.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{said}");
    assert!(said.contains(&format!("submitted 4 cells as job {job}")), "{said}");
    assert!(said.contains(&format!("task 2 of job {job} ended without a result")), "{said}");
    assert!(said.contains("submitted 1 cells as job") && said.contains("4 of 4 cells"), "{said}");
    let swept: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(swept["rows"].as_array().unwrap().len(), 4);
    assert_eq!(fs::read_dir(out.join("cells")).unwrap().count(), 4);

    // The same cells on this machine alone.
    Ran::of(&mut sweep(&slurm, &config, &here, &[])).expect(0);
    let rows = |out: &Path| plain(json_lines(&out.join("results.jsonl")));
    assert_eq!(rows(&out), rows(&here));
    // Done is done: nothing is submitted.
    let again = Ran::of(&mut sweep(&slurm, &config, &out, &executor)).expect(0);
    again.complains(&["4 done before, 0 to run"]);
    assert!(!again.stderr.contains("submitted"), "{}", again.stderr);
}

#[test]
fn whoever_waits_may_be_killed_and_the_next_one_waits_for_the_same_job() {
    let Some(slurm) = Slurm::up() else { return };
    let dir = tempfile::tempdir().unwrap();
    // A variant that fails where its clips are dealt out.
    let broken = "[[sweep.variant]]\nname = \"sound\"\n[[sweep.variant]]\nname = \"broken\"\nset = [\"partition.fold_by=group\"]\n";
    let (config, out) = (config(dir.path(), broken), dir.path().join("out"));
    let executor = ["--executor", "slurm", "--jobs", "1", "--set", "sweep.epsilons=[\"none\"]"];
    let mut waits =
        sweep(&slurm, &config, &out, &executor).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let job_file = out.join("slurm/1.job");
    until("a job", || job_file.exists());
    waits.kill().unwrap();
    waits.wait().unwrap();
    let next = Ran::of(&mut sweep(&slurm, &config, &out, &executor)).expect(1);
    next.complains(&["2 of 4 cells failed", "in the queue already"]);
    assert!(!out.join("slurm/2.job").exists(), "nothing was submitted twice: {}", next.stderr);
    let swept = next.json();
    assert_eq!((swept["rows"].as_array().unwrap().len(), swept["failed"].as_array().unwrap().len()), (2, 2));
    assert!(swept["failed"][0]["cell"].as_str().unwrap().starts_with("broken"));
}

#[test]
fn a_cluster_that_refuses_is_told_with_its_own_words() {
    let Some(slurm) = Slurm::up() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (config, out) = (config(dir.path(), ""), dir.path().join("out"));
    let set = ["--executor", "slurm", "--set", "sweep.slurm={partition=\"nowhere\"}"];
    let refused = Ran::of(&mut sweep(&slurm, &config, &out, &set)).expect(1);
    refused.complains(&["sbatch refused 4 cells", "partition"]);
}
