//! The rules that bind claims to tests.
use std::collections::BTreeSet;
use std::fmt;

use crate::case::{Case, LAST};
use crate::claim::{Claim, Status, TestName};
use crate::ran::{Outcome, TestsRan};

/// The package whose tests are attacks: a failed attack shows something only beside a control that wins.
const ATTACKS: &str = "sottovoce-attack";

/// A place where claims and tests do not fit together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    DuplicateId { id: String },
    NoEvidence { id: String, status: Status },
    NoSuchTest { id: String, test: TestName },
    TestFailed { id: String, test: TestName },
    NoControl { id: String },
    OrphanTest { test: TestName },
    CaseNumber { number: u32 },
    DuplicateCase { number: u32 },
    MissingCase { number: u32 },
    SilentCase { number: u32 },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateId { id } => write!(f, "{id}: two claims have this id"),
            Self::NoEvidence { id, status: Status::NotDefended } => {
                write!(f, "{id}: a limit needs a test that shows the weakness, and has none")
            }
            Self::NoEvidence { id, .. } => {
                write!(f, "{id}: has no evidence; name a test, or say that it is not defended")
            }
            Self::NoSuchTest { id, test } => write!(f, "{id}: no test `{test}` ran; was it renamed or ignored?"),
            Self::TestFailed { id, test } => write!(f, "{id}: `{test}` failed"),
            Self::NoControl { id } => {
                write!(
                    f,
                    "{id}: rests on an attack that fails, but names no control: the same attack must win undefended"
                )
            }
            Self::OrphanTest { test } => write!(f, "`{test}` is named as a claim, but no claim names it"),
            Self::CaseNumber { number } => write!(f, "case {number}: the list has cases 1 to {LAST}"),
            Self::DuplicateCase { number } => write!(f, "case {number}: two cases have this number"),
            Self::MissingCase { number } => {
                write!(f, "case {number}: is not in cases.toml; name a test that shows it, or say why it is open")
            }
            Self::SilentCase { number } => {
                write!(f, "case {number}: names no test; name one, or say in `open` why there is none")
            }
        }
    }
}

/// All faults, claims first in their order, then orphans by name.
pub(crate) fn check(claims: &[Claim], ran: &TestsRan) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut ids = BTreeSet::new();
    let mut named = BTreeSet::new();
    for claim in claims {
        let id = || claim.id.clone();
        if !ids.insert(&claim.id) {
            faults.push(Fault::DuplicateId { id: id() });
        }
        if claim.evidence.is_empty() {
            faults.push(Fault::NoEvidence { id: id(), status: claim.status });
        }
        if claim.evidence.iter().any(|t| t.package == ATTACKS) && claim.control.is_empty() {
            faults.push(Fault::NoControl { id: id() });
        }
        for test in claim.evidence.iter().chain(&claim.control) {
            named.insert(test);
            match ran.outcome(test) {
                Some(Outcome::Passed) => {}
                Some(Outcome::Failed) => faults.push(Fault::TestFailed { id: id(), test: test.clone() }),
                None => faults.push(Fault::NoSuchTest { id: id(), test: test.clone() }),
            }
        }
    }
    let orphans = ran.names().filter(|t| t.function.starts_with("claim_") && !named.contains(t));
    faults.extend(orphans.map(|test| Fault::OrphanTest { test: test.clone() }));
    faults
}

