//! `audit plan`: what an audit could find, before it is run.
use std::path::Path;

use serde::Serialize;
use serde_json::json;
use sottovoce_attack::bound::{self, Kind, NOT_DETECTABLE, certifiable};
use sottovoce_attack::gate::Policy;
use sottovoce_config::{AttackName, Config};
use sottovoce_report::{Align, TextTable};
use sottovoce_round::RunPlan;
use sottovoce_train::Partition;
use sottovoce_types::{SCHEMA_VERSION, Verdict};

use crate::auditing::canaries::{canary_claim, seconds_of_a_round};
use crate::auditing::power::{ALPHA, CanaryPower};
use crate::auditing::whole_training;
use crate::exit::{Exit, refused};
use crate::output::Output;
use crate::run_dir::RunDir;
use crate::{federation, speech};

/// `audit plan`
pub fn run(path: &Path, set: &[String], output: &Output) -> anyhow::Result<Exit> {
    // Synthetic voices of a config that is only planned for are thrown away.
    let scratch = tempfile::tempdir()?;
    let (config, workspace, rounds) = if path.is_dir() {
        let (dir, config) = RunDir::open(path, set)?;
        RunDir::needs_speech(&config)?;
        let rounds = dir.read_rounds()?.len() as u64;
        (config, path.join("data"), rounds)
    } else {
        let config = Config::load(path, set).map_err(refused)?;
        let rounds = config.run.rounds;
        (config, scratch.path().to_owned(), rounds)
    };
    let speech = speech::load(&config, &workspace, output)?;
    let partition = federation::partition(&config, &speech.examples(&config))?;
    let plan = RunDir::plan(&config, &partition)?;
    let wanted = |attack| config.audit.attacks.contains(&attack);
    let members = partition.pooled();
    let policy = Policy::default();

    let membership = wanted(AttackName::Membership).then(|| {
        let non_members = partition.holdout.len();
        let finest = if non_members > 0 { (10.0 / non_members as f64).min(1.0) } else { 1.0 };
        json!({
            "members": members.len(), "non_members": non_members, "speakers": members.speakers().len(),
            "smallest_false_positive_rate": finest,
        })
    });
    let canary = match canary_claim(&config, &plan, rounds)? {
        Some((pipeline, claim)) if wanted(AttackName::Canary) => {
            let seconds = seconds_of_a_round(pipeline)? * rounds.max(1) as f64;
            let m = pipeline.canaries as u64;
            let power = CanaryPower::new(m, rounds, pipeline.noise_multiplier, claim.delta);
            let (shortfall, expected) = (power.detectable_noise_shortfall, power.epsilon_lower_expected);
            let mut ceilings = Vec::new();
            for b in bound::all().iter().filter(|b| b.kind() == Kind::Confidence) {
                ceilings.push((b.name(), certifiable(b.as_ref(), pipeline.canaries, claim.delta, ALPHA)?));
            }
            Some(Canaries {
                count: m,
                rounds,
                claimed: claim.epsilon.value(),
                delta: claim.delta.value(),
                shortfall,
                expected,
                seconds,
                ceilings,
            })
        }
        _ => None,
    };
    let whole =
        if wanted(AttackName::CanariesInTraining) { whole_run(&config, &plan, &partition, rounds)? } else { None };
    let verdict = match &canary {
        Some(c) if c.shortfall > policy.max_shortfall => Verdict::Inconclusive,
        _ => Verdict::NoViolation,
    };
    let object = json!({
        "schema": SCHEMA_VERSION, "rounds": rounds, "clients": plan.manifest().len(), "units": plan.total_units(), "unit": plan.spec().unit.name(),
        "membership": membership,
        "canaries": canary.as_ref().map(|c| json!({
            "canaries": c.count, "rounds": c.rounds, "epsilon_claimed": c.claimed, "delta": c.delta, "seconds": c.seconds,
            "detectable_noise_shortfall": c.shortfall, "max_noise_shortfall": policy.max_shortfall,
            "epsilon_lower_expected": c.expected,
            "epsilon_lower_most": c.ceilings.iter().map(|(bound, epsilon)| json!({"bound": bound, "epsilon": epsilon})).collect::<Vec<_>>(),
        })),
        "canaries_in_training": whole,
        "has_power": verdict == Verdict::NoViolation,
    });
    output.result(&object, || {
        let mut out = format!(
            "{} clients, {} units ({}), {rounds} rounds\n",
            plan.manifest().len(),
            plan.total_units(),
            plan.spec().unit.name()
        );
        if membership.is_some() {
            let n = partition.holdout.len();
            out.push_str(&format!(
                "membership: {} members and {n} non-members of {} speakers; {}\n",
                members.len(),
                members.speakers().len(),
                if n >= 10 {
                    format!("true-positive rates down to {:.4} false positives", 10.0 / n as f64)
                } else {
                    "too few non-members for any rate: raise partition.holdout_fraction".to_owned()
                }
            ));
        }
        match &canary {
            Some(c) => out.push_str(&c.text(policy)),
            None => out.push_str("canaries: none, since nothing is noised or audit.attacks leaves them out\n"),
        }
        if let Some(w) = &whole {
            out.push_str(&w.text());
        }
        out
    })?;
    Ok(super::exit_of(verdict))
}

