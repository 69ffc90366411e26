//! The gate: does what was measured contradict what the accountant declares?
//!
//! What is compared is the trade-off curve, not ε: the accountant declares f, and a test with upper bounds FPR_hi and FNR_hi on its error
//! rates contradicts f when FNR_hi < f(FPR_hi). Two stages. In the first, all tests of a report share α = 0.01 out among
//! them. What trips is run again with fresh seeds and α = 10⁻⁶, by itself; a violation is what trips twice. So a sound
//! system is called broken once in a hundred million audits, and not once in a hundred.
//!
//! A test that does not trip passes only if it would have: its power is the smallest factor by which noise could fall short
//! and be caught, in both stages, with probability 0.95. Above the floor it is inconclusive, which is not green. And a pass
//! is no proof of privacy.
use std::fmt;
use std::ops::RangeInclusive;

use serde::Serialize;
use sottovoce_types::Verdict;

use crate::bound::{ErrorCounts, NOT_DETECTABLE, detectable_shortfall_in_stages};
use crate::stats::clopper_pearson_upper;

mod curve;

pub use self::curve::Curve;

/// How sure the gate must be, and what it must be able to see.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Policy {
    /// α of the first stage, shared out among its tests.
    pub first_alpha: f64,
    /// α of the second stage, for each test that tripped.
    pub second_alpha: f64,
    /// A test that would let noise fall short by more than this factor is inconclusive.
    pub max_shortfall: f64,
}

impl Default for Policy {
    fn default() -> Self {
        Self { first_alpha: 0.01, second_alpha: 1e-6, max_shortfall: 2.0 }
    }
}

/// Of which stage a run is. Each stage must draw coins and noise of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StageOf {
    /// All tests.
    First,
    /// What tripped.
    Second,
}

/// One thing that is held against its declaration.
pub struct GateTest<'a, E> {
    /// What is tested, for example `clip + noise + sum`.
    pub component: String,
    /// Which rounds its scores are of.
    pub rounds: RangeInclusive<u64>,
    /// What the accountant declares of them.
    pub declared: Curve,
    /// Canaries of each run.
    pub canaries: u64,
    /// A command that does the test again.
    pub reproducer: String,
    /// Runs it with fresh coins and noise, to the errors of a test whose threshold was fixed in advance. The trials must be independent.
    pub run: Box<dyn FnMut(StageOf) -> Result<ErrorCounts, E> + 'a>,
}

/// Upper bounds on both error rates, and what they are held against.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Point {
    /// α of the two bounds together.
    pub alpha: f64,
    /// Upper bound on the rate of false alarms.
    pub fpr_upper: f64,
    /// Upper bound on the rate of misses.
    pub fnr_upper: f64,
    /// f(FPR_hi): the least rate of misses that the declaration allows.
    pub fnr_declared: f64,
}

impl Point {
    /// The point of `counts` at level `alpha` against `declared`.
    pub fn new(counts: ErrorCounts, alpha: f64, declared: &Curve) -> Self {
        let fpr_upper = clopper_pearson_upper(counts.false_alarms, counts.excluded, alpha / 2.0);
        let fnr_upper = clopper_pearson_upper(counts.missed, counts.included, alpha / 2.0);
        Self { alpha, fpr_upper, fnr_upper, fnr_declared: declared.miss_rate(fpr_upper) }
    }

    /// Whether it contradicts the declaration.
    pub fn contradicts(&self) -> bool {
        self.fnr_upper < self.fnr_declared
    }
}

/// What the gate says of one test.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Finding {
    /// What was tested.
    pub component: String,
    /// First round.
    pub first_round: u64,
    /// Last round.
    pub last_round: u64,
    /// The declared curve, in words.
    pub declared: String,
    /// The first stage.
    pub first: Point,
    /// The second, where the first tripped.
    pub second: Option<Point>,
    /// Smallest factor by which noise could fall short and be caught with probability 0.95; [`NOT_DETECTABLE`] where there is none.
    pub detectable_noise_shortfall: f64,
    /// The verdict.
    pub verdict: Verdict,
    /// A command that does the test again.
    pub reproducer: String,
}

