//! What the journal and the checkpoints promise, shown by breaking things.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use sottovoce_dp::{Budget, Charge, Ledger, LedgerKey};
use sottovoce_round::{Entry, Journal, JournalError, JournalEvent, Persist, PublishedResult, ServerState};
use sottovoce_store::{
    CheckpointError, CheckpointInfo, SqliteJournal, StateError, load_checkpoint, read_checkpoint, read_journal,
    save_checkpoint,
};
use sottovoce_types::{
    AttemptId, Delta, Digest, Epsilon, FlatParams, ModelSpec, NoiseMultiplier, ParamLayout, RoundId, RoundRecord,
    RunId, SCHEMA_VERSION, Unit,
};

const RUN: RunId = RunId([3; 16]);

fn spec() -> ModelSpec {
    ModelSpec::Dnn { inputs: 4, hidden: vec![3], classes: 2 }
}

fn params(seed: u64) -> FlatParams {
    spec().initialise(seed)
}

fn key(round: u64) -> LedgerKey {
    LedgerKey { run: RUN, round: RoundId(round), attempt: AttemptId(1) }
}

fn gaussian() -> Charge {
    Charge::every_unit(NoiseMultiplier::new(2.1).unwrap())
}

fn started() -> Persist {
    let model = params(0);
    let event = JournalEvent::RunStarted { run: RUN, plan: Digest::of(b"plan"), seed_model: model.digest() };
    Persist { checkpoint: Some(model), ..Persist::entry(event, None) }
}

fn debited(ledger: &mut Ledger, round: u64) -> Persist {
    let (reservation, entry) = ledger.reserve(key(round), gaussian()).unwrap();
    let LedgerKey { run, round, attempt } = reservation.key();
    Persist::entry(JournalEvent::Debited { run, round, attempt, survivors: Digest::of(b"survivors") }, Some(entry))
}

fn published(round: u64) -> Persist {
    let model = params(round);
    let record = RoundRecord {
        schema: SCHEMA_VERSION,
        config_sha256: Digest::of(b"config"),
        round,
        attempt: 1,
        cohort: 5,
        contributors: 5,
        dropouts: 0,
        model_sha256: model.digest(),
        mean_update_l2: 0.8,
        // Sixteen digits that a JSON reader which rounds carelessly gives back as ...713.
        charges: 2,
        epsilon_spent: 1.357_645_019_878_171,
        duration_ms: 12,
        metrics: None,
        clip_l2: Some(0.1 + 0.2),
        unclipped_fraction: Some(-1.0 / 3.0),
    };
    let digest = model.digest();
    let mut state = ServerState::of(digest);
    state.keep("first_moment", vec![0.1 + 0.2, f64::from_bits(1), -1e300]);
    let event = JournalEvent::Published {
        run: RUN,
        round: RoundId(round),
        attempt: AttemptId(1),
        model: digest,
        state: Some(state.digest()),
        result: sent(round).digest(),
        record: Box::new(record),
    };
    Persist { checkpoint: Some(model), state: Some(state), result: Some(sent(round)), ..Persist::entry(event, None) }
}

/// What clients are sent of a round.
fn sent(round: u64) -> PublishedResult {
    PublishedResult::new(format!("the result of round {round}").into_bytes().into())
}

fn budget() -> Budget {
    Budget { epsilon: Epsilon::new(8.0).unwrap(), delta: Delta::new(1e-5).unwrap(), unit: Unit::Speaker }
}

fn ledger() -> Ledger {
    Ledger::new(budget())
}

/// A run of two rounds.
fn run() -> Vec<Persist> {
    let mut ledger = ledger();
    let mut all = vec![started()];
    for round in 1..=2 {
        all.extend([debited(&mut ledger, round), published(round)]);
    }
    all
}

fn entries(persists: &[Persist]) -> Vec<Entry> {
    persists.iter().map(|p| p.entry.clone()).collect()
}

fn filled(dir: &Path) -> SqliteJournal {
    let mut journal = SqliteJournal::open(dir).unwrap();
    for persist in run() {
        journal.append(&persist).unwrap();
    }
    journal
}

/// What a power cut would leave: the files as they lie, without closing anything.
fn copy_of(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in ["state.sqlite", "state.sqlite-wal", "state.head"] {
        if dir.join(name).exists() {
            fs::copy(dir.join(name), copy.path().join(name)).unwrap();
        }
    }
    copy
}

