//! Claims as they stand in `claims/*.toml`.
use std::fmt;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

/// How a claim stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Status {
    /// Holds under what it assumes.
    Holds,
    /// Holds only where its assumptions were arranged by whoever deploys it.
    Conditional,
    /// A limit: its tests show the weakness.
    NotDefended,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holds => "holds",
            Self::Conditional => "conditional",
            Self::NotDefended => "**not defended**",
        })
    }
}

/// What the adversary may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Power {
    /// Follows the protocol and reads what it sees.
    SemiHonest,
    /// Does what it likes.
    Malicious,
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SemiHonest => "semi-honest",
            Self::Malicious => "malicious",
        })
    }
}

/// A test, named as `"<package> <function>"`, for example `"sottovoce-secagg claim_unknown_identity_is_refused"`.
///
/// The function is the last segment of the test's path, so that moving a test between modules keeps its claim.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct TestName {
    pub(crate) package: String,
    pub(crate) function: String,
}

impl TryFrom<String> for TestName {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.split_whitespace().collect::<Vec<_>>()[..] {
            [package, function] if !function.contains("::") => {
                Ok(Self { package: package.to_owned(), function: function.to_owned() })
            }
            _ => Err(format!("{text:?} is not \"<package> <test function>\"")),
        }
    }
}

impl fmt::Display for TestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.package, self.function)
    }
}

/// One security claim, or one limit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claim {
    /// `SA-01`: what code, tests and prose call it.
    pub(crate) id: String,
    /// The claim, in one sentence.
    pub(crate) says: String,
    /// Who the adversary is.
    pub(crate) vantage: String,
    /// What the adversary may do.
    pub(crate) power: Power,
    /// What must be true outside of the code.
    #[serde(default)]
    pub(crate) assumes: Vec<String>,
    /// Where in the code it is made true.
    #[serde(default)]
    pub(crate) rests_on: Vec<String>,
    /// Tests that show it.
    #[serde(default)]
    pub(crate) evidence: Vec<TestName>,
    /// The same attack with the defence off: these must win, or the evidence shows nothing.
    #[serde(default)]
    pub(crate) control: Vec<TestName>,
    /// How it stands.
    pub(crate) status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimFile {
    claim: Vec<Claim>,
}

/// The claims of one file.
pub(crate) fn parse(text: &str) -> Result<Vec<Claim>, toml::de::Error> {
    toml::from_str::<ClaimFile>(text).map(|file| file.claim)
}

/// The claims of all `*.toml` in a folder, by file name and then in the order of the file.
pub(crate) fn read_all(folder: &Path) -> anyhow::Result<Vec<Claim>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut claims = Vec::new();
    for path in &paths {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        claims.extend(parse(&text).with_context(|| format!("in {}", path.display()))?);
    }
    ensure!(!claims.is_empty(), "{} holds no claims", folder.display());
    Ok(claims)
}
