//! R0: keys drawn and advertised; waits for the roster.
use std::sync::Arc;

use rand_core::CryptoRng;
use sottovoce_types::ClientId;

use super::deal::deal;
use super::{Picked, Shared};
use crate::fault::Abort;
use crate::graph::{PickFailed, PicksMsg, choose_neighbours};
use crate::identity::Identity;
use crate::keys::{OneTimeKeys, commit_b, commit_layer};
use crate::messages::{AdvertMsg, RosterMsg, SharesMsg};
use crate::roster::{Member, Roster};
use crate::session::{MaskSuite, Session};
use crate::topology::Topology;

/// A client that sent its advert. Make it *after* local training: late key exchange leaves few dropouts to recover.
pub struct Advertised {
    session: Session,
    keys: OneTimeKeys,
    own: AdvertMsg,
}

/// What follows the roster.
pub enum OnRoster {
    /// On the complete graph: shares dealt.
    Shared(Box<Shared>, SharesMsg),
    /// On a sparse one: neighbours picked.
    Picked(Box<Picked>, PicksMsg),
}

impl OnRoster {
    /// Shares dealt; `None` on a sparse graph.
    pub fn complete(self) -> Option<(Shared, SharesMsg)> {
        match self {
            Self::Shared(state, message) => Some((*state, message)),
            Self::Picked(..) => None,
        }
    }

    /// Neighbours picked; `None` on the complete graph.
    pub fn sparse(self) -> Option<(Picked, PicksMsg)> {
        match self {
            Self::Shared(..) => None,
            Self::Picked(state, message) => Some((*state, message)),
        }
    }
}

/// A roster that passed all checks but the one that each client makes for itself: that its own advert is in it. Clients of one
/// process, with the same session, may share it.
#[derive(Clone)]
pub struct CheckedRoster(Arc<Roster>);

impl CheckedRoster {
    /// Checks a roster.
    ///
    /// # Errors
    /// [`Abort`], as [`Advertised::roster`].
    pub fn new(session: Session, message: &RosterMsg) -> Result<Self, Abort> {
        Roster::accept(session, message).map(|roster| Self(Arc::new(roster)))
    }
}

impl Advertised {
    /// Draws fresh one-time keys and signs an advert of them.
    ///
    /// # Errors
    /// [`Abort::NotAMember`], [`Abort::PlainRefused`], [`Abort::SuiteRefused`], [`Abort::RandomnessFailed`].
    pub fn start(
        session: Session,
        id: &Identity,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<(Self, AdvertMsg), Abort> {
        let client = id.client_id();
        if session.members.get(&client) != Some(&id.public_key()) {
            return Err(Abort::NotAMember);
        }
        if session.suite.is_for_simulation() && !session.allow_plain {
            return Err(if session.suite == MaskSuite::None { Abort::PlainRefused } else { Abort::SuiteRefused });
        }
        let keys = OneTimeKeys::draw(&session.cfg, &client, session.key_agreement, session.layer_count(), rng)
            .ok_or(Abort::RandomnessFailed)?;
        let mut own = AdvertMsg {
            cfg: session.cfg,
            client,
            pk_mask: keys.mask.public(),
            pk_chan: keys.channel.public(),
            commit_b: commit_b(&session.cfg, &client, &keys.b),
            commit_layers: (0..)
                .zip(&keys.layers)
                .map(|(k, seed)| commit_layer(&session.cfg, &client, k, seed))
                .collect(),
            kem: keys.kem(),
            nonce: keys.nonce,
            signature: [0; 64],
        };
        own.sign(id);
        let message = own.clone();
        Ok((Self { session, keys, own }, message))
    }

    /// Checks the roster. On the complete graph it then shares both secrets with everyone on it and seals the shares; on a sparse one
    /// it picks its neighbours, from its own generator, and signs the list.
    ///
    /// # Errors
    /// [`Abort`]: own advert missing or altered, a roster that is too small, out of order, not signed by the coordinator,
    /// or that holds an unknown identity, a bad signature, a key twice or a weak key, or that no sparse graph suits. On a sparse graph
    /// the signatures of adverts are looked at later: those of neighbours before this client deals, all before it opens.
    pub fn roster(
        self,
        message: RosterMsg,
        id: &Identity,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<OnRoster, Abort> {
        if !message.adverts.contains(&self.own) {
            return Err(Abort::OwnAdvertAltered);
        }
        let checked = CheckedRoster::new(self.session.clone(), &message)?;
        self.on_roster(&checked, id, rng)
    }

    /// The same on a roster that was checked before, by another client of this process.
    ///
    /// # Errors
    /// [`Abort`]: own advert missing or altered, or a roster that was checked under another session.
    pub fn on_roster(
        self,
        checked: &CheckedRoster,
        id: &Identity,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<OnRoster, Abort> {
        let Self { session, keys, own } = self;
        let roster = Arc::clone(&checked.0);
        if session != roster.session {
            return Err(Abort::OtherSession);
        }
        let me = roster.position(&own.client).ok_or(Abort::OwnAdvertAltered)?;
        let ours = |m: &Member| {
            (m.pk_mask, m.pk_chan, m.commit_b, &m.kem, &m.commit_layers)
                == (own.pk_mask, own.pk_chan, own.commit_b, &own.kem, &own.commit_layers)
        };
        if !roster.at(me).is_some_and(ours) {
            return Err(Abort::OwnAdvertAltered);
        }
        let Some(parameters) = roster.sparse else {
            let topology = Arc::new(Topology::complete(&roster));
            let (shared, message) = deal(roster, topology, keys, me, id, rng)?;
            return Ok(OnRoster::Shared(Box::new(shared), message));
        };
        let picks = choose_neighbours(me, roster.len(), parameters.neighbours, rng).map_err(|failed| match failed {
            PickFailed::RandomnessFailed => Abort::RandomnessFailed,
            PickFailed::Degree { .. } => unreachable!("the solver gives fewer neighbours than there are others"),
        })?;
        let message = PicksMsg::new(picks, &roster.ctx1, id);
        let picked = Picked { roster, me, parameters, keys, own: message.picks.clone() };
        Ok(OnRoster::Picked(Box::new(picked), message))
    }

    /// This client's id.
    pub fn client(&self) -> ClientId {
        self.own.client
    }
}

/// For the tests in `inside.rs`, which cheat with them.
#[cfg(test)]
impl Advertised {
    /// Holders that are to get shares of another secret, under commitments that match.
    pub(crate) fn spoil_shares_of(&mut self, holders: &[u32]) {
        self.keys.spoilt = holders.to_vec();
    }

    pub(crate) fn keys_mut(&mut self) -> &mut OneTimeKeys {
        &mut self.keys
    }

    pub(crate) fn own(&self) -> &AdvertMsg {
        &self.own
    }
}
