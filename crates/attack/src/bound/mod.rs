//! Lower bounds on ε from scores of canaries: what a mechanism must at least have lost to have been guessed so well.
//!
//! | bound | needs | speaks of | source |
//! |---|---|---|---|
//! | [`ClopperPearson`] | independent trials | any (ε, δ) mechanism | Jagielski, Ullman, Oprea 2020; Nasr et al. 2021 |
//! | [`OneRun`] | a coin for each canary | any (ε, δ) mechanism | Steinke, Nasr, Jagielski 2023, Theorem 5.2 |
//! | [`FDpOneRun`] | a coin for each canary | a family of trade-off curves | Mahloujifar, Melis, Chaudhuri 2024, Algorithm 3 |
//! | [`GdpClopperPearson`] | independent trials | Gaussian mechanisms | Nasr et al. 2023; Dong, Roth, Su 2022 |
//! | [`Bayesian`] | independent trials | any (ε, δ) mechanism; *credible*, no gate | Zanella-Béguelin et al. 2023 |
//!
//! Two things are asked of whoever calls. The [`Design`] says how the scores came about, and a bound whose proof needs
//! another design refuses. The [`Strategy`] says where the threshold comes from; there is none that takes the best of
//! several without paying for it, because that reports a positive ε of a perfectly private mechanism in a third of all
//! audits (`tests/wrong_rules.rs`).
//!
//! Every bound is one-sided: with probability at least 1 − α over the audit, the mechanism's ε at δ is no smaller.
//!
//! ```
//! use sottovoce_attack::bound::{Bound, Design, Experiment, OneRun, Strategy};
//! use sottovoce_types::Delta;
//!
//! // 200 canaries, every second one in, and an attack that tells them apart.
//! let included: Vec<bool> = (0..200).map(|i| i % 2 == 0).collect();
//! let scores: Vec<f64> = included.iter().map(|&i| f64::from(u8::from(i))).collect();
//! let experiment = Experiment::new(included, scores, Design::CoinInOneRun)?;
//! let strategy = Strategy::Guesses { fraction: 1.0 };
//! let lower = OneRun.lower(&experiment, Delta::new(1e-9)?, 0.05, strategy)?;
//! assert!((lower.epsilon - 4.19).abs() < 0.01); // no audit of 200 canaries can certify more
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
mod bayesian;
mod clopper_pearson;
mod experiment;
mod f_dp;
mod gaussian;
mod guesses;
mod one_run;
mod power;
mod threshold;

use sottovoce_types::Delta;

pub use self::bayesian::Bayesian;
pub use self::clopper_pearson::ClopperPearson;
pub use self::experiment::{Design, Experiment};
pub use self::f_dp::{FDpOneRun, Family};
pub use self::gaussian::{GdpClopperPearson, gdp_mu_lower};
pub use self::guesses::Guesses;
pub use self::one_run::{OneRun, p_value};
pub use self::power::{
    NOT_DETECTABLE, certifiable, detectable_shortfall, detectable_shortfall_in_stages, expected_mu_lower,
};
pub use self::threshold::ErrorCounts;

/// Where the threshold comes from. It is named, never searched for on the scores that are judged.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Strategy {
    /// Fixed before anything was run: a canary with this score or a higher one is called in. One-run bounds guess those and no
    /// other.
    Explicit(f64),
    /// One-run bounds alone: this share of all canaries is guessed, half of it (the highest scores) in and half (the lowest) out.
    /// Fixed before anything was run.
    Guesses {
        /// The share, in (0, 1].
        fraction: f64,
    },
    /// The threshold is chosen on some of the canaries and judged on the others.
    Split {
        /// The share to choose on, in (0, 1).
        fraction: f64,
        /// Seed of who is chosen on.
        seed: u64,
    },
    /// Many thresholds, with α shared out among them.
    Bonferroni,
}

impl Strategy {
    /// In one word, for tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Explicit(_) => "explicit",
            Self::Guesses { .. } => "guesses",
            Self::Split { .. } => "split",
            Self::Bonferroni => "bonferroni",
        }
    }
}

/// What a bound's proof needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Needs {
    /// Trials that are independent of one another.
    IndependentTrials,
    /// Canaries, each in or out by a fair coin of its own.
    Coins,
}

/// Of which mechanisms a bound speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpeaksOf {
    /// Whatever satisfies (ε, δ): it contradicts any claim of a smaller ε.
    AnyMechanism,
    /// The ε of the least private Gaussian mechanism that is not contradicted: it contradicts a claim of Gaussian differential
    /// privacy, and none of (ε, δ) alone.
    GaussianMechanisms,
}

/// What kind of statement it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Too high with probability at most α, whatever the mechanism.
    Confidence,
    /// A Bayesian's belief under a prior. It promises no rate of false alarms and is never a gate.
    Credible,
}

/// A lower bound on ε.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct EpsilonLower {
    /// The bound, at least 0.
    pub epsilon: f64,
    /// The bound on μ, for [`SpeaksOf::GaussianMechanisms`].
    pub mu: Option<f64>,
    /// δ at which it holds.
    pub delta: f64,
    /// It holds at level 1 − α.
    pub alpha: f64,
    /// Confidence or credible.
    pub kind: Kind,
}

