//! Receipts of opened sums, by themselves: what a site hands to a third party.
use std::path::Path;

use anyhow::{Context, Result, ensure};
use sottovoce_round::{RunPlan, SignedReceipt};

use super::Check;

/// The name of the file that a site appends its receipts to.
pub const FILE: &str = "receipts.jsonl";

/// Reads `receipts.jsonl`, and checks each line's signature and arithmetic against the plan.
pub fn check(path: &Path, plan: &RunPlan) -> Check {
    Check::of("receipts", read(path, plan))
}

fn read(path: &Path, plan: &RunPlan) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut receipts = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let signed: SignedReceipt =
            serde_json::from_str(line).with_context(|| format!("line {number} is no receipt"))?;
        signed.verify(plan).with_context(|| format!("line {number}"))?;
        receipts.push(signed);
    }
    ensure!(!receipts.is_empty(), "{} holds no receipt", path.display());
    Ok(describe(&receipts))
}

/// What they show, in words.
pub fn describe(receipts: &[SignedReceipt]) -> String {
    let Some(last) = receipts.last().map(|signed| &signed.receipt) else {
        return "no sum was opened, and none is stated".to_owned();
    };
    let least = receipts.iter().map(|r| r.receipt.noise.noise_multiplier).fold(f64::INFINITY, f64::min);
    format!(
        "{} signed, each recomputed from plan and sets; honest noise of multiplier {least:.4} at least, {} is charged; epsilon {:.4} after the last",
        receipts.len(),
        last.charged_noise_multiplier,
        last.epsilon_spent
    )
}
