//! Folds and named test speakers.
use std::collections::BTreeSet;

use proptest::prelude::*;
use sottovoce_train::{Fold, FoldBy, Partition, PartitionError, PartitionMode, PartitionSpec, Split, TestSpeakers};
use sottovoce_types::{ExampleMeta, Examples};

use crate::{corpus, paths};

fn fold(by: FoldBy, of: usize, index: usize) -> PartitionSpec {
    let test_speakers = TestSpeakers::Fold(Fold { by, of, index });
    PartitionSpec { clients: 2, mode: PartitionMode::Speakers, test_speakers, ..PartitionSpec::default() }
}

/// IEMOCAP's shape: sessions of a woman and a man each.
fn sessions(count: usize, clips: usize) -> Examples {
    let mut data = corpus(2 * count, clips);
    for (i, meta) in data.meta.iter_mut().enumerate() {
        let session = format!("Ses{:02}", i / (2 * clips) + 1);
        meta.speaker = format!("{session}{}", if (i / clips).is_multiple_of(2) { 'F' } else { 'M' });
        meta.group = Some(session);
    }
    data
}

fn refused(data: &Examples, spec: &PartitionSpec) -> PartitionError {
    Partition::draw(data, spec).expect_err("must be refused")
}

#[test]
fn more_folds_than_speakers_are_refused_with_the_number_of_speakers() {
    let error = refused(&corpus(4, 3), &fold(FoldBy::Speaker, 5, 0));
    assert_eq!(error, PartitionError::TooManyFolds { folds: 5, what: "speakers", found: 4 });
    assert!(error.to_string().contains("4 speakers cannot be cut into 5 folds"), "{error}");
    assert!(Partition::draw(&corpus(4, 3), &fold(FoldBy::Speaker, 4, 0)).is_ok());

    let random = PartitionSpec { split: Split::Random, ..fold(FoldBy::Speaker, 13, 0) };
    assert_eq!(refused(&corpus(4, 3), &random), PartitionError::TooManyFolds { folds: 13, what: "clips", found: 12 });
}

#[test]
fn a_fold_that_does_not_exist_is_refused() {
    for (of, index) in [(5, 5), (5, usize::MAX), (1, 0), (0, 0)] {
        for by in [FoldBy::Speaker, FoldBy::Group] {
            let error = refused(&sessions(5, 3), &fold(by, of, index));
            assert!(matches!(error, PartitionError::Spec(_)), "{error}");
        }
    }
    assert!(Partition::draw(&sessions(5, 3), &fold(FoldBy::Group, 5, 4)).is_ok());
}

#[test]
fn folds_by_group_must_be_as_many_as_groups_and_the_error_says_how_many() {
    for folds in [4, 6] {
        let error = refused(&sessions(5, 3), &fold(FoldBy::Group, folds, 0));
        assert_eq!(error, PartitionError::FoldsAreNotGroups { folds, groups: 5 });
        assert!(error.to_string().contains("takes 5 folds"), "{error}");
    }
}

#[test]
fn folds_by_group_name_the_first_clip_that_has_none() {
    let mut data = sessions(5, 3);
    for (i, meta) in data.meta.iter_mut().enumerate() {
        meta.group = meta.group.take().filter(|_| i != 7 && i != 20);
    }
    let path = data.meta[7].path.clone();
    let backwards: Vec<usize> = (0..data.len()).rev().collect();
    let error = refused(&data.select(&backwards), &fold(FoldBy::Group, 5, 0));
    assert_eq!(error, PartitionError::NoGroup { path: path.clone() });
    assert!(error.to_string().contains(&path), "{error}");
}

#[test]
fn a_speaker_in_two_groups_cannot_be_left_out_by_group() {
    let mut data = sessions(5, 3);
    data.meta[0].group = Some("Ses04".into());
    let error = refused(&data, &fold(FoldBy::Group, 5, 0));
    let groups = ["Ses04".to_owned(), "Ses01".to_owned()];
    assert_eq!(error, PartitionError::SpeakerInTwoGroups { speaker: "Ses01F".into(), groups });
}

#[test]
fn a_fold_that_leaves_too_few_to_train_is_refused() {
    let spec = PartitionSpec { clients: 9, ..fold(FoldBy::Group, 5, 0) };
    let PartitionError::TooFewSpeakers(error) = refused(&sessions(5, 3), &spec) else { panic!("another error") };
    assert_eq!((error.needed, error.found, error.test), (11, 10, 2));
}

/// `KFold(5).split(range(1001, 1092))` of scikit-learn: blocks of 19, 18, 18, 18 and 18 actors of CREMA-D.
#[test]
fn five_folds_of_crema_ds_actors_are_those_of_kfold() {
    let mut data = Examples::empty(1);
    for speaker in 1001..=1091u16 {
        let speaker = speaker.to_string();
        let meta = ExampleMeta { path: format!("{speaker}_DFA_ANG_XX.wav"), speaker, ..ExampleMeta::default() };
        data.push(&[0.5], 0, meta);
    }
    let blocks = [(1001, 1019), (1020, 1037), (1038, 1055), (1056, 1073), (1074, 1091)];
    for (index, (first, last)) in blocks.into_iter().enumerate() {
        let expected: Vec<String> = (first..=last).map(|s: u16| s.to_string()).collect();
        let p = Partition::draw(&data, &fold(FoldBy::Speaker, 5, index)).unwrap();
        assert_eq!(p.test.speakers(), expected);
        assert_eq!(p.pooled().speakers().len(), 91 - expected.len());
    }
}

