//! The journal on SQLite: one transaction an entry, with its ledger row, chained by hashes.
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};
use sottovoce_dp::LedgerEntry;
use sottovoce_round::{
    Entry, Journal, JournalError, JournalEvent, Keep, KeptRound, Persist, PublishedResult, ServerState, ShownChunk,
};
use sottovoce_secagg::Identity;
use sottovoce_types::{AttemptId, ClientId, Digest, FlatParams, ModelSpec, ParamLayout, RoundId};

use crate::inputs;
use crate::reading::{entries_of, sql_integer, verified};
use crate::results::{RESULTS, load_result, result_of};
use crate::{
    CheckpointError, CheckpointInfo, Disk, Head, SystemDisk, Witness, checkpoint, load_checkpoint, server_state,
};

const STATE: &str = "state.sqlite";
const LOCK: &str = "state.lock";
const CHECKPOINTS: &str = "checkpoints";
/// "SoVo": tells our files from other SQLite databases.
const APPLICATION_ID: i64 = 0x536f_566f;
const VERSION: i64 = 3;

/// Rows are only ever added; the triggers turn a careless edit into an error, the chain turns a careful one into one at the
/// next start.
const SCHEMA: &str = "
CREATE TABLE journal (seq INTEGER PRIMARY KEY, entry TEXT NOT NULL, chain BLOB NOT NULL) STRICT;
CREATE TABLE ledger  (seq INTEGER PRIMARY KEY REFERENCES journal (seq), entry TEXT NOT NULL) STRICT;
CREATE TABLE head    (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, chain BLOB NOT NULL, seal TEXT) STRICT;
CREATE TRIGGER journal_is_append_only_u BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_is_append_only_d BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER ledger_is_append_only_u  BEFORE UPDATE ON ledger  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_is_append_only_d  BEFORE DELETE ON ledger  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
";

/// What can be wrong below a [`JournalError::Storage`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A checkpoint could not be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// SQLite finds a damaged file.
    #[error(
        "the database is damaged ({0}): restore the whole directory from a copy; under a new state directory its budget and what was spent \
         in the old one add up"
    )]
    Damaged(rusqlite::Error),
    /// SQLite refused.
    #[error(transparent)]
    Database(rusqlite::Error),
    /// An earlier write failed, so what is on disk is not known.
    #[error(
        "an earlier write failed, so nothing more is written: stop, mend the cause (is the disk full?), start again"
    )]
    Failed,
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is some other database.
    #[error("it is not a Sottovoce journal")]
    NotAJournal,
    /// The entry holds a number that JSON cannot hold.
    #[error("the entry would not read back (is a number in it not finite?)")]
    Unreadable,
    /// Another version wrote it.
    #[error("it has version {found}, this program reads version {VERSION}: use the release that wrote it")]
    Version {
        /// Its version.
        found: i64,
    },
}

impl From<rusqlite::Error> for StateError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error),
            _ => Self::Database(error),
        }
    }
}

/// A published round, and hash and file of what clients were sent of it.
type KeptResult = (RoundId, (Digest, PathBuf));

/// A durable journal with its checkpoints, in one directory, with one writer.
pub struct SqliteJournal {
    dir: PathBuf,
    connection: Connection,
    head: Head,
    /// File of each model that an entry speaks of.
    models: BTreeMap<Digest, PathBuf>,
    /// File of each server state that an entry speaks of.
    states: BTreeMap<Digest, PathBuf>,
    /// File and hash of what clients were sent of each round that was published.
    results: BTreeMap<RoundId, (Digest, PathBuf)>,
    info: CheckpointInfo,
    identity: Option<Identity>,
    disk: Box<dyn Disk>,
    failed: bool,
    /// Held for as long as the journal is open; the system lets go of it however the process ends.
    _lock: File,
}

impl std::fmt::Debug for SqliteJournal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the identity.
        f.debug_struct("SqliteJournal").field("dir", &self.dir).field("head", &self.head).finish_non_exhaustive()
    }
}

