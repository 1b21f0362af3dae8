//! The order of work.
//!
//! A job's level is its priority and a step more for each whole minute that it has waited, at most 9. The highest level
//! goes first; among equals the client that was served least recently, where a new client stands before the one that
//! was served last and behind the others; then the client's job with the highest level, counted to the millisecond.
//!
//! So nobody starves: after 9 minutes less its priority a job has level 9. From then on no job that comes later, of its
//! own client, goes before it; and of each other client that has jobs waiting one at most goes before each job of its
//! own client. With `n` clients that wait, the `j`-th job of a client is the `n * j`-th to begin, or earlier.

use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::address::{ADDRESS, address, from_millis, to_millis};
use super::{JobKey, Queued, Store, StoreError};

/// A minute of waiting counts as much as a step of priority.
const STEP: i64 = 60_000;
const HIGHEST: i64 = 9;

impl Store {
    /// The job whose turn it is.
    pub fn next_job(&self, now: SystemTime) -> Result<Option<Queued>, StoreError> {
        self.read(|connection| {
            let Some(client) = next_client(connection, to_millis(now))? else { return Ok(None) };
            let mut statement = connection.prepare_cached(&format!(
                "SELECT job.key, request.body, accepted, attempt, deaths, cancel, not_after, {ADDRESS}
                 FROM job JOIN request ON request.job = job.key
                 WHERE state = 'queued' AND client = ? ORDER BY due, key LIMIT 1"
            ))?;
            let job = statement.query_row([client], |row| {
                Ok(Queued {
                    key: JobKey(row.get(0)?),
                    request: row.get(1)?,
                    accepted: from_millis(row.get(2)?),
                    attempts: row.get(3)?,
                    deaths: row.get(4)?,
                    cancelled: row.get(5)?,
                    not_after: row.get::<_, Option<i64>>(6)?.map(from_millis),
                    address: address(row, 7)?,
                })
            });
            Ok(job.optional()?)
        })
    }
}

/// The client whose turn it is. Each client's job with the least `due` has its highest level.
fn next_client(connection: &Connection, now: i64) -> Result<Option<String>, StoreError> {
    let mut first = connection.prepare_cached("SELECT min(head) FROM client WHERE head IS NOT NULL")?;
    let Some(first) = first.query_row([], |row| row.get::<_, Option<i64>>(0))? else { return Ok(None) };
    let level = (now - first).div_euclid(STEP).min(HIGHEST);
    // The walk in the order of turns nearly always ends at once; without being told, SQLite would sort all clients.
    let mut next = connection.prepare_cached(
        "SELECT name FROM client INDEXED BY client_by_turn WHERE head IS NOT NULL AND head <= ?
         ORDER BY turn, head LIMIT 1",
    )?;
    Ok(next.query_row([now - level * STEP], |row| row.get(0)).optional()?)
}

/// Where a job with this priority that came at `accepted` stands: the level at a later time is the minutes since then.
pub(super) fn due(accepted: SystemTime, priority: u8) -> i64 {
    to_millis(accepted) - i64::from(priority) * STEP
}

/// A client's job begins: the client goes behind all others. New clients get the odd numbers, see the triggers.
pub(super) fn served(transaction: &Transaction<'_>, key: JobKey) -> Result<(), StoreError> {
    let mut clock = transaction.prepare_cached(
        "INSERT INTO fact (name, value) VALUES ('turn', 2)
         ON CONFLICT (name) DO UPDATE SET value = value + 2 RETURNING value",
    )?;
    let turn: i64 = clock.query_row([], |row| row.get(0))?;
    let mut client =
        transaction.prepare_cached("UPDATE client SET turn = ? WHERE name = (SELECT client FROM job WHERE key = ?)")?;
    client.execute(params![turn, key.0])?;
    Ok(())
}
