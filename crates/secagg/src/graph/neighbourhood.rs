//! Who shares with whom and who masks with whom, from the lists that clients signed.
use std::collections::{BTreeMap, BTreeSet};

use sottovoce_types::Digest;

use super::solver::in_degree_cap;
use crate::merkle::merkle_root;

/// What is wrong with a graph, by roster positions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphFault {
    /// A list that is not k ascending positions of other clients.
    #[error("the list of client {picker} is not {k} ascending positions of other clients on the roster")]
    Malformed {
        /// Who signed it.
        picker: u32,
        /// k.
        k: u32,
    },
    /// This client's own list is missing or changed.
    #[error("the list of client {me} is missing from the graph or was altered: the coordinator shows another graph")]
    OwnListAltered {
        /// The client.
        me: u32,
    },
    /// More in-neighbours than 3k. An honest client picks a given other one with probability k/(n − 1), so of these about
    /// k are honest and the rest flood.
    #[error(
        "client {victim} was picked by {} clients, more than the {cap} that it accepts; about a third of {cap} \
         do so by chance, the others flood it: {pickers:?}",
        .pickers.len()
    )]
    Flooded {
        /// Who was picked.
        victim: u32,
        /// By whom, ascending.
        pickers: Vec<u32>,
        /// 3k.
        cap: u32,
    },
    /// Fewer live picks than the threshold: going on would leave this client's secrets unrecoverable, and could leave its
    /// input in a sum of few.
    #[error(
        "{live} of the neighbours that client {client} picked are left, {need} are needed: it cannot be among the survivors"
    )]
    Starved {
        /// The client.
        client: u32,
        /// Picks that are alive.
        live: u32,
        /// t.
        need: u32,
    },
}

/// One client's place in the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbourhood {
    me: u32,
    picks: Vec<u32>,
    pickers: Vec<u32>,
}

impl Neighbourhood {
    /// Whom this client gives shares of its secrets: its own picks, and nobody else. Those who pick it may be corrupt.
    pub fn holders(&self) -> &[u32] {
        &self.picks
    }

    /// Whose shares this client holds: those who picked it.
    pub fn dealers(&self) -> &[u32] {
        &self.pickers
    }

    /// With whom this client masks: picks and pickers, ascending. Mask with those of them that dealt shares (U2).
    pub fn mask_peers(&self) -> Vec<u32> {
        self.picks.iter().chain(&self.pickers).copied().collect::<BTreeSet<u32>>().into_iter().collect()
    }

    /// Checks that t of this client's picks are alive. Pickers do not count: they choose themselves.
    ///
    /// # Errors
    /// [`GraphFault::Starved`].
    pub fn check_live(&self, alive: &BTreeSet<u32>, threshold: u32) -> Result<(), GraphFault> {
        self.check(|p| alive.contains(p), threshold)
    }

    fn check(&self, is_alive: impl Fn(&u32) -> bool, threshold: u32) -> Result<(), GraphFault> {
        let live = self.picks.iter().filter(|p| is_alive(p)).count();
        let live = u32::try_from(live).unwrap_or(u32::MAX);
        if live < threshold {
            return Err(GraphFault::Starved { client: self.me, live, need: threshold });
        }
        Ok(())
    }
}

/// Whether a list is k ascending positions of others.
pub(crate) fn check_list(picker: u32, n: u32, k: u32, list: &[u32]) -> Result<(), GraphFault> {
    let right = picker < n
        && u32::try_from(list.len()) == Ok(k)
        && list.is_sorted_by(|a, b| a < b)
        && list.iter().all(|p| *p < n && *p != picker);
    if right { Ok(()) } else { Err(GraphFault::Malformed { picker, k }) }
}

fn check_in_degree(victim: u32, k: u32, pickers: &[u32]) -> Result<(), GraphFault> {
    let cap = in_degree_cap(k);
    if u32::try_from(pickers.len()).unwrap_or(u32::MAX) > cap {
        return Err(GraphFault::Flooded { victim, pickers: pickers.to_vec(), cap });
    }
    Ok(())
}

/// The whole graph, the same for the coordinator and all clients.
#[derive(Clone, Debug)]
pub struct Graph {
    places: BTreeMap<u32, Neighbourhood>,
}

impl Graph {
    /// From the lists of all clients that sent one, by roster position.
    ///
    /// # Errors
    /// [`GraphFault::Malformed`], [`GraphFault::Flooded`].
    pub fn new(n: u32, k: u32, lists: BTreeMap<u32, Vec<u32>>) -> Result<Self, GraphFault> {
        let mut pickers: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (picker, list) in &lists {
            check_list(*picker, n, k, list)?;
            for picked in list {
                pickers.entry(*picked).or_default().push(*picker);
            }
        }
        for (victim, pickers) in &pickers {
            check_in_degree(*victim, k, pickers)?;
        }
        Ok(Self::of_edges(lists, pickers))
    }

    fn of_edges(lists: BTreeMap<u32, Vec<u32>>, mut pickers: BTreeMap<u32, Vec<u32>>) -> Self {
        let place = |(me, picks)| {
            let pickers = pickers.remove(&me).unwrap_or_default();
            (me, Neighbourhood { me, picks, pickers })
        };
        Self { places: lists.into_iter().map(place).collect() }
    }