/// What canaries in a whole training would cost, and could certify.
#[derive(Serialize)]
struct WholeRun {
    canaries: usize,
    rounds: u64,
    units: u64,
    seconds: f64,
    epsilon_claimed: f64,
    epsilon_lower_most: f64,
}

impl WholeRun {
    fn text(&self) -> String {
        let Self { canaries, rounds, units, seconds, epsilon_claimed, epsilon_lower_most } = self;
        let word = if epsilon_lower_most > epsilon_claimed {
            "enough to contradict the claim"
        } else {
            "INCONCLUSIVE whatever is found, raise audit.canaries"
        };
        format!(
            "canaries in training: {canaries} beside {units} units, the federation trained again for {rounds} rounds; about {seconds:.1} s, twice that if \
             they trip\nat most epsilon {epsilon_lower_most:.3} of {epsilon_claimed:.3} certified: {word}\n"
        )
    }
}

fn whole_run(config: &Config, plan: &RunPlan, partition: &Partition, rounds: u64) -> anyhow::Result<Option<WholeRun>> {
    let Some((pipeline, claim)) = canary_claim(config, plan, rounds)? else { return Ok(None) };
    let trainer = federation::trainer(config)?;
    let of_a_round = whole_training::seconds_of_a_round(plan, &trainer, partition)? + seconds_of_a_round(pipeline)?;
    let seconds = of_a_round * rounds.max(1) as f64;
    let alpha = Policy::default().first_alpha / whole_training::BOUNDS as f64;
    Ok(Some(WholeRun {
        canaries: pipeline.canaries,
        rounds,
        units: plan.total_units(),
        seconds,
        epsilon_claimed: claim.epsilon.value(),
        epsilon_lower_most: whole_training::most(pipeline.canaries, claim.delta, alpha)?,
    }))
}

/// What the canaries could find.
struct Canaries {
    count: u64,
    rounds: u64,
    claimed: f64,
    delta: f64,
    shortfall: f64,
    expected: f64,
    seconds: f64,
    ceilings: Vec<(&'static str, f64)>,
}

impl Canaries {
    fn text(&self, policy: Policy) -> String {
        let Self { count, rounds, claimed, delta, .. } = self;
        let mut out = format!(
            "canaries: {count} in {rounds} rounds against epsilon {claimed:.3} at delta {delta}; about {:.1} s, twice that if they trip\n",
            self.seconds
        );
        if self.shortfall >= NOT_DETECTABLE {
            out.push_str("power: no shortfall of noise would surely be caught: raise audit.canaries\n");
        } else {
            let word =
                if self.shortfall > policy.max_shortfall { "INCONCLUSIVE, raise audit.canaries" } else { "enough" };
            out.push_str(&format!(
                "power: noise short by a factor of {:.2} would be caught with probability 0.95; {:.2} is asked for: {word}\n",
                self.shortfall, policy.max_shortfall
            ));
        }
        out.push_str(&format!(
            "a sound mechanism would be certified epsilon {:.3} of {claimed:.3}, at 95 %\n\n",
            self.expected
        ));
        let mut table = TextTable::new([("bound", Align::Left), ("most that so many canaries certify", Align::Right)]);
        for (bound, epsilon) in &self.ceilings {
            table.row([(*bound).to_owned(), format!("{epsilon:.3}")]);
        }
        out.push_str(&table.render());
        out
    }
}
