//! What a transcript keeps, and what each view shows of it.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
use std::collections::BTreeSet;

use sottovoce_transcript::{FileTap, MemoryTap, Party, ReadError, Record, Tap, Transcript};
use sottovoce_types::{AttemptId, ClientId, RoundId, RunId, Tick};
use sottovoce_wire::{Frame, Kind};

const A: ClientId = ClientId([0xaa; 32]);
const B: ClientId = ClientId([0xbb; 32]);

fn frame(kind: Kind, round: u64, body: &[u8]) -> Frame {
    Frame { kind, run: RunId([9; 16]), round: RoundId(round), attempt: AttemptId(1), body: body.to_vec().into() }
}

/// One round of two clients, in short: configs out, inputs in, result out.
fn play(tap: &mut dyn Tap) {
    let up = |id| (Party::Client(id), Party::Coordinator);
    let down = |id| (Party::Coordinator, Party::Client(id));
    let steps = [
        (1, up(A), frame(Kind::Hello, 0, b"hello a")),
        (2, up(B), frame(Kind::Hello, 0, b"hello b")),
        (3, down(A), frame(Kind::RoundConfig, 1, b"theta 1")),
        (3, down(B), frame(Kind::RoundConfig, 1, b"theta 1")),
        (8, up(A), frame(Kind::MaskedInput, 1, b"secret of a")),
        (9, up(B), frame(Kind::MaskedInput, 1, b"secret of b")),
        (12, down(A), frame(Kind::Result, 1, b"theta 2")),
        (12, down(B), frame(Kind::Result, 1, b"theta 2")),
    ];
    for (at, (from, to), frame) in &steps {
        tap.record(Tick(*at), *from, *to, frame);
    }
}

fn played() -> Transcript {
    let mut tap = MemoryTap::new();
    play(&mut tap);
    tap.transcript()
}

#[test]
fn clones_of_a_memory_tap_share_one_recording() {
    let tap = MemoryTap::new();
    play(&mut tap.clone());
    assert_eq!(tap.transcript().len(), 8);
}

#[test]
fn a_boxed_tap_records_too() {
    let memory = MemoryTap::new();
    let mut boxed: Box<dyn Tap> = Box::new(memory.clone());
    play(&mut boxed);
    assert_eq!(memory.transcript().len(), 8);
}

#[test]
fn the_coordinator_sees_its_own_frames_and_none_between_others() {
    // No client sends to another in this protocol; were one to, the coordinator's view must not have it.
    let mut tap = MemoryTap::new();
    play(&mut tap);
    tap.record(Tick(20), Party::Client(A), Party::Client(B), &frame(Kind::Shares, 1, b"whispered"));
    let transcript = tap.transcript();
    let view = transcript.coordinator();
    assert_eq!(view.records().len(), 8);
    assert!(view.records().iter().all(|r| &r.frame.body[..] != b"whispered"));
    assert_eq!(view.clients(), BTreeSet::from([A, B]));
    let inputs: Vec<_> = view.of_kind(Kind::MaskedInput).map(|r| (r.from, r.frame.body.to_vec())).collect();
    assert_eq!(inputs, [(Party::Client(A), b"secret of a".to_vec()), (Party::Client(B), b"secret of b".to_vec())]);
}

#[test]
fn a_peer_sees_only_frames_to_or_from_itself() {
    let transcript = played();
    let view = transcript.peer(A);
    assert_eq!(view.client(), A);
    assert_eq!(view.records().len(), 4);
    assert!(view.records().iter().all(|r| r.from == Party::Client(A) || r.to == Party::Client(A)));
    assert!(view.records().iter().all(|r| !r.frame.body.ends_with(b"b")), "nothing of the other client");
    assert_eq!(transcript.peer(ClientId([0; 32])).records().len(), 0);
}

#[test]
fn the_released_view_has_each_model_once_and_nothing_that_a_client_sent() {
    let view = played().released();
    let seen: Vec<_> = view.frames().iter().map(|f| (f.kind, f.body.to_vec())).collect();
    assert_eq!(seen, [(Kind::RoundConfig, b"theta 1".to_vec()), (Kind::Result, b"theta 2".to_vec())]);
}