/// SQLite as an editor would open it, past the triggers.
fn edit(dir: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(dir.join("state.sqlite")).unwrap();
    for table in ["journal", "ledger"] {
        let drop = format!("DROP TRIGGER {table}_is_append_only_u; DROP TRIGGER {table}_is_append_only_d;");
        connection.execute_batch(&drop).unwrap();
    }
    connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).unwrap();
}

#[test]
fn what_was_appended_is_replayed_to_the_last_bit() {
    let dir = tempfile::tempdir().unwrap();
    let journal = filled(dir.path());
    assert_eq!(journal.replay().unwrap(), entries(&run()));
    let head = journal.head();
    drop(journal);
    let reopened = SqliteJournal::open(dir.path()).unwrap();
    assert_eq!(reopened.replay().unwrap(), entries(&run()));
    assert_eq!(reopened.head(), head);
    assert_eq!(read_journal(dir.path()).unwrap(), (entries(&run()), head));
}

#[test]
fn every_appended_entry_survives_a_process_that_never_closes() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = SqliteJournal::open(dir.path()).unwrap();
    for (i, persist) in run().iter().enumerate() {
        journal.append(persist).unwrap();
        let crashed = copy_of(dir.path());
        let recovered = SqliteJournal::open(crashed.path()).unwrap();
        assert_eq!(recovered.replay().unwrap(), entries(&run()[..=i]));
    }
}

#[test]
fn a_write_ahead_log_cut_anywhere_leaves_whole_entries_only() {
    let dir = tempfile::tempdir().unwrap();
    let _journal = filled(dir.path());
    let whole = fs::metadata(dir.path().join("state.sqlite-wal")).unwrap().len();
    let mut lengths = std::collections::BTreeSet::new();
    let fresh = tempfile::tempdir().unwrap();
    drop(SqliteJournal::open(fresh.path()).unwrap());
    for cut in (0..whole).step_by(997) {
        let crashed = copy_of(dir.path());
        let wal = fs::OpenOptions::new().write(true).open(crashed.path().join("state.sqlite-wal")).unwrap();
        wal.set_len(cut).unwrap();
        // A disk that broke its word: what the head has seen is there, or the loss is noticed. Nothing is forgotten in silence.
        match SqliteJournal::open(crashed.path()) {
            Ok(journal) => assert_eq!(journal.replay().unwrap(), entries(&run())),
            Err(lost) => assert!(lost.to_string().contains("state.head has seen more entries"), "{lost}"),
        }
        // A crash before the head of the first entry was written: whole entries, whatever their number.
        let crashed = copy_of(dir.path());
        fs::copy(fresh.path().join("state.head"), crashed.path().join("state.head")).unwrap();
        let wal = fs::OpenOptions::new().write(true).open(crashed.path().join("state.sqlite-wal")).unwrap();
        wal.set_len(cut).unwrap();
        let replayed = SqliteJournal::open(crashed.path()).unwrap().replay().unwrap();
        assert_eq!(replayed, entries(&run()[..replayed.len()]), "cut at {cut} of {whole}");
        lengths.insert(replayed.len());
    }
    assert!(lengths.len() > 3, "the cuts fell into different entries: {lengths:?}");
}

#[test]
fn claim_debit_before_reveal_survives_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let mut before = ledger();
    let mut journal = SqliteJournal::open(dir.path()).unwrap();
    journal.append(&started()).unwrap();
    journal.append(&debited(&mut before, 1)).unwrap();
    // The process dies here: the unmask request may have left, so the charge must stand.
    let crashed = copy_of(dir.path());
    let recovered = SqliteJournal::open(crashed.path()).unwrap();
    let mut after = Ledger::replay(budget(), recovered.ledger().unwrap()).unwrap();
    assert!(after.epsilon_spent().upper > 0.0);
    assert!(
        (after.epsilon_spent().upper - before.epsilon_spent().upper).abs() < 1e-15,
        "spent exactly what was reserved"
    );
    assert!(after.reserve(key(1), gaussian()).is_err(), "the attempt cannot be charged, hence run, a second time");
}

#[test]
fn a_second_writer_is_refused_and_a_reader_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let first = filled(dir.path());
    assert!(matches!(SqliteJournal::open(dir.path()), Err(JournalError::Locked { .. })));
    assert_eq!(read_journal(dir.path()).unwrap().0, entries(&run()));
    drop(first);
    SqliteJournal::open(dir.path()).unwrap();
}