/// What the gate says of a report.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct GateReport {
    /// One for each test.
    pub findings: Vec<Finding>,
    /// The worst of them: a violation, else inconclusive, else no violation.
    pub verdict: Verdict,
}

/// Holds every test against its declaration.
///
/// # Errors
/// The first error of a test's run.
pub fn gate<E>(tests: Vec<GateTest<'_, E>>, policy: Policy) -> Result<GateReport, E> {
    let alpha = policy.first_alpha / tests.len().max(1) as f64;
    let mut findings = Vec::with_capacity(tests.len());
    let mut powers: Vec<((u64, Option<f64>), f64)> = Vec::new();
    for mut test in tests {
        let first = Point::new((test.run)(StageOf::First)?, alpha, &test.declared);
        let second = if first.contradicts() {
            Some(Point::new((test.run)(StageOf::Second)?, policy.second_alpha, &test.declared))
        } else {
            None
        };
        let design = (test.canaries, test.declared.mu());
        // Tests of one report often share their design.
        let shortfall = if let Some((_, shortfall)) = powers.iter().find(|(known, _)| *known == design) {
            *shortfall
        } else {
            let of = |mu| detectable_shortfall_in_stages(test.canaries, mu, &[alpha, policy.second_alpha]);
            let shortfall = design.1.map_or(NOT_DETECTABLE, of);
            powers.push((design, shortfall));
            shortfall
        };
        let verdict = if second.is_some_and(|point| point.contradicts()) {
            Verdict::Violation
        } else if shortfall > policy.max_shortfall {
            Verdict::Inconclusive
        } else {
            Verdict::NoViolation
        };
        findings.push(Finding {
            component: test.component,
            first_round: *test.rounds.start(),
            last_round: *test.rounds.end(),
            declared: test.declared.to_string(),
            first,
            second,
            detectable_noise_shortfall: shortfall,
            verdict,
            reproducer: test.reproducer,
        });
    }
    Ok(GateReport { verdict: worst(findings.iter().map(|f| f.verdict)), findings })
}

/// δ is no smaller than the chance of publishing one unit whole.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
#[error(
    "delta {delta} is not below 1 over the {units} units: to publish one of them in clear would satisfy it, so there is nothing to audit; \
     declare a smaller one"
)]
pub struct DeltaTooLarge {
    /// δ.
    pub delta: f64,
    /// Units.
    pub units: u64,
}

/// The curve of (ε, δ) for a mechanism on `units` units.
///
/// # Errors
/// [`DeltaTooLarge`] unless δ < 1/`units`.
pub fn declared(epsilon: f64, delta: f64, units: u64) -> Result<Curve, DeltaTooLarge> {
    if delta * units as f64 >= 1.0 {
        Err(DeltaTooLarge { delta, units })
    } else {
        Ok(Curve::approximate(epsilon, delta))
    }
}

