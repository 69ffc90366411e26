//! R0″: neighbours picked; waits for the lists of the others.
use std::sync::Arc;

use rand_core::CryptoRng;
use sottovoce_types::Digest;

use super::Shared;
use super::deal::deal;
use crate::fault::Abort;
use crate::graph::{GraphParameters, GraphRefused};
use crate::identity::Identity;
use crate::keys::OneTimeKeys;
use crate::messages::{GraphMsg, SharesMsg};
use crate::roster::Roster;
use crate::topology::Topology;

/// A client that picked its neighbours. Who they are was its choice alone, made when the roster was fixed.
pub struct Picked {
    pub(super) roster: Arc<Roster>,
    pub(super) me: u32,
    pub(super) parameters: GraphParameters,
    pub(super) keys: OneTimeKeys,
    pub(super) own: Vec<u32>,
}

/// A graph that passed all checks but the one that each client makes for itself: that its own list is in it. Clients of one
/// process, on the same roster, may share it.
#[derive(Clone)]
pub struct CheckedGraph {
    topology: Arc<Topology>,
    ctx1: Digest,
}

impl Picked {
    /// The context once the roster is fixed: what lists are bound to.
    pub fn ctx1(&self) -> Digest {
        self.roster.ctx1
    }

    /// k and t of this roster.
    pub fn parameters(&self) -> &GraphParameters {
        &self.parameters
    }

    /// Checks the graph, shares both secrets with the clients that this one picked, and seals the shares.
    ///
    /// # Errors
    /// [`Abort`]: fewer lists than max(q, n_min), lists out of order, one that is no list of k others, a client picked by more than
    /// 3k, own list missing or altered, or a neighbour that did not sign its advert or its list.
    pub fn graph(
        self,
        message: GraphMsg,
        id: &Identity,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<(Shared, SharesMsg), Abort> {
        let checked = self.check(&message)?;
        self.on_graph(&checked, id, rng)
    }

    /// The checks that do not depend on who makes them.
    ///
    /// # Errors
    /// [`Abort`], as [`Picked::graph`].
    pub fn check(&self, message: &GraphMsg) -> Result<CheckedGraph, Abort> {
        let topology = Arc::new(Topology::accept(&self.roster, &self.parameters, message)?);
        Ok(CheckedGraph { topology, ctx1: self.roster.ctx1 })
    }

    /// The same as [`Picked::graph`] on a graph that was checked before, by another client of this process.
    ///
    /// # Errors
    /// [`Abort`]: own list missing or altered, or a graph on another roster.
    pub fn on_graph(
        self,
        checked: &CheckedGraph,
        id: &Identity,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<(Shared, SharesMsg), Abort> {
        let Self { roster, me, keys, own, .. } = self;
        if checked.ctx1 != roster.ctx1 {
            return Err(Abort::OtherSession);
        }
        if checked.topology.holders(me) != own {
            return Err(GraphRefused::OwnListAltered { client: roster.client(me) }.into());
        }
        // Before anything is sealed to their keys or masked with them. Who else is on the roster speaks for itself later, or is
        // looked at before this client opens.
        for peer in checked.topology.neighbours(me) {
            roster.vouched(peer)?;
            checked.topology.vouched(&roster, peer)?;
        }
        deal(roster, Arc::clone(&checked.topology), keys, me, id, rng)
    }
}
