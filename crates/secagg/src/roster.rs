//! The checked roster of an attempt: who takes part, with which keys, at which position.
use std::collections::BTreeSet;
use std::sync::OnceLock;

use sottovoce_types::{ClientId, Digest};

use crate::context;
use crate::fault::{Abort, AdvertFault, CloseFailed, Phase, QuorumLost};
use crate::graph::{GraphParameters, GraphRefused};
use crate::identity::{Identity, verify};
use crate::kem::KemKeys;
use crate::keys::{commit_layer, is_sound_public_key, same_commitment};
use crate::labels;
use crate::mask::Prg;
use crate::messages::{AdvertMsg, RosterMsg};
use crate::session::{Session, honest_floor, quorum};
use crate::shamir::Quad;

/// One client on a roster.
pub(crate) struct Member {
    pub(crate) client: ClientId,
    /// The pinned Ed25519 key.
    pub(crate) identity: [u8; 32],
    pub(crate) pk_mask: [u8; 32],
    pub(crate) pk_chan: [u8; 32],
    pub(crate) kem: Option<Box<KemKeys>>,
    pub(crate) commit_b: Digest,
    pub(crate) commit_layers: Vec<Digest>,
    /// Whether its owner signed the advert, once somebody has looked. Clients of one process share it.
    signed: OnceLock<bool>,
}

impl Member {
    /// Whether the advert that this was read from is signed by its owner. Looked at once.
    fn signed(&self, advert: &AdvertMsg) -> bool {
        *self.signed.get_or_init(|| is_signed(&self.identity, advert))
    }

    /// What nobody else on the roster may have: its X25519 keys, and hashes of its ML-KEM keys.
    pub(crate) fn keys(&self) -> Vec<[u8; 32]> {
        let mut keys = vec![self.pk_mask, self.pk_chan];
        if let Some(kem) = &self.kem {
            keys.extend([Digest::of(&kem.mask).0, Digest::of(&kem.channel).0]);
        }
        keys
    }
}

/// Fewest honest inputs in a sum: one honest input alone would be revealed.
const HONEST_FLOOR: u32 = 2;

/// A roster that passed all checks, the quorum that follows from its size, and ctx1.
pub(crate) struct Roster {
    pub(crate) session: Session,
    members: Vec<Member>,
    /// As the coordinator signed it.
    pub(crate) message: RosterMsg,
    pub(crate) adverts_root: Digest,
    /// q; on the complete graph also the sharing threshold t.
    pub(crate) q: u32,
    /// k and t, where clients pick their neighbours.
    pub(crate) sparse: Option<GraphParameters>,
    pub(crate) ctx1: Digest,
}

/// Checks one advert under the session: made for this attempt, by a pinned identity, with sound keys, under its signature.
pub(crate) fn check_advert(session: &Session, advert: &AdvertMsg) -> Result<Member, AdvertFault> {
    let member = admit(session, advert)?;
    if member.signed(advert) { Ok(member) } else { Err(AdvertFault::Signature) }
}

/// The same but for the signature of an advert that nothing is wrong with: [`Roster::vouched`] looks at that. Nobody is
/// blamed for keys in an advert that it did not sign.
fn admit(session: &Session, advert: &AdvertMsg) -> Result<Member, AdvertFault> {
    let identity = session.members.get(&advert.client).ok_or(AdvertFault::UnknownIdentity)?;
    if advert.cfg != session.cfg {
        return Err(AdvertFault::OtherConfig);
    }
    check_keys(session, advert)
        .map_err(|fault| if is_signed(identity, advert) { fault } else { AdvertFault::Signature })?;
    Ok(Member {
        client: advert.client,
        identity: *identity,
        pk_mask: advert.pk_mask,
        pk_chan: advert.pk_chan,
        kem: advert.kem.clone(),
        commit_b: advert.commit_b,
        commit_layers: advert.commit_layers.clone(),
        signed: OnceLock::new(),
    })
}

fn check_keys(session: &Session, advert: &AdvertMsg) -> Result<(), AdvertFault> {
    if !is_sound_public_key(&advert.pk_mask) || !is_sound_public_key(&advert.pk_chan) {
        return Err(AdvertFault::WeakKey);
    }
    if advert.commit_layers.len() != session.layer_count() {
        return Err(AdvertFault::OtherLayers);
    }
    if advert.kem.is_some() != session.key_agreement.is_hybrid() {
        return Err(AdvertFault::OtherKeyAgreement);
    }
    if advert.kem.as_ref().is_some_and(|kem| !kem.are_sound()) {
        return Err(AdvertFault::WeakKey);
    }
    Ok(())
}

fn is_signed(identity: &[u8; 32], advert: &AdvertMsg) -> bool {
    verify(identity, labels::ADVERT, advert.signed().as_bytes(), &advert.signature).is_ok()
}

impl Roster {
    /// The roster that the coordinator makes of checked adverts, and its signed message.
    pub(crate) fn of_adverts(
        session: Session,
        adverts: Vec<AdvertMsg>,
        members: Vec<Member>,
        id: &Identity,
    ) -> Result<(Self, RosterMsg), CloseFailed> {
        let have = u32::try_from(members.len()).unwrap_or(u32::MAX);
        if have < session.n_min || honest_floor(have, session.max_corrupt) < HONEST_FLOOR {
            let need = session.n_min.max(session.max_corrupt.saturating_add(HONEST_FLOOR));
            return Err(QuorumLost { phase: Phase::Adverts, have, need }.into());
        }
        let mut message = RosterMsg { adverts, signature: [0; 64] };
        message.sign(&session.cfg, id);
        let roster = Self::assemble(session, members, &message)?;
        Ok((roster, message))
    }

