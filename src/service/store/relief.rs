//! A disk that is full: what may be forgotten for what must be kept, and the proof that there is room again.

use rusqlite::Connection;

use super::room::{strip_oldest, used};
use super::{Store, StoreError, copies, settings};

/// So much must find room before the store is called well: the pictures of a job are larger than a request.
const PROOF: usize = 4 * 1024 * 1024;
/// So much is forgotten at a time.
const RELIEF: u64 = PROOF as u64;
/// So many jobs lose their pictures at a time at most: forgetting takes some room in the log, too.
const PORTION: usize = 64;
/// So many pages are given back to the file system in one transaction.
const PAGES: usize = 256;

impl Store {
    /// After a fault for want of room: what only an older version would read goes, and else the oldest finished jobs
    /// without mail that waits lose their pictures and requests. False if there is nothing of either.
    pub fn relieve(&self) -> Result<bool, StoreError> {
        if copies::remove_all(&self.folder)? {
            tracing::warn!("the disk is full: the copy of an older version's store was removed");
            return Ok(true);
        }
        self.read(|connection| {
            if !connection.is_autocommit() {
                connection.execute_batch("ROLLBACK")?;
            }
            relieve(connection)
        })
    }
}

/// Proves that the result of a job can be written; where that fails, the oldest results go for it.
///
/// Where nothing may go but mail waits, any write will do: to deliver it is the only way to make room.
pub(super) fn prove(connection: &Connection) -> Result<(), StoreError> {
    loop {
        let full = match write_and_delete(connection) {
            Err(error) if error.is_full() => error,
            other => return other,
        };
        if relieve(connection)? {
            continue;
        }
        let mail: bool = connection.query_row("SELECT EXISTS (SELECT 1 FROM mail)", [], |row| row.get(0))?;
        return if mail { settings::count(connection, "healed").map(drop) } else { Err(full) };
    }
}

/// Writes as much as a result has, durably. All of it goes into the log alone and leaves it long, but empty: that room
/// is what later relief is written into.
fn write_and_delete(connection: &Connection) -> Result<(), StoreError> {
    let checkpoints: i64 = connection.pragma_query_value(None, "wal_autocheckpoint", |row| row.get(0))?;
    connection.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(()))?;
    let written = || -> Result<(), StoreError> {
        let insert = "INSERT OR REPLACE INTO setting (name, value) VALUES ('proof', zeroblob(?))";
        connection.execute(insert, [PROOF])?;
        let transaction = connection.unchecked_transaction()?;
        clean(&transaction)?;
        vacuum(&transaction, PROOF / 1024)?;
        Ok(transaction.commit()?)
    }();
    connection.query_row(&format!("PRAGMA wal_autocheckpoint = {checkpoints}"), [], |_| Ok(()))?;
    written?;
    checkpoint(connection)
}

/// Takes away what a process left that died over the proof.
pub(super) fn clean(connection: &Connection) -> Result<(), StoreError> {
    connection.execute("DELETE FROM setting WHERE name = 'proof'", [])?;
    Ok(())
}

fn relieve(connection: &Connection) -> Result<bool, StoreError> {
    // Once all of the log is in the file it begins anew, and takes no more room than it has.
    let _ = checkpoint(connection);
    let transaction = connection.unchecked_transaction()?;
    let before = used(&transaction)?;
    let mut jobs = 0;
    while jobs < PORTION && before.saturating_sub(used(&transaction)?) < RELIEF && strip_oldest(&transaction)? > 0 {
        jobs += 1;
    }
    transaction.commit()?;
    tracing::warn!(jobs, "the disk is full: the oldest results were forgotten");
    // The log may need what the file does not. Where that fails, the next picture still finds room in the file.
    let give_back = || -> Result<bool, StoreError> {
        let given = vacuum(connection, PAGES)?;
        checkpoint(connection)?;
        Ok(given)
    };
    while jobs > 0 && give_back().unwrap_or(false) {}
    Ok(jobs > 0)
}

/// Gives so many free pages back to the file system. False if there is none.
pub(super) fn vacuum(connection: &Connection, pages: usize) -> Result<bool, StoreError> {
    // This pragma frees one page a row.
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    let mut given = false;
    while rows.next()?.is_some() {
        given = true;
    }
    Ok(given)
}

fn checkpoint(connection: &Connection) -> Result<(), StoreError> {
    Ok(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
}