impl SqliteJournal {
    /// Opens the journal in `dir`, or starts one, and checks all of it.
    ///
    /// # Errors
    /// [`JournalError::Locked`] while another writer has it, [`JournalError::Corrupt`] when its chain does not hold,
    /// [`JournalError::Storage`] otherwise.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, JournalError> {
        Self::open_on(dir, None, Box::new(SystemDisk))
    }

    /// The same for a party: every head is signed with its identity, and a state that was signed by another is refused.
    ///
    /// # Errors
    /// As [`SqliteJournal::open`].
    pub fn open_sealed(dir: impl AsRef<Path>, identity: Identity) -> Result<Self, JournalError> {
        Self::open_on(dir, Some(identity), Box::new(SystemDisk))
    }

    /// The same on a given disk, with or without an identity. The database is SQLite's own, on the system's disk: `disk` has the head, the
    /// checkpoints and the directories.
    ///
    /// # Errors
    /// As [`SqliteJournal::open`].
    pub fn open_on(
        dir: impl AsRef<Path>,
        identity: Option<Identity>,
        disk: Box<dyn Disk>,
    ) -> Result<Self, JournalError> {
        let dir = dir.as_ref();
        let state = dir.join(STATE);
        let failed = |e: StateError| storage(&state, e);
        fs::create_dir_all(dir.join(CHECKPOINTS)).map_err(|e| failed(e.into()))?;
        fs::create_dir_all(dir.join(RESULTS)).map_err(|e| failed(e.into()))?;
        let lock = lock(dir)?;
        let mut connection = Connection::open(&state).map_err(|e| failed(e.into()))?;
        prepare(&mut connection).map_err(failed)?;
        disk.sync_directory(dir).map_err(|e| failed(e.into()))?;
        let witness = Witness::read(dir).map_err(|e| failed(e.into()))?;
        let (entries, head) = verified(&connection, witness, &state, identity.as_ref())?;
        Witness::of(head, identity.as_ref()).write(&*disk, dir).map_err(|e| failed(e.into()))?;
        let (mut models, mut states, mut results) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for entry in &entries {
            results.extend(
                result_of(&entry.event).map(|(round, result, file)| (round, (result, dir.join(RESULTS).join(file)))),
            );
            states.extend(state_of(&entry.event).map(|(state, file)| (state, dir.join(CHECKPOINTS).join(file))));
            models.extend(model_of(&entry.event).map(|(model, file)| (model, dir.join(CHECKPOINTS).join(file))));
        }
        let info = CheckpointInfo::default();
        let dir = dir.to_owned();
        Ok(Self { dir, connection, head, models, states, results, info, identity, disk, failed: false, _lock: lock })
    }

    /// Writes the architecture, and whatever else, into every checkpoint from here on, so that it can be used without the
    /// run it came from.
    #[must_use]
    pub fn describe_checkpoints(mut self, model: ModelSpec, extra: BTreeMap<String, String>) -> Self {
        self.info = CheckpointInfo { model: Some(model), extra, ..CheckpointInfo::default() };
        self
    }

    /// Where the journal ends.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The ledger's entries, oldest first.
    ///
    /// # Errors
    /// As [`Journal::replay`].
    pub fn ledger(&self) -> Result<Vec<LedgerEntry>, JournalError> {
        Ok(self.replay()?.into_iter().filter_map(|entry| entry.ledger).collect())
    }

    /// The checkpoint file of a model that an entry speaks of.
    pub fn checkpoint_path(&self, model: Digest) -> Option<&Path> {
        self.models.get(&model).map(PathBuf::as_path)
    }

    fn append_checked(&mut self, persist: &Persist) -> Result<(), JournalError> {
        let failed = |e: StateError| storage(&self.dir.join(STATE), e);
        let text = serde_json::to_string(&persist.entry).map_err(|_| failed(StateError::Unreadable))?;
        // Checked before it is durable: an entry that cannot be read would end the run at its next start.
        if serde_json::from_str(&text).ok().as_ref() != Some(&persist.entry) {
            return Err(failed(StateError::Unreadable));
        }
        let ledger = persist.entry.ledger.as_ref().map(serde_json::to_string).transpose();
        let ledger = ledger.map_err(|_| failed(StateError::Unreadable))?;
        let saved = self.save(persist)?;
        let saved_state = self.save_state(persist)?;
        let saved_result = self.save_result(persist)?;
        let head = self.head.after(&text);
        self.insert(&text, ledger.as_deref(), head).map_err(|e| storage(&self.dir.join(STATE), e))?;
        self.head = head;
        // After the commit, and before anything leaves: a crash in between leaves the database ahead, which is no contradiction.
        Witness::of(head, self.identity.as_ref())
            .write(&*self.disk, &self.dir)
            .map_err(|e| storage(&self.dir.join(STATE), e.into()))?;
        self.models.extend(saved);
        self.states.extend(saved_state);
        self.results.extend(saved_result);
        Ok(())
    }

    /// The server's state of an entry, durable before the entry.
    fn save_state(&self, persist: &Persist) -> Result<Option<(Digest, PathBuf)>, JournalError> {
        let named = state_of(&persist.entry.event).map(|(state, file)| (state, self.dir.join(CHECKPOINTS).join(file)));
        let given = persist.state.as_ref().map(ServerState::digest);
        match (&named, given) {
            (None, None) => return Ok(None),
            (None, Some(state)) => return Err(JournalError::ServerState { state, what: "belongs to no entry" }),
            (Some((state, _)), None) => {
                return Err(JournalError::ServerState {
                    state: *state,
                    what: "is named by its entry, but was not given",
                });
            }
            (Some((state, _)), Some(given)) if *state != given => {
                return Err(JournalError::ServerState { state: given, what: "is not the one that its entry names" });
            }
            _ => {}
        }
        if let (Some((_, path)), Some(state)) = (&named, &persist.state) {
            server_state::save(&*self.disk, path, state).map_err(|e| storage(path, e.into()))?;
        }
        Ok(named)
    }

    /// What clients are sent of an entry's round, durable before the entry.
    fn save_result(&self, persist: &Persist) -> Result<Option<KeptResult>, JournalError> {
        let named = result_of(&persist.entry.event);
        let wrong = |round: RoundId, what| JournalError::Result { round: round.0, what };
        match (named, &persist.result) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(wrong(RoundId(0), "belongs to no entry")),
            (Some((round, ..)), None) => Err(wrong(round, "is named by its entry, but was not given")),
            (Some((round, digest, _)), Some(result)) if result.digest() != digest => {
                Err(wrong(round, "is not the one that its entry names"))
            }
            (Some((round, digest, file)), Some(result)) => {
                let path = self.dir.join(RESULTS).join(file);
                crate::durable::write(&*self.disk, &path, result.bytes()).map_err(|e| storage(&path, e.into()))?;
                Ok(Some((round, (digest, path))))
            }
        }
    }

    /// The checkpoint of an entry, durable before the entry.
    fn save(&self, persist: &Persist) -> Result<Option<(Digest, PathBuf)>, JournalError> {
        let named = model_of(&persist.entry.event).map(|(model, file)| (model, self.dir.join(CHECKPOINTS).join(file)));
        let Some(params) = &persist.checkpoint else { return Ok(named) };
        let digest = params.digest();
        let (model, path) = named.ok_or(JournalError::Checkpoint { model: digest, what: "belongs to no entry" })?;
        if model != digest {
            return Err(JournalError::Checkpoint { model, what: "is not the one that its entry names" });
        }
        if self.models.iter().any(|(other, file)| *file == path && *other != model) {
            return Err(JournalError::Checkpoint { model, what: "would replace that of a model published before" });
        }
        let info = CheckpointInfo { round: Some(round_of(&persist.entry.event)), ..self.info.clone() };
        checkpoint::save_on(&*self.disk, &path, params, &info).map_err(|e| storage(&path, e.into()))?;
        Ok(Some((model, path)))
    }

    fn insert(&mut self, text: &str, ledger: Option<&str>, head: Head) -> Result<(), StateError> {
        let seq = sql_integer(head.entries);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(
            "INSERT INTO journal (seq, entry, chain) VALUES (?1, ?2, ?3)",
            params![seq, text, head.chain.as_bytes()],
        )?;
        if let Some(ledger) = ledger {
            transaction.execute("INSERT INTO ledger (seq, entry) VALUES (?1, ?2)", params![seq, ledger])?;
        }
        // In the same transaction: an entry that anything else appends has no such signature, however well it hashes.
        let seal = Witness::of(head, self.identity.as_ref()).seal;
        let seal = seal.map(|seal| serde_json::to_string(&seal).expect("text"));
        transaction.execute(
            "INSERT INTO head (id, seq, chain, seal) VALUES (1, ?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, chain = excluded.chain, seal = excluded.seal",
            params![seq, head.chain.as_bytes(), seal],
        )?;
        transaction.commit()?;
        Ok(())
    }
}

