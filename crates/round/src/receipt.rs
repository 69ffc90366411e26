//! What a site says, under its signature, of the noise in a sum that it opened: anybody with the plan can check it.
use serde::{Deserialize, Serialize};
use sottovoce_dp::{KeptNoise, Ledger, LedgerEntry, NoiseShare};
use sottovoce_secagg::{Certified, Consistent, Identity, honest_floor, labels, quorum, verify};
use sottovoce_types::{AttemptId, ClientId, Digest, RoundId, RunId};

use crate::journal::{Entry, JournalEvent};
use crate::layers::LayerLaw;
use crate::manifest::PublicKey;
use crate::plan::RunPlan;
use crate::session::LedgerPoint;
use crate::statement::hex_signature;

/// Of one opened attempt. Numbers of the ledger are the site's own; all others follow from the plan and the signed sets.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// Digest of the plan.
    pub plan: Digest,
    /// The run.
    pub run: RunId,
    /// The round.
    pub round: RoundId,
    /// The attempt.
    pub attempt: AttemptId,
    /// What a quorum signed: ctx3, which covers the sets below.
    pub survivors: Digest,
    /// What neighbouring data sets differ by.
    pub unit: String,
    /// |U1|.
    pub roster: u32,
    /// |U2|.
    pub dealers: u32,
    /// |U3|.
    pub contributors: u32,
    /// f.
    pub max_corrupt: u32,
    /// q.
    pub quorum: u32,
    /// How surplus noise is taken off: none, or layers.
    pub noise_removal: String,
    /// The layers that were taken off.
    pub layers_removed: Vec<u32>,
    /// What was added and what is left.
    pub noise: KeptNoise,
    /// What the ledger charges for.
    pub charged_noise_multiplier: f64,
    /// The probability with which each unit took part.
    pub sampling_rate: f64,
    /// Charges in the site's ledger, this one included.
    pub charges: u64,
    /// ε that the site has spent, upper end.
    pub epsilon_spent: f64,
    /// δ.
    pub delta: f64,
}

/// A receipt under a site's signature.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SignedReceipt {
    /// What it says.
    pub receipt: Receipt,
    /// Who says it.
    pub site: PublicKey,
    /// By the site.
    #[serde(with = "hex_signature")]
    pub signature: [u8; 64],
}

/// Why a receipt shows nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptRefused {
    /// Of another plan.
    #[error("it is of plan {found}, config and manifest make {expected}")]
    OtherPlan {
        /// Named.
        found: Digest,
        /// Made here.
        expected: Digest,
    },
    /// Nobody of the federation.
    #[error("{0} is no member of the federation")]
    Stranger(ClientId),
    /// Not signed by whoever it names.
    #[error("its signature is not that of the site that it names")]
    Signature,
    /// Sets that no honest client opens.
    #[error("no honest site opens a sum of {contributors} of {dealers} dealers on a roster of {roster}")]
    Sets {
        /// |U3|.
        contributors: u32,
        /// |U2|.
        dealers: u32,
        /// |U1|.
        roster: u32,
    },
    /// A field that does not follow from the plan and the sets.
    #[error("its {0} is not what follows from the plan and the sets that were signed")]
    Field(&'static str),
    /// Less honest noise than the ledger charges for.
    #[error("the honest noise that it states is below what the ledger charges for")]
    TooLittleNoise,
    /// An attempt that was opened without one.
    #[error("round {round} attempt {attempt} was opened, and there is no receipt of it")]
    Missing {
        /// The round.
        round: u64,
        /// The attempt.
        attempt: u32,
    },
    /// Not the receipt of the entry that it is in.
    #[error("it is in the entry of another attempt than its own")]
    OtherEntry,
    /// Running totals that the ledger in the same journal does not have.
    #[error(
        "it states {charges} charges and epsilon {epsilon}, the ledger in the journal has {in_ledger} and {epsilon_in_ledger} there"
    )]
    Totals {
        /// Stated.
        charges: u64,
        /// Stated.
        epsilon: String,
        /// In the ledger.
        in_ledger: u64,
        /// In the ledger.
        epsilon_in_ledger: String,
    },
    /// A ledger that cannot be replayed.
    #[error("the ledger in the journal cannot be replayed: {0}")]
    Ledger(String),
    /// Another result than the one that was published of this attempt.
    #[error("the published certificate of this attempt is over other sets: {0}")]
    OtherSets(&'static str),
}

/// The sets that a quorum signed, by their sizes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SignedSets {
    survivors: Digest,
    roster: u32,
    dealers: u32,
    contributors: u32,
}

impl SignedSets {
    pub(crate) fn of(state: &Consistent) -> Self {
        let contributors = u32::try_from(state.contributors().len()).unwrap_or(u32::MAX);
        Self { survivors: state.ctx3(), roster: state.roster_size(), dealers: state.dealers(), contributors }
    }
}

