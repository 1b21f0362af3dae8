//! The tables, and how a file of an older version becomes one of this version.

use rusqlite::Connection;

use super::StoreError;

/// Format of the file; each entry of `STEPS` leads from its index to the next format.
const KNOWN: i64 = STEPS.len() as i64;

pub(super) const STEPS: [&str; 3] =
    [include_str!("format1.sql"), include_str!("format2.sql"), include_str!("format3.sql")];

/// The write-ahead log is cut to this size when its content is in the file itself.
const LOG_BYTES: i64 = 4 * 1024 * 1024;

/// Statements that are kept prepared.
const PREPARED: usize = 64;

/// Sets the pragmas and brings the tables to this version's format.
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
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > KNOWN {
        return Err(StoreError::Newer { found, known: KNOWN });
    }
    for (index, step) in STEPS.iter().enumerate().skip(usize::try_from(found).unwrap_or(0)) {
        connection.execute_batch(&format!("BEGIN; {step}; PRAGMA user_version = {}; COMMIT;", index + 1))?;
    }
    Ok(())
}
