//! `privacy`: arithmetic and ledgers.
use std::path::Path;

use serde_json::json;
use sottovoce_dp::{Ledger, LedgerEntry, gdp};
use sottovoce_store::read_journal;
use sottovoce_types::{Delta, Epsilon, NoiseMultiplier, SCHEMA_VERSION};

use crate::args::PrivacyCommand;
use crate::exit::{Exit, usage};
use crate::output::Output;

const ADJACENCY: &str = "add-remove (zero-out)";

/// `privacy`
pub fn run(command: &PrivacyCommand, output: &Output) -> anyhow::Result<Exit> {
    match *command {
        PrivacyCommand::Epsilon { noise_multiplier, sampling_rate, steps, delta } => {
            unsampled(sampling_rate)?;
            let z = NoiseMultiplier::new(noise_multiplier).map_err(|e| usage(e.to_string()))?;
            let delta = Delta::new(delta).map_err(|e| usage(e.to_string()))?;
            // Dong, Roth, Su 2022, Corollary 2: μ-GDP composes in squares.
            let mu = (steps as f64).sqrt() / z.value();
            let epsilon = gdp::epsilon(mu, delta);
            let object = json!({
                "schema": SCHEMA_VERSION, "epsilon": {"lower": epsilon.lower, "upper": epsilon.upper}, "delta": delta,
                "gdp_mu": mu, "accountant": "gdp", "adjacency": ADJACENCY, "sampling": "none",
            });
            output.result(&object, || {
                format!("epsilon {:.6} at delta {delta} ({steps} steps, noise multiplier {z}; GDP closed form, {ADJACENCY}, no sampling)", epsilon.upper)
            })?;
        }
        PrivacyCommand::Calibrate { epsilon, delta, sampling_rate, steps } => {
            unsampled(sampling_rate)?;
            let epsilon = Epsilon::new(epsilon).map_err(|e| usage(e.to_string()))?;
            let delta = Delta::new(delta).map_err(|e| usage(e.to_string()))?;
            if steps == 0 {
                return Err(usage("--steps must be at least 1"));
            }
            let z = gdp::calibrate(epsilon, delta, steps);
            let spent = gdp::epsilon((steps as f64).sqrt() / z.value(), delta);
            let object = json!({
                "schema": SCHEMA_VERSION, "noise_multiplier": z, "epsilon": {"lower": spent.lower, "upper": spent.upper},
                "delta": delta, "steps": steps, "accountant": "gdp", "adjacency": ADJACENCY, "sampling": "none",
            });
            output.result(&object, || {
                format!("noise multiplier {z} keeps {steps} steps within epsilon {:.6} at delta {delta}", spent.upper)
            })?;
        }
        PrivacyCommand::Ledger { ref state } => ledger(state, output)?,
    }
    Ok(Exit::Ok)
}

fn unsampled(rate: f64) -> anyhow::Result<()> {
    if (rate - 1.0).abs() < f64::EPSILON {
        Ok(())
    } else {
        Err(usage(
            "this version accounts for rounds in which every unit takes part: --sampling-rate 1 (which is also a safe upper \
             bound for Poisson sampling). The subsampled accountants are not in it",
        ))
    }
}

fn ledger(state: &Path, output: &Output) -> anyhow::Result<()> {
    if !state.join("state.sqlite").exists() {
        return Err(usage(format!(
            "{} holds no state.sqlite: name a coordinator's or a client's state; a simulated run keeps no ledger on disk, its \
             metrics.json says what was spent",
            state.display()
        )));
    }
    let (entries, head) = read_journal(state)?;
    let mut budget = None;
    let ledger_entries: Vec<LedgerEntry> = entries.iter().filter_map(|e| e.ledger.clone()).collect();
    for entry in &ledger_entries {
        if let LedgerEntry::Opened { budget: b, .. } = entry {
            budget = Some(*b);
        }
    }
    let Some(budget) = budget else {
        let object = json!({"schema": SCHEMA_VERSION, "entries": entries.len(), "chain": "verified", "ledger": null});
        return output.result(&object, || {
            format!(
                "{} journal entries, hash chain verified; no privacy ledger: the run has no differential privacy",
                entries.len()
            )
        });
    };
    let ledger = Ledger::replay(budget, ledger_entries.iter().cloned())?;
    let spent = ledger.epsilon_spent();
    let unresolved: Vec<String> =
        ledger.unresolved().map(|k| format!("round {} attempt {}", k.round, k.attempt)).collect();
    let object = json!({
        "schema": SCHEMA_VERSION, "chain": "verified", "head_sha256": head.chain, "entries": entries.len(),
        "budget": {"epsilon": budget.epsilon, "delta": budget.delta},
        "spent": {"epsilon_lower": spent.lower, "epsilon_upper": spent.upper, "gdp_mu": ledger.spent_mu()},
        "left_epsilon": ledger.epsilon_left(), "reserved_unresolved": unresolved, "ledger": ledger_entries,
    });
    output.result(&object, || {
        format!(
            "budget    epsilon {} at delta {}\nspent     epsilon {:.4} (mu {:.4})\nleft      epsilon {:.4}\nopen      {} charges that were not given back; a site counts its input as spent from the moment it leaves\nhash chain of {} entries verified",
            budget.epsilon, budget.delta, spent.upper, ledger.spent_mu(), ledger.epsilon_left(), unresolved.len(), entries.len()
        )
    })
}
