//! `privacy`: arithmetic and ledgers.
use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use serde_json::json;
use sottovoce_dp::accountant::{self, Accountant, Adjacency};
use sottovoce_dp::sampling::SamplingProbability;
use sottovoce_dp::{Budget, DpEvent, Ledger, LedgerEntry, LedgerKey};
use sottovoce_round::{Entry, JournalEvent};
use sottovoce_store::read_journal;
use sottovoce_types::{Delta, Epsilon, NoiseMultiplier, SCHEMA_VERSION};

use crate::args::{AccountantArg, AdjacencyArg, PrivacyCommand, ReleasedArgs};
use crate::exit::{Exit, usage};
use crate::output::Output;

/// `privacy`
pub fn run(command: &PrivacyCommand, output: &Output) -> anyhow::Result<Exit> {
    match *command {
        PrivacyCommand::Epsilon { noise_multiplier, released } => {
            let z = NoiseMultiplier::new(noise_multiplier).map_err(|e| usage(e.to_string()))?;
            epsilon(z, released, output)?;
        }
        PrivacyCommand::Calibrate { epsilon, released } => {
            let target = Epsilon::new(epsilon).map_err(|e| usage(e.to_string()))?;
            calibrate(target, released, output)?;
        }
        PrivacyCommand::Ledger { ref state } => ledger(state, output)?,
    }
    Ok(Exit::Ok)
}

/// What is released with a noise multiplier.
fn event(z: NoiseMultiplier, released: ReleasedArgs) -> anyhow::Result<DpEvent> {
    let q = SamplingProbability::new(released.sampling_rate).map_err(|e| usage(e.to_string()))?;
    Ok(DpEvent::gaussian(z).poisson_sampled(q.value()).self_composed(released.steps))
}

fn epsilon(z: NoiseMultiplier, released: ReleasedArgs, output: &Output) -> anyhow::Result<()> {
    let delta = Delta::new(released.delta).map_err(|e| usage(e.to_string()))?;
    let event = event(z, released)?;
    let began = Instant::now();
    let found = accountant::epsilon(&event, delta, released.accountant.into(), released.adjacency.into())
        .map_err(|e| usage(e.to_string()))?;
    let milliseconds = began.elapsed().as_secs_f64() * 1e3;
    let object = json!({
        "schema": SCHEMA_VERSION, "epsilon": {"lower": found.bracket.lower, "upper": found.bracket.upper}, "delta": delta,
        "accountant": found.accountant.name(), "adjacency": found.adjacency.name(), "noise_multiplier": z,
        "sampling": sampling(released), "sampling_rate": released.sampling_rate, "steps": released.steps,
        "milliseconds": milliseconds,
    });
    output.result(&object, || {
        let lower = found.bracket.lower;
        let at_least = if lower > 0.0 { format!(", and not below {lower:.7}") } else { String::new() };
        format!(
            "epsilon {:.7} at delta {delta}{at_least}\n{event}\n{}, {}, {milliseconds:.1} ms",
            found.bracket.upper,
            found.accountant.in_words(),
            found.adjacency.in_words(),
        )
    })
}

fn calibrate(target: Epsilon, released: ReleasedArgs, output: &Output) -> anyhow::Result<()> {
    let delta = Delta::new(released.delta).map_err(|e| usage(e.to_string()))?;
    event(NoiseMultiplier::new(1.0).expect("above 0"), released)?;
    let began = Instant::now();
    let make = |z| event(z, released).expect("checked above");
    let (accountant, adjacency) = (released.accountant.into(), released.adjacency.into());
    let found = accountant::calibrate_noise_multiplier(target, delta, make, accountant, adjacency)
        .map_err(|e| usage(e.to_string()))?;
    let milliseconds = began.elapsed().as_secs_f64() * 1e3;
    let (z, spent) = (found.noise_multiplier, found.spent);
    let object = json!({
        "schema": SCHEMA_VERSION, "noise_multiplier": z,
        "epsilon": {"lower": spent.bracket.lower, "upper": spent.bracket.upper}, "delta": delta, "steps": released.steps,
        "accountant": spent.accountant.name(), "adjacency": spent.adjacency.name(), "sampling": sampling(released),
        "sampling_rate": released.sampling_rate, "milliseconds": milliseconds,
    });
    output.result(&object, || {
        format!(
            "noise multiplier {z} keeps {} steps within epsilon {:.7} at delta {delta}\n{}, {}, {milliseconds:.1} ms",
            released.steps,
            spent.bracket.upper,
            spent.accountant.in_words(),
            spent.adjacency.in_words(),
        )
    })
}

