//! `audit import-scores`: the statistics alone, on scores of any tool.
use std::fs::File;
use std::io::BufReader;

use anyhow::Context;
use serde::Serialize;
use serde_json::json;
use sottovoce_attack::bound::{self, Bound, Design, Experiment, Kind, Needs, SpeaksOf, Strategy, certifiable};
use sottovoce_attack::gate;
use sottovoce_attack::scores::{Described, Scores};
use sottovoce_attack::stats::{self, PRIORS};
use sottovoce_report::{Align, TextTable};
use sottovoce_types::{Delta, Epsilon, SCHEMA_VERSION, Vantage, Verdict};

use crate::args::{DesignArg, ImportScoresArgs};
use crate::exit::{Exit, usage};
use crate::output::Output;

/// α of all bounds together that are held against a claim. There is no second stage: nobody can draw a file's scores anew.
const CLAIM_ALPHA: f64 = 0.01;
/// False-positive rates of the ROC that is printed.
const RATES: [f64; 6] = [0.001, 0.01, 0.05, 0.1, 0.2, 0.5];
/// δ of bounds where none is claimed.
const DEFAULT_DELTA: f64 = 1e-5;

/// One bound, or why there is none.
#[derive(Serialize)]
struct BoundRow {
    bound: &'static str,
    citation: &'static str,
    strategy: &'static str,
    kind: &'static str,
    speaks_of: &'static str,
    epsilon_lower: Option<f64>,
    mu_lower: Option<f64>,
    why_not: Option<String>,
    /// Whether it contradicts the claim at its share of α; `None` where it is not held against one.
    contradicts: Option<bool>,
}

/// `audit import-scores`
pub fn run(args: &ImportScoresArgs, output: &Output) -> anyhow::Result<Exit> {
    let file = File::open(&args.file).with_context(|| format!("cannot open {}", args.file.display()))?;
    let of = Described { attack: "imported", vantage: Vantage::Auditor, citation: "" };
    let (scores, form) =
        Scores::read_csv(of, BufReader::new(file)).map_err(|e| usage(format!("{}: {e}", args.file.display())))?;
    if let Some(path) = &args.out {
        scores.write_csv(File::create(path).with_context(|| format!("cannot write {}", path.display()))?)?;
    }
    let trials = scores.trials();
    let auc = stats::auc_with_interval(&trials, args.seed)?;
    let roc = stats::roc(&trials, &RATES)?;
    let (claim, rows, verdict) = judged(args, &scores)?;
    let decision = args.threshold.map(|t| stats::decide(&trials, t)).transpose()?;
    let members = trials.iter().filter(|t| t.positive).count();
    let slices = slices(&scores, args.seed);

    let object = json!({
        "schema": SCHEMA_VERSION, "file": args.file, "form": format!("{form:?}"), "design": design(args.design).in_words(),
        "units": trials.len(), "members": members, "clusters": auc.clusters,
        "auc": {"value": auc.value, "ci95": auc.ci95},
        "roc": roc.iter().zip(RATES).map(|(p, rate)| json!({
            "rate": rate, "fpr": p.fpr, "tpr": p.tpr, "false_positives": p.false_positives, "true_positives": p.true_positives,
            "pointwise95": p.pointwise, "simultaneous95": p.simultaneous, "behind": behind(&trials, rate),
        })).collect::<Vec<_>>(),
        "decision": decision.map(|d| json!({
            "tpr": d.tpr, "fpr": d.fpr, "balanced_accuracy": d.balanced_accuracy, "ci95": d.ci95,
            "ppv": PRIORS.map(|prior| { let p = d.ppv(prior); json!({"prior": prior, "value": p.value, "ci95": p.ci95}) }),
        })),
        "slices": slices.iter().map(|(key, value, auc)| json!({
            "slice": key, "value": value, "auc": auc.value, "ci95": auc.ci95, "clusters": auc.clusters,
        })).collect::<Vec<_>>(),
        "bounds": rows, "claim": claim, "verdict": verdict,
    });
    output.result(&object, || {
        let mut out = format!(
            "{} units, {members} members, {} clusters; {}\nAUC {:.4}, 95 % interval {:.4} to {:.4}\n\n",
            trials.len(),
            auc.clusters,
            design(args.design).in_words(),
            auc.value,
            auc.ci95.low,
            auc.ci95.high
        );
        out.push_str(&roc_table(&roc, &trials));
        if let Some(d) = decision {
            out.push_str(&format!(
                "\n\nat the threshold: TPR {:.4}, FPR {:.4}, balanced accuracy {:.4} ({:.4} to {:.4})",
                d.tpr, d.fpr, d.balanced_accuracy, d.ci95.low, d.ci95.high
            ));
            for p in PRIORS.map(|prior| d.ppv(prior)) {
                let (low, high) = (p.ci95.low, p.ci95.high);
                out.push_str(&format!(
                    "\n  where {} % are members, {:.4} of those accused are ({low:.4} to {high:.4})",
                    100.0 * p.prior,
                    p.value
                ));
            }
        }
        for (key, value, auc) in &slices {
            out.push_str(&format!(
                "\n{key} = {value}: AUC {:.4} ({:.4} to {:.4})",
                auc.value, auc.ci95.low, auc.ci95.high
            ));
        }
        out.push_str(&format!("\n\n{}", bounds_table(&rows)));
        if let Some(verdict) = verdict {
            out.push_str(&format!("\n\n{}", in_words(verdict)));
        }
        out
    })?;
    Ok(verdict.map_or(Exit::Ok, super::exit_of))
}

