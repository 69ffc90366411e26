//! `audit selftest`.
use serde_json::json;
use sottovoce_attack::gate;
use sottovoce_attack::selftest::{
    Expected, MaliciousRow, Mutant, MutantError, MutantRow, NullRow, RefusalRow, malicious, mutants, null_suite,
    refusals,
};
use sottovoce_report::{Align, TextTable};
use sottovoce_types::{SCHEMA_VERSION, Verdict};

use crate::args::SelftestArgs;
use crate::exit::{Exit, usage};
use crate::output::Output;

/// `audit selftest`
pub fn run(args: &SelftestArgs, output: &Output) -> anyhow::Result<Exit> {
    let only = args.only.as_deref();
    let total = if only.is_some() { 1 } else { Mutant::all().len() as u64 };
    let bar = output.progress("mechanisms", total);
    let canaries = usize::try_from(args.canaries)?;
    let mechanisms = mutants(canaries, args.seed, only, || bar.inc(1)).map_err(|e| match e {
        MutantError::Unknown { .. } => usage(e.to_string()),
        other => other.into(),
    })?;
    bar.finish_and_clear();
    let (refused, servers, null) = if only.is_some() {
        (Vec::new(), Vec::new(), Vec::new())
    } else {
        output.remark(format!("null suite: {} private mechanisms for each bound", args.repetitions));
        (refusals()?, malicious(args.seed)?, null_suite(Some(args.repetitions))?)
    };
    let passed = mechanisms.iter().all(|m| m.as_expected)
        && refused.iter().all(|r| r.refused.is_some())
        && servers.iter().all(MaliciousRow::as_expected)
        && null.iter().all(|n| n.passed);
    let object = json!({
        "schema": SCHEMA_VERSION, "passed": passed, "canaries": args.canaries, "seed": args.seed,
        "mechanisms": mechanisms, "refusals": refused, "malicious_coordinator": servers, "null_suite": null,
    });
    output.result(&object, || text(&mechanisms, &refused, &servers, &null, passed))?;
    // One mechanism by its name is the reproducer of a finding: its verdict is the answer.
    match (only, passed) {
        (Some(_), _) => Ok(super::exit_of(gate::worst(mechanisms.iter().map(|m| m.finding.verdict)))),
        (None, true) => Ok(Exit::Ok),
        (None, false) => Ok(Exit::Failed),
    }
}

fn text(
    mechanisms: &[MutantRow],
    refused: &[RefusalRow],
    servers: &[MaliciousRow],
    null: &[NullRow],
    passed: bool,
) -> String {
    let mut out = mechanisms_table(mechanisms);
    if !null.is_empty() {
        let tables = [refusals_table(refused), servers_table(servers), null_table(null)];
        out.push_str(&format!("\n\n{}", tables.join("\n\n")));
    }
    for row in mechanisms.iter().filter(|m| mechanisms.len() == 1 || !m.as_expected) {
        out.push_str(&format!("\n\n{}", row.finding));
        if row.finding.verdict != Verdict::Violation {
            out.push_str(&format!("\n  again: {}", row.finding.reproducer));
        }
    }
    out.push_str(match (passed, null.is_empty()) {
        (true, true) => "\n\nas expected",
        (true, false) => {
            "\n\nevery defect was caught, what is private passed, and no bound cried wolf more often than it may"
        }
        (false, _) => {
            "\n\nNOT AS EXPECTED: the audit, or what it audits, is broken, or there are too few canaries to tell"
        }
    });
    out
}

fn mechanisms_table(mechanisms: &[MutantRow]) -> String {
    let mut table = TextTable::new([
        ("mechanism", Align::Left),
        ("defect", Align::Left),
        ("FPR at most", Align::Right),
        ("FNR at most", Align::Right),
        ("declared FNR", Align::Right),
        ("verdict", Align::Left),
        ("as expected", Align::Left),
    ]);
    for m in mechanisms {
        // The stage that decided.
        let point = m.finding.second.unwrap_or(m.finding.first);
        let verdict = match (m.finding.verdict, m.expected) {
            (Verdict::Violation, _) => "violation",
            // Its curve has no closed form of its power: it shows that the gate is silent, and no more.
            (_, Expected::NotCaught) => "no violation",
            (Verdict::Inconclusive, _) => "inconclusive",
            (Verdict::NoViolation, _) => "pass",
        };
        table.row([
            m.name.to_owned(),
            m.defect.to_owned(),
            format!("{:.4}", point.fpr_upper),
            format!("{:.4}", point.fnr_upper),
            format!("{:.4}", point.fnr_declared),
            verdict.to_owned(),
            if m.as_expected { "yes" } else { "NO" }.to_owned(),
        ]);
    }
    table.render()
}

fn refusals_table(refused: &[RefusalRow]) -> String {
    let mut table = TextTable::new([("refused by the code", Align::Left), ("its words", Align::Left)]);
    for row in refused {
        table.row([row.defect.to_owned(), row.refused.clone().unwrap_or_else(|| "NOT REFUSED".to_owned())]);
    }
    table.render()
}

fn servers_table(servers: &[MaliciousRow]) -> String {
    let mut table = TextTable::new([
        ("coordinator that chooses the models", Align::Left),
        ("from clients without checks it reads", Align::Left),
        ("clients of this protocol", Align::Left),
        ("as expected", Align::Left),
    ]);
    for row in servers {
        table.row([
            row.attack.to_owned(),
            row.unchecked.clone(),
            row.refused.as_ref().map_or_else(|| "DO NOT REFUSE".to_owned(), |why| format!("refuse: {why}")),
            if row.as_expected() { "yes" } else { "NO" }.to_owned(),
        ]);
    }
    table.render()
}

fn null_table(null: &[NullRow]) -> String {
    let mut table = TextTable::new([
        ("bound", Align::Left),
        ("threshold", Align::Left),
        ("private mechanism", Align::Left),
        ("false alarms", Align::Right),
        ("allowed", Align::Right),
        ("as expected", Align::Left),
    ]);
    for n in null {
        table.row([
            n.bound.to_owned(),
            n.strategy.to_owned(),
            n.mechanism.clone(),
            format!("{} of {}", n.alarms, n.repetitions),
            n.allowed.map_or_else(|| "promises none".to_owned(), |most| most.to_string()),
            if n.passed { "yes" } else { "NO" }.to_owned(),
        ]);
    }
    table.render()
}
