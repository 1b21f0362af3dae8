//! A file of an older format becomes one of this version's: copied first, then changed as a whole or not at all.
//!
//! | the power goes | what is there afterwards, and what the next start does |
//! |---|---|
//! | while the copy is made | the old file as it was, and half a copy: the copy is made anew |
//! | while the steps are taken | the old file as it was, for they are one transaction, and the copy: both begin anew |
//! | after that | the new file, and the copy of the old one |

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::{StoreError, copies, schema};
use crate::board;

/// The copy, the log of the steps, and what the new format may hold more: each may be as large as the file.
const ROOM: u64 = 3;

/// Brings the file in `folder` to the last of the formats that `steps` lead to; see [`schema::STEPS`].
pub(super) fn upgrade(connection: &mut Connection, folder: &Path, steps: &[&str]) -> Result<(), StoreError> {
    let known = steps.len() as i64;
    let found = schema::readable(connection, folder, known)?;
    let missing = &steps[found as usize..];
    match found {
        _ if missing.is_empty() => Ok(()),
        0 => advance(connection, missing, known),
        _ => convert(connection, folder, found, missing, board::disk_free(folder)?)
            .map_err(|error| StoreError::Upgrade { found, known, why: error.to_string() }),
    }
}

/// Copies the file and takes the steps, if so many free bytes of the disk are enough.
pub(super) fn convert(
    connection: &mut Connection,
    folder: &Path,
    found: i64,
    steps: &[&str],
    free: u64,
) -> Result<(), StoreError> {
    let bytes = size(connection)?;
    let needed = room_for(bytes);
    if free < needed {
        return Err(StoreError::Cramped { needed, free });
    }
    tracing::info!(format = found, bytes, "the store is of an older version: it is copied and converted");
    let copy = copies::make(connection, folder, found)?;
    advance(connection, steps, found + steps.len() as i64)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    tracing::info!(copy = %copy.display(), "the store is converted; what it was is kept for a week");
    Ok(())
}

/// Takes the steps, all or none of them. A connection that fails here is not used again.
fn advance(connection: &mut Connection, steps: &[&str], to: i64) -> Result<(), StoreError> {
    // To drop a table that is made anew would take along the rows of others that belong to it.
    connection.pragma_update(None, "foreign_keys", false)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before = rows(&transaction)?;
    steps.iter().try_for_each(|step| transaction.execute_batch(step))?;
    check(&transaction, &before)?;
    transaction.pragma_update(None, "user_version", to)?;
    transaction.commit()?;
    Ok(connection.pragma_update(None, "foreign_keys", true)?)
}

/// A table that is still there has all of its rows, and each row those that it belongs to. Only a step that drops a
/// table may take rows away.
fn check(transaction: &Transaction<'_>, before: &BTreeMap<String, u64>) -> Result<(), StoreError> {
    let after = rows(transaction)?;
    for (table, rows) in before {
        if let Some(left) = after.get(table).filter(|left| *left < rows) {
            return Err(StoreError::Lossy(format!("{left} of {rows} rows of {table} would be left")));
        }
    }
    match transaction.prepare("PRAGMA foreign_key_check")?.exists([])? {
        true => Err(StoreError::Lossy("rows would belong to others that are gone".to_owned())),
        false => Ok(()),
    }
}

/// The tables, and how many rows each has.
fn rows(connection: &Connection) -> Result<BTreeMap<String, u64>, StoreError> {
    let mut tables = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")?;
    let tables = tables.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    let counted = tables.into_iter().map(|table| {
        let count = format!("SELECT count(*) FROM \"{table}\"");
        let rows = connection.query_row(&count, [], |row| row.get(0))?;
        Ok((table, rows))
    });
    counted.collect()
}

/// Bytes that must be free on the disk before a file of so many bytes is brought to another format.
pub(super) fn room_for(bytes: u64) -> u64 {
    bytes.saturating_mul(ROOM)
}

/// Bytes of the file with its log.
pub(super) fn size(connection: &Connection) -> Result<u64, StoreError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
    Ok(pragma("page_count")? * pragma("page_size")?)
}
