//! R4: collects opened shares; closes into the sum.
//!
//! The masks of a dropout come off by its secret, put together from shares and checked against its advert. Why survivors do not send the
//! keys of single pairs instead: `proof.md`, section 7.
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use sottovoce_types::{ClientId, Digest, LayerSet, RingVec};

use super::{Agreed, SecureSum, count, has, owed};
use crate::audit::{Revealed, surplus_keys};
use crate::certificate::Certificate;
use crate::dealing::left_by;
use crate::fault::{Complaint, DealerFault, OpenFailed, PeerFault, SpoiltShares};
use crate::identity::verify;
use crate::keys::{OneTimeSecret, Share, ShareKind, commit_b, same_commitment, self_mask};
use crate::labels;
use crate::mask::{MaskKey, Sign, expand_all};
use crate::messages::{Opened, OpeningMsg, ShareEntry};
use crate::shamir::decode::Decoder;
use crate::shamir::{Lagrange, Quad};

/// No shares.
static NOTHING: BTreeMap<u32, Quad> = BTreeMap::new();

/// A client's own seeds of the surplus, where the session has layers, and its shares of others', by survivor and layer.
type OfLayers = (Option<Vec<Quad>>, Vec<((u32, u32), Quad)>);

/// Waits for the openings of those who signed.
pub struct CollectingOpenings {
    agreed: Agreed,
    accumulator: RingVec,
    survivors: BTreeSet<u32>,
    ctx3: Digest,
    signers: BTreeSet<u32>,
    certificate: Certificate,
    /// By holder that opened: the dealers whose envelopes it complains about.
    openings: BTreeMap<u32, Vec<Complaint>>,
    /// By dealer: the shares of its secret, by ascending holder.
    shares: BTreeMap<u32, BTreeMap<u32, Quad>>,
    /// The layers of noise whose seeds are opened.
    surplus: LayerSet,
    /// By survivor that revealed its own: its seeds of the surplus, ascending.
    own_seeds: BTreeMap<u32, Vec<Quad>>,
    /// By survivor and layer of the surplus: the shares of the seed, by ascending holder.
    seed_shares: BTreeMap<(u32, u32), BTreeMap<u32, Quad>>,
}

impl CollectingOpenings {
    pub(super) fn new(
        agreed: Agreed,
        accumulator: RingVec,
        survivors: BTreeSet<u32>,
        ctx3: Digest,
        signers: BTreeSet<u32>,
        certificate: Certificate,
    ) -> Self {
        let surplus = agreed.roster.session.surplus(agreed.roster.len(), agreed.dealers.len(), survivors.len());
        Self {
            agreed,
            accumulator,
            survivors,
            ctx3,
            signers,
            certificate,
            openings: BTreeMap::new(),
            shares: BTreeMap::new(),
            surplus,
            own_seeds: BTreeMap::new(),
            seed_shares: BTreeMap::new(),
        }
    }

    /// Takes a client's shares, each checked against its dealer's commitment.
    ///
    /// # Errors
    /// [`PeerFault`]: did not sign, a second opening, wrong count, a bad signature, or a share that is not the one
    /// committed to ([`PeerFault::WrongShare`] names both), or its own seed of a surplus layer is not the one that it committed to
    /// ([`PeerFault::WrongLayerSeed`]). No share of a refused message is kept.
    pub fn opening(&mut self, from: ClientId, message: OpeningMsg) -> Result<(), PeerFault> {
        let roster = &self.agreed.roster;
        let (holder, member) = owed(roster, from, |i| self.signers.contains(&i), &self.openings)?;
        let dealers: Vec<u32> = self.agreed.topology.dealers(holder, &self.agreed.dealers).collect();
        if message.opened.len() != dealers.len() {
            return Err(PeerFault::Shape { client: from });
        }
        verify(&member.identity, labels::OPEN, message.signed(&self.ctx3).as_bytes(), &message.signature)
            .map_err(|_| PeerFault::Signature { client: from })?;
        let (own_seeds, seed_shares) = self.layers_of(from, holder, &dealers, &message)?;
        let mut shares = Vec::with_capacity(dealers.len());
        let mut complaints = Vec::new();
        for (dealer, opened) in dealers.iter().zip(&message.opened) {
            let dealer_id = roster.client(*dealer);
            let Some(opened) = opened else {
                complaints.push(Complaint { holder: from, dealer: dealer_id });
                continue;
            };
            let entry = self.entry(*dealer, holder);
            let (kind, committed) = if self.survivors.contains(dealer) {
                (ShareKind::SelfMask, entry.commit_b)
            } else {
                (ShareKind::Mask, entry.commit_s)
            };
            shares.push((*dealer, self.committed_share(from, *dealer, kind, &committed, opened)?));
        }
        self.own_seeds.extend(own_seeds.map(|seeds| (holder, seeds)));
        for (place, share) in seed_shares {
            self.seed_shares.entry(place).or_default().insert(holder, share);
        }
        for (dealer, share) in shares {
            self.shares.entry(dealer).or_default().insert(holder, share);
        }
        self.openings.insert(holder, complaints);
        Ok(())
    }

