//! What must not stand in two places is found there.
use proptest::prelude::*;
use sottovoce_train::{Leak, Partition, PartitionError, PartitionMode, PartitionSpec, Place, Split, TestSpeakers};
use sottovoce_types::{ExampleMeta, Examples};

use crate::corpus;

fn spec(clients: usize, test: usize) -> PartitionSpec {
    let test_speakers = TestSpeakers::Count(test);
    PartitionSpec { clients, test_speakers, holdout_fraction: 0.25, ..PartitionSpec::default() }
}

fn dealt() -> Partition {
    Partition::draw(&corpus(8, 8), &spec(3, 2)).unwrap()
}

fn client(i: usize) -> Place {
    Place::Client(format!("client-0{i}"))
}

/// A clip that no other set has, of the first speaker of `set`.
fn another_clip(set: &Examples) -> Examples {
    let mut clip = set.select(&[0]);
    clip.meta[0].path = "another.wav".into();
    clip.features[0] = -1.0;
    clip
}

/// The clip `from` of `data` once more, bit for bit, under another path and speaker.
fn copy(data: &mut Examples, from: usize, path: &str, speaker: &str) {
    let meta = ExampleMeta { path: path.into(), speaker: speaker.into(), ..data.meta[from].clone() };
    let (row, label) = (data.row(from).to_vec(), data.labels[from]);
    data.push(&row, label, meta);
}

#[test]
fn a_speaker_at_two_clients_is_named_with_both() {
    let mut p = dealt();
    let clip = another_clip(&p.clients[0].train);
    p.clients[2].train.append(&clip);
    let leak = p.check().unwrap_err();
    let speaker = clip.meta[0].speaker.clone();
    let text = format!("speaker {speaker} is both at client-01 and at client-03");
    assert_eq!(leak, Leak::Speaker { speaker, first: client(1), second: client(3) });
    assert!(leak.to_string().starts_with(&text), "{leak}");
}

#[test]
fn two_clients_of_one_name_are_still_two() {
    let mut p = dealt();
    let clip = another_clip(&p.clients[0].train);
    p.clients[2].train.append(&clip);
    p.clients.iter_mut().for_each(|c| c.name = "client".into());
    assert!(matches!(p.check(), Err(Leak::Speaker { .. })));
}

#[test]
fn a_speaker_at_a_client_and_in_the_test_set_is_named_with_both() {
    let mut p = dealt();
    let clip = another_clip(&p.clients[1].train);
    p.test.append(&clip);
    let speaker = clip.meta[0].speaker.clone();
    assert_eq!(p.check(), Err(Leak::Speaker { speaker, first: client(2), second: Place::Test }));
}

#[test]
fn a_speaker_in_the_holdout_and_in_the_test_set_is_named_with_both() {
    let mut p = dealt();
    let clip = another_clip(&p.test);
    p.holdout.append(&clip);
    let speaker = clip.meta[0].speaker.clone();
    let leak = p.check().unwrap_err();
    assert_eq!(leak, Leak::Speaker { speaker, first: Place::Test, second: Place::Holdout });
    assert!(leak.to_string().contains("both in the test set and in the holdout"), "{leak}");
}

#[test]
fn a_speaker_in_the_holdout_alone_or_at_a_client_too_is_none() {
    let mut p = dealt();
    assert_eq!(p.check(), Ok(()));
    let mut clip = another_clip(&p.test);
    clip.meta[0].speaker = "nobody else".into();
    p.holdout.append(&clip);
    assert_eq!(p.check(), Ok(()));
}

#[test]
fn a_path_that_occurs_twice_is_named_with_both_places() {
    let twice = |change: &dyn Fn(&mut Partition) -> String, first: Place, second: Place| {
        let mut p = dealt();
        let path = change(&mut p);
        assert_eq!(p.check(), Err(Leak::Path { path, first, second }));
    };
    let path = |set: &Examples| set.meta[0].path.clone();
    twice(
        &|p| {
            let clip = p.clients[0].train.select(&[0]);
            p.holdout.append(&clip);
            path(&clip)
        },
        client(1),
        Place::Holdout,
    );
    twice(
        &|p| {
            let clip = p.clients[0].train.select(&[0]);
            p.clients[0].train.append(&clip);
            path(&clip)
        },
        client(1),
        client(1),
    );
    twice(
        &|p| {
            p.test.meta[0].path = path(&p.clients[2].train);
            path(&p.test)
        },
        client(3),
        Place::Test,
    );
    twice(
        &|p| {
            p.test.meta[1].path = path(&p.test);
            path(&p.test)
        },
        Place::Test,
        Place::Test,
    );
}

#[test]
fn a_random_split_is_excused_from_keeping_speakers_apart_and_from_nothing_else() {
    let random = PartitionSpec { split: Split::Random, ..spec(3, 2) };
    let mut p = Partition::draw(&corpus(8, 8), &random).unwrap();
    let shared = p.test.speakers().iter().any(|s| p.pooled().speakers().contains(s));
    assert!(p.leaks && shared && p.check().is_ok());

    let mut unflagged = p.clone();
    unflagged.leaks = false;
    assert!(matches!(unflagged.check(), Err(Leak::Speaker { .. })));

    let clip = p.test.select(&[0]);
    p.clients[0].train.append(&clip);
    let path = clip.meta[0].path.clone();
    assert_eq!(p.check(), Err(Leak::Path { path, first: client(1), second: Place::Test }));

    let mut data = corpus(8, 1);
    (0..8).for_each(|i| copy(&mut data, i, &format!("copy-{i}.wav"), "100"));
    assert!(matches!(Partition::draw(&data, &random), Err(PartitionError::Leak(Leak::SameRecording { .. }))));
}