impl Journal for SqliteJournal {
    fn append(&mut self, persist: &Persist) -> Result<(), JournalError> {
        if self.failed {
            return Err(storage(&self.dir.join(STATE), StateError::Failed));
        }
        let result = self.append_checked(persist);
        // Whether a failed commit reached the disk is not known; a chain that goes on from a guess would break.
        self.failed = matches!(result, Err(JournalError::Storage { .. }));
        result
    }

    fn replay(&self) -> Result<Vec<Entry>, JournalError> {
        entries_of(&self.connection, &self.dir.join(STATE))
    }

    fn checkpoint(&self, model: Digest, layout: &Arc<ParamLayout>) -> Result<FlatParams, JournalError> {
        let wrong = |what| JournalError::Checkpoint { model, what };
        let path = self.models.get(&model).ok_or_else(|| wrong("is missing: no entry of this journal names it"))?;
        let loaded = load_checkpoint(path, layout).map_err(|e| match e {
            CheckpointError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => wrong("is missing"),
            CheckpointError::Damaged { .. }
            | CheckpointError::NotSafetensors { .. }
            | CheckpointError::NoMetadata { .. } => wrong("is damaged"),
            CheckpointError::OtherTensor { .. } | CheckpointError::UnknownTensor { .. } => {
                wrong("has another layout than the run's model")
            }
            other => storage(path, other.into()),
        })?;
        if loaded.info.model_sha256 == model { Ok(loaded.params) } else { Err(wrong("is that of another model")) }
    }

