//! A site's privacy units, one update at a time: clipped, quantised and added at once.
use sottovoce_dp::sampling::Sample;
use sottovoce_encode::{Clipped, NonFinite, QuantiseError, SiteSum, SiteSumError, exact};
use sottovoce_types::{ClientId, RoundId, Unit, Update};

use crate::plan::RunPlan;
use crate::terms::RoundTerms;

/// Example weights are counted in units of this many examples, so that one client's weight is at most 1; larger sites
/// weigh as much as one with this many. Only without DP.
pub const WEIGHT_CAP_EXAMPLES: u32 = 4096;

/// An update cannot be part of this site's sum, and the sum is of no use any more: nothing of it is sent.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitRefused {
    /// More units than the manifest lets the site contribute.
    #[error(
        "this site trained more than the {declared} units that the manifest declares for it: correct the manifest or the partition"
    )]
    TooManyUnits {
        /// Units declared.
        declared: u32,
    },
    /// Without a privacy unit: training diverged.
    #[error(transparent)]
    Diverged(#[from] NonFinite),
    /// It does not fit the plan.
    #[error(transparent)]
    Quantise(#[from] QuantiseError),
    /// It does not fit the sum.
    #[error(transparent)]
    Sum(#[from] SiteSumError),
    /// An update of a unit that the coins did not choose: amplification by sampling would not hold for it.
    #[error("unit {unit} of this site was not drawn for this round: train only those that UnitSum::takes")]
    NotDrawn {
        /// Its index.
        unit: usize,
    },
    /// A second update of one unit: the sum would move by twice the bound.
    #[error("unit {unit} of this site has two updates: one unit, one update")]
    Twice {
        /// Its index.
        unit: usize,
    },
    /// An earlier update was refused.
    #[error("an earlier update of this training was refused")]
    Spoilt,
}

/// Takes one [`Update`] `[d]` per privacy unit and keeps only their sum, so that memory does not grow with the units.
///
/// It clips each to C, rotates it if the plan does, truncates it to the grid and adds: one unit moves the result by at most C in L2. There is no way into
/// the sum but through the clip:
/// ```compile_fail
/// # use sottovoce_round::UnitSum;
/// # use sottovoce_encode::SiteSum;
/// fn forge(sum: SiteSum) -> UnitSum { UnitSum { sum } }
/// ```
///
/// With a privacy unit, an update that is not finite counts as zero. Whether a unit's training diverges depends on its data, and
/// a coordinator that chooses the model can make it depend on what it likes: a refusal would be a release without noise
/// that no ledger charges.
pub struct UnitSum {
    sum: SiteSum,
    unit: Unit,
    declared: u32,
    /// Which units take part: secret.
    sample: Sample,
    /// Which have been added.
    added: Vec<bool>,
    refused: Option<UnitRefused>,
    correction: Option<Correction>,
}

/// SCAFFOLD: what was added to every gradient, and what comes of it.
struct Correction {
    /// c − c_i, `[d]`.
    added: Vec<f32>,
    /// K·η.
    path: f64,
    /// c_i⁺, `[d]`, once there is an update.
    control: Option<Vec<f32>>,
}

impl UnitSum {
    /// An empty sum of this client's units under a plan, in a round and under its terms, in which all of them take part. One that is no
    /// member may add none.
    pub fn new(plan: &RunPlan, client: &ClientId, round: RoundId, terms: &RoundTerms) -> Self {
        let declared = plan.units_of(client);
        let units = usize::try_from(declared).expect("a number of units");
        Self {
            sum: SiteSum::empty(&plan.encode_in(round.0, terms.clip)),
            unit: plan.spec().unit,
            declared,
            sample: Sample::every_unit(units).0,
            added: vec![false; units],
            refused: None,
            correction: None,
        }
    }

    /// The same, with the units of a sample alone.
    #[must_use]
    pub fn of_sample(mut self, sample: Sample) -> Self {
        self.sample = sample;
        self
    }

    /// Whether the unit with this index takes part in this round. The others are not trained, and an update of theirs is refused.
    pub fn takes(&self, unit: usize) -> bool {
        self.sample.contains(unit)
    }

    /// SCAFFOLD: takes `correction` (c − c_i, `[d]`), which local training adds to the gradient of each of its steps, out of
    /// the update again. `path` is K·η. See `server/scaffold.rs`.
    #[must_use]
    pub(crate) fn correcting(mut self, correction: Option<Vec<f32>>, path: f64) -> Self {
        self.correction = correction.map(|added| Correction { added, path, control: None });
        self
    }

    /// SCAFFOLD's c_i⁺, `[d]`: this site's mean gradient along its local steps.
    pub(crate) fn control(&self) -> Option<&[f32]> {
        self.correction.as_ref()?.control.as_deref()
    }

    /// Adds the update of the unit with this index among the site's, from 0: the same in every round.
    ///
    /// # Errors
    /// [`UnitRefused`] for a unit that was not declared, not drawn or added before, an update of another model, and, without a privacy
    /// unit, values that are not finite. Nothing of this sum is sent then.
    pub fn add(&mut self, unit: usize, update: &Update) -> Result<(), UnitRefused> {
        if self.refused.is_some() {
            return Err(UnitRefused::Spoilt);
        }
        self.try_add(unit, update).inspect_err(|refused| self.refused = Some(refused.clone()))
    }

    fn try_add(&mut self, unit: usize, update: &Update) -> Result<(), UnitRefused> {
        let added = self.added.get_mut(unit).ok_or(UnitRefused::TooManyUnits { declared: self.declared })?;
        if !self.sample.contains(unit) {
            return Err(UnitRefused::NotDrawn { unit });
        }
        if std::mem::replace(added, true) {
            return Err(UnitRefused::Twice { unit });
        }
        if self.unit == Unit::None && update.examples == 0 {
            return Ok(());
        }
        let uncorrected = self.correction.as_ref().map(|c| c.take_out(update));
        let update = uncorrected.as_ref().unwrap_or(update);
        let encode = *self.sum.plan();
        let clipped = match Clipped::new(update, encode.spec().clip) {
            Ok(clipped) => clipped,
            Err(_) if self.unit != Unit::None => return Ok(()),
            Err(not_finite) => return Err(not_finite.into()),
        };
        let quantised = if self.unit == Unit::None {
            let weight = f64::from(update.examples.min(WEIGHT_CAP_EXAMPLES)) / f64::from(WEIGHT_CAP_EXAMPLES);
            clipped.quantise_weighted(&encode, weight)?
        } else {
            clipped.quantise(&encode)?
        };
        self.sum.add(quantised)?;
        if let Some(correction) = &mut self.correction {
            correction.learn(update);
        }
        Ok(())
    }

    /// Units handed over so far, those that count as zero included.
    pub fn added(&self) -> usize {
        self.added.iter().filter(|added| **added).count()
    }

    /// The sum, **not noised**: it opens no door by itself.
    ///
    /// # Errors
    /// [`UnitRefused`] when an update was refused.
    pub fn into_site_sum(self) -> Result<SiteSum, UnitRefused> {
        self.refused.map_or(Ok(self.sum), Err)
    }
}

impl Correction {
    /// U_i = Δ_i + Kη·(c − c_i).
    fn take_out(&self, update: &Update) -> Update {
        if update.values.len() != self.added.len() {
            // Of another model: quantising says so.
            return update.clone();
        }
        let values = update.values.iter().zip(&self.added);
        let values = values.map(|(d, c)| exact::to_f32(f64::from(*d) + self.path * f64::from(*c))).collect();
        Update { values, examples: update.examples }
    }

    /// c_i⁺ = −U_i / (Kη).
    fn learn(&mut self, uncorrected: &Update) {
        let control = uncorrected.values.iter().map(|u| exact::to_f32(-f64::from(*u) / self.path));
        self.control = Some(control.collect());
    }
}

impl std::fmt::Debug for UnitSum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the sum itself, nor who was drawn: they are this site's.
        f.debug_struct("UnitSum").field("declared", &self.declared).finish_non_exhaustive()
    }
}
