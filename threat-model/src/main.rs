//! Ties each security claim to tests that ran and passed, and writes the table of claims.
//!
//! ```text
//! sottovoce-threat-model check [--junit FILE | --from-log FILE --binaries FILE]
//! sottovoce-threat-model render [--check]
//! ```
//!
//! Claims are data (`claims/*.toml`, see [`claim::Claim`]). `check` fails when a claim that holds has no evidence that ran
//! and passed, when evidence names no test, when a test named `claim_…` belongs to no claim, and when an attack has no
//! control that wins. So it is with the audit list (`cases.toml`, see [`case::Case`]): each of its cases names tests that ran and
//! passed, or says why it is open. `render` writes the table in `README.md` and the page `cases.md`.
//!
//! It does not judge whether a test shows what its claim says: that is for readers, and what the manual is for.
mod case;
mod check;
mod claim;
mod ran;
mod render;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::ran::TestsRan;

const USAGE: &str = "usage:
  sottovoce-threat-model check [--junit FILE | --from-log FILE --binaries FILE]
      FILE of --junit defaults to target/nextest/default/junit.xml.
      --from-log reads what `cargo test` printed; --binaries is the output of
      `cargo test --no-run --message-format=json`, which says whose each test binary is.
  sottovoce-threat-model render [--check]";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["check"] => check_against(root, &junit(&root.join("../target/nextest/default/junit.xml"))?),
        ["check", "--junit", file] => check_against(root, &junit(Path::new(file))?),
        ["check", "--from-log", log, "--binaries", binaries] => {
            let ran = TestsRan::from_cargo_test(&read(Path::new(log))?, &read(Path::new(binaries))?)?;
            check_against(root, &ran)
        }
        ["render"] => {
            for (path, now, then) in rendered(root)? {
                if now != then {
                    std::fs::write(&path, now).with_context(|| format!("cannot write {}", path.display()))?;
                }
            }
            Ok(())
        }
        ["render", "--check"] => {
            for (path, now, then) in rendered(root)? {
                if now != then {
                    bail!("{} does not show what the data says; run: sottovoce-threat-model render", path.display());
                }
            }
            Ok(())
        }
        _ => bail!("{USAGE}"),
    }
}

fn junit(path: &Path) -> anyhow::Result<TestsRan> {
    let xml = read(path).context("no record of a test run; run: cargo nextest run --workspace")?;
    TestsRan::from_junit(&xml)
}

fn check_against(root: &Path, ran: &TestsRan) -> anyhow::Result<()> {
    let claims = claim::read_all(&root.join("claims"))?;
    let cases = read_cases(root)?;
    let mut faults = check::check(&claims, ran);
    faults.extend(check::check_cases(&cases, ran));
    for fault in &faults {
        say(&format!("  {fault}"));
    }
    if !faults.is_empty() {
        bail!("{} of the threat model's claims, cases and tests do not fit together", faults.len());
    }
    let holding = claims.iter().filter(|c| c.status == claim::Status::Holds).count();
    let limits = claims.iter().filter(|c| c.status == claim::Status::NotDefended).count();
    let [covered, partly, open] = case::count(&cases);
    say(&format!(
        "threat model: {holding} claims hold, {limits} limits are shown, {covered} cases of the audit list are covered, {partly} in \
         part and {open} are open, by tests among the {} that ran",
        ran.len()
    ));
    Ok(())
}

/// The pages that are made of data: where each lies, how it must read, and how it reads.
fn rendered(root: &Path) -> anyhow::Result<[(PathBuf, String, String); 2]> {
    let readme = root.join("README.md");
    let then = read(&readme)?;
    let now = render::into_readme(&then, &claim::read_all(&root.join("claims"))?)?;
    let page = root.join("cases.md");
    // A page that is not there yet reads as empty: `render` makes it, `render --check` says that it is missing.
    let shown = if page.exists() { read(&page)? } else { String::new() };
    Ok([(readme, now, then), (page, render::cases_page(&read_cases(root)?), shown)])
}

fn read_cases(root: &Path) -> anyhow::Result<Vec<case::Case>> {
    case::parse(&read(&root.join("cases.toml"))?)
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[allow(clippy::print_stdout, reason = "this program's output is its purpose")]
fn say(line: &str) {
    println!("{line}");
}

#[allow(clippy::print_stderr, reason = "errors of a program go to standard error")]
fn complain(line: &str) {
    eprintln!("{line}");
}
