//! What a journal's database holds, with every link checked: rows against chain, chain against head, head against its signature and the witness.
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _};
use sottovoce_dp::LedgerEntry;
use sottovoce_round::{Entry, JournalError};
use sottovoce_secagg::Identity;
use sottovoce_types::Digest;

use crate::journal::storage;
use crate::{Head, Seal, Witness};

/// The entries of a database, checked by themselves.
pub(crate) fn entries_of(connection: &Connection, state: &Path) -> Result<Vec<Entry>, JournalError> {
    read(connection, state).map(|read| read.entries)
}

/// The entries and where they end, checked against their signature and the witness, and for a party, against its own key.
pub(crate) fn verified(
    connection: &Connection,
    witness: Option<Witness>,
    state: &Path,
    identity: Option<&Identity>,
) -> Result<(Vec<Entry>, Head), JournalError> {
    let Read { entries, chains, seal } = read(connection, state)?;
    let head = Head::at_end(&chains);
    let corrupt = |what| JournalError::Corrupt { place: state.display().to_string(), entry: head.entries, what };
    match witness {
        Some(witness) => {
            if let Some(what) = witness.contradicts(&chains) {
                return Err(corrupt(what));
            }
            check_seal(&witness, identity).map_err(corrupt)?;
        }
        // It is written before the first entry.
        None if entries.is_empty() => {}
        None => return Err(corrupt("state.head is missing: copy the whole directory")),
    }
    check_seal(&Witness { entries: head.entries, chain: head.chain, seal }, identity).map_err(corrupt)?;
    Ok((entries, head))
}

/// Whether a head's signature holds, and is this party's. In the database it is written in the transaction of the last entry.
fn check_seal(sealed: &Witness, identity: Option<&Identity>) -> Result<(), &'static str> {
    if !sealed.seal_holds() {
        return Err(
            "the signature over its head does not hold: it was edited, or entries were appended by something else",
        );
    }
    match (&sealed.seal, identity) {
        (Some(seal), Some(identity)) if seal.public_key != Digest(identity.public_key()) => {
            Err("its head is signed by another identity: this is another party's state")
        }
        (None, Some(_)) if sealed.entries > 0 => Err("its head is not signed, and this party signs"),
        _ => Ok(()),
    }
}

/// What was read.
struct Read {
    entries: Vec<Entry>,
    /// The chain after each entry.
    chains: Vec<Digest>,
    /// The signature over the last of them.
    seal: Option<Seal>,
}

/// Every entry, with the chain, the ledger's rows and the head checked against each other.
fn read(connection: &Connection, state: &Path) -> Result<Read, JournalError> {
    let corrupt = |entry: u64, what| JournalError::Corrupt { place: state.display().to_string(), entry, what };
    // One snapshot: between two a writer may go on, and its new head would not fit the rows of before.
    let snapshot = connection.unchecked_transaction().map_err(|e| storage(state, e.into()))?;
    let rows = read_rows(&snapshot).map_err(|e| storage(state, e.into()))?;
    let end = read_head(&snapshot).map_err(|e| storage(state, e.into()))?;
    drop(snapshot);
    let mut head = Head::empty();
    let (mut entries, mut chains) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for Row { seq, text, chain, ledger } in rows {
        head = head.after(&text);
        let place = head.entries;
        if seq != sql_integer(place) {
            return Err(corrupt(place, "an entry is missing"));
        }
        if chain != head.chain.as_bytes() {
            return Err(corrupt(place, "it does not hash to its link of the chain: it or one before was changed"));
        }
        let entry: Entry =
            serde_json::from_str(&text).map_err(|_| corrupt(place, "it cannot be read: another version wrote it"))?;
        let row = ledger.map(|text| serde_json::from_str::<LedgerEntry>(&text)).transpose();
        if !matches!(row, Ok(row) if row == entry.ledger) {
            return Err(corrupt(place, "its ledger row is not the one that was written with it"));
        }
        entries.push(entry);
        chains.push(head.chain);
    }
    let expected = (!entries.is_empty()).then(|| (sql_integer(head.entries), head.chain.as_bytes().to_vec()));
    let (end, seal) = end.map_or((None, None), |(seq, chain, seal)| (Some((seq, chain)), seal));
    if end != expected {
        return Err(corrupt(head.entries, "entries after it were cut off"));
    }
    let seal = seal.map(|text| serde_json::from_str(&text)).transpose();
    let seal = seal.map_err(|_| corrupt(head.entries, "its signature cannot be read"))?;
    Ok(Read { entries, chains, seal })
}

struct Row {
    seq: i64,
    text: String,
    chain: Vec<u8>,
    ledger: Option<String>,
}

fn read_rows(connection: &Connection) -> rusqlite::Result<Vec<Row>> {
    // From both sides, so that a ledger row without an entry shows as well.
    let mut statement = connection.prepare(
        "SELECT coalesce(j.seq, l.seq), coalesce(j.entry, ''), coalesce(j.chain, x''), l.entry
         FROM journal j FULL OUTER JOIN ledger l ON l.seq = j.seq ORDER BY 1",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(Row { seq: row.get(0)?, text: row.get(1)?, chain: row.get(2)?, ledger: row.get(3)? })
    })?;
    rows.collect()
}

/// Number of entries, chain, and the signature's JSON.
type HeadRow = (i64, Vec<u8>, Option<String>);

fn read_head(connection: &Connection) -> rusqlite::Result<Option<HeadRow>> {
    let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    connection.query_row("SELECT seq, chain, seal FROM head", [], columns).optional()
}

pub(crate) fn sql_integer(n: u64) -> i64 {
    i64::try_from(n).expect("no journal reaches 2^63 entries")
}