/// All faults of the audit list, in its order, then the numbers that it leaves out.
pub(crate) fn check_cases(cases: &[Case], ran: &TestsRan) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut numbers = BTreeSet::new();
    for case in cases {
        let number = case.number;
        if !(1..=LAST).contains(&number) {
            faults.push(Fault::CaseNumber { number });
        } else if !numbers.insert(number) {
            faults.push(Fault::DuplicateCase { number });
        }
        if case.shown_by.is_empty() && case.open.as_ref().is_none_or(|why| why.trim().is_empty()) {
            faults.push(Fault::SilentCase { number });
        }
        let id = || format!("case {number}");
        for test in &case.shown_by {
            match ran.outcome(test) {
                Some(Outcome::Passed) => {}
                Some(Outcome::Failed) => faults.push(Fault::TestFailed { id: id(), test: test.clone() }),
                None => faults.push(Fault::NoSuchTest { id: id(), test: test.clone() }),
            }
        }
    }
    let missing = (1..=LAST).filter(|number| !numbers.contains(number));
    faults.extend(missing.map(|number| Fault::MissingCase { number }));
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case;
    use crate::claim::parse;

    const CLAIM: &str = r#"
        [[claim]]
        id = "SA-01"
        says = "The coordinator sees only the sum."
        vantage = "coordinator"
        power = "malicious"
        status = "holds"
    "#;

    fn claims(more: &str) -> Vec<Claim> {
        parse(&format!("{CLAIM}\n{more}")).unwrap()
    }

    fn ran(cases: &[(&str, &str, bool)]) -> TestsRan {
        let case = |(package, path, passed): &(&str, &str, bool)| {
            let end = if *passed { "/>" } else { "><failure/></testcase>" };
            format!("<testsuite name=\"{package}\"><testcase name=\"{path}\" {end}</testsuite>")
        };
        TestsRan::from_junit(&cases.iter().map(case).collect::<String>()).unwrap()
    }

    fn test(package: &str, function: &str) -> TestName {
        TestName { package: package.into(), function: function.into() }
    }

    #[test]
    fn a_claim_without_evidence_is_refused() {
        let faults = check(&claims(""), &ran(&[("p", "t", true)]));
        assert_eq!(faults, [Fault::NoEvidence { id: "SA-01".into(), status: Status::Holds }]);
    }

    #[test]
    fn evidence_that_failed_is_refused() {
        let claims = claims(r#"evidence = ["p claim_x"]"#);
        let faults = check(&claims, &ran(&[("p", "m::claim_x", false)]));
        assert_eq!(faults, [Fault::TestFailed { id: "SA-01".into(), test: test("p", "claim_x") }]);
    }

    #[test]
    fn evidence_that_names_no_test_is_refused() {
        let claims = claims(r#"evidence = ["p claim_x"]"#);
        // The same name in another package is another test.
        let faults = check(&claims, &ran(&[("q", "m::x", true)]));
        assert_eq!(faults, [Fault::NoSuchTest { id: "SA-01".into(), test: test("p", "claim_x") }]);
    }

    #[test]
    fn a_test_named_as_a_claim_that_no_claim_names_is_refused() {
        let claims = claims(r#"evidence = ["p claim_x"]"#);
        let faults = check(&claims, &ran(&[("p", "m::claim_x", true), ("p", "m::claim_y", true)]));
        assert_eq!(faults, [Fault::OrphanTest { test: test("p", "claim_y") }]);
    }

    #[test]
    fn an_attack_without_a_control_that_ran_is_refused() {
        let ran = ran(&[("sottovoce-attack", "a::falls_to_chance", true)]);
        let alone = claims(r#"evidence = ["sottovoce-attack falls_to_chance"]"#);
        assert_eq!(check(&alone, &ran), [Fault::NoControl { id: "SA-01".into() }]);
        let silent = claims("evidence = [\"sottovoce-attack falls_to_chance\"]\ncontrol = [\"sottovoce-attack wins\"]");
        let faults = check(&silent, &ran);
        assert_eq!(faults, [Fault::NoSuchTest { id: "SA-01".into(), test: test("sottovoce-attack", "wins") }]);
    }

    #[test]
    fn a_limit_without_a_test_that_shows_it_is_refused() {
        let text = CLAIM.replace("\"holds\"", "\"not-defended\"");
        let faults = check(&parse(&text).unwrap(), &ran(&[("p", "t", true)]));
        assert_eq!(faults, [Fault::NoEvidence { id: "SA-01".into(), status: Status::NotDefended }]);
    }

    #[test]
    fn two_claims_of_one_id_are_refused() {
        let text = format!("{CLAIM}\nevidence = [\"p t\"]\n{CLAIM}\nevidence = [\"p t\"]");
        let faults = check(&parse(&text).unwrap(), &ran(&[("p", "t", true)]));
        assert_eq!(faults, [Fault::DuplicateId { id: "SA-01".into() }]);
    }

    #[test]
    fn claims_whose_evidence_and_controls_passed_are_accepted() {
        let ran =
            ran(&[("sottovoce-attack", "a::falls", true), ("sottovoce-attack", "a::claim_wins_undefended", true)]);
        let text = "evidence = [\"sottovoce-attack falls\"]\ncontrol = [\"sottovoce-attack claim_wins_undefended\"]";
        assert_eq!(check(&claims(text), &ran), []);
    }

    #[test]
    fn a_misspelt_key_or_a_bare_test_name_does_not_parse() {
        assert!(parse(&format!("{CLAIM}\nevidense = []")).is_err());
        assert!(parse(&format!("{CLAIM}\nevidence = [\"claim_x\"]")).is_err());
        assert!(parse(&format!("{CLAIM}\nevidence = [\"p m::claim_x\"]")).is_err());
    }

    /// A list of all cases, each open but those changed.
    fn cases(change: impl Fn(u32) -> Option<String>) -> Vec<Case> {
        let one = |number| {
            let rest = change(number).unwrap_or_else(|| "open = \"nobody wrote it\"".into());
            format!("[[case]]\nnumber = {number}\nsays = \"x\"\n{rest}\n")
        };
        case::parse(&(1..=LAST).map(one).collect::<String>()).unwrap()
    }

    #[test]
    fn a_whole_list_whose_tests_passed_is_accepted() {
        let shown = cases(|n| (n == 3).then(|| "shown_by = [\"p t\"]".into()));
        assert_eq!(check_cases(&shown, &ran(&[("p", "t", true)])), []);
        assert_eq!(case::count(&shown), [1, 0, 66]);
        let partly = cases(|n| (n == 3).then(|| "shown_by = [\"p t\"]\nopen = \"the rest\"".into()));
        assert_eq!(case::count(&partly), [0, 1, 66]);
    }

    #[test]
    fn a_case_whose_test_did_not_run_or_failed_is_refused() {
        let shown = cases(|n| (n == 3).then(|| "shown_by = [\"p t\"]".into()));
        let id = || "case 3".to_owned();
        let missing = [Fault::NoSuchTest { id: id(), test: test("p", "t") }];
        assert_eq!(check_cases(&shown, &ran(&[("p", "u", true)])), missing);
        let failed = [Fault::TestFailed { id: id(), test: test("p", "t") }];
        assert_eq!(check_cases(&shown, &ran(&[("p", "t", false)])), failed);
    }

    #[test]
    fn a_list_with_a_case_missing_doubled_unknown_or_silent_is_refused() {
        let ran = ran(&[("p", "t", true)]);
        let mut list = cases(|_| None);
        list.remove(6);
        assert_eq!(check_cases(&list, &ran), [Fault::MissingCase { number: 7 }]);
        list.push(list[0].clone());
        assert_eq!(check_cases(&list, &ran), [Fault::DuplicateCase { number: 1 }, Fault::MissingCase { number: 7 }]);
        list.last_mut().unwrap().number = LAST + 1;
        assert_eq!(check_cases(&list, &ran), [Fault::CaseNumber { number: 68 }, Fault::MissingCase { number: 7 }]);
        let silent = cases(|n| (n == 9).then(String::new));
        assert_eq!(check_cases(&silent, &ran), [Fault::SilentCase { number: 9 }]);
    }
}