    fn server_state(&self, state: Digest) -> Result<ServerState, JournalError> {
        let wrong = |what| JournalError::ServerState { state, what };
        let path = self.states.get(&state).ok_or_else(|| wrong("is missing: no entry of this journal names it"))?;
        let loaded = server_state::load(path).map_err(|e| match e {
            CheckpointError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => wrong("is missing"),
            CheckpointError::Io { .. } => storage(path, e.into()),
            _ => wrong("is damaged"),
        })?;
        if loaded.digest() == state { Ok(loaded) } else { Err(wrong("is that of another round")) }
    }

    fn result(&self, round: RoundId) -> Result<PublishedResult, JournalError> {
        let missing = JournalError::Result { round: round.0, what: "is missing: no entry of this journal names it" };
        let (digest, path) = self.results.get(&round).ok_or(missing)?;
        load_result(round, *digest, path)
    }

    fn keep(&mut self, keep: &Keep) -> Result<(), JournalError> {
        inputs::keep(&self.dir, keep).map_err(|e| storage(&self.dir, e.into()))
    }

    fn kept_round(&self, round: RoundId) -> Result<Option<KeptRound>, JournalError> {
        inputs::round(&self.dir, round).map_err(|e| storage(&self.dir, e.into()))
    }

    fn kept_chunk(
        &self,
        round: RoundId,
        attempt: AttemptId,
        client: ClientId,
        chunk: u32,
    ) -> Result<Option<ShownChunk>, JournalError> {
        inputs::chunk(&self.dir, round, attempt, client, chunk).map_err(|e| storage(&self.dir, e.into()))
    }
}

/// All entries and the head of a journal that may be in use, without taking its lock: for looking at a ledger or verifying
/// a run.
///
/// # Errors
/// As [`SqliteJournal::open`], but never [`JournalError::Locked`].
pub fn read_journal(dir: impl AsRef<Path>) -> Result<(Vec<Entry>, Head), JournalError> {
    let state = dir.as_ref().join(STATE);
    // Before the database: a writer that goes on in between leaves the database ahead.
    let witness = Witness::read(dir.as_ref()).map_err(|e| storage(&state, e.into()))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&state, flags).map_err(|e| storage(&state, e.into()))?;
    check_version(&connection).map_err(|e| storage(&state, e))?;
    verified(&connection, witness, &state, None)
}

fn lock(dir: &Path) -> Result<File, JournalError> {
    let path = dir.join(LOCK);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|e| storage(&path, e.into()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::Locked { place: dir.join(STATE).display().to_string() }),
        Err(TryLockError::Error(e)) => Err(storage(&path, e.into())),
    }
}

fn prepare(connection: &mut Connection) -> Result<(), StateError> {
    // FULL: a commit has returned only when the write-ahead log is on the disk.
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 {
        return check_version(connection);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(SCHEMA)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(())
}

fn check_version(connection: &Connection) -> Result<(), StateError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if pragma("application_id")? != APPLICATION_ID {
        return Err(StateError::NotAJournal);
    }
    match pragma("user_version")? {
        VERSION => Ok(()),
        found => Err(StateError::Version { found }),
    }
}

/// The model that an entry makes durable, and the name of its file.
fn model_of(event: &JournalEvent) -> Option<(Digest, String)> {
    let file = format!("round-{:04}.safetensors", round_of(event));
    match event {
        JournalEvent::RunStarted { seed_model, .. } => Some((*seed_model, file)),
        JournalEvent::Published { model, .. } => Some((*model, file)),
        _ => None,
    }
}

/// The server's state that an entry makes durable, and the name of its file.
fn state_of(event: &JournalEvent) -> Option<(Digest, String)> {
    match event {
        JournalEvent::Published { state: Some(state), .. } => {
            Some((*state, format!("round-{:04}.state.safetensors", round_of(event))))
        }
        _ => None,
    }
}

fn round_of(event: &JournalEvent) -> u64 {
    match event {
        JournalEvent::Published { round, .. } => round.0,
        _ => 0,
    }
}

pub(crate) fn storage(place: &Path, source: StateError) -> JournalError {
    JournalError::Storage { place: place.display().to_string(), source: Box::new(source) }
}
