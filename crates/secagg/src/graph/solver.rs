//! How many neighbours k a client needs, and which threshold t its shares get, for n clients of whom some are corrupt and
//! some drop out.
//!
//! Two events must be rarer than 2^−40 together, at 2^−41 each ([`PRIVACY_LOG2`]): for some client, more than t1 of its
//! share holders are corrupt (t > t1 then keeps its secrets); and the graph of pairwise masks between honest survivors is
//! disconnected (the coordinator would learn one sum a component). One event must be rarer than 2^−20 ([`FAILURE_LOG2`]):
//! for some client fewer than t holders are left, so that the attempt fails. The numbers of corrupt and of live holders are
//! hypergeometric; "for some client" is a union bound. Against a malicious coordinator t is raised to 2t > k + t1: the
//! honest holders of a client are then too few to give t shares of both its secrets, whatever the coordinator tells whom.
//! That is a second barrier: where a quorum of all clients signs one survivor set, it tells all of them the same
//! ([`Adversary::OneSurvivorSet`]), and about half the neighbours do.
//!
//! Source: J. H. Bell, K. A. Bonawitz, A. Gascón, T. Lepoint, M. Raykova, "Secure Single-Server Aggregation with
//! (Poly)Logarithmic Overhead", CCS 2020, for the shape of the argument; [`harary`] follows the search that Google deploys
//! (federated-compute, `fcp/secagg/server/graph_parameter_finder.cc`) and is tested against its published values.
//! [`out_picks`] is for the graph that this crate uses, in which clients choose their own neighbours; its bounds are
//! derived in `proof.md` beside this file.
use std::f64::consts::LN_2;

use super::tail::{Hypergeometric, MARGIN, ln_add, ln_binomial_at_least, ln_choose, ln_factorial};

/// Log₂ of the probability that one attempt's graph fails to protect its clients, at most.
pub const PRIVACY_LOG2: f64 = -40.0;
/// Log₂ of the probability that an attempt fails although no more clients dropped than planned for, at most.
pub const FAILURE_LOG2: f64 = -20.0;
/// Most clients the solver takes: what its margin for rounding was shown for.
pub const MOST_CLIENTS: u32 = 1 << 20;
/// In-neighbours that a client accepts, as a multiple of k.
pub(super) const IN_DEGREE_FACTOR: u32 = 3;

/// What the coordinator may do with what it sees. Corrupt clients collude with it in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adversary {
    /// Follows the protocol; who drops out does not depend on the graph. Google's CURIOUS_SERVER.
    SemiHonest,
    /// Chooses, once it knows the graph, who drops out. A quorum of all clients signs the one survivor set
    /// ([`crate::quorum`]), and that nobody opens two depends on it.
    OneSurvivorSet,
    /// The same; and should it still have two survivor sets signed, t shares of both secrets of one client are out of its
    /// reach. The thresholds are those of Google's SEMI_MALICIOUS_SERVER.
    Malicious,
}

impl Adversary {
    /// The word used in configs and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::SemiHonest => "semi-honest",
            Self::OneSurvivorSet => "one-survivor-set",
            Self::Malicious => "malicious",
        }
    }
}

/// Whom an attempt has to withstand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cohort {
    /// n: clients on the roster.
    pub n: u32,
    /// Clients that may be corrupt and collude with the coordinator.
    pub max_corrupt: u32,
    /// Clients that may drop out between R1 and R4 without failing the attempt.
    pub max_dropouts: u32,
    /// The coordinator.
    pub adversary: Adversary,
}

/// k and t, and what they were found to give.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GraphParameters {
    /// k: neighbours that hold a client's shares. In a graph of out-picks, how many a client picks.
    pub neighbours: u32,
    /// t: shares that give a secret, and least live picks with which a client goes on.
    pub threshold: u32,
    /// Log₂ of an upper bound on the probability that privacy fails.
    pub privacy_log2: f64,
    /// Log₂ of an upper bound on the probability that the attempt fails.
    pub failure_log2: f64,
}

impl GraphParameters {
    /// 3k: most in-neighbours that a client accepts.
    pub fn in_degree_cap(&self) -> u32 {
        in_degree_cap(self.neighbours)
    }
}

pub(super) fn in_degree_cap(k: u32) -> u32 {
    k.saturating_mul(IN_DEGREE_FACTOR)
}

