//! Which tests ran, and how they ended.
use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, ensure};

use crate::claim::TestName;

/// How a test ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Passed,
    Failed,
}

/// The tests of one run. Two tests of one package and function name count as passed only if both passed.
#[derive(Default, Debug)]
pub(crate) struct TestsRan(BTreeMap<TestName, Outcome>);

impl TestsRan {
    /// Reads a JUnit file as nextest writes it: one `testsuite` a test binary, named `package` or `package::binary`.
    pub(crate) fn from_junit(xml: &str) -> anyhow::Result<Self> {
        let mut ran = Self::default();
        let mut package = None::<String>;
        let mut case = None::<(TestName, Outcome)>;
        let mut rest = xml;
        while let Some(start) = rest.find('<') {
            rest = &rest[start..];
            if let Some(after) = rest.strip_prefix("<![CDATA[") {
                rest = after.split_once("]]>").context("a CDATA section without an end")?.1;
                continue;
            }
            let end = tag_end(rest).context("a tag without an end")?;
            let tag = &rest[1..end];
            rest = &rest[end + 1..];
            let name = tag.trim_start_matches('/').split([' ', '\n', '\t', '\r', '/']).next().unwrap_or_default();
            match (tag.starts_with('/'), name) {
                (false, "testsuite") => {
                    let suite = attribute(tag, "name").context("a testsuite without a name")?;
                    package = suite.split("::").next().map(str::to_owned);
                }
                (false, "testcase") => {
                    let path = attribute(tag, "name").context("a testcase without a name")?;
                    let package = package.clone().context("a testcase outside of a testsuite")?;
                    case = Some((test_name(&package, &path), Outcome::Passed));
                    if tag.ends_with('/') {
                        ran.extend(case.take());
                    }
                }
                // flakyFailure and rerunFailure are of a test that passed on another try.
                (false, "skipped") => case = None,
                (false, "failure" | "error") => {
                    if let Some((_, outcome)) = &mut case {
                        *outcome = Outcome::Failed;
                    }
                }
                (true, "testcase") => ran.extend(case.take()),
                (true, "testsuite") => package = None,
                _ => {}
            }
        }
        ensure!(ran.len() > 0, "the JUnit file names no test");
        Ok(ran)
    }

    /// Reads what `cargo test` printed (stdout and stderr in one), and the JSON messages of `cargo test --no-run`, which
    /// say to which package each test binary belongs.
    pub(crate) fn from_cargo_test(log: &str, binaries: &str) -> anyhow::Result<Self> {
        let packages = packages_by_binary(binaries)?;
        let mut ran = Self::default();
        let mut package = None::<&str>;
        for line in log.lines() {
            if let Some(running) = line.trim_start().strip_prefix("Running ") {
                let path = running.rsplit_once('(').and_then(|(_, p)| p.strip_suffix(')'));
                let file = path.and_then(|p| p.rsplit('/').next()).context("a Running line without a binary")?;
                package = packages.get(file).map(String::as_str);
                ensure!(package.is_some(), "{file} is not among the test binaries that were built");
            } else if line.trim_start().starts_with("Doc-tests ") {
                package = None;
            } else if let (Some(package), Some(rest)) = (package, line.strip_prefix("test ")) {
                let Some((path, end)) = rest.rsplit_once(" ... ") else { continue };
                let path = path.trim_end_matches(" - should panic");
                match end.trim() {
                    "ok" => ran.extend([(test_name(package, path), Outcome::Passed)]),
                    "FAILED" => ran.extend([(test_name(package, path), Outcome::Failed)]),
                    _ => {} // ignored: it did not run
                }
            }
        }
        ensure!(ran.len() > 0, "the log names no test");
        Ok(ran)
    }

    fn extend(&mut self, cases: impl IntoIterator<Item = (TestName, Outcome)>) {
        for (name, outcome) in cases {
            let known = self.0.entry(name).or_insert(outcome);
            if outcome == Outcome::Failed {
                *known = Outcome::Failed;
            }
        }
    }