fn in_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Violation => "VIOLATION: the scores contradict the claim",
        Verdict::NoViolation => "no violation of the claim was found, which is no proof of it",
        Verdict::Inconclusive => "INCONCLUSIVE: so few canaries could not contradict the claim, whatever they said",
    }
}

fn design(arg: DesignArg) -> Design {
    match arg {
        DesignArg::OneRun => Design::CoinInOneRun,
        DesignArg::IndependentTrials => Design::IndependentTrials,
        DesignArg::IndependentCoins => Design::CoinAndIndependent,
        DesignArg::Observed => Design::Observed,
    }
}

/// `None` where enough non-members stand behind the rate, or why it must not be quoted.
fn behind(trials: &[stats::Trial], rate: f64) -> Option<String> {
    stats::tpr_at_fpr(trials, rate).err().map(|e| e.to_string())
}

type Judged = (serde_json::Value, Vec<BoundRow>, Option<Verdict>);

/// All bounds, and the claim against those that speak of it.
fn judged(args: &ImportScoresArgs, scores: &Scores) -> anyhow::Result<Judged> {
    let units = args.units.unwrap_or(scores.units.len() as u64);
    let wrong = |e: &dyn std::fmt::Display| usage(e.to_string());
    let delta = Delta::new(args.delta.unwrap_or(DEFAULT_DELTA)).map_err(|e| wrong(&e))?;
    let claimed = args.epsilon.map(Epsilon::new).transpose().map_err(|e| wrong(&e))?;
    if let Some(epsilon) = claimed {
        gate::declared(epsilon.value(), delta.value(), units).map_err(|e| wrong(&e))?;
        if args.design == DesignArg::Observed {
            return Err(usage(
                "a claim can be held against canaries only: say how the scores came about with --design one-run, independent-trials \
                 or independent-coins (docs/audits.md)",
            ));
        }
    }
    let bounds = bound::all();
    let experiment = Experiment::of_scores(scores, design(args.design));
    // Only what speaks of the claim may contradict it, and only what has a proof under the design.
    let gates = |b: &dyn Bound| {
        b.kind() == Kind::Confidence
            && (b.speaks_of() == SpeaksOf::AnyMechanism || args.gaussian)
            && design(args.design).offers(b.needs())
            && strategy(args, b).is_ok()
    };
    let gating = bounds.iter().filter(|b| gates(b.as_ref())).count();
    let share = CLAIM_ALPHA / gating.max(1) as f64;
    let mut rows = Vec::new();
    let (mut contradicted, mut possible) = (false, false);
    for b in &bounds {
        let b = b.as_ref();
        let found = experiment.as_ref().map_err(ToString::to_string).and_then(|e| {
            let strategy = strategy(args, b)?;
            Ok((b.lower(e, delta, args.alpha, strategy).map_err(|e| e.to_string())?, strategy, e))
        });
        let mut contradicts = None;
        if let (Some(epsilon), Ok((_, strategy, e)), true) = (claimed, &found, gates(b)) {
            let rejected = b.rejects(e, epsilon.value(), delta, share, *strategy)?;
            contradicts = Some(rejected);
            contradicted |= rejected;
            possible |= certifiable(b, scores.units.len(), delta, share)? > epsilon.value();
        }
        rows.push(BoundRow {
            bound: b.name(),
            citation: b.citation(),
            strategy: found.as_ref().map_or("", |(_, s, _)| s.name()),
            kind: if b.kind() == Kind::Credible { "credible, no gate" } else { "confidence" },
            speaks_of: match b.speaks_of() {
                SpeaksOf::AnyMechanism => "any mechanism",
                SpeaksOf::GaussianMechanisms => "Gaussian mechanisms",
            },
            epsilon_lower: found.as_ref().ok().map(|(lower, ..)| lower.epsilon),
            mu_lower: found.as_ref().ok().and_then(|(lower, ..)| lower.mu),
            why_not: found.as_ref().err().cloned(),
            contradicts,
        });
    }
    let Some(epsilon) = claimed else { return Ok((serde_json::Value::Null, rows, None)) };
    if let Some(error) = experiment.err() {
        return Err(usage(format!("the claim cannot be held against these scores: {error}")));
    }
    if gating == 0 {
        return Err(usage(
            "no bound can be held against the claim under this design and threshold: see the bounds' reasons without --epsilon",
        ));
    }
    let verdict = match (contradicted, possible) {
        (true, _) => Verdict::Violation,
        (false, true) => Verdict::NoViolation,
        (false, false) => Verdict::Inconclusive,
    };
    let claim = json!({
        "epsilon": epsilon.value(), "delta": delta.value(), "gaussian": args.gaussian, "alpha": CLAIM_ALPHA, "alpha_of_each": share,
    });
    Ok((claim, rows, Some(verdict)))
}