fn sampling(released: ReleasedArgs) -> &'static str {
    if released.sampling_rate < 1.0 { "poisson" } else { "none" }
}

impl From<AccountantArg> for Accountant {
    fn from(arg: AccountantArg) -> Self {
        match arg {
            AccountantArg::Auto => Self::Auto,
            AccountantArg::Pld => Self::Pld,
            AccountantArg::Rdp => Self::Rdp,
            AccountantArg::Gdp => Self::Gdp,
        }
    }
}

impl From<AdjacencyArg> for Adjacency {
    fn from(arg: AdjacencyArg) -> Self {
        match arg {
            AdjacencyArg::AddRemove => Self::AddOrRemoveOne,
            AdjacencyArg::Replace => Self::ReplaceOne,
            AdjacencyArg::ZeroOut => Self::ReplaceSpecial,
        }
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
    let attempts = attempts(budget, &ledger_entries, &entries)?;
    let unresolved: Vec<String> =
        ledger.unresolved().map(|k| format!("round {} attempt {}", k.round, k.attempt)).collect();
    let object = json!({
        "schema": SCHEMA_VERSION, "chain": "verified", "head_sha256": head.chain, "entries": entries.len(),
        "budget": {"epsilon": budget.epsilon, "delta": budget.delta},
        "spent": {"epsilon_lower": spent.lower, "epsilon_upper": spent.upper},
        "left_epsilon": ledger.epsilon_left(), "reserved_unresolved": unresolved, "ledger": ledger_entries,
        "attempts": attempts,
    });
    output.result(&object, || {
        format!(
            "{}budget    epsilon {} at delta {}\nspent     epsilon {:.4}\nleft      epsilon {:.4}\nopen      {} charges that were not given back; a site counts its input as spent from the moment it leaves\nhash chain of {} entries verified",
            table(&attempts), budget.epsilon, budget.delta, spent.upper, ledger.epsilon_left(), unresolved.len(), entries.len()
        )
    })
}

/// One attempt of a ledger.
#[derive(Serialize)]
struct Row {
    round: u64,
    attempt: u32,
    /// `opened`: revealed, or a share for it left. `reserved`: counted as spent, whatever became of it. `voided`: given back, nothing was revealed.
    state: &'static str,
    charged: String,
    /// ε after it, upper end; without the charges that were given back.
    epsilon_after: f64,
}

/// What each attempt did, in the order of the ledger.
fn attempts(budget: Budget, ledger: &[LedgerEntry], journal: &[Entry]) -> anyhow::Result<Vec<Row>> {
    let opened = |key: &LedgerKey| {
        journal.iter().any(|e| {
            matches!(e.event, JournalEvent::OpeningCharged { run, round, attempt, .. }
                if (run, round, attempt) == (key.run, key.round, key.attempt))
        })
    };
    let void = |key: &LedgerKey| ledger.iter().any(|e| matches!(e, LedgerEntry::Voided { key: k } if k == key));
    let released = |key: &LedgerKey| ledger.iter().any(|e| matches!(e, LedgerEntry::Released { key: k } if k == key));
    let mut kept: Vec<LedgerEntry> = Vec::new();
    let mut rows = Vec::new();
    for entry in ledger {
        let LedgerEntry::Reserved { key, event } = entry else {
            if matches!(entry, LedgerEntry::Opened { .. }) {
                kept.push(entry.clone());
            }
            continue;
        };
        let state = match (void(key), released(key) || opened(key)) {
            (true, _) => "voided",
            (false, true) => "opened",
            (false, false) => "reserved",
        };
        if state != "voided" {
            kept.push(entry.clone());
        }
        let epsilon_after = Ledger::replay(budget, kept.iter().cloned())?.epsilon_spent().upper;
        let charged = event.to_string();
        rows.push(Row { round: key.round.0, attempt: key.attempt.0, state, charged, epsilon_after });
    }
    Ok(rows)
}

fn table(attempts: &[Row]) -> String {
    let mut out = "round  attempt  state     epsilon after  charged\n".to_owned();
    for a in attempts {
        out.push_str(&format!(
            "{:>5}  {:>7}  {:<8}  {:>13.4}  {}\n",
            a.round, a.attempt, a.state, a.epsilon_after, a.charged
        ));
    }
    out.push('\n');
    out
}