/// A lower bound on ε.
pub trait Bound {
    /// In records: `one-run`.
    fn name(&self) -> &'static str;
    /// Paper and equation.
    fn citation(&self) -> &'static str;
    /// What its proof needs.
    fn needs(&self) -> Needs;
    /// Of what it speaks.
    fn speaks_of(&self) -> SpeaksOf;
    /// Confidence, unless it says otherwise.
    fn kind(&self) -> Kind {
        Kind::Confidence
    }

    /// Whether "(ε, δ) holds" is rejected at level `alpha`.
    ///
    /// # Errors
    /// [`BoundError`] when the design or the strategy does not fit, or `alpha` is not in (0, ½).
    fn rejects(
        &self,
        experiment: &Experiment,
        epsilon: f64,
        delta: Delta,
        alpha: f64,
        strategy: Strategy,
    ) -> Result<bool, BoundError>;

    /// The largest ε that is rejected at level `alpha`; 0 where none is.
    ///
    /// # Errors
    /// As [`Bound::rejects`].
    fn lower(
        &self,
        experiment: &Experiment,
        delta: Delta,
        alpha: f64,
        strategy: Strategy,
    ) -> Result<EpsilonLower, BoundError>;
}

/// Every bound, in the order of the table above; [`FDpOneRun`] with both families.
pub fn all() -> Vec<Box<dyn Bound>> {
    vec![
        Box::new(ClopperPearson),
        Box::new(OneRun),
        Box::new(FDpOneRun { family: Family::ApproximateDp }),
        Box::new(FDpOneRun { family: Family::Gaussian }),
        Box::new(GdpClopperPearson),
        Box::new(Bayesian),
    ]
}

/// Why there is no bound.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BoundError {
    /// One side is empty, or both.
    #[error("{included} canaries were in and {excluded} out: a bound needs some of each")]
    OneSided {
        /// Canaries that were in.
        included: usize,
        /// Canaries that were out.
        excluded: usize,
    },
    /// Truths and scores differ in number.
    #[error("{scores} scores for {truths} truths: one for each")]
    Lengths {
        /// Scores given.
        scores: usize,
        /// Truths given.
        truths: usize,
    },
    /// A score is not a number.
    #[error("the score of canary {index} is not a finite number")]
    NotFinite {
        /// Which.
        index: usize,
    },
    /// Two canaries of one cluster: they are neither independent nor included by coins of their own.
    #[error(
        "two units belong to cluster {cluster:?}: a bound needs units that come in or stay out one by one; score whole clusters, or \
         quote the AUC alone"
    )]
    Clustered {
        /// The cluster.
        cluster: String,
    },
    /// No fair coin falls so.
    #[error(
        "{included} of {canaries} canaries were in, which fair coins do with probability {probability:.1e}: inclusion was not by coins"
    )]
    NoCoin {
        /// Canaries that were in.
        included: usize,
        /// All of them.
        canaries: usize,
        /// Two-sided probability of that or worse.
        probability: f64,
    },
    /// The bound's proof needs another design.
    #[error("{bound} needs {}, and this design has not: {design}", needs.in_words())]
    Design {
        /// The bound.
        bound: &'static str,
        /// What it needs.
        needs: Needs,
        /// The design, in words.
        design: &'static str,
    },
    /// The bound has no proof under this strategy.
    #[error("{bound} has no strategy {strategy}: {mend}")]
    Strategy {
        /// The bound.
        bound: &'static str,
        /// The strategy.
        strategy: &'static str,
        /// What can be done.
        mend: &'static str,
    },
    /// A number is out of range.
    #[error("{what} must be {range}, but is {value}")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// Its range.
        range: &'static str,
        /// What was given.
        value: f64,
    },
}

impl Needs {
    /// In words, for errors.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::IndependentTrials => "independent trials",
            Self::Coins => "canaries that are in or out by coins of their own",
        }
    }
}

/// What every bound checks before it looks at a score.
fn admit(bound: &impl Bound, experiment: &Experiment, alpha: f64) -> Result<(), BoundError> {
    let needs = bound.needs();
    if !experiment.design().offers(needs) {
        return Err(BoundError::Design { bound: bound.name(), needs, design: experiment.design().in_words() });
    }
    if alpha > 0.0 && alpha < 0.5 {
        Ok(())
    } else {
        Err(BoundError::OutOfRange { what: "alpha", range: "in (0, 0.5)", value: alpha })
    }
}

/// The largest ε in (0, ∞) that `rejected` holds at, given that it holds up to some ε and not beyond: the safe end of 50
/// bisections. 0 when it does not hold at 0.
fn largest_rejected(mut rejected: impl FnMut(f64) -> bool) -> f64 {
    if !rejected(0.0) {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while rejected(high) {
        (low, high) = (high, 2.0 * high);
        if high > 1e6 {
            return low;
        }
    }
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if rejected(middle) { low = middle } else { high = middle }
    }
    low
}
