//! The tables, and what SQLite is told about the file.

use std::path::Path;

use rusqlite::Connection;

use super::{StoreError, copies};

/// Each entry leads from the format of its index to the next; the first one makes the tables of an empty file.
pub(super) const STEPS: [&str; FORMAT as usize] =
    [include_str!("format1.sql"), include_str!("format2.sql"), include_str!("format3.sql")];

/// Format of the files that this version writes. A file says its own in `user_version`.
pub const FORMAT: i64 = 3;

/// The write-ahead log is cut to this size when its content is in the file itself.
const LOG_BYTES: i64 = 4 * 1024 * 1024;

/// Statements that are kept prepared.
const PREPARED: usize = 64;

/// Sets the pragmas.
pub(super) fn prepare(connection: &Connection) -> Result<(), StoreError> {
    // Before the first page is written, or it has no effect.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    // What was forgotten is overwritten where that costs no writing of its own: forgetting must work on a full disk.
    connection.pragma_update(None, "secure_delete", "FAST")?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    Ok(())
}

/// The format that the file in `folder` says it has, 0 for an empty file; one that is newer than the known one cannot be
/// read. Files with tables have said their format from the first version on.
pub(super) fn readable(connection: &Connection, folder: &Path, known: i64) -> Result<i64, StoreError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let has_tables = connection.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))?;
    match found {
        _ if found > known => Err(StoreError::Newer { found, known, copy: copies::newest(folder, known) }),
        ..=0 if has_tables => Err(StoreError::Unmarked),
        _ => Ok(found.max(0)),
    }
}
