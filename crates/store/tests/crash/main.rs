//! The power goes at every write and every sync of a client's journal and of the coordinator's, through a run of three rounds. Whatever had left
//! the process before is in the ledger's spent afterwards; the state opens; and no attempt is opened a second time.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, reason = "tests")]
mod federation;
mod party;
mod power;
mod recorder;

use federation::{Driver, RIGHT, Run, identity, open_on};
use party::{Broken, Party, Survey};
use power::{Op, without_a_crash};
use recorder::{Happened, Refusing};
use sottovoce_round::{Journal, JournalError, Persist};
use sottovoce_store::{SqliteJournal, StateError, SystemDisk};

fn never(_error: &str) -> bool {
    false
}

fn survey(run: &Run, party: Party) -> Result<Survey, Broken> {
    party::survey(run, party, &run.record(party).happened, never)
}

/// The same record without some operations, as a disk or a program that leaves them out would give.
fn without(run: &Run, party: Party, mut left_out: impl FnMut(&Op) -> bool) -> Vec<Happened> {
    let happened = run.record(party).happened.iter();
    happened.filter(|h| !matches!(h, Happened::Disk(op) if left_out(op))).cloned().collect()
}

fn survey_without(run: &Run, party: Party, left_out: impl Fn(&Op) -> bool) -> Result<Survey, Broken> {
    party::survey(run, party, &without(run, party, left_out), never)
}

fn ops(happened: &[Happened]) -> Vec<Op> {
    happened.iter().filter_map(|h| if let Happened::Disk(op) = h { Some(op.clone()) } else { None }).collect()
}

#[test]
fn claim_spent_after_a_power_cut_covers_what_a_client_let_go_wherever_it_falls() {
    let run = &*RIGHT;
    let survey = survey(run, Party::Client).unwrap();
    // Three rounds, each with an input, a signature and an opening.
    assert_eq!(survey.doors, 9);
    assert!(survey.operations > 130 && survey.crashes > 300, "{survey:?}");
    assert_eq!(survey.lengths.len(), run.site.entries.len() + 1, "power cuts in every entry: {survey:?}");
}

#[test]
fn claim_spent_after_a_power_cut_covers_what_the_coordinator_asked_for_wherever_it_falls() {
    let run = &*RIGHT;
    let survey = survey(run, Party::Coordinator).unwrap();
    // Three rounds, each with a config, an unmask request and a result to each of three sites.
    assert_eq!(survey.doors, 27);
    assert!(survey.operations > 170 && survey.crashes > 450, "{survey:?}");
    assert_eq!(survey.lengths.len(), run.coordinator.entries.len() + 1, "power cuts in every entry: {survey:?}");
}

#[test]
fn the_record_gives_the_files_that_were_there_in_the_end() {
    let run = &*RIGHT;
    for record in [&run.site, &run.coordinator] {
        let files = without_a_crash(&ops(&record.happened));
        assert!(files.contains_key("state.head") && files.contains_key("state.sqlite"));
        assert!(files == record.files, "what was recorded is what is there");
    }
}

#[test]
fn what_leaves_before_its_entry_is_durable_is_caught() {
    let run = &Run::new(Driver::ReleasesFirst);
    for party in [Party::Client, Party::Coordinator] {
        let broken = survey(run, party).unwrap_err();
        assert!(matches!(broken, Broken::Forgotten { .. }), "{party:?}: {broken:?}");
    }
}

#[test]
fn claim_a_disk_that_lies_about_the_log_is_noticed_and_nothing_is_forgotten_in_silence() {
    let run = &*RIGHT;
    let lies = |op: &Op| *op == Op::Sync("state.sqlite-wal".into());
    for party in [Party::Client, Party::Coordinator] {
        let broken = survey_without(run, party, lies).unwrap_err();
        let Broken::Refused { error } = &broken else { panic!("{party:?}: {broken:?}") };
        assert!(names_the_loss(error), "{error}");
        // With that refusal for an answer, everything holds: what does not open forgets nothing, and what opens has all of it.
        // One lie in four; with more the database is damaged when the log goes into it, and says that.
        let mut syncs = 0;
        let happened = without(run, party, |op| {
            syncs += usize::from(lies(op));
            lies(op) && syncs % 4 == 0
        });
        let survey = party::survey(run, party, &happened, names_the_loss).unwrap();
        assert!(survey.refused > 10 && survey.lengths.len() > 10, "{party:?}: {survey:?}");
    }
}

fn names_the_loss(error: &str) -> bool {
    error.contains("state.head has seen more entries") && error.contains("restore it from a copy or start a new state")
}

#[test]
fn a_head_that_is_renamed_before_it_is_synced_is_caught() {
    let run = &*RIGHT;
    for party in [Party::Client, Party::Coordinator] {
        let broken = survey_without(run, party, |op| *op == Op::Sync("state.head.part".into())).unwrap_err();
        assert!(matches!(&broken, Broken::Refused { .. }), "{party:?}: {broken:?}");
    }
}

#[test]
fn a_model_that_is_renamed_before_it_is_synced_is_caught() {
    let run = &*RIGHT;
    let part = |op: &Op| matches!(op, Op::Sync(file) if file.starts_with("checkpoints/"));
    let broken = survey_without(run, Party::Coordinator, part).unwrap_err();
    assert!(matches!(&broken, Broken::NoModel { .. }), "{broken:?}");
}

#[test]
fn a_disk_that_refuses_an_operation_stops_the_journal_and_nothing_is_forgotten() {
    let run = &*RIGHT;
    let persists: Vec<Persist> =
        run.site.entries.iter().map(|e| Persist::entry(e.event.clone(), e.ledger.clone())).collect();
    let mut refused = 0;
    for operations in 0.. {
        let dir = party::scratch();
        let journal = SqliteJournal::open_on(dir.path(), Some(identity(1)), Box::new(Refusing::after(operations)));
        let Ok(mut journal) = journal else { continue };
        let appended = persists.iter().take_while(|persist| journal.append(persist).is_ok()).count();
        if appended == persists.len() {
            break;
        }
        refused += 1;
        let error = journal.append(&persists[appended]).unwrap_err();
        let JournalError::Storage { source, .. } = &error else { panic!("{error}") };
        assert!(matches!(source.downcast_ref(), Some(StateError::Failed)), "{error}: {source}");
        drop(journal);
        // The entry may be there or not. What was appended is, and the state opens.
        let entries = open_on(dir.path(), 1, Box::new(SystemDisk)).replay().unwrap();
        assert!(run.site.entries.starts_with(&entries));
        assert!((appended..=appended + 1).contains(&entries.len()), "{appended} appended, {} found", entries.len());
    }
    // A head's four operations for each entry.
    assert_eq!(refused, 4 * persists.len());
}
