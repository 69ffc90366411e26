//! Which canaries a one-run auditor guesses, and how often rightly.
use super::threshold::split;
use super::{BoundError, Experiment, Strategy};

/// Guesses of one audit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guesses {
    /// Canaries m.
    pub canaries: u64,
    /// Guesses r; the others are abstained from.
    pub made: u64,
    /// Of those, how many were right.
    pub correct: u64,
}

/// How many of the highest scores are guessed in, and of the lowest out. A function of the scores alone: where a tie straddles the
/// end, none of it is guessed, since the order in a file may follow the truth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Plan {
    highest: usize,
    lowest: usize,
}

/// The guesses of `strategy`, each with its share of `alpha`. Under [`Strategy::Split`], `worth` ranks plans on the part that is
/// chosen on.
pub(super) fn guesses(
    bound: &'static str,
    experiment: &Experiment,
    alpha: f64,
    strategy: Strategy,
    worth: impl Fn(Guesses) -> f64,
) -> Result<Vec<(Guesses, f64)>, BoundError> {
    let canaries = experiment.scores().len();
    match strategy {
        Strategy::Explicit(threshold) => {
            let mut found = Guesses { canaries: canaries as u64, made: 0, correct: 0 };
            for (&inside, _) in experiment.included().iter().zip(experiment.scores()).filter(|(_, s)| **s >= threshold)
            {
                found.made += 1;
                found.correct += u64::from(inside);
            }
            Ok(vec![(found, alpha)])
        }
        Strategy::Guesses { fraction } => {
            if !(fraction > 0.0 && fraction <= 1.0) {
                return Err(BoundError::OutOfRange { what: "the share guessed", range: "in (0, 1]", value: fraction });
            }
            let all = ((canaries as f64 * fraction).round() as usize).clamp(1, canaries);
            Ok(vec![(made(experiment, Plan { highest: all.div_ceil(2), lowest: all / 2 }), alpha)])
        }
        Strategy::Split { fraction, seed } => {
            let (choosing, judged) = split(experiment, fraction, seed)?;
            let plans = plans(choosing.scores().len());
            let value = |plan: &Plan| worth(made(&choosing, *plan));
            let best = plans.iter().max_by(|a, b| value(a).total_cmp(&value(b)));
            let Some(best) = best else {
                return Err(BoundError::Strategy {
                    bound,
                    strategy: strategy.name(),
                    mend: "too few canaries to choose on: raise their number or the share",
                });
            };
            // The same shares of the part that is judged.
            let (from, to) = (choosing.scores().len() as f64, judged.scores().len());
            let scaled = |n: usize| (n as f64 / from * to as f64).round() as usize;
            let highest = scaled(best.highest).min(to);
            let plan = Plan { highest, lowest: scaled(best.lowest).min(to - highest) };
            Ok(vec![(made(&judged, plan), alpha)])
        }
        Strategy::Bonferroni => {
            let plans = plans(canaries);
            let share = alpha / plans.len().max(1) as f64;
            Ok(plans.into_iter().map(|plan| (made(experiment, plan), share)).collect())
        }
    }
}

/// Numbers of guesses that double from 8 to all canaries, of the highest scores alone and of both ends: decided by their
/// number, before a score is seen.
fn plans(canaries: usize) -> Vec<Plan> {
    let mut plans = Vec::new();
    let mut all = 8.min(canaries);
    while all > 0 {
        plans.push(Plan { highest: all, lowest: 0 });
        plans.push(Plan { highest: all.div_ceil(2), lowest: all / 2 });
        if all == canaries {
            break;
        }
        all = (2 * all).min(canaries);
    }
    plans
}

fn made(experiment: &Experiment, plan: Plan) -> Guesses {
    let scores = experiment.scores();
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let mut found = Guesses { canaries: scores.len() as u64, made: 0, correct: 0 };
    let mut guess = |i: usize, inside: bool| {
        found.made += 1;
        found.correct += u64::from(experiment.included()[i] == inside);
    };
    let beyond = order.get(plan.highest).map(|&i| scores[i]);
    for &i in order.iter().take(plan.highest).take_while(|&&i| beyond.is_none_or(|b| scores[i] > b)) {
        guess(i, true);
    }
    let before = order.len().checked_sub(plan.lowest + 1).map(|at| scores[order[at]]);
    for &i in order.iter().rev().take(plan.lowest).take_while(|&&i| before.is_none_or(|b| scores[i] < b)) {
        guess(i, false);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::Design;

    #[test]
    fn ties_at_the_end_are_not_guessed_whatever_the_order_of_the_file() {
        let included = vec![true, true, true, false, false, false];
        let scores = vec![9.0, 5.0, 5.0, 5.0, 5.0, 1.0];
        let e = Experiment::new(included, scores, Design::CoinInOneRun).unwrap();
        // Two from the top would take one of the tied four; with members first in the file it would be a member.
        assert_eq!(made(&e, Plan { highest: 2, lowest: 0 }), Guesses { canaries: 6, made: 1, correct: 1 });
        assert_eq!(made(&e, Plan { highest: 1, lowest: 3 }), Guesses { canaries: 6, made: 2, correct: 2 });
        assert_eq!(made(&e, Plan { highest: 5, lowest: 1 }), Guesses { canaries: 6, made: 6, correct: 4 });
    }

    #[test]
    fn plans_double_and_end_with_all() {
        let all: Vec<usize> = plans(100).iter().map(|p| p.highest + p.lowest).collect();
        assert_eq!(all, [8, 8, 16, 16, 32, 32, 64, 64, 100, 100]);
        assert_eq!(plans(3).len(), 2);
    }
}