/// Why there are no parameters, and what would help.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Infeasible {
    /// Not a fraction.
    #[error("the {of} is {value}; it is a fraction of the clients, from 0 to below 1")]
    Fraction {
        /// Which.
        of: &'static str,
        /// What was given.
        value: f64,
    },
    /// No clients, or more than the solver was shown to be right for.
    #[error("{n} clients; the solver takes 1 to {MOST_CLIENTS}")]
    Clients {
        /// What was given.
        n: u32,
    },
    /// Corrupt clients and dropouts leave nothing, at any degree.
    #[error(
        "{max_corrupt} corrupt and {max_dropouts} dropped of {n} clients leave no threshold: corrupt + {weight} · dropouts \
         must be below n (as fractions, gamma + {weight} · delta < 1); plan for fewer of them, or invite more clients"
    )]
    TooManyLost {
        /// Clients.
        n: u32,
        /// Corrupt.
        max_corrupt: u32,
        /// Dropped.
        max_dropouts: u32,
        /// 2 against a malicious coordinator that may have two survivor sets, else 1.
        weight: u32,
    },
    /// Only the complete graph would do.
    #[error(
        "no graph with fewer than n − 1 neighbours keeps 2^-40 and 2^-20 with {n} clients, {max_corrupt} corrupt and \
         {max_dropouts} dropped: use the complete graph, or plan for fewer of them"
    )]
    NeedsCompleteGraph {
        /// Clients.
        n: u32,
        /// Corrupt.
        max_corrupt: u32,
        /// Dropped.
        max_dropouts: u32,
    },
}

impl Cohort {
    /// ⌊gamma·n⌋ corrupt and ⌊delta·n⌋ dropouts. What is below a whole client by rounding alone (1e-14 of n) counts as one.
    ///
    /// # Errors
    /// [`Infeasible::Fraction`] unless 0 ≤ gamma, delta < 1; [`Infeasible::Clients`].
    pub fn of_fractions(n: u32, gamma: f64, delta: f64, adversary: Adversary) -> Result<Self, Infeasible> {
        if n == 0 || n > MOST_CLIENTS {
            return Err(Infeasible::Clients { n });
        }
        let max_corrupt = count("corrupt fraction gamma", gamma, n)?;
        let max_dropouts = count("dropout fraction delta", delta, n)?;
        Ok(Self { n, max_corrupt, max_dropouts, adversary })
    }

    fn check(&self) -> Result<(), Infeasible> {
        let Self { n, max_corrupt, max_dropouts, adversary } = *self;
        if n == 0 || n > MOST_CLIENTS {
            return Err(Infeasible::Clients { n });
        }
        let weight = match adversary {
            Adversary::SemiHonest | Adversary::OneSurvivorSet => 1,
            Adversary::Malicious => 2,
        };
        if max_corrupt.saturating_add(max_dropouts.saturating_mul(weight)) >= n {
            return Err(Infeasible::TooManyLost { n, max_corrupt, max_dropouts, weight });
        }
        Ok(())
    }

    fn no_graph(&self) -> Infeasible {
        let Self { n, max_corrupt, max_dropouts, .. } = *self;
        Infeasible::NeedsCompleteGraph { n, max_corrupt, max_dropouts }
    }

    /// Corrupt and dropped together; below n.
    fn lost(&self) -> u32 {
        self.max_corrupt.saturating_add(self.max_dropouts)
    }
}

fn count(of: &'static str, fraction: f64, n: u32) -> Result<u32, Infeasible> {
    if !(0.0..1.0).contains(&fraction) {
        return Err(Infeasible::Fraction { of, value: fraction });
    }
    let most = ((fraction + 1e-14) * f64::from(n)).floor();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and n, and whole")]
    Ok((most as u32).min(n))
}

/// k and t for a random Harary graph: clients in a random circle that nobody could influence, each a neighbour of the k/2
/// next to it on either side. k is even. For comparison with deployments: this crate builds no such graph. Who drops out is
/// taken not to depend on the circle, whatever the adversary: one that knows it needs k dropouts to split it.
///
/// # Errors
/// [`Infeasible`].
pub fn harary(cohort: &Cohort) -> Result<GraphParameters, Infeasible> {
    cohort.check()?;
    let mut search = Search { cohort: *cohort, population: cohort.n, most_corrupt: 0 };
    (2..cohort.n.saturating_sub(1)).step_by(2).find_map(|k| search.harary(k)).ok_or(cohort.no_graph())
}