#[test]
fn leaving_one_session_out_tests_on_its_two_speakers_and_trains_on_the_other_eight() {
    for index in 0..5 {
        let p = Partition::draw(&sessions(5, 4), &fold(FoldBy::Group, 5, index)).unwrap();
        let session = format!("Ses{:02}", index + 1);
        assert_eq!(p.test.speakers(), [format!("{session}F"), format!("{session}M")]);
        assert_eq!(p.pooled().speakers().len(), 8);
        assert!(p.pooled().meta.iter().chain(&p.holdout.meta).all(|m| m.group.as_ref() != Some(&session)));
    }
}

proptest! {
    #[test]
    fn over_all_folds_every_speaker_is_tested_exactly_once_and_never_trained_on_meanwhile(
        speakers in 4usize..40,
        of in 2usize..12,
        mode in crate::modes(),
        seed: u64,
    ) {
        prop_assume!(of <= speakers && speakers - speakers.div_ceil(of) >= 2);
        let data = corpus(speakers, 5);
        let mut tested = Vec::new();
        let mut sizes = BTreeSet::new();
        for index in 0..of {
            let p = Partition::draw(&data, &PartitionSpec { mode, seed, ..fold(FoldBy::Speaker, of, index) }).unwrap();
            let trained = p.pooled().speakers();
            prop_assert!(p.test.speakers().iter().all(|s| !trained.contains(s)));
            sizes.insert(p.test.speakers().len());
            tested.extend(p.test.speakers());
        }
        prop_assert_eq!(tested, data.speakers(), "side by side, in the order of names");
        prop_assert!(sizes.len() <= 2 && sizes.last().unwrap() - sizes.first().unwrap() <= 1, "{:?}", sizes);
    }

    #[test]
    fn over_all_folds_by_group_every_speaker_is_tested_exactly_once(groups in 2usize..8, clips in 1usize..5, seed: u64) {
        let data = sessions(groups, clips);
        let mut tested = Vec::new();
        for index in 0..groups {
            let p = Partition::draw(&data, &PartitionSpec { seed, ..fold(FoldBy::Group, groups, index) }).unwrap();
            tested.extend(p.test.speakers());
        }
        prop_assert_eq!(tested, data.speakers());
    }

    #[test]
    fn over_all_folds_of_a_random_split_every_clip_is_tested_exactly_once(of in 2usize..9, seed: u64) {
        let data = corpus(6, 7);
        let mut tested = Vec::new();
        for index in 0..of {
            let spec = PartitionSpec { split: Split::Random, seed, ..fold(FoldBy::Speaker, of, index) };
            let p = Partition::draw(&data, &spec).unwrap();
            prop_assert!(p.leaks);
            tested.extend(paths(&p.test).into_iter().map(str::to_owned));
        }
        tested.sort();
        prop_assert_eq!(tested, paths(&data));
    }
}

#[test]
fn named_test_speakers_that_the_corpus_lacks_are_an_error_that_lists_them() {
    let names = ["nobody", "003", "1001", "nobody"].map(str::to_owned).to_vec();
    let spec = PartitionSpec { clients: 2, test_speakers: TestSpeakers::Named(names), ..PartitionSpec::default() };
    let error = refused(&corpus(6, 3), &spec);
    assert_eq!(error, PartitionError::UnknownSpeakers { names: vec!["1001".into(), "nobody".into()] });
    assert!(error.to_string().contains(r#"["1001", "nobody"]"#), "{error}");
}

#[test]
fn a_random_split_refuses_named_test_speakers_since_it_would_train_on_them() {
    let test_speakers = TestSpeakers::Named(vec!["003".into()]);
    let spec = PartitionSpec { clients: 2, test_speakers, split: Split::Random, ..PartitionSpec::default() };
    assert_eq!(refused(&corpus(6, 3), &spec), PartitionError::NamedInRandomSplit);
}

#[test]
fn naming_every_speaker_leaves_nobody_to_train_on() {
    let data = corpus(6, 3);
    let test_speakers = TestSpeakers::Named(data.speakers());
    let spec = PartitionSpec { clients: 1, test_speakers, ..PartitionSpec::default() };
    assert!(matches!(refused(&data, &spec), PartitionError::TooFewSpeakers(_)));
}

#[test]
fn named_speakers_are_tested_on_with_all_their_clips_and_no_others_are() {
    for mode in [PartitionMode::Natural, PartitionMode::Balanced] {
        let test_speakers = TestSpeakers::Named(vec!["004".into(), "001".into(), "004".into()]);
        let spec = PartitionSpec { clients: 2, mode, test_speakers, ..PartitionSpec::default() };
        let data = corpus(6, 5);
        let p = Partition::draw(&data, &spec).unwrap();
        assert_eq!(p.test, data.filter(|m| m.speaker == "001" || m.speaker == "004"));
        assert_eq!(p.pooled().speakers(), ["000", "002", "003", "005"]);
    }
}