/// The strategy of the command line, where the bound has it: else α shared out, or for a posterior a split.
fn strategy(args: &ImportScoresArgs, b: &dyn Bound) -> Result<Strategy, String> {
    let split = |fraction| Strategy::Split { fraction, seed: args.seed };
    match (args.threshold, args.guesses, args.split) {
        (Some(threshold), ..) => Ok(Strategy::Explicit(threshold)),
        (_, Some(fraction), _) if b.needs() == Needs::Coins => Ok(Strategy::Guesses { fraction }),
        (_, Some(_), _) => Err(format!("{} judges a threshold: give one with --threshold, or --split", b.name())),
        (_, _, Some(fraction)) => Ok(split(fraction)),
        _ if b.kind() == Kind::Credible => Ok(split(0.5)),
        _ => Ok(Strategy::Bonferroni),
    }
}

/// The AUC of every value of every slice that has both sides.
fn slices(scores: &Scores, seed: u64) -> Vec<(String, String, stats::Auc)> {
    let mut keys: Vec<&String> = scores.units.iter().flat_map(|u| u.slices.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let of = |key: &String| -> Vec<(String, String, stats::Auc)> {
        let values = scores.values_of(key);
        // A column with a value for nearly every unit is no slice.
        let few = values.len() <= 50;
        values
            .into_iter()
            .filter(|_| few)
            .filter_map(|value| {
                let auc = stats::auc_with_interval(&scores.slice(key, &value).trials(), seed).ok()?;
                Some((key.clone(), value, auc))
            })
            .collect()
    };
    keys.into_iter().flat_map(of).collect()
}

fn roc_table(roc: &[stats::RocPoint], trials: &[stats::Trial]) -> String {
    let mut table = TextTable::new([
        ("false-positive rate", Align::Right),
        ("true-positive rate", Align::Right),
        ("95 % at this point", Align::Right),
        ("95 % for the whole curve", Align::Right),
        ("false positives", Align::Right),
    ]);
    for (point, rate) in roc.iter().zip(RATES) {
        let interval = |i: sottovoce_types::Interval| format!("{:.4} to {:.4}", i.low, i.high);
        let refused = behind(trials, rate);
        table.row([
            format!("{rate}"),
            refused.as_ref().map_or_else(|| format!("{:.4}", point.tpr), |_| "n/a".to_owned()),
            refused.map_or_else(
                || interval(point.pointwise),
                |_| format!("needs {:.0} non-members", (10.0 / rate).ceil()),
            ),
            interval(point.simultaneous),
            point.false_positives.to_string(),
        ]);
    }
    table.render()
}

fn bounds_table(rows: &[BoundRow]) -> String {
    let mut table = TextTable::new([
        ("lower bound on epsilon", Align::Left),
        ("speaks of", Align::Left),
        ("threshold", Align::Left),
        ("value", Align::Right),
        ("", Align::Left),
    ]);
    for row in rows {
        let remark = match (&row.why_not, row.contradicts) {
            (Some(why), _) => why.clone(),
            (None, Some(true)) => "CONTRADICTS the claim".to_owned(),
            (None, Some(false)) => "does not contradict the claim".to_owned(),
            (None, None) => row.kind.to_owned(),
        };
        table.row([
            row.bound.to_owned(),
            row.speaks_of.to_owned(),
            row.strategy.to_owned(),
            row.epsilon_lower.map_or_else(|| "n/a".to_owned(), |e| format!("{e:.4}")),
            remark,
        ]);
    }
    table.render()
}