/// k and t for a graph in which every client picks k others by itself, gives its shares to them alone, and masks with
/// those it picked and those that picked it.
///
/// # Errors
/// [`Infeasible`].
pub fn out_picks(cohort: &Cohort) -> Result<GraphParameters, Infeasible> {
    cohort.check()?;
    let others = cohort.n.saturating_sub(1);
    let mut search = Search { cohort: *cohort, population: others, most_corrupt: 0 };
    (2..others).find_map(|k| search.out_picks(k)).ok_or(cohort.no_graph())
}

/// ln of what one of the two privacy events may have.
fn privacy_limit() -> f64 {
    (PRIVACY_LOG2 - 1.0) * LN_2
}

struct Search {
    cohort: Cohort,
    /// Whom a client's holders are drawn from: n in a random circle (as published), the n − 1 others for picks.
    population: u32,
    /// t1. It can only grow with k: holders that are added do not make corrupt ones fewer.
    most_corrupt: u32,
}

impl Search {
    fn harary(&mut self, k: u32) -> Option<GraphParameters> {
        let disconnected = harary_disconnection(&self.cohort, k);
        if disconnected >= privacy_limit() {
            return None;
        }
        let (threshold, corrupt) = self.threshold(k);
        let starved = self.starved(k, threshold);
        (starved < FAILURE_LOG2 * LN_2).then(|| parameters(k, threshold, ln_add(disconnected, corrupt), starved))
    }

    fn out_picks(&mut self, k: u32) -> Option<GraphParameters> {
        let (least, corrupt) = self.threshold(k);
        let flooded = flooded(self.cohort.n, k);
        let failed = |t: u32| ln_add(self.starved(k, t), flooded);
        let lives = |t: u32| t <= k && failed(t) < FAILURE_LOG2 * LN_2;
        if !lives(least) {
            return None;
        }
        let disconnected = |t: u32| match self.cohort.adversary {
            Adversary::SemiHonest => static_disconnection(&self.cohort, k),
            Adversary::OneSurvivorSet | Adversary::Malicious => adaptive_disconnection(&self.cohort, k, t),
        };
        // A higher threshold leaves the coordinator fewer clients to drop; the lowest that is enough is cheapest to open.
        let most = (least..=k).take_while(|t| lives(*t)).last()?;
        if disconnected(most) >= privacy_limit() {
            return None;
        }
        let t = (least..=most).find(|t| disconnected(*t) < privacy_limit())?;
        Some(parameters(k, t, ln_add(disconnected(t), corrupt), failed(t)))
    }

    /// t, and ln of a bound on the probability that some client has more than t1 corrupt holders.
    fn threshold(&mut self, k: u32) -> (u32, f64) {
        let corrupt = Hypergeometric::new(self.population, self.cohort.max_corrupt, k);
        let for_some_client = |most: u32| ln_clients(self.cohort.n) + corrupt.ln_at_least(most.saturating_add(1));
        let mut exceeded = for_some_client(self.most_corrupt);
        // Ends at t1 = k at the latest, where the probability is 0.
        while exceeded >= privacy_limit() {
            self.most_corrupt = self.most_corrupt.saturating_add(1);
            exceeded = for_some_client(self.most_corrupt);
        }
        let least = match self.cohort.adversary {
            Adversary::SemiHonest | Adversary::OneSurvivorSet => self.most_corrupt,
            Adversary::Malicious => self.most_corrupt.saturating_add(k) / 2,
        };
        // A secret shared with threshold 1 is in the open.
        (least.saturating_add(1).max(2), exceeded)
    }

    /// ln of a bound on the probability that some client has fewer than t live holders.
    fn starved(&self, k: u32, threshold: u32) -> f64 {
        let live = self.population.saturating_sub(self.cohort.max_dropouts);
        let live = Hypergeometric::new(self.population, live, k);
        ln_clients(self.cohort.n) + live.ln_at_most(threshold.saturating_sub(1))
    }
}

fn parameters(neighbours: u32, threshold: u32, privacy: f64, failure: f64) -> GraphParameters {
    GraphParameters { neighbours, threshold, privacy_log2: privacy / LN_2, failure_log2: failure / LN_2 }
}

fn ln_clients(n: u32) -> f64 {
    libm::log(f64::from(n))
}

