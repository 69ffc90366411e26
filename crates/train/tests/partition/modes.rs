//! What each mode gives a client.
use std::collections::BTreeSet;

use proptest::prelude::*;
use sottovoce_train::{Partition, PartitionMode, PartitionSpec, TestSpeakers};
use sottovoce_types::Examples;

use crate::{corpus, paths};

fn histogram(data: &Examples) -> [usize; 5] {
    let mut counts = [0; 5];
    data.labels.iter().for_each(|&l| counts[usize::from(l)] += 1);
    counts
}

#[test]
fn a_balanced_client_has_equally_many_clips_of_each_emotion_it_has() {
    let mode = PartitionMode::Balanced;
    let spec = PartitionSpec { clients: 3, mode, holdout_fraction: 0.3, ..PartitionSpec::default() };
    for client in Partition::draw(&corpus(12, 14), &spec).unwrap().clients {
        let counts = histogram(&client.train);
        let present: BTreeSet<usize> = counts.into_iter().filter(|&n| n > 0).collect();
        assert_eq!(present.len(), 1, "{counts:?}");
    }
}

#[test]
fn a_small_alpha_gives_clients_of_few_emotions_and_a_large_one_nearly_equal_shares() {
    let share = |alpha| {
        let mode = PartitionMode::Dirichlet { alpha };
        let spec = PartitionSpec { clients: 10, mode, ..PartitionSpec::default() };
        let clients = Partition::draw(&corpus(50, 40), &spec).unwrap().clients;
        let top = |c: &Examples| {
            let counts = histogram(c);
            #[allow(clippy::cast_precision_loss, reason = "test counts")]
            let share = *counts.iter().max().unwrap() as f64 / c.len() as f64;
            share
        };
        let count = u32::try_from(clients.len()).unwrap();
        clients.iter().map(|c| top(&c.train)).sum::<f64>() / f64::from(count)
    };
    let (skewed, even) = (share(0.1), share(1000.0));
    assert!(skewed > 0.6 && even < 0.27, "{skewed} and {even}");
}

/// Every speaker has all five emotions but for speaker 3.
fn spec(mode: PartitionMode, holdout_fraction: f64, seed: u64) -> PartitionSpec {
    let test_speakers = TestSpeakers::Named(vec!["003".into()]);
    PartitionSpec { clients: 3, mode, test_speakers, holdout_fraction, seed, ..PartitionSpec::default() }
}

proptest! {
    #[test]
    fn a_balanced_client_has_all_emotions_equally_often_whatever_is_held_out(
        speakers in 4usize..14,
        clips in 5usize..17,
        holdout_fraction in 0.0..0.95,
        seed: u64,
    ) {
        let data = corpus(speakers, clips);
        let p = Partition::draw(&data, &spec(PartitionMode::Balanced, holdout_fraction, seed)).unwrap();
        for client in &p.clients {
            let counts = histogram(&client.train);
            prop_assert!(counts[0] > 0 && counts.iter().all(|n| *n == counts[0]), "{:?}", counts);
        }
        let held = histogram(&p.holdout);
        prop_assert!(held.iter().all(|n| *n == held[0]), "{:?}", held);
    }

    #[test]
    fn a_huge_alpha_is_a_balanced_partition_within_a_clip_of_each_emotion(seed: u64, clips in 5usize..30) {
        let data = corpus(13, clips);
        let dirichlet = PartitionMode::Dirichlet { alpha: 1e9 };
        let draw = |mode| Partition::draw(&data, &spec(mode, 0.0, seed)).unwrap();
        let (even, balanced) = (draw(dirichlet), draw(PartitionMode::Balanced));
        for (even, balanced) in even.clients.iter().zip(&balanced.clients) {
            let (e, b) = (histogram(&even.train), histogram(&balanced.train));
            prop_assert!(e.iter().zip(b).all(|(e, b)| e.abs_diff(b) <= 1), "{:?} and {:?}", e, b);
        }
    }

    #[test]
    fn each_client_has_as_many_speakers_as_asked_for_each_with_all_its_clips(
        per_client in 1usize..4,
        seed: u64,
        natural: bool,
    ) {
        let mode = if natural { PartitionMode::Natural } else { PartitionMode::Speakers };
        let data = corpus(12, 6);
        let spec = PartitionSpec { speakers_per_client: Some(per_client), ..spec(mode, 0.2, seed) };
        let p = Partition::draw(&data, &spec).unwrap();
        for client in &p.clients {
            prop_assert_eq!(client.train.speakers().len(), per_client);
        }
        prop_assert_eq!(p.pooled().len() + p.holdout.len(), 3 * per_client * 6);
    }

    #[test]
    fn without_a_number_speakers_are_shared_out_as_evenly_as_can_be(speakers in 8usize..30, seed: u64) {
        for mode in [PartitionMode::Natural, PartitionMode::Speakers] {
            let p = Partition::draw(&corpus(speakers, 2), &spec(mode, 0.0, seed)).unwrap();
            let counts: Vec<usize> = p.clients.iter().map(|c| c.train.speakers().len()).collect();
            prop_assert_eq!(counts.iter().sum::<usize>(), speakers - 1);
            prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", counts);
        }
    }
}