    /// For the simulation, whose k are so small that a client is picked 3k times by chance.
    #[cfg(test)]
    pub(super) fn uncapped(lists: BTreeMap<u32, Vec<u32>>) -> Self {
        let mut pickers: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (picker, picked) in lists.iter().flat_map(|(picker, list)| list.iter().map(move |p| (*picker, *p))) {
            pickers.entry(picked).or_default().push(picker);
        }
        Self::of_edges(lists, pickers)
    }

    /// The place of a client that sent a list.
    pub fn at(&self, position: u32) -> Option<&Neighbourhood> {
        self.places.get(&position)
    }

    /// A client's own place, if the graph has the picks that it signed.
    ///
    /// # Errors
    /// [`GraphFault::OwnListAltered`].
    pub fn own_place(&self, me: u32, own: &[u32]) -> Result<&Neighbourhood, GraphFault> {
        self.at(me).filter(|place| place.picks == own).ok_or(GraphFault::OwnListAltered { me })
    }

    /// Checks that *every* survivor has t picks among the survivors. Each client checks this before it signs them: one
    /// honest signer then keeps the coordinator from cutting a starved client off the others.
    ///
    /// # Errors
    /// [`GraphFault::Starved`] for the first that has not, or sent no list.
    pub fn check_survivors(&self, survivors: &BTreeSet<u32>, threshold: u32) -> Result<(), GraphFault> {
        // By position: n·k look-ups in a set would be most of what a client does in R3.
        let end = survivors.last().map_or(0, |last| usize::try_from(*last).unwrap_or(usize::MAX).saturating_add(1));
        let mut alive = vec![false; end];
        for survivor in survivors {
            if let Some(alive) = usize::try_from(*survivor).ok().and_then(|i| alive.get_mut(i)) {
                *alive = true;
            }
        }
        let is_alive = |i: &u32| usize::try_from(*i).ok().and_then(|i| alive.get(i)) == Some(&true);
        let starved = |client| GraphFault::Starved { client, live: 0, need: threshold };
        survivors.iter().try_for_each(|i| self.at(*i).ok_or(starved(*i))?.check(is_alive, threshold))
    }

    /// The most clients of `alive` that pass [`Graph::check_survivors`] together: without those that have fewer than t live
    /// picks, and without those that they starve. What the coordinator names as survivors.
    pub fn supported(&self, mut alive: BTreeSet<u32>, threshold: u32) -> BTreeSet<u32> {
        alive.retain(|i| self.places.contains_key(i));
        let live = |place: &Neighbourhood| place.picks.iter().filter(|p| alive.contains(p)).count();
        let mut live: BTreeMap<u32, usize> =
            self.places.iter().filter(|(i, _)| alive.contains(i)).map(|(i, place)| (*i, live(place))).collect();
        let need = usize::try_from(threshold).unwrap_or(usize::MAX);
        let mut starved: Vec<u32> = live.iter().filter(|(_, live)| **live < need).map(|(i, _)| *i).collect();
        while let Some(gone) = starved.pop() {
            alive.remove(&gone);
            for picker in self.at(gone).map_or(&[][..], Neighbourhood::dealers) {
                if let Some(live) = live.get_mut(picker) {
                    *live = live.saturating_sub(1);
                    // The moment it falls below, so nobody is struck out twice.
                    if live.saturating_add(1) == need {
                        starved.push(*picker);
                    }
                }
            }
        }
        alive
    }

    /// Root over all lists, to be covered by ctx2: a client from which a list is hidden computes other keys.
    pub fn root(&self) -> Digest {
        merkle_root(self.places.values().map(|place| {
            let words = std::iter::once(&place.me).chain(&place.picks);
            words.flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>()
        }))
    }

    /// Into how many connected parts the masks between these clients fall; a coordinator that holds all masks of the others
    /// could learn one sum a part. Union by size, with path halving.
    pub fn parts(&self, among: &BTreeSet<u32>) -> usize {
        let mut sets = Sets::new(among);
        for place in self.places.values().filter(|p| among.contains(&p.me)) {
            for pick in place.picks.iter().filter(|p| among.contains(p)) {
                sets.join(place.me, *pick);
            }
        }
        sets.parts
    }
}

/// Disjoint sets of positions.
struct Sets {
    parent: BTreeMap<u32, u32>,
    size: BTreeMap<u32, u32>,
    parts: usize,
}

impl Sets {
    fn new(members: &BTreeSet<u32>) -> Self {
        Self {
            parent: members.iter().map(|m| (*m, *m)).collect(),
            size: members.iter().map(|m| (*m, 1)).collect(),
            parts: members.len(),
        }
    }

    fn root(&mut self, mut member: u32) -> u32 {
        loop {
            let parent = self.parent.get(&member).copied().unwrap_or(member);
            if parent == member {
                return member;
            }
            let grandparent = self.parent.get(&parent).copied().unwrap_or(parent);
            self.parent.insert(member, grandparent);
            member = grandparent;
        }
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        if a == b {
            return;
        }
        let (of_a, of_b) = (self.size.get(&a).copied().unwrap_or(1), self.size.get(&b).copied().unwrap_or(1));
        let (low, high) = if of_a < of_b { (a, b) } else { (b, a) };
        self.parent.insert(low, high);
        self.size.insert(high, of_a.saturating_add(of_b));
        self.parts = self.parts.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests;
