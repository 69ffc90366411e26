//! Who shares with whom and who masks with whom in one attempt: the complete graph, or the one that its clients picked.
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use sottovoce_types::Digest;

use crate::fault::Abort;
use crate::graph::{Graph, GraphFault, GraphParameters, GraphRefused, Neighbourhood, PicksMsg};
use crate::messages::GraphMsg;
use crate::roster::Roster;

/// The graph of an attempt, by roster positions.
pub(crate) enum Topology {
    /// Everybody and everybody; a client holds a share of its own secrets, too.
    Complete {
        /// n.
        n: u32,
        /// t, which is q.
        threshold: u32,
    },
    /// Shares go to those that a client picked, masks run both ways.
    Sparse {
        graph: Graph,
        root: Digest,
        /// t.
        threshold: u32,
        /// The signature of each list that came from outside, by picker; the coordinator checks them as they come and keeps none.
        signatures: BTreeMap<u32, ListSignature>,
    },
}

/// A picker's signature over its list.
pub(crate) struct ListSignature {
    signature: [u8; 64],
    /// Whether it holds, once somebody has looked. Clients of one process share it.
    holds: OnceLock<bool>,
}

impl Topology {
    pub(crate) fn complete(roster: &Roster) -> Self {
        Self::Complete { n: roster.len(), threshold: roster.q }
    }

    pub(crate) fn sparse(graph: Graph, parameters: &GraphParameters) -> Self {
        let root = graph.root();
        Self::Sparse { graph, root, threshold: parameters.threshold, signatures: BTreeMap::new() }
    }

    /// The graph that a coordinator shows. Each list's signature is checked before this client relies on it
    /// ([`Topology::vouched`]), and before anybody is blamed for it.
    pub(crate) fn accept(roster: &Roster, parameters: &GraphParameters, message: &GraphMsg) -> Result<Self, Abort> {
        let (have, need) = (u32::try_from(message.lists.len()).unwrap_or(u32::MAX), roster.dealers_needed());
        if have < need {
            return Err(Abort::TooFewPickers { have, need });
        }
        if !message.lists.is_sorted_by(|a, b| a.picker < b.picker) {
            return Err(Abort::GraphMalformed);
        }
        if message.lists.iter().any(|list| list.picker >= roster.len()) {
            return Err(Abort::GraphMalformed);
        }
        let lists = message.lists.iter().map(|list| (list.picker, list.list.picks.clone())).collect();
        let graph = match Graph::new(roster.len(), parameters.neighbours, lists) {
            Ok(graph) => graph,
            Err(fault) => {
                message.lists.iter().try_for_each(|list| check_picks(roster, list.picker, &list.list))?;
                return Err(Abort::Graph(GraphRefused::by_id(&fault, |i| roster.client(i))));
            }
        };
        let signature = |list: &PicksMsg| ListSignature { signature: list.signature, holds: OnceLock::new() };
        let signatures = message.lists.iter().map(|list| (list.picker, signature(&list.list))).collect();
        Ok(Self::Sparse { root: graph.root(), graph, threshold: parameters.threshold, signatures })
    }

    /// Whether the list of the client at this position is the one that it signed; nothing is wrong with a client that sent none.
    pub(crate) fn vouched(&self, roster: &Roster, picker: u32) -> Result<(), Abort> {
        let Self::Sparse { signatures, .. } = self else { return Ok(()) };
        let (Some(signed), Some(place)) = (signatures.get(&picker), self.place(picker)) else { return Ok(()) };
        let list = || PicksMsg { picks: place.holders().to_vec(), signature: signed.signature };
        let holds = *signed.holds.get_or_init(|| check_picks(roster, picker, &list()).is_ok());
        if holds { Ok(()) } else { Err(Abort::PicksSignature { picker: roster.client(picker) }) }
    }

    /// Everyone with whom this client shares or masks on a sparse graph, whether it deals or not, ascending.
    pub(crate) fn neighbours(&self, me: u32) -> Vec<u32> {
        self.place(me).map(Neighbourhood::mask_peers).unwrap_or_default()
    }

    fn place(&self, position: u32) -> Option<&Neighbourhood> {
        match self {
            Self::Complete { .. } => None,
            Self::Sparse { graph, .. } => graph.at(position),
        }
    }

    /// t: shares that give a secret.
    pub(crate) fn threshold(&self) -> u32 {
        match self {
            Self::Complete { threshold, .. } | Self::Sparse { threshold, .. } => *threshold,
        }
    }

    /// What ctx2 covers of it; `None` for the complete graph, which follows from the roster.
    pub(crate) fn root(&self) -> Option<&Digest> {
        match self {
            Self::Complete { .. } => None,
            Self::Sparse { root, .. } => Some(root),
        }
    }