#[test]
fn a_corpus_that_lists_a_clip_twice_is_refused_in_every_mode_and_split() {
    let modes = [PartitionMode::Natural, PartitionMode::Speakers];
    for (mode, split) in modes.into_iter().flat_map(|m| [(m, Split::Speaker), (m, Split::Random)]) {
        let mut data = corpus(8, 8);
        data.append(&data.select(&[17]));
        let error = Partition::draw(&data, &PartitionSpec { mode, split, ..spec(3, 2) }).unwrap_err();
        let PartitionError::Leak(Leak::Path { path, .. }) = error else { panic!("{error}") };
        assert_eq!(path, data.meta[17].path);
    }
}

#[test]
fn a_file_copied_under_the_name_of_a_test_speaker_is_named_with_the_original() {
    let mut data = corpus(8, 8);
    copy(&mut data, 12, "copy.wav", "007");
    let test_speakers = TestSpeakers::Named(vec!["007".into()]);
    let spec = PartitionSpec { test_speakers, holdout_fraction: 0.0, ..spec(3, 0) };
    let error = Partition::draw(&data, &spec).unwrap_err();
    let path = data.meta[12].path.clone();
    let text = error.to_string();
    assert!(text.contains(&path) && text.contains("copy.wav (in the test set)"), "{text}");
    let PartitionError::Leak(leak) = error else { panic!("{error}") };
    let other_path = "copy.wav".to_owned();
    assert_eq!(leak, Leak::SameRecording { path, other_path, first: client(1), second: Place::Test });
}

/// Two clients of speakers 000, 001 and 002, 003; the copy is of a clip of 000.
fn with_copy(speaker: &str, holdout_fraction: f64) -> Result<Partition, PartitionError> {
    let mut data = corpus(4, 4);
    for i in 0..4 {
        copy(&mut data, i, &format!("{speaker}_copy-{i}.wav"), speaker);
    }
    Partition::draw(&data, &PartitionSpec { holdout_fraction, ..spec(2, 0) })
}

#[test]
fn a_file_copied_to_another_client_is_found_even_where_the_copy_or_the_original_is_held_out() {
    for holdout_fraction in [0.0, 0.9] {
        let error = with_copy("002", holdout_fraction).unwrap_err();
        assert!(matches!(error, PartitionError::Leak(Leak::SameRecording { .. })), "{error}");
    }
}

#[test]
fn a_file_copied_within_one_client_or_one_speaker_moves_nothing_across() {
    for holdout_fraction in [0.0, 0.5] {
        assert_eq!(with_copy("001", holdout_fraction).map(|_| ()), Ok(()));
        assert_eq!(with_copy("000", holdout_fraction).map(|_| ()), Ok(()));
    }
}

#[test]
fn copies_among_many_equal_clips_are_found_whichever_comes_first() {
    // Three speakers at the first client with one recording, then one at the second.
    let mut data = corpus(6, 2);
    for speaker in ["001", "002", "005"] {
        copy(&mut data, 0, &format!("{speaker}_copy.wav"), speaker);
    }
    let error = Partition::draw(&data, &spec(2, 0)).unwrap_err();
    let PartitionError::Leak(Leak::SameRecording { other_path, .. }) = error else { panic!("{error}") };
    assert_eq!(other_path, "005_copy.wav");
}

#[test]
fn recordings_that_differ_in_one_bit_are_two_and_rows_of_one_value_identify_none() {
    let mut p = dealt();
    let row = p.clients[0].train.row(0).to_vec();
    p.test.features[..row.len()].copy_from_slice(&row);
    assert!(matches!(p.check(), Err(Leak::SameRecording { .. })));
    p.test.features[0] = f32::from_bits(p.test.features[0].to_bits() + 1);
    assert_eq!(p.check(), Ok(()));
    // What a speaker's only clip is after standardising per speaker.
    p.test.features.fill(0.0);
    p.clients[0].train.features.fill(0.0);
    assert_eq!(p.check(), Ok(()));
}

/// What the check's documentation says that it cannot see.
#[test]
fn a_person_under_two_names_is_two_speakers_to_the_check() {
    let mut p = dealt();
    let mut clip = another_clip(&p.clients[0].train);
    clip.meta[0].speaker = format!("actor-{}", clip.meta[0].speaker);
    p.test.append(&clip);
    assert_eq!(p.check(), Ok(()));
}

proptest! {
    #[test]
    fn a_clip_moved_to_another_place_than_its_speakers_is_always_found(
        mode in crate::modes(),
        seed: u64,
        from in 0usize..4,
        to in 0usize..4,
        which: prop::sample::Index,
    ) {
        prop_assume!(from != to);
        let mut p = Partition::draw(&corpus(12, 10), &PartitionSpec { mode, seed, ..spec(3, 3) }).unwrap();
        let mut sets: Vec<&mut Examples> = p.clients.iter_mut().map(|c| &mut c.train).chain([&mut p.test]).collect();
        let clip = which.index(sets[from].len());
        let rest: Vec<usize> = (0..sets[from].len()).filter(|&i| i != clip).collect();
        let moved = sets[from].select(&[clip]);
        let stays = sets[from].select(&rest);
        prop_assume!(stays.speakers().contains(&moved.meta[0].speaker));
        *sets[from] = stays;
        sets[to].append(&moved);
        let found = matches!(p.check(), Err(Leak::Speaker { .. }));
        prop_assert!(found);
    }
}
