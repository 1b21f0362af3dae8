//! How much the store holds, and how it becomes less.

use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension, Transaction};

use super::address::to_millis;
use super::relief::vacuum;
use super::{Store, StoreError, copies, uploads};

/// So many jobs are forgotten in one transaction.
const PORTION: usize = 64;
/// So many pages are given back to the file system in one transaction.
const PAGES: usize = 2048;

/// Forgets the oldest finished jobs without mail that waits.
const FORGET: &str = "DELETE FROM job WHERE key IN (
    SELECT key FROM job WHERE finished IS NOT NULL AND finished < ?1
    AND NOT EXISTS (SELECT 1 FROM mail WHERE mail.job = job.key) ORDER BY finished LIMIT ?2)";

/// Takes the request and the pictures from the oldest finished job that has them and no mail that waits.
const STRIP: &str = "UPDATE job SET whole = 0 WHERE key = (
    SELECT key FROM job WHERE finished IS NOT NULL AND whole = 1
    AND NOT EXISTS (SELECT 1 FROM mail WHERE mail.job = job.key) ORDER BY finished LIMIT 1) RETURNING key";

impl Store {
    /// Forgets finished jobs that are older than `keep`. While the store holds more than it may, the oldest lose their
    /// pictures and requests; their ids and answers go only when that is not enough. Never a job with mail that waits.
    /// Old uploads go too, and old copies of the file. The space is given back. Returns the number of jobs of which something was forgotten.
    pub fn forget(&self, now: SystemTime, keep: Duration) -> Result<usize, StoreError> {
        let before = to_millis(now.checked_sub(keep).unwrap_or(SystemTime::UNIX_EPOCH));
        self.write(|transaction| uploads::sweep(transaction, now))?;
        copies::sweep(&self.folder, now)?;
        let old = self.forget_while(|transaction| forget_oldest(transaction, before, PORTION))?;
        let more = self.forget_while(|transaction| match self.has_room(transaction, 0)? {
            true => Ok(0),
            false => shrink(transaction),
        })?;
        while self.read(give_back_space)? {}
        Ok(old + more)
    }

    /// Bytes that the store holds: jobs, pictures, mail and uploads, without what could be given back.
    pub fn used_bytes(&self) -> Result<u64, StoreError> {
        self.read(used)
    }

    fn forget_while(&self, work: impl Fn(&Transaction<'_>) -> Result<usize, StoreError>) -> Result<usize, StoreError> {
        let mut sum = 0;
        loop {
            match self.write(&work)? {
                0 => return Ok(sum),
                forgotten => sum += forgotten,
            }
        }
    }

    /// Whether `bytes` more find room; if there is none, the oldest pictures are forgotten for them. Nothing is forgotten
    /// in vain.
    pub(super) fn make_room(&self, transaction: &Transaction<'_>, bytes: u64) -> Result<bool, StoreError> {
        or_undone(transaction, || {
            while !self.has_room(transaction, bytes)? {
                if shrink(transaction)? == 0 {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    fn has_room(&self, connection: &Connection, bytes: u64) -> Result<bool, StoreError> {
        self.max_bytes.map_or(Ok(true), |most| Ok(used(connection)? + bytes <= most))
    }
}

/// Does something within a transaction that is undone if it says false.
pub(super) fn or_undone(
    transaction: &Transaction<'_>,
    work: impl FnOnce() -> Result<bool, StoreError>,
) -> Result<bool, StoreError> {
    transaction.execute_batch("SAVEPOINT attempt")?;
    let done = work()?;
    transaction.execute_batch(if done { "RELEASE attempt" } else { "ROLLBACK TO attempt; RELEASE attempt" })?;
    Ok(done)
}

/// Makes the store smaller by what is missed least; 0 if nothing may go.
///
/// An id that was forgotten would be worked on again: so pictures go first, and they may be those of another client.
fn shrink(transaction: &Transaction<'_>) -> Result<usize, StoreError> {
    match strip_oldest(transaction)? {
        0 => forget_oldest(transaction, i64::MAX, 1),
        stripped => Ok(stripped),
    }
}

/// Forgets the pictures and the request of the oldest job that may lose them.
pub(super) fn strip_oldest(connection: &Connection) -> Result<usize, StoreError> {
    let job = connection.prepare_cached(STRIP)?.query_row([], |row| row.get::<_, i64>(0)).optional()?;
    let Some(job) = job else { return Ok(0) };
    connection.prepare_cached("DELETE FROM picture WHERE job = ?")?.execute([job])?;
    connection.prepare_cached("DELETE FROM request WHERE job = ?")?.execute([job])?;
    Ok(1)
}

fn forget_oldest(transaction: &Transaction<'_>, before: i64, most: usize) -> Result<usize, StoreError> {
    Ok(transaction.prepare_cached(FORGET)?.execute(rusqlite::params![before, most])?)
}

pub(super) fn used(connection: &Connection) -> Result<u64, StoreError> {
    let (pages, free) = (pragma(connection, "page_count")?, pragma(connection, "freelist_count")?);
    Ok(pages.saturating_sub(free) * pragma(connection, "page_size")?)
}

/// Gives some pages back if a quarter of the file is free; less will soon be used again. False if there is nothing more
/// to do.
fn give_back_space(connection: &Connection) -> Result<bool, StoreError> {
    let (pages, free) = (pragma(connection, "page_count")?, pragma(connection, "freelist_count")?);
    if free * 4 < pages {
        return Ok(false);
    }
    vacuum(connection, PAGES)
}

fn pragma(connection: &Connection, name: &str) -> Result<u64, StoreError> {
    Ok(connection.pragma_query_value(None, name, |row| row.get(0))?)
}
