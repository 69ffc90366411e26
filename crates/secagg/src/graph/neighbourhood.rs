//! Who shares with whom and who masks with whom, from the lists that clients signed.
use std::collections::{BTreeMap, BTreeSet};

use super::solver::in_degree_cap;

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
    /// A list that is shown to a client that is not on it.
    #[error("client {picker} did not pick client {me}: the coordinator shows a list that is not for it")]
    NotPicked {
        /// Who signed the list.
        picker: u32,
        /// To whom it was shown.
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
    #[error("{live} of the neighbours that client {me} picked are left, {need} are needed: it leaves the attempt")]
    Starved {
        /// The client.
        me: u32,
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
    /// From the client's own picks and the lists, with verified signatures, that it was shown as those that name it.
    ///
    /// # Errors
    /// [`GraphFault::Malformed`], [`GraphFault::NotPicked`], [`GraphFault::Flooded`].
    pub fn new(me: u32, n: u32, k: u32, own: Vec<u32>, shown: &BTreeMap<u32, Vec<u32>>) -> Result<Self, GraphFault> {
        check_list(me, n, k, &own)?;
        for (picker, list) in shown {
            check_list(*picker, n, k, list)?;
            if list.binary_search(&me).is_err() {
                return Err(GraphFault::NotPicked { picker: *picker, me });
            }
        }
        let pickers: Vec<u32> = shown.keys().copied().collect();
        check_in_degree(me, k, &pickers)?;
        Ok(Self { me, picks: own, pickers })
    }

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

    /// Checks that t of this client's picks are alive: among the dealers (U2) before it masks, and among the survivors (U3)
    /// before it signs. Pickers do not count: they choose themselves.
    ///
    /// # Errors
    /// [`GraphFault::Starved`].
    pub fn check_live(&self, alive: &BTreeSet<u32>, threshold: u32) -> Result<(), GraphFault> {
        let live = self.picks.iter().filter(|p| alive.contains(p)).count();
        let live = u32::try_from(live).unwrap_or(u32::MAX);
        if live < threshold {
            return Err(GraphFault::Starved { me: self.me, live, need: threshold });
        }
        Ok(())
    }
}

fn check_list(picker: u32, n: u32, k: u32, list: &[u32]) -> Result<(), GraphFault> {
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

/// The whole graph, as the coordinator has it.
#[derive(Clone, Debug)]
pub struct Graph {
    places: BTreeMap<u32, Neighbourhood>,
}

impl Graph {
    /// From the lists, with verified signatures, of all clients that sent one.
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
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::super::choose_neighbours;
    use super::*;

    fn lists(n: u32, k: u32, seed: u64) -> BTreeMap<u32, Vec<u32>> {
        let rng = &mut ChaCha20Rng::seed_from_u64(seed);
        (0..n).map(|me| (me, choose_neighbours(me, n, k, rng).unwrap())).collect()
    }

    proptest! {
        /// What a client derives from the lists shown to it is what the coordinator has; edges are undirected; shares go
        /// along picks only.
        #[test]
        fn client_and_coordinator_see_the_same_graph(seed: u64, n in 8u32..40, k in 3u32..7) {
            let all = lists(n, k, seed);
            let Ok(graph) = Graph::new(n, k, all.clone()) else { return Err(TestCaseError::reject("flooded")) };
            for me in 0..n {
                let shown = all.iter().filter(|(_, l)| l.contains(&me)).map(|(p, l)| (*p, l.clone())).collect();
                let place = Neighbourhood::new(me, n, k, all[&me].clone(), &shown).unwrap();
                prop_assert_eq!(graph.at(me), Some(&place));
                prop_assert_eq!(place.holders(), &all[&me][..]);
                for peer in place.mask_peers() {
                    prop_assert!(graph.at(peer).unwrap().mask_peers().contains(&me));
                }
                for dealer in place.dealers() {
                    prop_assert!(graph.at(*dealer).unwrap().holders().contains(&me));
                }
            }
        }

        /// Parts by flooding from every unvisited client, independent of the disjoint sets.
        #[test]
        fn parts_are_those_of_a_walk(seed: u64, n in 2u32..24, k in 1u32..3, gone: u32) {
            prop_assume!(k < n);
            let all = lists(n, k, seed);
            let Ok(graph) = Graph::new(n, k, all.clone()) else { return Err(TestCaseError::reject("flooded")) };
            let among: BTreeSet<u32> = (0..n).filter(|i| gone >> i & 1 == 0).collect();
            let mut left = among.clone();
            let mut parts = 0;
            while let Some(first) = left.pop_first() {
                parts += 1;
                let mut reached = vec![first];
                while let Some(here) = reached.pop() {
                    let near: Vec<u32> =
                        left.iter().copied().filter(|j| all[&here].contains(j) || all[j].contains(&here)).collect();
                    for j in near {
                        left.remove(&j);
                        reached.push(j);
                    }
                }
            }
            prop_assert_eq!(graph.parts(&among), parts);
        }
    }

    #[test]
    fn a_malformed_list_is_refused_by_name() {
        let good = lists(6, 2, 1);
        let shown_to_5 = |list: &[u32]| {
            let own = good[&5].clone();
            Neighbourhood::new(5, 6, 2, own, &BTreeMap::from([(0, list.to_vec())]))
        };
        for bad in [&[5][..], &[1, 4, 5], &[5, 1], &[5, 5], &[0, 5], &[5, 6]] {
            let fault = GraphFault::Malformed { picker: 0, k: 2 };
            assert_eq!(shown_to_5(bad), Err(fault.clone()), "{bad:?}");
            let mut all = good.clone();
            all.insert(0, bad.to_vec());
            assert_eq!(Graph::new(6, 2, all).unwrap_err(), fault, "{bad:?}");
        }
        assert_eq!(shown_to_5(&[1, 2]), Err(GraphFault::NotPicked { picker: 0, me: 5 }));
        assert!(shown_to_5(&[1, 5]).is_ok());
        let stranger = BTreeMap::from([(6, vec![1, 5])]);
        let refused = Neighbourhood::new(5, 6, 2, good[&5].clone(), &stranger);
        assert_eq!(refused, Err(GraphFault::Malformed { picker: 6, k: 2 }));
        let own = Neighbourhood::new(5, 6, 2, vec![0, 5], &BTreeMap::new());
        assert_eq!(own, Err(GraphFault::Malformed { picker: 5, k: 2 }));
    }

    /// Case 46: five corrupt clients pick one victim beside its two honest pickers. It refuses, and all of them are named.
    #[test]
    fn claim_a_flood_of_picks_is_refused_and_its_clients_named() {
        let mut all: BTreeMap<u32, Vec<u32>> = (0..20).map(|i| (i, vec![(i + 1) % 20, (i + 2) % 20])).collect();
        for list in all.values_mut() {
            list.sort_unstable();
        }
        for flooder in 10..14 {
            all.insert(flooder, vec![3, 19]);
        }
        // With its two honest pickers that is six: the cap.
        let at_cap = Graph::new(20, 2, all.clone()).unwrap();
        assert_eq!(at_cap.at(3).unwrap().dealers(), &[1, 2, 10, 11, 12, 13]);
        all.insert(14, vec![3, 8]);
        let fault = GraphFault::Flooded { victim: 3, pickers: vec![1, 2, 10, 11, 12, 13, 14], cap: 6 };
        assert_eq!(Graph::new(20, 2, all.clone()).unwrap_err(), fault);
        let shown = all.iter().filter(|(_, l)| l.contains(&3)).map(|(p, l)| (*p, l.clone())).collect();
        assert_eq!(Neighbourhood::new(3, 20, 2, all[&3].clone(), &shown), Err(fault.clone()));
        assert_eq!(
            fault.to_string(),
            "client 3 was picked by 7 clients, more than the 6 that it accepts; about a third of 6 do so by chance, the \
             others flood it: [1, 2, 10, 11, 12, 13, 14]"
        );
    }

    /// Cases 28 and 50: a client whose picks are withheld or gone leaves, however many pickers it has.
    #[test]
    fn claim_a_client_starved_of_its_picks_leaves() {
        let shown: BTreeMap<u32, Vec<u32>> = (6..10).map(|i| (i, vec![0, 1, 2])).collect();
        let place = Neighbourhood::new(0, 10, 3, vec![1, 2, 3], &shown).unwrap();
        let alive = |gone: &[u32]| (0..10).filter(|i| !gone.contains(i)).collect::<BTreeSet<u32>>();
        assert_eq!(place.check_live(&alive(&[]), 2), Ok(()));
        assert_eq!(place.check_live(&alive(&[3]), 2), Ok(()));
        let fault = GraphFault::Starved { me: 0, live: 1, need: 2 };
        assert_eq!(place.check_live(&alive(&[2, 3]), 2), Err(fault.clone()));
        assert_eq!(
            fault.to_string(),
            "1 of the neighbours that client 0 picked are left, 2 are needed: it leaves the attempt"
        );
    }
}
