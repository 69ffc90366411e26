//! What must hold of a party's state after the power went, whatever it had let go before.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use sottovoce_dp::{Budget, Charge, Ledger, LedgerKey};
use sottovoce_round::{Coordinator, Entry, Journal, JournalEvent, Standing};
use sottovoce_store::SqliteJournal;
use sottovoce_types::{AttemptId, Epsilon, RoundId};
use sottovoce_wire::{Frame, Kind};

use crate::federation::{COORDINATOR, NOW, RUN, Record, Run, identity, site, train};
use crate::power::{Disk, Files};
use crate::recorder::{Happened, Hasty};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Party {
    Client,
    Coordinator,
}

impl Party {
    pub fn owner(self) -> u8 {
        match self {
            Self::Client => 1,
            Self::Coordinator => COORDINATOR,
        }
    }

    /// What must not happen twice, or be forgotten.
    fn is_door(self, kind: Kind) -> bool {
        match self {
            Self::Client => matches!(kind, Kind::MaskedInput | Kind::SurvivorSignature | Kind::Opening),
            Self::Coordinator => matches!(kind, Kind::RoundConfig | Kind::SurvivorQuorum | Kind::Result),
        }
    }

    /// What costs.
    fn is_paid(self, kind: Kind) -> bool {
        match self {
            Self::Client => kind == Kind::MaskedInput,
            Self::Coordinator => kind == Kind::SurvivorQuorum,
        }
    }
}

/// Whether an entry is the one that a frame must not leave before.
fn accounts_for(entry: &Entry, frame: &Frame) -> bool {
    use JournalEvent as E;
    let (kind, attempt) = match &entry.event {
        E::InputReserved { round, attempt, .. } => (Kind::MaskedInput, (*round, *attempt)),
        E::SurvivorsSigned { round, attempt, .. } => (Kind::SurvivorSignature, (*round, *attempt)),
        E::OpeningCharged { round, attempt, .. } => (Kind::Opening, (*round, *attempt)),
        E::AttemptOpened { round, attempt, .. } => (Kind::RoundConfig, (*round, *attempt)),
        E::Debited { round, attempt, .. } => (Kind::SurvivorQuorum, (*round, *attempt)),
        E::Published { round, attempt, .. } => (Kind::Result, (*round, *attempt)),
        _ => return false,
    };
    (kind, attempt) == (frame.kind, (frame.round, frame.attempt))
}

impl Run {
    pub fn record(&self, party: Party) -> &Record {
        match party {
            Party::Client => &self.site,
            Party::Coordinator => &self.coordinator,
        }
    }
}

/// What was looked at.
#[derive(Debug, Default)]
pub struct Survey {
    /// Operations on files.
    pub operations: usize,
    /// Contents of a disk after a power cut, each once for all that had left before it.
    pub crashes: usize,
    /// Those that did not open, with the error that they may have.
    pub refused: usize,
    /// Frames that must not be forgotten.
    pub doors: usize,
    /// Numbers of entries that were found.
    pub lengths: BTreeSet<usize>,
}

/// What does not hold.
#[derive(Debug)]
#[expect(dead_code, reason = "for people to read")]
pub enum Broken {
    /// This left, and the state knows nothing of it.
    Forgotten { kind: Kind, round: RoundId, attempt: AttemptId },
    /// Less is spent than left.
    Unpaid { spent: f64, left: f64 },
    /// The state does not open.
    Refused { error: String },
    /// An append had returned, and its entry is gone.
    Lost { appended: usize, found: usize },
    /// An entry that was never appended, or another order.
    Other,
    /// It would open an attempt again.
    Twice { kind: Kind, round: RoundId, attempt: AttemptId },
    /// It cannot go on: its model is not there.
    NoModel { error: String },
}

/// Cuts the power after every operation, in every way that the disk allows, and looks at what is left.
///
/// A state may refuse to open with an error that `may_refuse` knows.
pub fn survey(run: &Run, party: Party, happened: &[Happened], may_refuse: fn(&str) -> bool) -> Result<Survey, Broken> {
    let mut survey = Survey::default();
    let mut disk = Disk::default();
    let (mut left, mut appended): (Vec<Frame>, usize) = (Vec::new(), 0);
    let mut looked: BTreeMap<Files, (usize, usize)> = BTreeMap::new();
    for happened in happened {
        match happened {
            Happened::Disk(op) => {
                survey.operations += 1;
                disk.apply(op);
            }
            Happened::Left(frame) if party.is_door(frame.kind) => left.push(frame.clone()),
            Happened::Left(_) => continue,
            Happened::Appended => appended += 1,
        }
        for files in disk.crashes() {
            // What held when more had left holds when less had.
            let before = looked.insert(files.clone(), (left.len(), appended));
            if before != Some((left.len(), appended)) {
                survey.crashes += 1;
                match holds(run, party, &files, &left, appended) {
                    Ok(found) => survey.lengths.insert(found),
                    Err(Broken::Refused { error }) if may_refuse(&error) => {
                        survey.refused += 1;
                        true
                    }
                    Err(broken) => return Err(broken),
                };
            }
        }
    }
    survey.doors = left.len();
    Ok(survey)
}