/// A violation outweighs everything, and what could not be told outweighs what passed.
pub fn worst(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    verdicts.into_iter().fold(Verdict::NoViolation, |worst, verdict| match (worst, verdict) {
        (Verdict::Violation, _) | (_, Verdict::Violation) => Verdict::Violation,
        (Verdict::Inconclusive, _) | (_, Verdict::Inconclusive) => Verdict::Inconclusive,
        _ => Verdict::NoViolation,
    })
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.verdict {
            Verdict::NoViolation => "PASS",
            Verdict::Violation => "VIOLATION",
            Verdict::Inconclusive => "INCONCLUSIVE",
        };
        let Self { component, first_round, last_round, declared, .. } = self;
        let rounds = if first_round == last_round {
            format!("round {first_round}")
        } else {
            format!("rounds {first_round} to {last_round}")
        };
        write!(f, "{word}: {component}, {rounds}, declared {declared}")?;
        let mut point = |p: &Point, stage: &str| {
            write!(
                f,
                "\n  {stage} (alpha {:.1e}): FPR at most {:.4}, FNR at most {:.4}; the declared curve leaves FNR {:.4} or more",
                p.alpha, p.fpr_upper, p.fnr_upper, p.fnr_declared
            )
        };
        point(&self.first, "stage 1")?;
        if let Some(second) = &self.second {
            point(second, "stage 2, fresh seeds")?;
        }
        if self.detectable_noise_shortfall >= NOT_DETECTABLE {
            write!(f, "\n  power: no shortfall of noise would surely have been caught")?;
        } else {
            let k = self.detectable_noise_shortfall;
            write!(f, "\n  power: noise short by a factor of {k:.2} would have been caught with probability 0.95")?;
        }
        if self.verdict == Verdict::Violation {
            write!(f, "\n  again: {}", self.reproducer)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::random::Stream;

    /// `canaries` ideal Gaussian canaries of a mechanism that is `mu`-GDP, declared to be 1-GDP.
    fn tested(mu: f64, canaries: u64, seed: u64) -> GateTest<'static, Infallible> {
        let run = move |stage: StageOf| -> Result<ErrorCounts, Infallible> {
            let mut s = Stream::new(if stage == StageOf::First { "gate-first" } else { "gate-second" }, seed);
            let mut errors = || (0..canaries / 2).filter(|_| s.normal() > mu / 2.0).count() as u64;
            let (missed, false_alarms) = (errors(), errors());
            Ok(ErrorCounts { included: canaries / 2, missed, excluded: canaries / 2, false_alarms })
        };
        GateTest {
            component: "noise".into(),
            rounds: 1..=3,
            declared: Curve::gaussian(1.0),
            canaries,
            reproducer: "sottovoce audit selftest --only noise".into(),
            run: Box::new(run),
        }
    }

    #[test]
    fn a_sound_mechanism_passes_and_a_broken_one_is_named_with_its_reproducer() {
        let report = gate(vec![tested(1.0, 4000, 1), tested(2.0, 4000, 2)], Policy::default()).unwrap();
        let verdicts: Vec<Verdict> = report.findings.iter().map(|f| f.verdict).collect();
        assert_eq!(verdicts, [Verdict::NoViolation, Verdict::Violation]);
        assert_eq!(report.verdict, Verdict::Violation);
        assert!(report.findings[0].first.alpha < report.findings[1].second.unwrap().alpha * 1e4);
        let text = report.findings[1].to_string();
        for part in ["VIOLATION: noise, rounds 1 to 3, declared 1.0000-GDP", "FPR", "FNR", "again: sottovoce audit"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!report.findings[0].to_string().contains("again"));
    }

    #[test]
    fn a_test_that_would_not_have_seen_it_is_inconclusive_and_not_green() {
        let report = gate(vec![tested(1.0, 40, 1), tested(1.0, 4000, 1)], Policy::default()).unwrap();
        assert_eq!(report.findings[0].verdict, Verdict::Inconclusive);
        assert_eq!(report.verdict, Verdict::Inconclusive);
        let alone = gate(vec![tested(1.0, 40, 1)], Policy { max_shortfall: f64::MAX, ..Policy::default() }).unwrap();
        assert_eq!(alone.verdict, Verdict::NoViolation);
    }

    #[test]
    fn the_first_stage_trips_as_often_as_it_says_and_the_second_all_but_never() {
        // Shared out among 20 tests of a mechanism that is exactly as private as declared: 1 report in 100 trips.
        let (mut tripped, mut violations, mut unshared) = (0, 0, 0);
        for seed in 0..60u64 {
            let tests = (0..20).map(|i| tested(1.0, 400, 1000 * seed + i)).collect();
            let report = gate(tests, Policy { max_shortfall: f64::MAX, ..Policy::default() }).unwrap();
            tripped += u64::from(report.findings.iter().any(|f| f.second.is_some()));
            violations += u64::from(report.verdict == Verdict::Violation);
            // The wrong input: every test at a level of its own, as if it were the only one, and nothing run again.
            let alone = |i| (tested(1.0, 400, 1000 * seed + i).run)(StageOf::First).unwrap();
            unshared += u64::from((0..20).any(|i| Point::new(alone(i), 0.25, &Curve::gaussian(1.0)).contradicts()));
        }
        // Bin(60, 0.01) exceeds 5 with probability below 1e-4.
        assert!(tripped <= 5, "{tripped} of 60 reports tripped");
        assert_eq!(violations, 0);
        assert!(unshared > 20, "no power: {unshared}");
    }
}
