//! R0″: collects the lists of picks; closes into the graph.
use std::collections::BTreeMap;

use sottovoce_types::ClientId;

use super::{CollectingShares, count, has, owed};
use crate::fault::{CloseFailed, PeerFault, Phase, QuorumLost};
use crate::graph::{Graph, GraphParameters, GraphRefused, PicksMsg, check_list};
use crate::messages::{GraphMsg, PickedBy};
use crate::roster::Roster;
use crate::topology::Topology;

/// Waits for the lists of everyone on the roster.
pub struct CollectingPicks {
    roster: Roster,
    parameters: GraphParameters,
    lists: BTreeMap<u32, PicksMsg>,
}

impl CollectingPicks {
    pub(super) fn new(roster: Roster, parameters: GraphParameters) -> Self {
        Self { roster, parameters, lists: BTreeMap::new() }
    }

    /// k and t of this roster.
    pub fn parameters(&self) -> &GraphParameters {
        &self.parameters
    }

    /// Takes a client's list.
    ///
    /// # Errors
    /// [`PeerFault`]: not on the roster, a second list, one that is not k ascending positions of others, or a bad signature.
    pub fn picks(&mut self, from: ClientId, message: PicksMsg) -> Result<(), PeerFault> {
        let (picker, member) = owed(&self.roster, from, |_| true, &self.lists)?;
        let k = self.parameters.neighbours;
        check_list(picker, self.roster.len(), k, &message.picks).map_err(|_| PeerFault::Picks { client: from, k })?;
        message
            .verify(&self.roster.ctx1, &member.client, &member.identity)
            .map_err(|_| PeerFault::Signature { client: from })?;
        self.lists.insert(picker, message);
        Ok(())
    }

    /// Lists taken.
    pub fn count(&self) -> usize {
        self.lists.len()
    }

    /// Whether a client's list was taken.
    pub fn has(&self, client: &ClientId) -> bool {
        has(&self.roster, client, &self.lists)
    }

    /// Clients whose list has not come.
    pub fn expected(&self) -> Vec<ClientId> {
        self.roster.members().filter(|(i, _)| !self.lists.contains_key(i)).map(|(_, m)| m.client).collect()
    }

    /// Fixes the graph, for all clients in it ([`CollectingShares::expected`]).
    ///
    /// # Errors
    /// [`CloseFailed`]: fewer than max(q, n_min) picked, or a client was picked by more than 3k others.
    pub fn close(self) -> Result<(CollectingShares, GraphMsg), CloseFailed> {
        let Self { roster, parameters, lists } = self;
        let (have, need) = (count(&lists), roster.dealers_needed());
        if have < need {
            return Err(QuorumLost { phase: Phase::Picks, have, need }.into());
        }
        let picks = lists.iter().map(|(picker, list)| (*picker, list.picks.clone())).collect();
        let graph = Graph::new(roster.len(), parameters.neighbours, picks)
            .map_err(|fault| GraphRefused::by_id(&fault, |i| roster.client(i)))?;
        let message = GraphMsg { lists: lists.into_iter().map(|(picker, list)| PickedBy { picker, list }).collect() };
        Ok((CollectingShares::new(roster, Topology::sparse(graph, &parameters)), message))
    }
}