    /// Who holds shares of this dealer's secrets, ascending; nobody for a client that sent no list.
    pub(crate) fn holders(&self, dealer: u32) -> Cow<'_, [u32]> {
        match self {
            Self::Complete { n, .. } => (0..*n).collect::<Vec<_>>().into(),
            Self::Sparse { .. } => self.place(dealer).map_or(&[][..], Neighbourhood::holders).into(),
        }
    }

    /// How many these are.
    pub(crate) fn entries(&self, dealer: u32) -> usize {
        match self {
            Self::Complete { n, .. } => usize::try_from(*n).unwrap_or(usize::MAX),
            Self::Sparse { .. } => self.place(dealer).map_or(0, |place| place.holders().len()),
        }
    }

    /// The place of a holder among them.
    pub(crate) fn slot(&self, dealer: u32, holder: u32) -> Option<usize> {
        match self {
            Self::Complete { n, .. } => usize::try_from(holder).ok().filter(|_| holder < *n),
            Self::Sparse { .. } => self.place(dealer)?.holders().binary_search(&holder).ok(),
        }
    }

    /// Whether `one` encapsulates to `other` for the mask of the pair, in a hybrid agreement: the ciphertext travels with its envelope. Of two
    /// that send each other envelopes, the earlier on the roster does.
    pub(crate) fn encapsulates(&self, one: u32, other: u32) -> bool {
        one != other && self.slot(one, other).is_some() && (one < other || self.slot(other, one).is_none())
    }

    /// Who picked whom, by ascending position of the picker; nothing for the complete graph.
    pub(crate) fn lists(&self, n: u32) -> Vec<(u32, Vec<u32>)> {
        let list = |picker| Some((picker, self.place(picker)?.holders().to_vec()));
        (0..n).filter_map(list).collect()
    }

    /// The graph of these lists, under whatever signatures they came.
    pub(crate) fn of_lists(roster: &Roster, lists: &[(u32, Vec<u32>)]) -> Option<Self> {
        let Some(parameters) = &roster.sparse else { return lists.is_empty().then(|| Self::complete(roster)) };
        let graph = Graph::new(roster.len(), parameters.neighbours, lists.iter().cloned().collect()).ok()?;
        Some(Self::sparse(graph, parameters))
    }

    /// Those of `among` that dealt this holder shares, itself included where it holds its own, ascending.
    pub(crate) fn dealers<'a>(&'a self, holder: u32, among: &'a BTreeSet<u32>) -> Box<dyn Iterator<Item = u32> + 'a> {
        match self {
            Self::Complete { .. } => Box::new(among.iter().copied()),
            Self::Sparse { .. } => {
                let dealers = self.place(holder).map_or(&[][..], Neighbourhood::dealers);
                Box::new(dealers.iter().copied().filter(|dealer| among.contains(dealer)))
            }
        }
    }

    /// Those of `among` with whom this client masks, ascending.
    pub(crate) fn mask_peers(&self, me: u32, among: &BTreeSet<u32>) -> Vec<u32> {
        match self {
            Self::Complete { .. } => among.iter().copied().filter(|peer| *peer != me).collect(),
            Self::Sparse { .. } => {
                let mut peers = self.place(me).map(Neighbourhood::mask_peers).unwrap_or_default();
                peers.retain(|peer| among.contains(peer));
                peers
            }
        }
    }

    /// Whether a client can go on with these dealers: t of its holders are among them.
    pub(crate) fn check_live(&self, me: u32, alive: &BTreeSet<u32>) -> Result<(), GraphFault> {
        match (self, self.place(me)) {
            (Self::Complete { .. }, _) => Ok(()),
            (Self::Sparse { threshold, .. }, Some(place)) => place.check_live(alive, *threshold),
            (Self::Sparse { .. }, None) => Err(GraphFault::OwnListAltered { me }),
        }
    }

    /// Whether every survivor has t holders among the survivors.
    pub(crate) fn check_survivors(&self, survivors: &BTreeSet<u32>) -> Result<(), GraphFault> {
        match self {
            Self::Complete { .. } => Ok(()),
            Self::Sparse { graph, threshold, .. } => graph.check_survivors(survivors, *threshold),
        }
    }

    /// The most clients of these that can go on together.
    pub(crate) fn supported(&self, alive: BTreeSet<u32>) -> BTreeSet<u32> {
        match self {
            Self::Complete { .. } => alive,
            Self::Sparse { graph, threshold, .. } => graph.supported(alive, *threshold),
        }
    }
}

fn check_picks(roster: &Roster, picker: u32, list: &PicksMsg) -> Result<(), Abort> {
    let member = roster.at(picker).ok_or(Abort::GraphMalformed)?;
    list.verify(&roster.ctx1, &member.client, &member.identity)
        .map_err(|_| Abort::PicksSignature { picker: member.client })
}