impl Receipt {
    /// That of an attempt about to be opened, before the opening leaves. `None` without DP.
    pub(crate) fn of(plan: &RunPlan, point: LedgerPoint, sets: SignedSets, ledger: &Ledger) -> Option<Self> {
        let privacy = plan.spec().privacy?;
        let (layers_removed, noise) = noise_of(plan, sets)?;
        Some(Self {
            plan: plan.digest(),
            run: point.run,
            round: point.round,
            attempt: point.attempt,
            survivors: sets.survivors,
            unit: plan.spec().unit.name().to_owned(),
            roster: sets.roster,
            dealers: sets.dealers,
            contributors: sets.contributors,
            max_corrupt: plan.spec().max_corrupt,
            quorum: quorum(sets.roster, plan.spec().max_corrupt),
            noise_removal: plan.spec().noise_removal.name().to_owned(),
            layers_removed,
            noise,
            charged_noise_multiplier: privacy.noise_multiplier.value(),
            sampling_rate: plan.sampling_rate(),
            charges: u64::try_from(ledger.charges()).unwrap_or(u64::MAX),
            epsilon_spent: ledger.epsilon_spent().upper,
            delta: privacy.delta.value(),
        })
    }

    fn digest(&self) -> Digest {
        let mut w = labels::RECEIPT.hasher();
        w.field(self.plan.as_bytes()).field(&self.run.0).number(self.round.0).number(self.attempt.0.into());
        w.field(self.survivors.as_bytes()).field(self.unit.as_bytes());
        for size in [self.roster, self.dealers, self.contributors, self.max_corrupt, self.quorum] {
            w.number(size.into());
        }
        let layers = u64::try_from(self.layers_removed.len()).expect("a length fits 64 bits");
        w.field(self.noise_removal.as_bytes()).number(layers);
        for layer in &self.layers_removed {
            w.number((*layer).into());
        }
        let noise = &self.noise;
        for exact in [&noise.squared_sensitivity, &noise.added_per_client, &noise.kept_per_client, &noise.honest] {
            w.field(exact.as_str().as_bytes());
        }
        w.number(noise.noise_multiplier.to_bits()).number(noise.reaches_what_is_charged.into());
        for number in [self.charged_noise_multiplier, self.sampling_rate, self.epsilon_spent, self.delta] {
            w.number(number.to_bits());
        }
        w.number(self.charges);
        w.finish()
    }

    pub(crate) fn sign(self, id: &Identity) -> SignedReceipt {
        let signature = id.sign(labels::RECEIPT, self.digest().as_bytes());
        SignedReceipt { receipt: self, site: PublicKey(id.public_key()), signature }
    }

    /// Whether the published sum of this attempt is over the sets that this is of.
    ///
    /// # Errors
    /// [`ReceiptRefused::OtherSets`] by the first that differs.
    pub fn agrees_with(&self, certified: &Certified) -> Result<(), ReceiptRefused> {
        let contributors = u32::try_from(certified.contributors.len()).unwrap_or(u32::MAX);
        let checks = [
            ("survivor set", self.survivors == certified.ctx3),
            ("roster", self.roster == certified.roster),
            ("dealers", self.dealers == certified.dealers),
            ("contributors", self.contributors == contributors),
            ("layers", self.layers_removed.iter().copied().eq(certified.surplus.iter())),
        ];
        first_wrong(&checks).map_or(Ok(()), |what| Err(ReceiptRefused::OtherSets(what)))
    }
}

impl SignedReceipt {
    /// Checks signature and arithmetic: everything but the site's own count of charges follows from the plan and the sets.
    ///
    /// # Errors
    /// [`ReceiptRefused`] by the first thing that does not hold.
    pub fn verify(&self, plan: &RunPlan) -> Result<(), ReceiptRefused> {
        let Self { receipt, site, signature } = self;
        let expected = plan.digest();
        if receipt.plan != expected {
            return Err(ReceiptRefused::OtherPlan { found: receipt.plan, expected });
        }
        let client = ClientId::of_public_key(&site.0);
        if plan.manifest().member(&client).is_none() {
            return Err(ReceiptRefused::Stranger(client));
        }
        verify(&site.0, labels::RECEIPT, receipt.digest().as_bytes(), signature)
            .map_err(|_| ReceiptRefused::Signature)?;
        let &Receipt { survivors, roster, dealers, contributors, .. } = receipt;
        let spec = plan.spec();
        let q = quorum(roster, spec.max_corrupt);
        let within = roster <= plan.manifest().len() && dealers <= roster && contributors <= dealers;
        let enough = roster >= spec.n_min && dealers >= q.max(spec.n_min) && contributors >= q;
        if !within || !enough || honest_floor(roster, spec.max_corrupt) < 2 {
            return Err(ReceiptRefused::Sets { contributors, dealers, roster });
        }
        let sets = SignedSets { survivors, roster, dealers, contributors };
        let (layers, noise) = noise_of(plan, sets).ok_or(ReceiptRefused::Field("unit"))?;
        let privacy = spec.privacy.ok_or(ReceiptRefused::Field("unit"))?;
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
        let checks = [
            ("unit", receipt.unit == spec.unit.name()),
            ("max_corrupt", receipt.max_corrupt == spec.max_corrupt),
            ("quorum", receipt.quorum == q),
            ("noise_removal", receipt.noise_removal == spec.noise_removal.name()),
            ("layers_removed", receipt.layers_removed == layers),
            ("noise", receipt.noise == noise),
            ("charged_noise_multiplier", same(receipt.charged_noise_multiplier, privacy.noise_multiplier.value())),
            ("sampling_rate", same(receipt.sampling_rate, plan.sampling_rate())),
            ("delta", same(receipt.delta, privacy.delta.value())),
        ];
        if let Some(what) = first_wrong(&checks) {
            return Err(ReceiptRefused::Field(what));
        }
        if noise.reaches_what_is_charged { Ok(()) } else { Err(ReceiptRefused::TooLittleNoise) }
    }
}