    fn entry(&self, dealer: u32, holder: u32) -> &ShareEntry {
        let slot = self.agreed.topology.slot(dealer, holder);
        let dealing = self.agreed.dealings.get(&dealer);
        let entry = slot.zip(dealing).and_then(|(slot, dealing)| dealing.entries.get(slot));
        entry.expect("a dealing with another number of entries was refused")
    }

    /// A share that a holder opened, if it is the one that its dealer committed to.
    fn committed_share(
        &self,
        from: ClientId,
        dealer: u32,
        kind: ShareKind,
        committed: &Digest,
        opened: &Opened,
    ) -> Result<Quad, PeerFault> {
        let roster = &self.agreed.roster;
        let dealer = roster.client(dealer);
        let wrong = PeerFault::WrongShare { client: from, dealer };
        let share = Share::from_bytes(&opened.share, &opened.opener).ok_or(wrong.clone())?;
        let matches = same_commitment(&share.commitment(&roster.ctx1, kind, &dealer, &from), committed);
        if matches { Ok(share.value) } else { Err(wrong) }
    }

    /// What a client opened of layers: exactly the surplus, of itself and of each survivor whose shares it has.
    fn layers_of(
        &self,
        from: ClientId,
        holder: u32,
        dealers: &[u32],
        message: &OpeningMsg,
    ) -> Result<OfLayers, PeerFault> {
        let shape = || PeerFault::Shape { client: from };
        let roster = &self.agreed.roster;
        let layers = match (&message.layers, &roster.session.layers) {
            (Some(layers), Some(_)) => layers,
            (None, None) => return Ok((None, Vec::new())),
            _ => return Err(shape()),
        };
        if layers.own.len() != self.surplus.len() || layers.shares.len() != dealers.len() {
            return Err(shape());
        }
        let mut own = Vec::with_capacity(layers.own.len());
        for (layer, seed) in self.surplus.iter().zip(&layers.own) {
            let seed = Quad::from_bytes(seed).filter(|seed| roster.is_layer_seed(holder, layer, seed));
            own.push(seed.ok_or(PeerFault::WrongLayerSeed { client: from, layer })?);
        }
        let mut shares = Vec::new();
        for ((dealer, opened), pair) in dealers.iter().zip(&layers.shares).zip(&message.opened) {
            let owed = pair.is_some() && self.survivors.contains(dealer);
            if opened.len() != if owed { self.surplus.len() } else { 0 } {
                return Err(shape());
            }
            let committed = &self.entry(*dealer, holder).layers;
            for (layer, opened) in self.surplus.iter().zip(opened) {
                let committed = usize::try_from(layer).ok().and_then(|k| committed.get(k)).ok_or_else(shape)?;
                let share = self.committed_share(from, *dealer, ShareKind::Layer(layer), committed, opened)?;
                shares.push(((*dealer, layer), share));
            }
        }
        Ok((Some(own), shares))
    }

    /// Openings taken.
    pub fn count(&self) -> usize {
        self.openings.len()
    }

    /// Whether a client's opening was taken.
    pub fn has(&self, client: &ClientId) -> bool {
        has(&self.agreed.roster, client, &self.openings)
    }

    /// Signers whose opening has not come. At first, those to whom the quorum goes.
    pub fn expected(&self) -> Vec<ClientId> {
        let missing = self.signers.iter().filter(|i| !self.openings.contains_key(i));
        missing.map(|i| self.agreed.roster.client(*i)).collect()
    }

    /// Whether t shares of every secret are there, so that closing gives the sum (unless a dealer cheated).
    pub fn ready(&self) -> bool {
        let enough = |shares: &BTreeMap<u32, Quad>| shares.len() >= self.threshold();
        let seeds = |survivor: &u32| {
            self.own_seeds.contains_key(survivor)
                || self.surplus.iter().all(|layer| enough(self.seed_shares_of(*survivor, layer)))
        };
        self.agreed.dealers.iter().all(|dealer| enough(self.shares_of(*dealer))) && self.survivors.iter().all(seeds)
    }