/// ln of a bound on the probability that the honest survivors of a random Harary graph are disconnected: two gaps of k/2
/// clients in a row, all corrupt or dropped, at one of the n(n − k − 1)/2 pairs of places.
pub(super) fn harary_disconnection(cohort: &Cohort, k: u32) -> f64 {
    let (n, lost) = (cohort.n, cohort.lost());
    let (Some(after), Some(rest)) = (lost.checked_sub(k), n.checked_sub(k.saturating_add(1)).filter(|r| *r > 0)) else {
        return f64::NEG_INFINITY;
    };
    let pairs = ln_clients(n) + libm::log(f64::from(rest)) - LN_2;
    pairs + ln_factorial(lost) + ln_factorial(n.saturating_sub(k)) - ln_factorial(n) - ln_factorial(after) + MARGIN
}

/// ln of a bound on the probability that the honest survivors of a graph of k out-picks are disconnected, when who is
/// corrupt and who drops out does not depend on the picks (`proof.md`, section 3).
pub(super) fn static_disconnection(cohort: &Cohort, k: u32) -> f64 {
    let (n, lost) = (cohort.n, cohort.lost());
    let (others, survivors) = (n.saturating_sub(1), n.saturating_sub(lost));
    let all_among = |these| ln_all_among(n, k, these);
    let split = sum_over_sizes(survivors / 2, |from, to| {
        let inside = all_among(lost.saturating_add(to).saturating_sub(1));
        let outside = all_among(others.saturating_sub(from));
        let rest = f64::from(survivors.saturating_sub(to));
        ln_choose(survivors, to) + f64::from(from) * inside + rest * outside + MARGIN
    });
    // Fewer may be lost than planned for: nobody who stays is without an edge to a survivor.
    let alone = all_among(lost) + f64::from(survivors) * all_among(others.saturating_sub(1));
    ln_add(split, libm::log(f64::from(lost)) + alone)
}

/// ln of a bound on the probability that a coordinator which knows the whole graph can leave the honest survivors
/// disconnected, when every survivor must have t live picks (`proof.md`, section 4).
pub(super) fn adaptive_disconnection(cohort: &Cohort, k: u32, threshold: u32) -> f64 {
    let (n, corrupt) = (cohort.n, cohort.max_corrupt);
    let (others, honest) = (n.saturating_sub(1), n.saturating_sub(corrupt));
    sum_over_sizes(honest / 2, |from, to| {
        let sets = ln_choose(honest, to);
        // Every member has t picks or more among the corrupt and the other members.
        let company = corrupt.saturating_add(to).saturating_sub(1);
        let inward = Hypergeometric::new(others, company, k).ln_at_least(threshold);
        let small = sets + f64::from(from) * inward;
        // No member picked one of the other side, which is as large at least, nor the other way round.
        let apart = ln_all_among(n, k, others.saturating_sub(from));
        let large = sets + f64::from(honest.saturating_sub(from)) * LN_2 + 2.0 * f64::from(from) * apart;
        small.min(large) + MARGIN
    })
}

/// ln P[all k picks of a client are among these of its n − 1 others].
fn ln_all_among(n: u32, k: u32, these: u32) -> f64 {
    (ln_choose(these, k) - ln_choose(n.saturating_sub(1), k) + MARGIN).min(0.0)
}

/// ln Σ e^term(s) for s = 1 … most, where `term(from, to)` bounds the terms of all sizes between. Sizes above 256 are taken
/// together in steps of less than 1 %, so that a million clients take as long as a thousand.
fn sum_over_sizes(most: u32, term: impl Fn(u32, u32) -> f64) -> f64 {
    let mut sum = f64::NEG_INFINITY;
    let mut from = 1u32;
    while from <= most {
        let width = if from <= 256 { 1 } else { from / 128 };
        let to = from.saturating_add(width).saturating_sub(1).min(most);
        sum = ln_add(sum, term(from, to) + libm::log(f64::from(width)));
        from = to.saturating_add(1);
    }
    sum
}

/// ln of a bound on the probability that honest picks alone give some client more than 3k in-neighbours.
fn flooded(n: u32, k: u32) -> f64 {
    let others = n.saturating_sub(1);
    ln_clients(n) + ln_binomial_at_least(others, k, others, in_degree_cap(k).saturating_add(1))
}

#[cfg(test)]
mod tests;
