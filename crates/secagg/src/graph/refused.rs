//! What parties say of a graph that they refuse: clients by id, where the graph itself knows positions.
use sottovoce_types::ClientId;

use super::{GraphFault, Infeasible};

/// What is wrong with the graph of an attempt, by client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphRefused {
    /// No sparse graph keeps both bounds on this roster.
    #[error("no graph of neighbours on a roster of {n}: {why}")]
    Infeasible {
        /// Clients on the roster.
        n: u32,
        /// What the solver says.
        why: String,
    },
    /// A list that is not k ascending positions of other clients.
    #[error("the list of {picker} is not {k} ascending positions of other clients on the roster")]
    Malformed {
        /// Who signed it.
        picker: ClientId,
        /// k.
        k: u32,
    },
    /// A client's own list is missing or changed.
    #[error("the list of {client} is missing from the graph or was altered: the coordinator shows another graph")]
    OwnListAltered {
        /// The client.
        client: ClientId,
    },
    /// More in-neighbours than 3k.
    #[error(
        "{victim} was picked by {} clients, more than the {cap} that it accepts; about a third of {cap} do so by chance, the others flood it",
        .pickers.len()
    )]
    Flooded {
        /// Who was picked.
        victim: ClientId,
        /// By whom: those at fault are among them.
        pickers: Vec<ClientId>,
        /// 3k.
        cap: u32,
    },
    /// Fewer live picks than the threshold.
    #[error("{live} of the neighbours that {client} picked are left, {need} are needed to recover its secrets")]
    Starved {
        /// The client.
        client: ClientId,
        /// Picks that are alive.
        live: u32,
        /// t.
        need: u32,
    },
}

impl GraphRefused {
    pub(crate) fn infeasible(n: u32, why: &Infeasible) -> Self {
        Self::Infeasible { n, why: why.to_string() }
    }

    /// A fault by roster position, with the ids of those positions.
    pub(crate) fn by_id(fault: &GraphFault, id: impl Fn(u32) -> ClientId) -> Self {
        match fault {
            GraphFault::Malformed { picker, k } => Self::Malformed { picker: id(*picker), k: *k },
            GraphFault::OwnListAltered { me } => Self::OwnListAltered { client: id(*me) },
            GraphFault::Flooded { victim, pickers, cap } => {
                Self::Flooded { victim: id(*victim), pickers: pickers.iter().map(|p| id(*p)).collect(), cap: *cap }
            }
            GraphFault::Starved { client, live, need } => {
                Self::Starved { client: id(*client), live: *live, need: *need }
            }
        }
    }
}