#[test]
fn tampering_is_found_at_the_next_start_and_named() {
    let at = |sql: &str| {
        let dir = tempfile::tempdir().unwrap();
        drop(filled(dir.path()));
        edit(dir.path(), sql);
        match (SqliteJournal::open(dir.path()), read_journal(dir.path())) {
            (Err(JournalError::Corrupt { entry, what, .. }), Err(JournalError::Corrupt { .. })) => (entry, what),
            (opened, _) => panic!("{sql} was not found: {:?}", opened.map(|j| j.head())),
        }
    };
    let changed = "it does not hash to its link of the chain: it or one before was changed";
    let noise = r"UPDATE journal SET entry = replace(entry, '2.1', '9.1') WHERE seq = 2";
    assert_eq!(at(noise), (2, changed));
    assert_eq!(at("DELETE FROM journal WHERE seq = 1"), (1, "an entry is missing"));
    let swapped = "UPDATE journal SET seq = 99 WHERE seq = 2; UPDATE journal SET seq = 2 WHERE seq = 3;
                   UPDATE journal SET seq = 3 WHERE seq = 99";
    assert_eq!(at(swapped).0, 2);
    let row = "its ledger row is not the one that was written with it";
    assert_eq!(at("UPDATE ledger SET entry = replace(entry, '2.1', '9.1') WHERE seq = 2"), (2, row));
    assert_eq!(at("DELETE FROM ledger WHERE seq = 4"), (4, row));
    assert_eq!(at("DELETE FROM journal WHERE seq = 5"), (4, "entries after it were cut off"));
    assert_eq!(at("INSERT INTO ledger VALUES (6, '{}')").0, 6);
}

#[test]
fn rows_cannot_be_changed_by_accident() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path()));
    let connection = rusqlite::Connection::open(dir.path().join("state.sqlite")).unwrap();
    for sql in
        ["UPDATE journal SET entry = ''", "DELETE FROM journal", "UPDATE ledger SET entry = ''", "DELETE FROM ledger"]
    {
        assert!(connection.execute_batch(sql).unwrap_err().to_string().contains("append-only"), "{sql}");
    }
}

#[test]
fn another_database_and_another_version_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    rusqlite::Connection::open(dir.path().join("state.sqlite")).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let not_ours = SqliteJournal::open(dir.path()).unwrap_err();
    assert!(matches!(not_ours.source().unwrap().downcast_ref(), Some(StateError::NotAJournal)), "{not_ours}");

    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path()));
    edit(dir.path(), "PRAGMA user_version = 99");
    let later = SqliteJournal::open(dir.path()).unwrap_err();
    assert!(matches!(later.source().unwrap().downcast_ref(), Some(StateError::Version { found: 99 })), "{later}");
}

#[test]
fn a_damaged_database_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path()));
    let state = dir.path().join("state.sqlite");
    let whole = fs::read(&state).unwrap();
    // Its first page, which says what it is; a page of its tables.
    for page in [0, 1] {
        let mut damaged = whole.clone();
        damaged[page * 4096..][..4096].fill(0xa5);
        fs::write(&state, damaged).unwrap();
        let error = SqliteJournal::open(dir.path()).unwrap_err();
        let source = error.source().unwrap().to_string();
        assert!(
            source.contains("is damaged") && source.contains("restore the whole directory"),
            "page {page}: {source}"
        );
    }
    fs::write(&state, whole).unwrap();
    SqliteJournal::open(dir.path()).unwrap();
}

#[test]
fn an_entry_that_would_not_read_back_is_refused_before_it_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = SqliteJournal::open(dir.path()).unwrap();
    let mut bad = published(1);
    if let JournalEvent::Published { record, .. } = &mut bad.entry.event {
        record.mean_update_l2 = f64::NAN;
    }
    let error = journal.append(&bad).unwrap_err();
    assert!(matches!(error.source().unwrap().downcast_ref(), Some(StateError::Unreadable)), "{error}");
    let after = journal.append(&started()).unwrap_err();
    assert!(matches!(after.source().unwrap().downcast_ref(), Some(StateError::Failed)), "{after}");
    drop(journal);
    assert_eq!(SqliteJournal::open(dir.path()).unwrap().replay().unwrap(), []);
}