/// The receipts of a site's journal.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct JournalReceipts {
    /// Those of the plan, in order, each checked.
    pub checked: Vec<SignedReceipt>,
    /// How many are of other plans, and were not.
    pub of_other_plans: usize,
}

/// Checks the receipts in a site's journal: one for each attempt that it opened, by `site` where that is known, with the totals that the ledger in the same journal has
/// at that entry.
///
/// # Errors
/// [`ReceiptRefused`] by the first that does not hold.
pub fn receipts_in(
    entries: &[Entry],
    plan: &RunPlan,
    site: Option<PublicKey>,
) -> Result<JournalReceipts, ReceiptRefused> {
    let mut found = JournalReceipts::default();
    let Some(agreed) = plan.budget() else { return Ok(found) };
    let mut ledger = Vec::new();
    let mut budget = agreed;
    for entry in entries {
        if let Some(LedgerEntry::Opened { budget: opened, .. }) = &entry.ledger {
            budget = *opened;
        }
        ledger.extend(entry.ledger.clone());
        let JournalEvent::OpeningCharged { run, round, attempt, survivors, receipt } = &entry.event else { continue };
        let signed = receipt.as_deref().ok_or(ReceiptRefused::Missing { round: round.0, attempt: attempt.0 })?;
        if signed.receipt.plan != plan.digest() {
            found.of_other_plans = found.of_other_plans.saturating_add(1);
            continue;
        }
        signed.verify(plan)?;
        let stated = &signed.receipt;
        if (stated.run, stated.round, stated.attempt, stated.survivors) != (*run, *round, *attempt, *survivors)
            || site.is_some_and(|site| site != signed.site)
        {
            return Err(ReceiptRefused::OtherEntry);
        }
        let replayed = Ledger::replay_under(budget, plan.filter(), ledger.iter().cloned())
            .map_err(|error| ReceiptRefused::Ledger(error.to_string()))?;
        let in_ledger = u64::try_from(replayed.charges()).unwrap_or(u64::MAX);
        let epsilon = replayed.epsilon_spent().upper;
        if stated.charges != in_ledger || stated.epsilon_spent.to_bits() != epsilon.to_bits() {
            return Err(ReceiptRefused::Totals {
                charges: stated.charges,
                epsilon: stated.epsilon_spent.to_string(),
                in_ledger,
                epsilon_in_ledger: epsilon.to_string(),
            });
        }
        found.checked.push(signed.clone());
    }
    Ok(found)
}

fn first_wrong(checks: &[(&'static str, bool)]) -> Option<&'static str> {
    checks.iter().find(|(_, holds)| !holds).map(|(what, _)| *what)
}

/// The layers that are taken off, and the noise that is left. `None` without DP, and for sets that are no attempt's.
fn noise_of(plan: &RunPlan, sets: SignedSets) -> Option<(Vec<u32>, KeptNoise)> {
    let privacy = plan.spec().privacy?;
    let f = plan.spec().max_corrupt;
    let Some(law) = LayerLaw::of(plan) else {
        let (sensitivity, floor) = (plan.encode().squared_sensitivity(), honest_floor(sets.roster, f));
        let share = NoiseShare::joint(privacy.noise_multiplier, sensitivity, floor).ok()?;
        return Some((Vec::new(), KeptNoise::of_shares(&share, sets.contributors.checked_sub(f)?)));
    };
    let rule = sottovoce_types::LayerRule::new(sets.dealers, quorum(sets.roster, f), f)?;
    let dropouts = sets.dealers.checked_sub(sets.contributors)?;
    let layers = law.plan(rule)?.ok()?;
    Some((rule.surplus(dropouts)?.iter().collect(), KeptNoise::of_layers(&layers, dropouts)?))
}
