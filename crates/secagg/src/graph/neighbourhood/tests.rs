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
    /// Edges are undirected, and shares go along picks only.
    #[test]
    fn masks_go_both_ways_and_shares_one(seed: u64, n in 8u32..40, k in 3u32..7) {
        let all = lists(n, k, seed);
        let Ok(graph) = Graph::new(n, k, all.clone()) else { return Err(TestCaseError::reject("flooded")) };
        for me in 0..n {
            let place = graph.own_place(me, &all[&me]).unwrap();
            prop_assert_eq!(place.holders(), &all[&me][..]);
            let pickers: Vec<u32> = (0..n).filter(|i| all[i].contains(&me)).collect();
            prop_assert_eq!(place.dealers(), &pickers[..]);
            let peers: Vec<u32> = (0..n).filter(|i| all[i].contains(&me) || all[&me].contains(i)).collect();
            prop_assert_eq!(place.mask_peers(), peers);
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
    assert!(Graph::new(6, 2, good.clone()).is_ok());
    for bad in [&[5][..], &[1, 4, 5], &[5, 1], &[5, 5], &[0, 5], &[5, 6]] {
        let mut all = good.clone();
        all.insert(0, bad.to_vec());
        assert_eq!(Graph::new(6, 2, all).unwrap_err(), GraphFault::Malformed { picker: 0, k: 2 }, "{bad:?}");
    }
    let mut all = good;
    all.insert(6, vec![1, 5]);
    assert_eq!(Graph::new(6, 2, all).unwrap_err(), GraphFault::Malformed { picker: 6, k: 2 });
}

#[test]
fn claim_a_client_notices_another_graph() {
    let all = lists(8, 3, 2);
    let graph = Graph::new(8, 3, all.clone()).unwrap();
    assert!(graph.own_place(1, &all[&1]).is_ok());
    let mut altered = all.clone();
    altered.insert(1, if all[&1] == [0, 2, 3] { vec![0, 2, 4] } else { vec![0, 2, 3] });
    let altered = Graph::new(8, 3, altered).unwrap();
    assert_eq!(altered.own_place(1, &all[&1]), Err(GraphFault::OwnListAltered { me: 1 }));
    assert_ne!(altered.root(), graph.root());
    let mut hidden = all.clone();
    hidden.remove(&1);
    let hidden = Graph::new(8, 3, hidden).unwrap();
    assert_eq!(hidden.own_place(1, &all[&1]), Err(GraphFault::OwnListAltered { me: 1 }));
    assert_ne!(hidden.root(), graph.root());
    assert_eq!(Graph::new(8, 3, all).unwrap().root(), graph.root());
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
    assert_eq!(Graph::new(20, 2, all).unwrap_err(), fault);
    assert_eq!(
        fault.to_string(),
        "client 3 was picked by 7 clients, more than the 6 that it accepts; about a third of 6 do so by chance, the \
         others flood it: [1, 2, 10, 11, 12, 13, 14]"
    );
}

/// Cases 28 and 50: a client whose picks are withheld or gone leaves, however many pickers it has.
#[test]
fn claim_a_client_starved_of_its_picks_leaves() {
    let mut all: BTreeMap<u32, Vec<u32>> = (6..10).map(|i| (i, vec![0, 1, 2])).collect();
    all.insert(0, vec![1, 2, 3]);
    let graph = Graph::new(10, 3, all).unwrap();
    let place = graph.at(0).unwrap();
    let alive = |gone: &[u32]| (0..10).filter(|i| !gone.contains(i)).collect::<BTreeSet<u32>>();
    assert_eq!(place.check_live(&alive(&[]), 2), Ok(()));
    assert_eq!(place.check_live(&alive(&[3]), 2), Ok(()));
    let fault = GraphFault::Starved { client: 0, live: 1, need: 2 };
    assert_eq!(place.check_live(&alive(&[2, 3]), 2), Err(fault.clone()));
    assert_eq!(
        fault.to_string(),
        "1 of the neighbours that client 0 picked are left, 2 are needed: it cannot be among the survivors"
    );
}

/// Case 50: nobody signs a survivor set in which one client was left without neighbours.
#[test]
fn claim_a_survivor_set_with_a_starved_client_is_refused_by_all() {
    // A ring of eight, each picking the next three.
    let all = (0..8).map(|i| (i, BTreeSet::from([(i + 1) % 8, (i + 2) % 8, (i + 3) % 8]).into_iter().collect()));
    let graph = Graph::new(8, 3, all.collect()).unwrap();
    let but = |gone: &[u32]| (0..8).filter(|i| !gone.contains(i)).collect::<BTreeSet<u32>>();
    assert_eq!(graph.check_survivors(&but(&[]), 2), Ok(()));
    assert_eq!(graph.check_survivors(&but(&[3]), 2), Ok(()));
    let starved = |client, live| Err(GraphFault::Starved { client, live, need: 2 });
    assert_eq!(graph.check_survivors(&but(&[2, 3]), 2), starved(0, 1));
    // Without 0 also 7 and then 6, 5 and 4 have too few: on a ring everything unravels.
    assert_eq!(graph.supported(but(&[2, 3]), 2), BTreeSet::new());
    assert_eq!(graph.supported(but(&[3]), 2), but(&[3]));
    assert_eq!(graph.check_survivors(&(0..9).collect(), 2), starved(8, 0));
    assert_eq!(graph.supported((0..9).collect(), 2), but(&[]));
}

proptest! {
    /// Nobody is struck out without need: any set that passes lies in the one found.
    #[test]
    fn supported_is_the_largest_set_that_passes(seed: u64, k in 1u32..5, t in 1u32..5, alive in 0u32..1 << 9) {
        prop_assume!(t <= k);
        let all = lists(9, k, seed);
        let graph = Graph::uncapped(all);
        let set = |bits: u32| (0..9).filter(|i| bits >> i & 1 == 1).collect::<BTreeSet<u32>>();
        let found = graph.supported(set(alive), t);
        prop_assert_eq!(graph.check_survivors(&found, t), Ok(()));
        for bits in (0u32..1 << 9).filter(|bits| bits & !alive == 0) {
            prop_assert!(graph.check_survivors(&set(bits), t).is_err() || set(bits).is_subset(&found));
        }
    }
}