/// Whether the state that these files are is what it must be. Returns the number of its entries.
fn holds(run: &Run, party: Party, files: &Files, left: &[Frame], appended: usize) -> Result<usize, Broken> {
    let dir = scratch();
    for inside in ["checkpoints", "results"] {
        fs::create_dir(dir.path().join(inside)).unwrap();
    }
    for (name, content) in files {
        fs::write(dir.path().join(name), content).unwrap();
    }
    let journal = SqliteJournal::open_on(dir.path(), Some(identity(party.owner())), Box::new(Hasty));
    let mut journal =
        journal.map_err(|e| Broken::Refused { error: format!("{e}: {:?}", std::error::Error::source(&e)) })?;
    let entries = journal.replay().unwrap();
    let all = &run.record(party).entries;
    if !all.starts_with(&entries) {
        return Err(Broken::Other);
    }
    for frame in left {
        if !entries.iter().any(|entry| accounts_for(entry, frame)) {
            return Err(Broken::Forgotten { kind: frame.kind, round: frame.round, attempt: frame.attempt });
        }
    }
    if entries.len() < appended {
        return Err(Broken::Lost { appended, found: entries.len() });
    }
    covers(run, party, &entries, left)?;
    match party {
        Party::Client => answers_once(run, &entries, left)?,
        Party::Coordinator => asks_once(run, &journal, &entries, left)?,
    }
    // It goes on: nothing that the crash left behind is in the way.
    if let Some(next) = all.get(entries.len()).filter(|e| !has_files(e)) {
        let next = sottovoce_round::Persist::entry(next.event.clone(), next.ledger.clone());
        journal.append(&next).map_err(|e| Broken::Refused { error: e.to_string() })?;
    }
    Ok(entries.len())
}

/// In memory where the system has such a place: what is looked at once need not be kept.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

fn has_files(entry: &Entry) -> bool {
    matches!(entry.event, JournalEvent::Published { .. } | JournalEvent::RunStarted { .. })
}

/// spent ≥ the cost of everything that left.
fn covers(run: &Run, party: Party, entries: &[Entry], left: &[Frame]) -> Result<(), Broken> {
    let budget = run.plan.budget().unwrap();
    let replayed = entries.iter().filter_map(|e| e.ledger.clone());
    let ledger = Ledger::replay_under(budget, run.plan.filter(), replayed).unwrap();
    let endless = Budget { epsilon: Epsilon::new(1e6).unwrap(), ..budget };
    let mut minimum = Ledger::new(endless);
    let noise = run.plan.spec().privacy.unwrap().noise_multiplier;
    for frame in left.iter().filter(|f| party.is_paid(f.kind)) {
        let key = LedgerKey { run: RUN, round: frame.round, attempt: frame.attempt };
        // The coordinator asks every site, for one release.
        if !minimum.contains(&key) {
            let _left = minimum.reserve(key, Charge::every_unit(noise)).unwrap();
        }
    }
    let (spent, least) = (ledger.epsilon_spent().upper, minimum.epsilon_spent().upper);
    // The same numbers from the same accountant, but for the last bits.
    if spent >= least * (1.0 - 1e-12) { Ok(()) } else { Err(Broken::Unpaid { spent, left: least }) }
}

/// The site's next life hears all of the run again. Of an attempt that it had let an input go for, it says nothing more.
fn answers_once(run: &Run, entries: &[Entry], left: &[Frame]) -> Result<(), Broken> {
    let mut next = site(&run.plan, 1, entries.to_vec());
    next.handle_connect(NOW);
    let gone: BTreeSet<(RoundId, AttemptId)> =
        left.iter().filter(|f| f.kind == Kind::MaskedInput).map(|f| (f.round, f.attempt)).collect();
    for frame in &run.received {
        // It refuses most of them.
        let _refused = next.handle_frame(NOW, frame);
        loop {
            while next.poll_persist().is_some() {}
            while let Some(frame) = next.poll_transmit() {
                if Party::Client.is_door(frame.kind) && gone.contains(&(frame.round, frame.attempt)) {
                    return Err(Broken::Twice { kind: frame.kind, round: frame.round, attempt: frame.attempt });
                }
            }
            if !train(&mut next, 1) {
                break;
            }
        }
    }
    Ok(())
}

/// The coordinator's next life goes on from a model that is there, in an attempt that was never begun.
fn asks_once(run: &Run, journal: &SqliteJournal, entries: &[Entry], left: &[Frame]) -> Result<(), Broken> {
    let Some(standing) = Standing::of(entries) else { return Ok(()) };
    let model = journal.checkpoint(standing.model, run.plan.layout());
    let model = model.map_err(|e| Broken::NoModel { error: e.to_string() })?;
    let state = standing.state.map(|state| journal.server_state(state));
    let state = state.transpose().map_err(|e| Broken::NoModel { error: e.to_string() })?;
    // And with every result that a site may ask for.
    for round in 1..=standing.published {
        journal.result(RoundId(round)).map_err(|e| Broken::NoModel { error: e.to_string() })?;
    }
    let owner = identity(COORDINATOR);
    let next = Coordinator::resume(run.plan.clone(), owner, entries, model, state.as_ref());
    let mut next = next.map_err(|e| Broken::Refused { error: e.to_string() })?;
    next.start(NOW);
    // Every site is there: it opens an attempt at once.
    for i in 1..=crate::federation::SITES {
        let mut site = site(&run.plan, i, Vec::new());
        next.handle_connect(NOW, site.id());
        site.handle_connect(NOW);
        next.handle_frame(NOW, site.id(), &site.poll_transmit().unwrap()).unwrap();
    }
    let begun: BTreeSet<(RoundId, AttemptId)> = left.iter().map(|f| (f.round, f.attempt)).collect();
    while next.poll_persist().is_some() {}
    let mut asked = standing.published == run.plan.spec().rounds;
    while let Some(transmit) = next.poll_transmit() {
        let Frame { kind, round, attempt, .. } = transmit.frame;
        asked |= kind == Kind::RoundConfig;
        if Party::Coordinator.is_door(kind) && begun.contains(&(round, attempt)) {
            return Err(Broken::Twice { kind, round, attempt });
        }
    }
    assert!(asked, "it goes on: {standing:?}");
    Ok(())
}
