//! The opened sum and who is in it.
use std::collections::BTreeSet;

use sottovoce_types::{ClientId, Digest, LayerRule, RingVec};

use crate::audit::Revealed;
use crate::certificate::Certificate;
use crate::fault::{Complaint, SpoiltShares};
use crate::keys::LayerKey;
use crate::roster::Roster;
use crate::session::honest_floor;

/// The exact sum of the contributors' inputs. Only [`CollectingOpenings::close`](crate::CollectingOpenings::close) makes
/// one, so at least q clients are in it and at least t opened it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecureSum {
    sum: RingVec,
    contributors: Vec<ClientId>,
    survivors: Vec<ClientId>,
    roster: Vec<ClientId>,
    ctx3: Digest,
    honest_floor: u32,
    complaints: Vec<Complaint>,
    certificate: Certificate,
    spoilt: Vec<SpoiltShares>,
    revealed: Revealed,
    layer_rule: Option<LayerRule>,
    surplus: Vec<LayerKey>,
}

impl SecureSum {
    pub(super) fn new<'a>(
        sum: RingVec,
        roster: &Roster,
        contributors: &BTreeSet<u32>,
        opened: impl IntoIterator<Item = &'a u32>,
        ctx3: Digest,
        complaints: Vec<Complaint>,
        certificate: Certificate,
    ) -> Self {
        Self {
            sum,
            contributors: roster.clients(contributors),
            survivors: roster.clients(opened),
            roster: roster.members().map(|(_, m)| m.client).collect(),
            ctx3,
            honest_floor: honest_floor(roster.len(), roster.session.max_corrupt),
            complaints,
            certificate,
            spoilt: Vec::new(),
            revealed: Revealed {
                roster: roster.message.clone(),
                picks: Vec::new(),
                secrets: Vec::new(),
                ciphertexts: Vec::new(),
                layers: None,
            },
            layer_rule: None,
            surplus: Vec::new(),
        }
    }

    /// With the dealers that spoilt shares.
    pub(super) fn with_spoilt(self, spoilt: Vec<SpoiltShares>) -> Self {
        Self { spoilt, ..self }
    }

    /// With what opened it.
    pub(super) fn with_revealed(self, revealed: Revealed) -> Self {
        Self { revealed, ..self }
    }

    /// With the layers of noise that are still in it and are to be taken off.
    pub(super) fn with_surplus(self, layer_rule: Option<LayerRule>, surplus: Vec<LayerKey>) -> Self {
        Self { layer_rule, surplus, ..self }
    }

    /// How the noise was split; `None` in a session without layers.
    pub fn layer_rule(&self) -> Option<LayerRule> {
        self.layer_rule
    }

    /// The layers of noise that are in [`Self::sum`], and are to be taken off before it is published.
    pub fn surplus(&self) -> &[LayerKey] {
        &self.surplus
    }

    /// What opened it, for whoever audits the sum: of each dealer one secret, and nothing that was not opened.
    pub fn revealed(&self) -> &Revealed {
        &self.revealed
    }

    /// `[words]`, mod 2^64.
    pub fn sum(&self) -> &RingVec {
        &self.sum
    }

    /// The sum alone.
    pub fn into_sum(self) -> RingVec {
        self.sum
    }

    /// Whose inputs are in the sum (U3).
    pub fn contributors(&self) -> &[ClientId] {
        &self.contributors
    }

    /// Who answered the last phase.
    pub fn survivors(&self) -> &[ClientId] {
        &self.survivors
    }

    /// Everyone who was on the roster (U1).
    pub fn roster(&self) -> &[ClientId] {
        &self.roster
    }

    /// Who was on the roster and is not in the sum.
    pub fn dropouts(&self) -> Vec<ClientId> {
        self.roster.iter().filter(|c| !self.contributors.contains(c)).copied().collect()
    }

    /// The context that the contributors signed.
    pub fn ctx3(&self) -> Digest {
        self.ctx3
    }

    /// q − f: honest inputs guaranteed among the contributors.
    pub fn honest_floor(&self) -> u32 {
        self.honest_floor
    }

    /// Holders that could not use a dealer's envelope, and said so under their signature.
    pub fn complaints(&self) -> &[Complaint] {
        &self.complaints
    }

    /// Dealers that spoilt some of their shares, in vain.
    pub fn spoilt(&self) -> &[SpoiltShares] {
        &self.spoilt
    }

    /// What shows others whose inputs these are.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}
