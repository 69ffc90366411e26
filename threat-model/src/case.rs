//! The audit list in `cases.toml`: what an auditor of secure aggregation would test, and which tests show it.
use anyhow::Context as _;
use serde::Deserialize;

use crate::claim::TestName;

/// The list has cases 1 to 67. A number never changes its meaning; a new case gets the next one.
pub(crate) const LAST: u32 = 67;

/// One case of the list.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// 1 to [`LAST`].
    pub(crate) number: u32,
    /// What the attacker or the accident does, and what must come of it, in one line.
    pub(crate) says: String,
    /// Tests that show it.
    #[serde(default)]
    pub(crate) shown_by: Vec<TestName>,
    /// What no test shows, and why.
    pub(crate) open: Option<String>,
}

/// How much of a case tests show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Coverage {
    /// All of it.
    Covered,
    /// Some of it: the case says what is left.
    Partly,
    /// Nothing.
    Open,
}

impl Case {
    pub(crate) fn coverage(&self) -> Coverage {
        match (self.shown_by.is_empty(), &self.open) {
            (true, _) => Coverage::Open,
            (false, Some(_)) => Coverage::Partly,
            (false, None) => Coverage::Covered,
        }
    }
}

/// How many cases are covered, partly covered and open.
pub(crate) fn count(cases: &[Case]) -> [usize; 3] {
    [Coverage::Covered, Coverage::Partly, Coverage::Open]
        .map(|which| cases.iter().filter(|case| case.coverage() == which).count())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    case: Vec<Case>,
}

/// The cases of the file's text.
pub(crate) fn parse(text: &str) -> anyhow::Result<Vec<Case>> {
    Ok(toml::from_str::<CaseFile>(text).context("in cases.toml")?.case)
}
