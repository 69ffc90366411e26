//! A partition in numbers.
use sottovoce_train::{Partition, PartitionSpec, SetCounts, Split, TestSpeakers};
use sottovoce_types::LabelSet;

use crate::corpus;

fn spec() -> PartitionSpec {
    let test_speakers = TestSpeakers::Named(vec!["003".into()]);
    PartitionSpec { clients: 2, test_speakers, holdout_fraction: 0.2, ..PartitionSpec::default() }
}

#[test]
#[should_panic(expected = "labels are those that the examples were made with")]
fn counting_by_other_classes_than_the_examples_is_a_bug() {
    let _counts = Partition::draw(&corpus(6, 5), &spec()).unwrap().counts(&LabelSet::four());
}

#[test]
fn counts_are_clips_by_client_and_emotion_with_test_set_and_holdout_beside_them() {
    let p = Partition::draw(&corpus(6, 5), &spec()).unwrap();
    let counts = p.counts(&LabelSet::five());
    assert_eq!(counts.classes, ["angry", "fear", "happy", "neutral", "sad"]);
    assert!(!counts.leaks);
    // Speaker 003 has emotion 1 alone.
    assert_eq!(counts.test, SetCounts { name: "test".into(), speakers: 1, counts: vec![0, 5, 0, 0, 0] });
    assert_eq!((counts.holdout.name.as_str(), counts.holdout.speakers), ("holdout", 5));
    let names: Vec<(&str, u64)> = counts.clients.iter().map(|c| (c.name.as_str(), c.speakers)).collect();
    assert_eq!(names, [("client-01", 3), ("client-02", 2)]);
    // The five others have a clip of each emotion; what is not trained on is held out.
    let sets = || counts.clients.iter().chain([&counts.holdout]);
    let by_emotion: Vec<u64> = (0..5).map(|class| sets().map(|s| s.counts[class]).sum()).collect();
    assert_eq!(by_emotion, [5; 5]);
    assert_eq!(sets().map(|s| s.counts.iter().sum::<u64>()).collect::<Vec<_>>(), [12, 8, 5]);
}

#[test]
fn counts_of_a_random_split_say_that_it_leaks() {
    let random = PartitionSpec { split: Split::Random, test_speakers: TestSpeakers::Fraction(0.2), ..spec() };
    let counts = Partition::draw(&corpus(6, 5), &random).unwrap().counts(&LabelSet::five());
    assert!(counts.leaks && counts.test.speakers > 1);
}
