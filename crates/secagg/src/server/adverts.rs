//! R0: collects adverts; closes into a signed roster.
use std::collections::{BTreeMap, BTreeSet};

use sottovoce_types::ClientId;

use super::{CollectingPicks, CollectingShares};
use crate::fault::{AdvertFault, CloseFailed, PeerFault};
use crate::identity::Identity;
use crate::messages::{AdvertMsg, RosterMsg};
use crate::roster::{Member, Roster, check_advert};
use crate::session::Session;
use crate::topology::Topology;

/// Waits for adverts of the members.
pub struct CollectingAdverts {
    session: Session,
    adverts: BTreeMap<ClientId, (AdvertMsg, Member)>,
    keys: BTreeSet<[u8; 32]>,
}

impl CollectingAdverts {
    /// Opens an attempt. `id` must be the identity that the session names as its coordinator: clients check the roster's
    /// signature against that key.
    pub fn new(session: Session, id: &Identity) -> Self {
        debug_assert_eq!(session.coordinator, id.public_key(), "clients will refuse a roster signed by another key");
        Self { session, adverts: BTreeMap::new(), keys: BTreeSet::new() }
    }

    /// Takes a client's advert.
    ///
    /// # Errors
    /// [`PeerFault`]: an unknown identity, a second advert, another sender than it says, a bad signature, a weak key, or a
    /// key that someone already has.
    pub fn advert(&mut self, from: ClientId, message: AdvertMsg) -> Result<(), PeerFault> {
        if message.client != from {
            return Err(PeerFault::Stranger { client: from });
        }
        if self.adverts.contains_key(&from) {
            return Err(PeerFault::Repeated { client: from });
        }
        let refused = |fault| PeerFault::Advert { client: from, fault };
        let member = check_advert(&self.session, &message).map_err(refused)?;
        let keys = member.keys();
        let own: BTreeSet<&[u8; 32]> = keys.iter().collect();
        if own.len() != keys.len() || keys.iter().any(|key| self.keys.contains(key)) {
            return Err(refused(AdvertFault::RepeatedKey));
        }
        self.keys.extend(keys);
        self.adverts.insert(from, (message, member));
        Ok(())
    }

    /// Adverts taken.
    pub fn count(&self) -> usize {
        self.adverts.len()
    }

    /// Whether a client's advert was taken.
    pub fn has(&self, client: &ClientId) -> bool {
        self.adverts.contains_key(client)
    }

    /// Members whose advert has not come.
    pub fn expected(&self) -> Vec<ClientId> {
        self.session.members.keys().filter(|c| !self.adverts.contains_key(c)).copied().collect()
    }

    /// Fixes the roster and signs it, for all clients on it.
    ///
    /// # Errors
    /// [`CloseFailed`]: fewer than n_min came, so few that a sum would guarantee fewer than two honest inputs, or a number of clients
    /// that no sparse graph suits.
    pub fn close(self, id: &Identity) -> Result<(AfterAdverts, RosterMsg), CloseFailed> {
        let (adverts, members) = self.adverts.into_values().unzip();
        let (roster, message) = Roster::of_adverts(self.session, adverts, members, id)?;
        let next = match roster.sparse {
            None => {
                let topology = Topology::complete(&roster);
                AfterAdverts::Shares(Box::new(CollectingShares::new(roster, topology)))
            }
            Some(parameters) => AfterAdverts::Picks(Box::new(CollectingPicks::new(roster, parameters))),
        };
        Ok((next, message))
    }
}

/// What follows the roster.
pub enum AfterAdverts {
    /// On the complete graph.
    Shares(Box<CollectingShares>),
    /// On a sparse one.
    Picks(Box<CollectingPicks>),
}

impl AfterAdverts {
    /// Waiting for shares; `None` on a sparse graph.
    pub fn complete(self) -> Option<CollectingShares> {
        match self {
            Self::Shares(phase) => Some(*phase),
            Self::Picks(_) => None,
        }
    }

    /// Waiting for picks; `None` on the complete graph.
    pub fn sparse(self) -> Option<CollectingPicks> {
        match self {
            Self::Shares(_) => None,
            Self::Picks(phase) => Some(*phase),
        }
    }
}