#[test]
fn the_released_view_keeps_both_models_of_a_coordinator_that_equivocates() {
    let mut tap = MemoryTap::new();
    tap.record(Tick(1), Party::Coordinator, Party::Client(A), &frame(Kind::Result, 1, b"one thing"));
    tap.record(Tick(1), Party::Coordinator, Party::Client(B), &frame(Kind::Result, 1, b"another"));
    // A client cannot release a model.
    tap.record(Tick(2), Party::Client(A), Party::Coordinator, &frame(Kind::Result, 1, b"forged"));
    assert_eq!(tap.transcript().released().frames().len(), 2);
}

#[test]
fn the_network_sees_times_sizes_and_parties_and_no_content() {
    let view = played().network();
    assert_eq!(view.messages().len(), 8);
    let message = view.messages()[4];
    assert_eq!((message.at, message.from, message.to), (Tick(8), Party::Client(A), Party::Coordinator));
    assert_eq!(message.bytes, frame(Kind::MaskedInput, 1, b"secret of a").to_bytes().len());
    let shown = format!("{view:?}");
    for hidden in ["secret", "theta", "MaskedInput", "115, 101"] {
        assert!(!shown.contains(hidden), "{hidden} is not for the network to see");
    }
}

#[test]
fn debug_output_of_a_record_has_no_body() {
    let transcript = played();
    let shown = format!("{:?}", transcript.peer(A));
    assert!(!shown.contains("secret") && shown.contains("body_bytes: 11"), "{shown}");
}

fn file_with_a_round() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("transcript.bin");
    let mut tap = FileTap::create(&path).unwrap();
    play(&mut tap);
    assert_eq!(tap.finish().unwrap(), 8);
    (dir, path)
}

#[test]
fn a_file_reads_back_as_what_memory_holds() {
    let (_dir, path) = file_with_a_round();
    assert_eq!(Transcript::read(&path).unwrap(), played());
}

#[test]
fn dropping_a_file_tap_flushes_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("transcript.bin");
    play(&mut FileTap::create(&path).unwrap());
    assert_eq!(Transcript::read(&path).unwrap().len(), 8);
}

#[test]
fn a_last_record_cut_anywhere_is_left_out_and_counted() {
    let (_dir, path) = file_with_a_round();
    let whole = std::fs::read(&path).unwrap();
    let seven = {
        let mut tap = FileTap::create(path.with_extension("seven")).unwrap();
        for Record { at, from, to, frame, .. } in played().coordinator().records().iter().take(7).copied() {
            tap.record(*at, *from, *to, frame);
        }
        tap.finish().unwrap();
        std::fs::read(path.with_extension("seven")).unwrap().len()
    };
    for cut in seven + 1..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let read = Transcript::read(&path).unwrap();
        let torn = read.torn().expect("a cut is told");
        assert_eq!((read.len(), torn.whole_records, torn.bytes), (7, 7, cut - seven));
    }
    std::fs::write(&path, &whole[..seven]).unwrap();
    assert_eq!(Transcript::read(&path).unwrap().torn(), None, "a cut between records cannot be seen, nor does it tear");
}

#[test]
fn what_is_no_transcript_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.bin");
    assert!(matches!(Transcript::read(&path), Err(ReadError::Io { .. })));
    std::fs::write(&path, b"RIFF....WAVE").unwrap();
    assert!(matches!(Transcript::read(&path), Err(ReadError::NotATranscript { .. })));
    std::fs::write(&path, b"SOTTOVTR\x02\0\0\0").unwrap();
    assert!(matches!(Transcript::read(&path), Err(ReadError::Version { found: 2, .. })));
}

#[test]
fn a_whole_record_that_makes_no_sense_is_refused_with_its_place() {
    let (_dir, path) = file_with_a_round();
    let mut bytes = std::fs::read(&path).unwrap();
    // Record 0 starts at byte 12: length (4), tick (8), then the first party's tag.
    bytes[24] = 7;
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(Transcript::read(&path), Err(ReadError::Damaged { seq: 0, offset: 12, .. })));
}

#[test]
fn a_file_leaves_out_answers_to_audits_which_repeat_the_inputs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("transcript.bin");
    let mut tap = FileTap::create(&path).unwrap();
    play(&mut tap);
    let shown = (Party::Coordinator, Party::Client(A));
    tap.record(Tick(13), shown.1, shown.0, &frame(Kind::WantAudit, 1, b"chunk 1"));
    tap.record(Tick(14), shown.0, shown.1, &frame(Kind::Audit, 1, b"secret of b"));
    tap.finish().unwrap();
    let read = Transcript::read(&path).unwrap();
    assert_eq!(read.len(), 9, "what was asked for is in it");
}