    /// Puts the secrets together, verifies each against what its dealer advertised, takes the masks off and gives the sum.
    ///
    /// # Errors
    /// [`OpenFailed`]: too few openings, too few shares of one secret, or a dealer whose shares give another secret than it
    /// advertised. There is no partial result.
    pub fn close(self) -> Result<SecureSum, OpenFailed> {
        self.close_on(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// The same on so many threads at most.
    ///
    /// # Errors
    /// Those of [`Self::close`].
    pub fn close_on(self, workers: NonZeroUsize) -> Result<SecureSum, OpenFailed> {
        let (have, need) = (count(&self.openings), self.agreed.topology.threshold());
        if have < need {
            return Err(OpenFailed::TooFewOpenings { have, need });
        }
        let mut weights = Weights::default();
        let (mut self_masks, mut gone) = (Vec::new(), Vec::new());
        let (mut spoilt, mut secrets) = (Vec::new(), Vec::new());
        for dealer in &self.agreed.dealers {
            let (revealed, fault) = if self.survivors.contains(dealer) {
                let opened = |b: &Quad| Ok((self.self_mask(*dealer, b)?, *b.to_bytes()));
                let ((key, b), fault) = self.verified(&mut weights, *dealer, self.shares_of(*dealer), opened)?;
                self_masks.push((key, Sign::Subtract));
                (b, fault)
            } else {
                let opened = |s: &Quad| Ok((self.mask_secret(*dealer, s)?, *s.to_bytes()));
                let ((secret, s), fault) = self.verified(&mut weights, *dealer, self.shares_of(*dealer), opened)?;
                gone.push((*dealer, secret));
                (s, fault)
            };
            secrets.push(revealed);
            spoilt.extend(fault);
        }
        let (seeds, spoilt_seeds) = self.surplus_seeds(&mut weights)?;
        for fault in spoilt_seeds {
            if !spoilt.iter().any(|known: &SpoiltShares| known.dealer == fault.dealer) {
                spoilt.push(fault);
            }
        }
        let mut sum = self.accumulator;
        let Self { agreed, survivors, ctx3, openings, certificate, .. } = self;
        let complaints = openings.values().flatten().copied().collect();
        if let Some(prg) = agreed.roster.prg() {
            expand_all(prg, self_masks, sum.words_mut(), workers);
            for (dealer, secret) in gone {
                let (roster, sent) = (&agreed.roster, &agreed.ciphertexts);
                let masks =
                    left_by((roster, &agreed.topology), &agreed.ctx2, (dealer, &secret), &survivors, sent, workers)
                        .map_err(|by| OpenFailed::Dealer {
                            dealer: roster.client(by),
                            fault: DealerFault::MaskCiphertext,
                        })?;
                expand_all(prg, masks, sum.words_mut(), workers);
            }
        }
        let of_a_dropout = |(a, b): &(u32, u32)| {
            agreed.dealers.contains(a) && agreed.dealers.contains(b) && survivors.contains(a) != survivors.contains(b)
        };
        let shown = agreed.ciphertexts.into_iter().filter(|(pair, _)| of_a_dropout(pair));
        let ciphertexts = shown.map(|(_, sent)| sent).collect();
        let picks = agreed.topology.lists(agreed.roster.len());
        let layers = agreed.roster.session.layers.map(|_| seeds);
        let revealed = Revealed { roster: agreed.roster.message.clone(), picks, secrets, ciphertexts, layers };
        let dealers = agreed.dealers.len();
        let keys = surplus_keys(&agreed.roster, &agreed.ctx2, (dealers, &survivors), &revealed);
        let keys = keys.expect("every seed was checked against its commitment");
        let rule = agreed.roster.session.layer_rule(agreed.roster.len(), u32::try_from(dealers).unwrap_or(u32::MAX));
        Ok(SecureSum::new(sum, &agreed.roster, &survivors, openings.keys(), ctx3, complaints, certificate)
            .with_spoilt(spoilt)
            .with_surplus(rule, keys)
            .with_revealed(revealed))
    }

    /// What follows from a dealer's secret, once the secret is the one that it advertised. Every share opened is the one that its dealer
    /// committed to, so that shares which give another secret are the dealer's fault. Where they lie on the polynomial of the right one but
    /// for a few, those are corrected (Berlekamp–Welch decoding) and the dealer is named: it cannot stop the sum by spoiling them.
    fn verified<T>(
        &self,
        weights: &mut Weights,
        dealer: u32,
        opened: &BTreeMap<u32, Quad>,
        check: impl Fn(&Quad) -> Result<T, OpenFailed>,
    ) -> Result<(T, Option<SpoiltShares>), OpenFailed> {
        let fault = match check(&weights.secret(self, dealer, opened)?) {
            Ok(verified) => return Ok((verified, None)),
            Err(fault) => fault,
        };
        let (holders, shares): (Vec<u32>, Vec<&Quad>) = opened.iter().map(|(h, s)| (*h, s)).unzip();
        let decoder = Decoder::new(&holders, self.agreed.topology.threshold()).map_err(|_| fault.clone())?;
        let found = decoder.decode(&shares).map_err(|_| fault.clone())?;
        let verified = check(&found.secret).map_err(|_| fault)?;
        let roster = &self.agreed.roster;
        Ok((verified, Some(SpoiltShares { dealer: roster.client(dealer), holders: roster.clients(&found.wrong) })))
    }

    /// The seeds of the surplus layers by survivor and layer: as their owner revealed them, or, of one that fell silent, from shares.
    fn surplus_seeds(&self, weights: &mut Weights) -> Result<(Vec<[u8; 32]>, Vec<SpoiltShares>), OpenFailed> {
        let (mut seeds, mut spoilt) = (Vec::new(), Vec::new());
        for survivor in &self.survivors {
            if let Some(own) = self.own_seeds.get(survivor) {
                seeds.extend(own.iter().map(|seed| *seed.to_bytes()));
                continue;
            }
            for layer in self.surplus.iter() {
                let check = |seed: &Quad| {
                    let (dealer, fault) = (self.agreed.roster.client(*survivor), DealerFault::LayerSeed(layer));
                    let right = self.agreed.roster.is_layer_seed(*survivor, layer, seed);
                    if right { Ok(*seed.to_bytes()) } else { Err(OpenFailed::Dealer { dealer, fault }) }
                };
                let opened = self.seed_shares_of(*survivor, layer);
                let (seed, fault) = self.verified(weights, *survivor, opened, check)?;
                seeds.push(seed);
                spoilt.extend(fault);
            }
        }
        Ok((seeds, spoilt))
    }

    /// A survivor: b verified against its commitment, and the self mask that it gives.
    fn self_mask(&self, dealer: u32, b: &Quad) -> Result<MaskKey, OpenFailed> {
        let roster = &self.agreed.roster;
        let member = roster.at(dealer).expect("dealers are on the roster");
        if !same_commitment(&commit_b(&roster.session.cfg, &member.client, b), &member.commit_b) {
            return Err(OpenFailed::Dealer { dealer: member.client, fault: DealerFault::SelfMask });
        }
        Ok(self_mask(&self.agreed.ctx2, &member.client, b))
    }

    /// A dropout: its mask secret, verified against its public key.
    fn mask_secret(&self, dealer: u32, s: &Quad) -> Result<OneTimeSecret, OpenFailed> {
        let roster = &self.agreed.roster;
        let member = roster.at(dealer).expect("dealers are on the roster");
        let secret = OneTimeSecret::for_masks(&roster.session.cfg, &member.client, s, roster.session.key_agreement);
        if secret.public() != member.pk_mask || secret.public_kem() != member.kem.as_ref().map(|kem| kem.mask) {
            return Err(OpenFailed::Dealer { dealer: member.client, fault: DealerFault::MaskKey });
        }
        Ok(secret)
    }

    /// What was opened of this dealer's secret, by holder.
    fn shares_of(&self, dealer: u32) -> &BTreeMap<u32, Quad> {
        self.shares.get(&dealer).unwrap_or(&NOTHING)
    }

    /// What was opened of the seed of a survivor's layer, by holder.
    fn seed_shares_of(&self, survivor: u32, layer: u32) -> &BTreeMap<u32, Quad> {
        self.seed_shares.get(&(survivor, layer)).unwrap_or(&NOTHING)
    }

    fn threshold(&self) -> usize {
        usize::try_from(self.agreed.topology.threshold()).unwrap_or(usize::MAX)
    }
}

/// The last Lagrange weights and the holders that they are for: on the complete graph nearly always the same for all dealers.
#[derive(Default)]
struct Weights(Option<(Vec<u32>, Lagrange)>);

impl Weights {
    /// The secret of a dealer from the first t shares opened.
    fn secret(
        &mut self,
        phase: &CollectingOpenings,
        dealer: u32,
        opened: &BTreeMap<u32, Quad>,
    ) -> Result<Quad, OpenFailed> {
        let (have, need) = (count(opened), phase.agreed.topology.threshold());
        if have < need {
            return Err(OpenFailed::SharesMissing { dealer: phase.agreed.roster.client(dealer), have, need });
        }
        let holders: Vec<u32> = opened.keys().copied().take(phase.threshold()).collect();
        if self.0.as_ref().is_none_or(|(of, _)| *of != holders) {
            let weights = Lagrange::at_zero(&holders).expect("holders are distinct positions, and at least one");
            self.0 = Some((holders, weights));
        }
        let (_, weights) = self.0.as_ref().expect("just made");
        Ok(weights.combine(opened.values().take(phase.threshold())))
    }
}
