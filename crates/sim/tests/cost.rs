//! The measured attempt: a real one, its bytes counted, its dropouts real.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use sottovoce_secagg::graph::{Adversary, MaskGraph, SparseTerms};
use sottovoce_secagg::{KeyAgreement, MaskSuite};
use sottovoce_sim::cost::{Cost, CostError, CostSpec, measure};
use sottovoce_types::Lanes;

fn spec(clients: u32, dimension: usize, lanes: u8) -> CostSpec {
    let lanes = Lanes::new(lanes).unwrap();
    CostSpec {
        clients,
        dimension,
        lanes,
        dropouts: 0,
        max_corrupt: 0,
        graph: MaskGraph::Complete,
        suite: MaskSuite::Aes256Ctr,
        key_agreement: KeyAgreement::X25519,
    }
}

fn cost(spec: CostSpec) -> Result<Cost, CostError> {
    let start = Instant::now();
    measure(spec, 1, &|| start.elapsed(), &mut ChaCha20Rng::from_seed([1; 32]))
}

/// `measure` fails on a wrong sum, so that it returns at all says that the masks cancelled.
#[test]
fn every_suite_lane_count_and_dropout_opens_the_sum() {
    for (suite, lanes) in MaskSuite::ALL.into_iter().zip([1, 2, 3, 4, 6]) {
        for dropouts in [0, 2] {
            let cost = cost(CostSpec { suite, dropouts, ..spec(6, 1001, lanes) }).unwrap();
            let names: Vec<_> = cost.phases.iter().map(|p| p.name).collect();
            assert_eq!(names, ["advertise", "share", "mask", "sign", "open", "unmask"]);
            assert!(cost.phases[..5].iter().all(|p| p.client_seconds > 0.0 && p.server_seconds > 0.0), "{cost:?}");
            let limits = cost.limits();
            assert!(cost.compared().iter().all(|c| c.measured > 0.0 && c.limit > 0.0 && c.limit.is_finite()));
            assert_eq!(limits.server_unmasking > 0.0, suite.prg().is_some());
        }
    }
}

#[test]
fn bytes_are_the_payload_and_what_grows_with_the_clients_alone() {
    let bytes = |clients, dimension, lanes| {
        let cost = cost(spec(clients, dimension, lanes)).unwrap();
        (cost.spec.payload_bytes(), cost.bytes_up(), cost.bytes_down())
    };
    let (payload, up, down) = bytes(5, 10_001, 4);
    assert_eq!(payload, 8 * 2501, "ceil(d/L) words");
    assert!(up > payload && up < payload + 4096, "{up}");
    // A longer vector costs its own bytes and no more; it comes down in the published sum, which is not counted.
    let (longer, up_longer, down_longer) = bytes(5, 20_002, 4);
    assert_eq!(up_longer - up, longer - payload);
    assert_eq!(down_longer, down);
    // Another client costs every client an envelope and commitments up, and more than that down.
    let (_, up_more, down_more) = bytes(6, 10_001, 4);
    assert!(up_more > up + 200 && down_more > down + 500, "{up_more} {down_more}");
}

/// A clock that moves by a millisecond whenever it is read tells which stretches are measured.
#[test]
fn time_is_that_of_the_clock() {
    let plain = CostSpec { suite: MaskSuite::None, ..spec(3, 10, 2) };
    let ticks = std::cell::Cell::new(0);
    let clock = || {
        ticks.set(ticks.get() + 1);
        Duration::from_millis(ticks.get())
    };
    let cost = measure(plain, 0, &clock, &mut ChaCha20Rng::from_seed([1; 32])).unwrap();
    // Two readings a stretch of work: a millisecond for each stretch.
    let by_phase: Vec<_> = cost.phases.iter().map(|p| (p.client_seconds * 1e3, p.server_seconds * 1e3)).collect();
    let expected = [(1.0, 4.0), (2.0, 4.0), (1.0, 4.0), (1.0, 4.0), (1.0, 3.0), (0.0, 1.0)];
    for (found, expected) in by_phase.iter().zip(expected) {
        assert!((found.0 - expected.0).abs() < 1e-6 && (found.1 - expected.1).abs() < 1e-6, "{by_phase:?}");
    }
}

#[test]
fn attempts_that_the_protocol_would_refuse_are_refused_by_name() {
    let refused = |spec: CostSpec| cost(spec).unwrap_err();
    assert_eq!(refused(spec(1, 10, 2)), CostError::Cohort { clients: 1, max_corrupt: 0 });
    let corrupt = CostSpec { max_corrupt: 3, ..spec(4, 10, 2) };
    assert_eq!(refused(corrupt), CostError::Cohort { clients: 4, max_corrupt: 3 });
    assert_eq!(refused(spec(4, 0, 2)), CostError::Empty);
    let gone = CostSpec { dropouts: 2, ..spec(4, 10, 2) };
    assert_eq!(refused(gone), CostError::Dropouts { dropouts: 2, have: 2, need: 3 });
    let all = CostSpec { dropouts: 9, ..spec(4, 10, 2) };
    assert_eq!(refused(all), CostError::Dropouts { dropouts: 9, have: 0, need: 3 });
}

/// 40 clients, each with 9 holders or so: the real protocol with its picks, its dropouts and its exact sum.
#[test]
fn a_sparse_attempt_costs_its_edges_and_not_all_pairs() {
    let graph = MaskGraph::Sparse(SparseTerms { max_dropout: 0.06, adversary: Adversary::Malicious });
    let sparse = CostSpec { graph, dropouts: 2, ..spec(40, 101, 2) };
    let k = sparse.parameters().unwrap().unwrap().neighbours;
    let found = cost(sparse).unwrap();
    let names: Vec<_> = found.phases.iter().map(|p| p.name).collect();
    assert_eq!(names, ["advertise", "pick", "share", "mask", "sign", "open", "unmask"]);
    assert!(found.peers >= k && found.peers < 39, "{} peers of k = {k}", found.peers);
    assert!(found.left >= u64::from(k) && found.left < 2 * 38, "{} masks left", found.left);
    let complete = cost(CostSpec { dropouts: 2, ..spec(40, 101, 2) }).unwrap();
    assert_eq!((complete.peers, complete.left), (39, 2 * 38));
    let up = |cost: &Cost| cost.phase("share").unwrap().bytes_up;
    assert!(up(&found) < up(&complete) / 2, "{} and {}", up(&found), up(&complete));
    assert!(found.limits().masking < complete.limits().masking);
    let starved = CostSpec { dropouts: 3, ..sparse };
    assert_eq!(cost(starved).unwrap_err(), CostError::Starved { dropouts: 3, max_dropout: 0.06 });
    let none = CostSpec { graph, max_corrupt: 38, dropouts: 0, ..spec(40, 101, 2) };
    assert!(matches!(cost(none).unwrap_err(), CostError::Graph(_) | CostError::Cohort { .. }));
}