#[test]
fn checkpoints_lie_beside_their_entries_and_load_by_model() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Arc::new(spec().layout());
    let journal = filled(dir.path());
    for round in 0..=2u64 {
        assert_eq!(journal.checkpoint(params(round).digest(), &layout).unwrap(), params(round));
        assert!(dir.path().join(format!("checkpoints/round-{round:04}.safetensors")).exists());
    }
    let unknown = journal.checkpoint(Digest::of(b"?"), &layout);
    assert!(matches!(unknown, Err(JournalError::Checkpoint { .. })));
    fs::remove_file(journal.checkpoint_path(params(1).digest()).unwrap()).unwrap();
    let gone = journal.checkpoint(params(1).digest(), &layout);
    assert!(matches!(gone, Err(JournalError::Checkpoint { what: "is missing", .. })));
    fs::copy(
        journal.checkpoint_path(params(0).digest()).unwrap(),
        journal.checkpoint_path(params(1).digest()).unwrap(),
    )
    .unwrap();
    let swapped = journal.checkpoint(params(1).digest(), &layout);
    assert!(matches!(swapped, Err(JournalError::Checkpoint { what: "is that of another model", .. })));
}

#[test]
fn results_lie_beside_their_entries_and_one_that_is_missing_or_damaged_is_not_handed_out() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path()));
    // As a coordinator that was killed finds them.
    let mut journal = SqliteJournal::open(dir.path()).unwrap();
    for round in 1..=2 {
        assert_eq!(journal.result(RoundId(round)).unwrap(), sent(round));
    }
    let fault = |journal: &SqliteJournal, round| match journal.result(RoundId(round)) {
        Err(JournalError::Result { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(fault(&journal, 3), "is missing: no entry of this journal names it");
    let file = dir.path().join("results/round-0001.result");
    fs::write(&file, b"another").unwrap();
    assert_eq!(fault(&journal, 1), "is damaged");
    fs::remove_file(&file).unwrap();
    assert_eq!(fault(&journal, 1), "is missing");
    // An entry and its result come together, and the right one.
    for result in [None, Some(sent(4))] {
        let bad = Persist { result, ..published(3) };
        assert!(matches!(journal.append(&bad), Err(JournalError::Result { round: 3, .. })));
    }
    journal.append(&published(3)).unwrap();
}

#[test]
fn a_published_model_is_never_replaced_by_another() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = filled(dir.path());
    let mut twice = published(7);
    if let JournalEvent::Published { round, .. } = &mut twice.entry.event {
        *round = RoundId(1);
    }
    assert!(matches!(journal.append(&twice), Err(JournalError::Checkpoint { .. })));
    let mut mislabelled = published(3);
    mislabelled.checkpoint = Some(params(4));
    assert!(matches!(journal.append(&mislabelled), Err(JournalError::Checkpoint { .. })));
    assert_eq!(journal.replay().unwrap(), entries(&run()), "nothing was appended");
    journal.append(&published(3)).unwrap();
}

#[test]
fn a_checkpoint_comes_back_bit_for_bit_and_the_same_model_gives_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a.safetensors"), dir.path().join("b.safetensors"));
    let extra = BTreeMap::from([("labels".to_owned(), "angry,sad".to_owned()), ("x".to_owned(), "y".to_owned())]);
    let info = CheckpointInfo { model: Some(spec()), round: Some(3), extra, ..CheckpointInfo::default() };
    save_checkpoint(&a, &params(9), &info).unwrap();
    save_checkpoint(&b, &params(9), &info).unwrap();
    assert_eq!(fs::read(&a).unwrap(), fs::read(&b).unwrap());
    let read = read_checkpoint(&a).unwrap();
    assert_eq!(read.params, params(9));
    assert_eq!(read.info, CheckpointInfo { model_sha256: params(9).digest(), ..info });
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no temporary file is left");
}

#[test]
fn a_damaged_checkpoint_is_refused_wherever_the_damage_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.safetensors");
    let layout = Arc::new(spec().layout());
    save_checkpoint(&path, &params(9), &CheckpointInfo::default()).unwrap();
    let whole = fs::read(&path).unwrap();
    for i in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[i] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        // A flipped bit in the header's padding or in unused metadata may leave the same model; never another one.
        if let Ok(read) = load_checkpoint(&path, &layout) {
            assert_eq!(read.params, params(9), "byte {i}");
        }
        fs::write(&path, &whole[..i]).unwrap();
        assert!(load_checkpoint(&path, &layout).is_err(), "cut at {i}");
    }
    let mut bytes = whole.clone();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(load_checkpoint(&path, &layout), Err(CheckpointError::Damaged { .. })));
}