    pub(crate) fn outcome(&self, test: &TestName) -> Option<Outcome> {
        self.0.get(test).copied()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &TestName> {
        self.0.keys()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn test_name(package: &str, path: &str) -> TestName {
    let function = path.rsplit("::").next().unwrap_or(path);
    TestName { package: package.to_owned(), function: function.to_owned() }
}

/// Where the tag that starts at byte 0 ends: at the first `>` outside of quotes.
fn tag_end(text: &str) -> Option<usize> {
    let mut quote = None;
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (None, '>') => return Some(i),
            (None, '"' | '\'') => quote = Some(c),
            (Some(q), c) if c == q => quote = None,
            _ => {}
        }
    }
    None
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let mut rest = tag;
    while let Some(at) = rest.find(name) {
        let before = rest[..at].chars().next_back();
        let after = rest[at + name.len()..].strip_prefix("=\"");
        if let (Some(true), Some(value)) = (before.map(char::is_whitespace), after) {
            let raw = value.split('"').next()?;
            // &amp; last, so that &amp;lt; stays the text &lt;.
            let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
            return Some(entities.iter().fold(raw.to_owned(), |text, (from, to)| text.replace(from, to)));
        }
        rest = &rest[at + name.len()..];
    }
    None
}

/// File name of each test binary -> package.
fn packages_by_binary(messages: &str) -> anyhow::Result<HashMap<String, String>> {
    let mut packages = HashMap::new();
    for line in messages.lines().filter(|l| l.starts_with('{')) {
        let message: serde_json::Value = serde_json::from_str(line).context("a line of --binaries is not JSON")?;
        let (Some(executable), Some(id)) = (message["executable"].as_str(), message["package_id"].as_str()) else {
            continue;
        };
        let file = executable.rsplit('/').next().unwrap_or(executable);
        packages.insert(file.to_owned(), package_of(id).to_owned());
    }
    Ok(packages)
}

/// `path+file:///x/crates/wire#sottovoce-wire@0.1.0`, or `path+file:///x/sottovoce-wire#0.1.0` where the folder has the
/// name of the package.
fn package_of(id: &str) -> &str {
    let (source, fragment) = id.rsplit_once('#').unwrap_or(("", id));
    match fragment.split_once('@') {
        Some((name, _)) => name,
        None => source.rsplit('/').next().unwrap_or(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JUNIT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="sottovoce" tests="4" failures="1" errors="0" uuid="u" timestamp="t" time="0.1">
    <testsuite name="sottovoce-wire" tests="2" disabled="0" errors="0" failures="1">
        <testcase name="frame::tests::claim_a" classname="sottovoce-wire" timestamp="t" time="0.001"/>
        <testcase name="frame::tests::claim_b" classname="sottovoce-wire" timestamp="t" time="0.001">
            <failure message="panicked at &apos;1 &gt; 2&apos;" type="test failure">thread &lt;testcase name="x"/&gt;</failure>
            <system-out><![CDATA[<testcase name="forged"/>]]></system-out>
        </testcase>
    </testsuite>
    <testsuite name="sottovoce-wire::kat" tests="1" disabled="0" errors="0" failures="0">
        <testcase name="claim_c" classname="sottovoce-wire::kat" timestamp="t" time="0.001">
        </testcase>
        <testcase name="claim_e" classname="sottovoce-wire::kat"><skipped/></testcase>
    </testsuite>
    <testsuite name="sottovoce::bin/sottovoce" tests="1" disabled="0" errors="0" failures="0">
        <testcase name="tests::d" classname="sottovoce::bin/sottovoce" timestamp="t" time="0.001">
            <flakyFailure message="once" type="test failure"/>
        </testcase>
    </testsuite>
</testsuites>"#;

    fn outcome(ran: &TestsRan, package: &str, function: &str) -> Option<Outcome> {
        ran.outcome(&test_name(package, function))
    }

    #[test]
    fn junit_gives_each_test_its_package_and_outcome() {
        let ran = TestsRan::from_junit(JUNIT).unwrap();
        assert_eq!(outcome(&ran, "sottovoce-wire", "claim_a"), Some(Outcome::Passed));
        assert_eq!(outcome(&ran, "sottovoce-wire", "claim_b"), Some(Outcome::Failed));
        assert_eq!(outcome(&ran, "sottovoce-wire", "claim_c"), Some(Outcome::Passed));
        assert_eq!(outcome(&ran, "sottovoce", "d"), Some(Outcome::Passed));
        assert_eq!(outcome(&ran, "sottovoce-wire", "claim_e"), None, "a skipped test did not run");
        assert_eq!(ran.len(), 4);
    }

    #[test]
    fn what_a_test_printed_cannot_forge_a_test() {
        let ran = TestsRan::from_junit(JUNIT).unwrap();
        assert_eq!(outcome(&ran, "sottovoce-wire", "forged"), None);
    }

    #[test]
    fn an_empty_record_is_refused() {
        assert!(TestsRan::from_junit("<testsuites/>").is_err());
        assert!(TestsRan::from_cargo_test("", "").is_err());
    }

    const BINARIES: &str = r#"{"reason":"compiler-artifact","package_id":"path+file:///x/crates/wire#sottovoce-wire@0.1.0","executable":"/x/target/debug/deps/sottovoce_wire-1f"}
{"reason":"compiler-artifact","package_id":"path+file:///x/crates/wire#sottovoce-wire@0.1.0","executable":"/x/target/debug/deps/kat-2e"}
{"reason":"compiler-artifact","package_id":"path+file:///x/sottovoce-tests#0.1.0","executable":"/x/target/debug/deps/dag-3d"}
{"reason":"build-finished","success":true}"#;

    #[test]
    fn a_cargo_test_log_gives_each_test_its_package_and_outcome() {
        let log = "     Running unittests src/lib.rs (target/debug/deps/sottovoce_wire-1f)\n\nrunning 3 tests\n\
                   test frame::tests::claim_a ... ok\ntest frame::tests::claim_b ... FAILED\n\
                   test frame::tests::slow ... ignored, takes an hour\n\
                   test tests::p - should panic ... ok\n\
                        Running tests/kat.rs (target/debug/deps/kat-2e)\ntest claim_c ... ok\n\
                        Running tests/dag.rs (target/debug/deps/dag-3d)\ntest d ... ok\n\
                   Doc-tests sottovoce_wire\ntest crates/wire/src/lib.rs - (line 3) ... ok\n";
        let ran = TestsRan::from_cargo_test(log, BINARIES).unwrap();
        assert_eq!(outcome(&ran, "sottovoce-wire", "claim_a"), Some(Outcome::Passed));
        assert_eq!(outcome(&ran, "sottovoce-wire", "claim_b"), Some(Outcome::Failed));
        assert_eq!(outcome(&ran, "sottovoce-wire", "slow"), None);
        assert_eq!(outcome(&ran, "sottovoce-wire", "p"), Some(Outcome::Passed));
        assert_eq!(outcome(&ran, "sottovoce-wire", "claim_c"), Some(Outcome::Passed));
        assert_eq!(outcome(&ran, "sottovoce-tests", "d"), Some(Outcome::Passed));
        assert_eq!(ran.len(), 5);
    }

    #[test]
    fn a_binary_that_nobody_built_is_refused() {
        let log = "     Running tests/kat.rs (target/debug/deps/other-99)\ntest claim_c ... ok\n";
        assert!(TestsRan::from_cargo_test(log, BINARIES).is_err());
    }
}
