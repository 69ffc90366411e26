//! What SQLite asks of the system, observed: an appended entry is on the disk before its caller goes on. `crash/` assumes
//! this of `synchronous = FULL`; here it is seen.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "tests")]
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use sottovoce_round::{Journal, JournalEvent, Persist};
use sottovoce_store::SqliteJournal;
use sottovoce_types::{AttemptId, Digest, RoundId, RunId};

/// Names the directory in which the traced child appends.
const DIR: &str = "SOTTOVOCE_TRACED_DIR";
/// What the child writes to stderr when an entry may be released.
const RELEASED: &str = "released";

fn persist(round: u64) -> Persist {
    let (run, attempt, survivors) = (RunId([3; 16]), AttemptId(1), Digest::of(b"survivors"));
    Persist::entry(JournalEvent::SurvivorsSigned { run, round: RoundId(round), attempt, survivors }, None)
}

/// Not a test of its own: what [`an_entry_is_synced_before_it_is_released`] traces.
#[test]
fn traced_child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let mut journal = SqliteJournal::open(dir).unwrap();
    for round in 1..=3 {
        journal.append(&persist(round)).unwrap();
        // One write, unbuffered.
        std::io::stderr().write_all(RELEASED.as_bytes()).unwrap();
    }
}

/// The first argument of a traced call, a descriptor, where the call is this one.
fn descriptor<'a>(line: &'a str, call: &str) -> Option<&'a str> {
    let arguments = line.split_once(&format!(" {call}("))?.1;
    arguments.split([',', ')', '<']).next()
}

/// How many releases the trace has, and the first at which something written was not synced.
fn unsynced(trace: &str) -> (u64, Option<u64>) {
    let (mut dirty, mut releases) = (BTreeSet::new(), 0);
    for line in trace.lines() {
        if line.contains(" write(2<") && line.contains(RELEASED) {
            releases += 1;
            if !dirty.is_empty() {
                return (releases, Some(releases));
            }
        } else if let Some(fd) = descriptor(line, "pwrite64").or_else(|| descriptor(line, "write")) {
            // The index of the write-ahead log (`-shm`) is made anew from the log; SQLite never syncs it. What goes to a
            // pipe or a terminal is no file of the state.
            if line.contains("/state/") && !line.contains("-shm>") {
                dirty.insert(fd.to_owned());
            }
        } else if let Some(fd) = descriptor(line, "fdatasync").or_else(|| descriptor(line, "fsync")) {
            dirty.remove(fd);
        }
    }
    (releases, None)
}

fn trace(dir: &Path) -> Option<String> {
    let log = dir.join("trace");
    let out = Command::new("strace")
        .args(["-f", "-y", "-e", "trace=pwrite64,write,fsync,fdatasync", "-o"])
        .arg(&log)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "traced_child", "--nocapture"])
        .env(DIR, dir.join("state"))
        .output()
        .ok()?;
    // Where processes may not be traced (a container), strace ends before the child begins.
    out.status.success().then(|| std::fs::read_to_string(log).unwrap())
}

#[test]
fn an_entry_is_synced_before_it_is_released() {
    let dir = tempfile::tempdir().unwrap();
    let Some(trace) = trace(dir.path()) else {
        println!("not observed: strace is not installed, or may not trace here (apt-get install strace)");
        return;
    };
    assert!(
        trace.contains("state.sqlite-wal>"),
        "the journal's log is written under a name that is looked for:\n{trace}"
    );
    assert_eq!(unsynced(&trace), (3, None), "{trace}");
    // A journal that does not sync would be seen.
    let without = trace.lines().filter(|l| !l.contains("sync(")).collect::<Vec<_>>().join("\n");
    assert_eq!(unsynced(&without), (1, Some(1)));
}