#[test]
fn clients_of_a_small_alpha_differ_from_each_other_in_their_emotions_and_balanced_ones_do_not() {
    let commonest = |mode| -> BTreeSet<usize> {
        let spec = PartitionSpec { clients: 8, ..spec(mode, 0.0, 1) };
        let p = Partition::draw(&corpus(40, 40), &spec).unwrap();
        let first_of_most = |c: &Examples| {
            let counts = histogram(c);
            counts.iter().position(|n| n == counts.iter().max().unwrap()).unwrap()
        };
        p.clients.iter().map(|c| first_of_most(&c.train)).collect()
    };
    assert!(commonest(PartitionMode::Dirichlet { alpha: 0.1 }).len() >= 3);
    assert_eq!(commonest(PartitionMode::Balanced), BTreeSet::from([0]));
}

#[test]
fn another_seed_deals_other_speakers_and_other_clips_and_the_same_seed_the_same() {
    let data = corpus(20, 12);
    let modes = [PartitionMode::Speakers, PartitionMode::Balanced, PartitionMode::Dirichlet { alpha: 0.5 }];
    for mode in modes {
        let draw = |seed| Partition::draw(&data, &spec(mode, 0.1, seed)).unwrap();
        assert_eq!(draw(1), draw(1));
        let speakers = |p: &Partition| -> Vec<Vec<String>> { p.clients.iter().map(|c| c.train.speakers()).collect() };
        assert_ne!(speakers(&draw(1)), speakers(&draw(2)));
    }
    let natural = |seed| Partition::draw(&data, &spec(PartitionMode::Natural, 0.1, seed)).unwrap();
    assert_ne!(natural(1).holdout, natural(2).holdout);
}

/// Draws must not change from release to release, or results published with a seed cannot be had again.
#[test]
fn the_same_seed_deals_the_same_in_every_release() {
    let deal = |mode| {
        let test_speakers = TestSpeakers::Count(2);
        let spec = PartitionSpec {
            clients: 3,
            mode,
            test_speakers,
            holdout_fraction: 0.2,
            seed: 7,
            ..PartitionSpec::default()
        };
        Partition::draw(&corpus(8, 6), &spec).unwrap()
    };
    let p = deal(PartitionMode::Speakers);
    let clients: Vec<Vec<String>> = p.clients.iter().map(|c| c.train.speakers()).collect();
    assert_eq!(clients, [["000", "002"], ["004", "007"], ["001", "003"]]);
    assert_eq!(p.test.speakers(), ["005", "006"]);
    assert_eq!(
        paths(&p.holdout),
        ["000_005.wav", "001_004.wav", "002_003.wav", "003_000.wav", "004_001.wav", "007_005.wav"]
    );
    let skewed = deal(PartitionMode::Dirichlet { alpha: 0.5 });
    assert_eq!(
        paths(&skewed.pooled()),
        ["000_003.wav", "002_003.wav", "004_001.wav", "004_003.wav", "007_003.wav", "001_004.wav"]
    );
}