#[test]
fn a_checkpoint_of_another_model_is_refused_with_the_tensor_that_differs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.safetensors");
    save_checkpoint(&path, &params(9), &CheckpointInfo::default()).unwrap();
    let wider = Arc::new(ModelSpec::Dnn { inputs: 5, hidden: vec![3], classes: 2 }.layout());
    let error = load_checkpoint(&path, &wider).unwrap_err();
    assert!(error.to_string().contains("layers.0.weight should be f32 [3, 5] and is f32 [3, 4]"), "{error}");
    let shallow = Arc::new(ParamLayout::new([("layers.0.weight".to_owned(), vec![3, 4])]));
    assert!(matches!(load_checkpoint(&path, &shallow), Err(CheckpointError::UnknownTensor { .. })));
    let deep = Arc::new(ModelSpec::Dnn { inputs: 4, hidden: vec![3, 2], classes: 2 }.layout());
    assert!(load_checkpoint(&path, &deep).is_err());
    assert!(matches!(read_checkpoint(&path), Err(CheckpointError::NoModelSpec { .. })));
}

/// Not a test by itself: the process that `a_killed_process_loses_nothing_that_append_returned_from` kills.
#[test]
#[ignore = "the child of another test"]
fn child_appends_until_killed() {
    let Ok(dir) = std::env::var("STORE_CHILD_DIR") else { return };
    let mut journal = SqliteJournal::open(dir).unwrap();
    let mut out = std::io::stdout().lock();
    for round in 1.. {
        journal.append(&published(round)).unwrap();
        writeln!(out, "\nappended {round}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn a_killed_process_loses_nothing_that_append_returned_from() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_appends_until_killed", "--ignored", "--nocapture"])
        .env("STORE_CHILD_DIR", dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let acknowledged = lines.filter(|l| l.starts_with("appended ")).take(5).count();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(acknowledged, 5, "the child ran");
    // The system let go of its lock, and everything acknowledged is there, models included.
    let journal = SqliteJournal::open(dir.path()).unwrap();
    let replayed = journal.replay().unwrap();
    assert!(replayed.len() >= 5, "{} entries", replayed.len());
    for round in 1..=replayed.len() as u64 {
        let loaded = journal.checkpoint(params(round).digest(), &Arc::new(spec().layout())).unwrap();
        assert_eq!(loaded, params(round));
    }
}

/// The state that `published` carries.
fn state_of(round: u64) -> ServerState {
    published(round).state.unwrap()
}

#[test]
fn a_servers_state_comes_back_bit_for_bit_with_its_model_and_damage_is_named() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path()));
    let journal = SqliteJournal::open(dir.path()).unwrap();
    for round in 1..=2 {
        let back = journal.server_state(state_of(round).digest()).unwrap();
        assert_eq!((back.model(), &back), (params(round).digest(), &state_of(round)));
    }
    let says = |journal: &SqliteJournal, state: Digest| match journal.server_state(state) {
        Err(JournalError::ServerState { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert!(says(&journal, Digest::of(b"?")).contains("no entry"));
    let file = |round: u64| dir.path().join(format!("checkpoints/round-{round:04}.state.safetensors"));
    let whole = fs::read(file(2)).unwrap();
    for i in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[i] ^= 1;
        fs::write(file(2), &damaged).unwrap();
        assert!(journal.server_state(state_of(2).digest()).is_err(), "bit 0 of byte {i} turned");
    }
    fs::copy(file(1), file(2)).unwrap();
    assert!(says(&journal, state_of(2).digest()).contains("another round"));
    fs::remove_file(file(2)).unwrap();
    assert!(says(&journal, state_of(2).digest()).contains("missing"));
}

#[test]
fn an_entry_and_the_state_beside_it_must_name_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = SqliteJournal::open(dir.path()).unwrap();
    let with = |state| Persist { state, ..published(1) };
    for (persist, says) in [
        (with(None), "was not given"),
        (with(Some(state_of(2))), "not the one"),
        (Persist { state: Some(state_of(1)), ..started() }, "belongs to no entry"),
    ] {
        let error = journal.append(&persist).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    assert!(journal.replay().unwrap().is_empty(), "nothing of them is on record");
    journal.append(&published(1)).unwrap();
}
