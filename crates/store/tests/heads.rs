//! Where a journal ends, and who says so: old copies, other parties' states, entries that somebody else appended, readers beside a writer.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
use std::fs;
use std::path::Path;

use sottovoce_dp::{Budget, Charge, DpEvent, Filter, Ledger, LedgerEntry, LedgerKey};
use sottovoce_round::{Journal, JournalEvent, Persist};
use sottovoce_secagg::Identity;
use sottovoce_store::{SqliteJournal, read_journal};
use sottovoce_types::{AttemptId, Delta, Epsilon, NoiseMultiplier, RoundId, RunId, Sha256Writer, Unit};

const RUN: RunId = RunId([3; 16]);

/// A site's journal: three inputs that left, each charged.
fn run() -> Vec<Persist> {
    let budget = Budget { epsilon: Epsilon::new(8.0).unwrap(), delta: Delta::new(1e-5).unwrap(), unit: Unit::Speaker };
    let mut ledger = Ledger::with_filter(budget, Filter::Gdp);
    let opened = ledger.opened();
    let mut all = vec![Persist::entry(JournalEvent::RunFinished { run: RUN }, Some(opened))];
    for round in 1..=3 {
        let (round, attempt) = (RoundId(round), AttemptId(1));
        let charge = Charge::every_unit(NoiseMultiplier::new(2.1).unwrap());
        let (_kept, reserved) = ledger.reserve(LedgerKey { run: RUN, round, attempt }, charge).unwrap();
        assert!(matches!(&reserved, LedgerEntry::Reserved { event: DpEvent::Gaussian { .. }, .. }));
        all.push(Persist::entry(JournalEvent::InputReserved { run: RUN, round, attempt }, Some(reserved)));
    }
    all
}

fn identity(i: u8) -> Identity {
    Identity::from_seed([i; 32])
}

/// A signed journal with all of [`run`] in it.
fn signed(dir: &Path) {
    let mut journal = SqliteJournal::open_sealed(dir, identity(1)).unwrap();
    for persist in run() {
        journal.append(&persist).unwrap();
    }
}

fn refused(dir: &Path, i: u8) -> String {
    SqliteJournal::open_sealed(dir, identity(i)).unwrap_err().to_string()
}

#[test]
fn claim_an_old_database_beside_a_newer_head_is_refused_and_a_crash_in_between_is_not() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut journal = SqliteJournal::open_sealed(dir.path(), identity(1)).unwrap();
    let all = run();
    for persist in &all[..2] {
        journal.append(persist).unwrap();
    }
    drop(journal);
    let old = |name: &str| copy.path().join(name);
    for name in ["state.sqlite", "state.head"] {
        fs::copy(dir.path().join(name), old(name)).unwrap();
    }
    let mut journal = SqliteJournal::open_sealed(dir.path(), identity(1)).unwrap();
    journal.append(&all[2]).unwrap();
    drop(journal);
    // A crash between commit and head: the database is one entry ahead of its head, and opens; the head follows.
    let newer = fs::read(dir.path().join("state.head")).unwrap();
    fs::copy(old("state.head"), dir.path().join("state.head")).unwrap();
    assert_eq!(SqliteJournal::open_sealed(dir.path(), identity(1)).unwrap().head().entries, 3);
    assert_eq!(fs::read(dir.path().join("state.head")).unwrap(), newer);
    // The database alone put back from the copy: what was spent since would be forgotten.
    fs::copy(old("state.sqlite"), dir.path().join("state.sqlite")).unwrap();
    assert!(refused(dir.path(), 1).contains("put back from an old copy"));
    let reading = read_journal(dir.path()).unwrap_err().to_string();
    assert!(reading.contains("put back from an old copy"), "looking at a ledger notices it too: {reading}");
}

#[test]
fn claim_a_state_that_another_identity_signed_or_nobody_did_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    signed(dir.path());
    assert!(SqliteJournal::open_sealed(dir.path(), identity(1)).is_ok());
    assert!(refused(dir.path(), 2).contains("another party's state"));
    let head = dir.path().join("state.head");
    let text = fs::read_to_string(&head).unwrap();
    // One digit of the signature; a head that was never signed; none at all.
    let place = text.find("signature").unwrap() + 20;
    let mut edited = text.clone().into_bytes();
    edited[place] = if edited[place] == b'0' { b'1' } else { b'0' };
    fs::write(&head, edited).unwrap();
    assert!(refused(dir.path(), 1).contains("does not hold"));
    let (start, end) = (text.find("{\"public_key").unwrap(), text.rfind('}').unwrap());
    fs::write(&head, format!("{}null{}", &text[..start], &text[end..])).unwrap();
    assert!(refused(dir.path(), 1).contains("not signed"));
    fs::remove_file(&head).unwrap();
    assert!(refused(dir.path(), 1).contains("state.head is missing"));
    fs::write(&head, &text[..text.len() - 1]).unwrap();
    let torn = SqliteJournal::open_sealed(dir.path(), identity(1)).unwrap_err();
    let torn = std::error::Error::source(&torn).unwrap().to_string();
    assert!(torn.contains("holds no head") && torn.contains("restore the whole directory"), "{torn}");
    fs::write(&head, text).unwrap();
    assert!(SqliteJournal::open_sealed(dir.path(), identity(1)).is_ok());
}

#[test]
fn claim_a_refund_that_somebody_else_appends_is_refused_however_well_it_hashes() {
    let dir = tempfile::tempdir().unwrap();
    signed(dir.path());
    let (entries, head) = read_journal(dir.path()).unwrap();
    // As the program would write it: a charge taken back, with its link of the chain and its ledger row.
    let LedgerEntry::Reserved { key, .. } = entries.last().unwrap().ledger.clone().unwrap() else { panic!("a charge") };
    let refund = Persist::entry(JournalEvent::RunFinished { run: RUN }, Some(LedgerEntry::Voided { key })).entry;
    let text = serde_json::to_string(&refund).unwrap();
    let row = serde_json::to_string(refund.ledger.as_ref().unwrap()).unwrap();
    let next = head.entries + 1;
    let chain = Sha256Writer::new("sottovoce/1/journal-entry")
        .field(head.chain.as_bytes())
        .number(next)
        .field(text.as_bytes())
        .finish();
    let connection = rusqlite::Connection::open(dir.path().join("state.sqlite")).unwrap();
    let seq = i64::try_from(next).unwrap();
    let link = chain.as_bytes().to_vec();
    connection.execute("INSERT INTO journal VALUES (?1, ?2, ?3)", rusqlite::params![seq, text, link]).unwrap();
    connection.execute("INSERT INTO ledger VALUES (?1, ?2)", rusqlite::params![seq, row]).unwrap();
    connection.execute("UPDATE head SET seq = ?1, chain = ?2", rusqlite::params![seq, link]).unwrap();
    assert!(refused(dir.path(), 1).contains("appended by something else"), "with the old signature");
    assert!(read_journal(dir.path()).is_err(), "looking at the ledger notices it too");
    connection.execute("UPDATE head SET seal = NULL", []).unwrap();
    assert!(refused(dir.path(), 1).contains("not signed"), "without one");
}

#[test]
fn a_reader_beside_a_writer_never_sees_a_broken_journal() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = SqliteJournal::open_sealed(dir.path(), identity(1)).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut most = 0;
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                most = most.max(read_journal(dir.path()).unwrap().0.len());
            }
            most
        });
        for _ in 0..200 {
            journal.append(&Persist::entry(JournalEvent::RunFinished { run: RUN }, None)).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(reader.join().unwrap() > 0, "it looked while entries were written");
    });
}
