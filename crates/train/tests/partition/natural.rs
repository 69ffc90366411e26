//! The natural partition: by recording group, or by name.
use sottovoce_train::{Partition, PartitionMode, PartitionSpec, TestSpeakers};
use sottovoce_types::Examples;

use crate::corpus;

/// Three groups of unequal size whose names sort otherwise than their speakers': 000 and 003 are in `c`, 001 and 004 in
/// `b`, 002 in `a`.
fn grouped() -> Examples {
    let mut data = corpus(5, 4);
    for meta in &mut data.meta {
        let group = match meta.speaker.as_str() {
            "000" | "003" => "c",
            "001" | "004" => "b",
            _ => "a",
        };
        meta.group = Some(group.into());
    }
    data
}

fn natural(data: &Examples, clients: usize) -> Vec<Vec<String>> {
    let test_speakers = TestSpeakers::Count(0);
    let mode = PartitionMode::Natural;
    let spec = PartitionSpec { clients, mode, test_speakers, ..PartitionSpec::default() };
    Partition::draw(data, &spec).unwrap().clients.iter().map(|c| c.train.speakers()).collect()
}

const BY_NAME: [&[&str]; 3] = [&["000", "001"], &["002", "003"], &["004"]];

#[test]
fn clips_without_a_group_are_dealt_by_the_names_of_their_speakers() {
    assert_eq!(natural(&corpus(5, 4), 3), BY_NAME);
    let mut data = grouped();
    data.meta[6].group = None;
    assert_eq!(natural(&data, 3), BY_NAME);
}

#[test]
fn a_speaker_of_two_groups_is_still_at_one_client() {
    let mut data = grouped();
    data.meta[0].group = Some("b".into());
    assert_eq!(natural(&data, 3), BY_NAME);
}

#[test]
fn another_number_of_clients_than_of_groups_deals_by_name() {
    assert_eq!(natural(&grouped(), 2), [vec!["000", "001", "002"], vec!["003", "004"]]);
    assert_eq!(natural(&grouped(), 5), [["000"], ["001"], ["002"], ["003"], ["004"]], "a client per speaker");
}

#[test]
fn so_many_speakers_per_client_deals_by_name() {
    let mode = PartitionMode::Natural;
    let test_speakers = TestSpeakers::Count(0);
    let speakers_per_client = Some(1);
    let spec = PartitionSpec { clients: 3, mode, test_speakers, speakers_per_client, ..PartitionSpec::default() };
    let p = Partition::draw(&grouped(), &spec).unwrap();
    assert_eq!(p.pooled().speakers(), ["000", "001", "002"]);
}

#[test]
fn as_many_clients_as_recording_groups_are_one_group_each() {
    assert_eq!(natural(&grouped(), 3), [vec!["002"], vec!["001", "004"], vec!["000", "003"]]);
}

#[test]
fn only_groups_left_for_training_count() {
    let test_speakers = TestSpeakers::Named(vec!["002".into()]);
    let mode = PartitionMode::Natural;
    let spec = PartitionSpec { clients: 2, mode, test_speakers, ..PartitionSpec::default() };
    let p = Partition::draw(&grouped(), &spec).unwrap();
    let clients: Vec<Vec<String>> = p.clients.iter().map(|c| c.train.speakers()).collect();
    assert_eq!(clients, [["001", "004"], ["000", "003"]]);
}
