//! What a site spends at most: what the plan says, or less, whatever the coordinator asks.
use std::fmt;

use sottovoce_dp::{Budget, BudgetExhausted, Filter, Ledger, LedgerError};
use sottovoce_types::Epsilon;

use super::ClientSetup;
use crate::journal::{Entry, JournalEvent};
use crate::plan::RunPlan;

/// Why a site declined a round. For this site's people: the coordinator is told no numbers.
#[derive(Clone, PartialEq, Debug)]
pub struct Declined {
    /// What is spent, and what the round would make of it.
    pub exhausted: BudgetExhausted,
    /// The plan's budget, where this site's own cap is lower and is what declined.
    pub plan_budget: Option<Epsilon>,
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.exhausted.fmt(f)?;
        match self.plan_budget {
            Some(plan) => write!(
                f,
                "; that budget is this site's own cap, privacy.site_epsilon_cap = {}, and the plan's is {plan}",
                self.exhausted.budget.epsilon
            ),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Declined {}

/// The cap, where it is lower than what the plan allows.
pub(super) fn below(plan: &RunPlan, cap: Option<Epsilon>) -> Option<Epsilon> {
    let budget = plan.budget()?;
    cap.filter(|cap| cap.value() < budget.epsilon.value())
}

/// The ledger that a site goes on with; `None` without DP.
pub(super) fn ledger(setup: &ClientSetup, cap: Option<Epsilon>) -> Result<Option<Ledger>, LedgerError> {
    let plan = &setup.plan;
    // Inputs that left without a charge: a ledger that goes on beside them would show an ε that does not hold.
    let uncharged = |e: &Entry| matches!(e.event, JournalEvent::InputReserved { .. }) && e.ledger.is_none();
    let Some(agreed) = plan.budget() else {
        return match cap {
            Some(cap) => Err(LedgerError::CapWithoutPrivacy { cap }),
            None if setup.history.iter().any(|e| e.ledger.is_some()) => Err(LedgerError::NonPrivateNow),
            None => Ok(None),
        };
    };
    if setup.history.iter().any(uncharged) {
        return Err(LedgerError::NonPrivateBefore);
    }
    let (budget, filter) = match below(plan, cap) {
        None => (agreed, plan.filter()),
        Some(epsilon) => {
            let budget = Budget { epsilon, ..agreed };
            (budget, Filter::of_run(&plan.event(), budget, plan.spec().rounds))
        }
    };
    let ledger = Ledger::replay_under(budget, filter, setup.history.iter().filter_map(|e| e.ledger.clone()))?;
    ledger.accounts_for(&plan.event())?;
    Ok(Some(ledger))
}