    /// The roster that a client accepts from the coordinator. On the complete graph every advert's signature has been checked
    /// then; on a sparse one each is before this client relies on it ([`Roster::vouched`]).
    pub(crate) fn accept(session: Session, message: &RosterMsg) -> Result<Self, Abort> {
        let n = u32::try_from(message.adverts.len()).unwrap_or(u32::MAX);
        if n < session.n_min {
            return Err(Abort::RosterTooSmall { n, n_min: session.n_min });
        }
        let floor = honest_floor(n, session.max_corrupt);
        if floor < HONEST_FLOOR {
            return Err(Abort::HonestFloor { n, f: session.max_corrupt, floor });
        }
        if !message.adverts.is_sorted_by(|a, b| a.client < b.client) {
            return Err(Abort::RosterMalformed);
        }
        verify(&session.coordinator, labels::ROSTER, message.signed(&session.cfg).as_bytes(), &message.signature)
            .map_err(|_| Abort::CoordinatorSignature)?;
        let mut keys = BTreeSet::new();
        let mut members = Vec::with_capacity(message.adverts.len());
        for advert in &message.adverts {
            let client = advert.client;
            let member = admit(&session, advert).map_err(|fault| Abort::Advert { client, fault })?;
            if !member.keys().into_iter().all(|key| keys.insert(key)) {
                let fault = if member.signed(advert) { AdvertFault::RepeatedKey } else { AdvertFault::Signature };
                return Err(Abort::Advert { client, fault });
            }
            members.push(member);
        }
        let roster = Self::assemble(session, members, message)?;
        if roster.sparse.is_none() {
            roster.all_vouched()?;
        }
        Ok(roster)
    }

    /// Whether the client at this position signed its advert, or a key would be used that the coordinator put there.
    pub(crate) fn vouched(&self, position: u32) -> Result<(), Abort> {
        let advert = usize::try_from(position).ok().and_then(|i| self.message.adverts.get(i));
        let (Some(member), Some(advert)) = (self.at(position), advert) else { return Err(Abort::RosterMalformed) };
        let fault = AdvertFault::Signature;
        if member.signed(advert) { Ok(()) } else { Err(Abort::Advert { client: member.client, fault }) }
    }

    /// Whether everyone on the roster signed its advert.
    pub(crate) fn all_vouched(&self) -> Result<(), Abort> {
        (0..self.len()).try_for_each(|position| self.vouched(position))
    }

    fn assemble(session: Session, members: Vec<Member>, message: &RosterMsg) -> Result<Self, GraphRefused> {
        let n = u32::try_from(members.len()).expect("a roster is no longer than the members of a session");
        let q = quorum(n, session.max_corrupt);
        let sparse = session.graph.on(n, session.max_corrupt).map_err(|why| GraphRefused::infeasible(n, &why))?;
        let ids: Vec<ClientId> = members.iter().map(|m| m.client).collect();
        let adverts_root = message.root();
        let ctx1 = context::ctx1(&session, &adverts_root, &ids);
        Ok(Self { session, members, message: message.clone(), adverts_root, q, sparse, ctx1 })
    }

    /// Whether this is the seed that the client at a position committed to for a layer.
    pub(crate) fn is_layer_seed(&self, position: u32, layer: u32, seed: &Quad) -> bool {
        let place = usize::try_from(layer).unwrap_or(usize::MAX);
        let member = self.at(position);
        let committed = member.and_then(|m| Some((m, m.commit_layers.get(place)?)));
        committed.is_some_and(|(m, c)| same_commitment(&commit_layer(&self.session.cfg, &m.client, place, seed), c))
    }

    /// n.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.members.len()).expect("checked when the roster was made")
    }

    /// Members with their positions.
    pub(crate) fn members(&self) -> impl DoubleEndedIterator<Item = (u32, &Member)> {
        (0..self.len()).zip(&self.members)
    }

    /// The member at a position.
    pub(crate) fn at(&self, index: u32) -> Option<&Member> {
        self.members.get(usize::try_from(index).ok()?)
    }

    /// The id at a position that is known to be on the roster.
    pub(crate) fn client(&self, index: u32) -> ClientId {
        self.at(index).expect("positions held in a state were checked against the roster").client
    }

    /// The position of a client.
    pub(crate) fn position(&self, client: &ClientId) -> Option<u32> {
        let found = self.members.binary_search_by(|m| m.client.cmp(client)).ok()?;
        u32::try_from(found).ok()
    }

    /// The ids at these positions.
    pub(crate) fn clients<'a>(&self, indices: impl IntoIterator<Item = &'a u32>) -> Vec<ClientId> {
        indices.into_iter().map(|i| self.client(*i)).collect()
    }

    /// max(q, n_min): fewest dealers.
    pub(crate) fn dealers_needed(&self) -> u32 {
        self.q.max(self.session.n_min)
    }

    /// What makes the masks; `None` when inputs are not masked.
    pub(crate) fn prg(&self) -> Option<Prg> {
        self.session.suite.prg()
    }
}
