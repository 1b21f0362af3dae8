//! Jobs that end without being worked on: cancelled, expired, cleared away.

use std::time::SystemTime;

use rusqlite::{Params, Transaction, params};

use super::address::{job_id, to_millis};
use super::mail::last_status;
use super::{JobKey, State, Store, StoreError};
use crate::job::units::{Client, JobId};

/// So many jobs are ended in one transaction.
const PORTION: usize = 256;

impl Store {
    /// Asks for the end of one job of a client, or of all of them; a job of that id that was cancelled before counts, for
    /// the command may have come twice. Queued jobs end here and now with `status` (from
    /// their id, the request with every default written out, and their number); running ones are returned, for the
    /// worker to stop.
    pub fn cancel(
        &self,
        client: &Client,
        id: Option<&JobId>,
        time: SystemTime,
        status: impl Fn(&JobId, &str, u64) -> String,
    ) -> Result<(u64, Vec<JobKey>), StoreError> {
        self.write(|transaction| {
            let whose = params![client.as_str(), id.map(JobId::as_str)];
            let mut running = transaction.prepare_cached(
                "UPDATE job SET cancel = 1 WHERE state = 'running'
                 AND client = ?1 AND (?2 IS NULL OR id = ?2) RETURNING key",
            )?;
            let running = running.query_map(whose, |row| Ok(JobKey(row.get(0)?)))?.collect::<Result<Vec<_>, _>>()?;
            let queued = queued(transaction, "client = ?1 AND (?2 IS NULL OR id = ?2)", whose)?;
            let before = "SELECT count(*) FROM job WHERE state = 'cancelled' AND client = ?1 AND id = ?2";
            let before: usize = transaction.query_row(before, whose, |row| row.get(0))?;
            end(transaction, &queued, State::Cancelled, time, &status)?;
            Ok(((queued.len() + running.len() + before) as u64, running))
        })
    }

    /// Ends the queued jobs whose deadline has passed, and says how many that were.
    pub fn expire(&self, now: SystemTime, status: impl Fn(&JobId, &str, u64) -> String) -> Result<u64, StoreError> {
        self.in_portions(|transaction| {
            let late = format!("not_after IS NOT NULL AND not_after <= ? LIMIT {PORTION}");
            let jobs = queued(transaction, &late, [to_millis(now)])?;
            end(transaction, &jobs, State::Expired, now, &status)
        })
    }

    /// Cancels the queued jobs of all clients, and says how many that were.
    pub fn clear(&self, time: SystemTime, status: impl Fn(&JobId, &str, u64) -> String) -> Result<u64, StoreError> {
        self.in_portions(|transaction| {
            let jobs = queued(transaction, &format!("TRUE LIMIT {PORTION}"), [])?;
            end(transaction, &jobs, State::Cancelled, time, &status)
        })
    }

    /// Repeats a transaction until it finds less than a portion; the sum of what they found.
    fn in_portions(&self, work: impl Fn(&Transaction<'_>) -> Result<usize, StoreError>) -> Result<u64, StoreError> {
        let mut sum = 0;
        loop {
            let found = self.write(&work)?;
            sum += found as u64;
            if found < PORTION {
                return Ok(sum);
            }
        }
    }
}

/// A job that waits.
type Waiting = (JobKey, JobId);

fn queued(transaction: &Transaction<'_>, which: &str, params: impl Params) -> Result<Vec<Waiting>, StoreError> {
    let mut statement =
        transaction.prepare_cached(&format!("SELECT key, id FROM job WHERE state = 'queued' AND {which}"))?;
    let rows = statement.query_map(params, |row| Ok((JobKey(row.get(0)?), job_id(row, 1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One by one, for a request may be large.
fn end(
    transaction: &Transaction<'_>,
    jobs: &[Waiting],
    state: State,
    time: SystemTime,
    status: &impl Fn(&JobId, &str, u64) -> String,
) -> Result<usize, StoreError> {
    let mut ended = transaction.prepare_cached("UPDATE job SET state = ?, finished = ? WHERE key = ?")?;
    let mut request = transaction.prepare_cached("SELECT body FROM request WHERE job = ?")?;
    for (key, id) in jobs {
        ended.execute(params![state.name(), to_millis(time), key.0])?;
        let request: String = request.query_row([key.0], |row| row.get(0))?;
        last_status(transaction, *key, |seq| status(id, &request, seq))?;
    }
    Ok(jobs.len())
}
