//! The two programs, a federation of them on loopback, and clients in this process where a test must reach inside one.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a module of test binaries, each of which uses a part of it"
)]
pub mod browser;
pub mod federation;
pub mod sites;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

/// One of the two programs, built in the profile of the test that asks.
pub fn program(name: &str) -> PathBuf {
    // target/<profile>/deps/<test> → target/<profile>/<program>
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join(name);
    assert!(
        program.exists(),
        "{} is missing: run `cargo build -p sottovoce -p sottovoce-coordinator` first (`make test` does)",
        program.display()
    );
    program
}

/// The root of the repository: where configs/ lies.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A command line of `sottovoce`, in the root of the repository.
pub fn sottovoce(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(program("sottovoce"));
    command.args(arguments).current_dir(repository());
    command
}

/// What a finished command left behind.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// It must have ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Standard output is one JSON object of this schema.
    #[track_caller]
    pub fn json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}:\n{}", self.stdout));
        assert_eq!(value["schema"], 1, "{value}");
        value
    }

    /// The message on standard error says all of this.
    #[track_caller]
    pub fn complains(&self, of: &[&str]) {
        // miette breaks lines at its width.
        let message: String = self.stderr.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
        for word in of {
            assert!(message.contains(word), "does not say {word:?}:\n{}", self.stderr);
        }
        assert!(!message.contains("panicked"), "{}", self.stderr);
    }
}

/// Runs `sottovoce`.
pub fn run(arguments: &[&str]) -> Ran {
    Ran::of(&mut sottovoce(arguments))
}

/// A path as a command line argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The lines of a file.
pub fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

/// The lines of a file, each one JSON.
pub fn json_lines(path: &Path) -> Vec<Value> {
    lines(path).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Killed by SIGKILL as soon as `so_far` says so.
pub fn kill_when(mut child: Child, so_far: impl Fn() -> bool) {
    let began = Instant::now();
    while !so_far() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
        assert!(began.elapsed() < Duration::from_mins(1), "nothing happened for a minute");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "it ended before it could be killed");
}

/// Resident memory of a process in KiB; `None` where it has ended.
pub fn resident_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
