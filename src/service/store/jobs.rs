//! Jobs from admission to their end.

use std::time::{Duration, SystemTime};

use rusqlite::{OptionalExtension, Transaction, params};

use super::mail::{last_status, next_status, post_picture};
use super::{Address, JobKey, State, Store, StoreError, address, from_millis, to_millis, unreadable};
use crate::job::units::{Client, JobId};
use crate::picture::Encoded;

/// A job whose turn it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    /// Its key.
    pub key: JobKey,
    /// Whom it belongs to.
    pub address: Address,
    /// The request with every default written out.
    pub request: String,
    /// When it was accepted.
    pub accepted: SystemTime,
    /// How often it was started before.
    pub attempts: u32,
    /// How often the process died over it in this boot of the machine.
    pub deaths: u32,
    /// Whether its requester took it back while it ran.
    pub cancelled: bool,
}

/// How a job ended.
pub struct Finished<'a> {
    /// Its final state.
    pub state: State,
    /// Its pictures, in order.
    pub pictures: &'a [Encoded],
    /// When.
    pub time: SystemTime,
}

impl Store {
    /// The job whose turn it is: highest priority first, then the oldest.
    pub fn next_job(&self) -> Result<Option<Queued>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT key, request, accepted, attempt, deaths, cancel, client, id, origin, correlation FROM job
             WHERE state = 'queued' ORDER BY priority DESC, key LIMIT 1",
        )?;
        let job = statement.query_row([], |row| {
            Ok(Queued {
                key: JobKey(row.get(0)?),
                request: row.get(1)?,
                accepted: from_millis(row.get(2)?),
                attempts: row.get(3)?,
                deaths: row.get(4)?,
                cancelled: row.get(5)?,
                address: address(row, 6)?,
            })
        });
        Ok(job.optional()?)
    }

    /// Work on a job begins: counted on the disk before it starts, so that a job that kills the process is found out.
    /// Returns the number of the status, or nothing if the job was cancelled meanwhile.
    pub fn begin(
        &self,
        key: JobKey,
        time: SystemTime,
        status: impl FnOnce(u64) -> String,
    ) -> Result<Option<u64>, StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let begun = transaction.execute(
            "UPDATE job SET state = 'running', attempt = attempt + 1, started = ?, boot = ?
             WHERE key = ? AND state = 'queued'",
            params![to_millis(time), self.boot, key.0],
        )?;
        if begun == 0 {
            return Ok(None);
        }
        let mut number = 0;
        next_status(&transaction, key, |seq| {
            number = seq;
            status(seq)
        })?;
        transaction.commit()?;
        Ok(Some(number))
    }

    /// A job ended: its pictures and its last status are in the outbox when this returns.
    ///
    /// A job that ended before, because it was cancelled at the same moment, keeps its first end.
    pub fn finish(
        &self,
        key: JobKey,
        end: &Finished<'_>,
        status: impl FnOnce(u64) -> String,
    ) -> Result<(), StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let ended = transaction.execute(
            "UPDATE job SET state = ?, finished = ? WHERE key = ? AND state IN ('queued', 'running')",
            params![end.state.name(), to_millis(end.time), key.0],
        )?;
        if ended == 0 {
            return Ok(());
        }
        for (k, picture) in (0..).zip(end.pictures) {
            transaction.execute(
                "INSERT INTO picture (job, k, format, bytes) VALUES (?, ?, ?, ?)",
                params![key.0, k, picture.format.name(), picture.bytes],
            )?;
            post_picture(&transaction, key, k)?;
        }
        last_status(&transaction, key, status)?;
        transaction.commit()?;
        Ok(())
    }

    /// A clean stop: the job goes back to the queue and the attempt does not count.
    pub fn give_back(&self, key: JobKey) -> Result<(), StoreError> {
        self.lock().execute("UPDATE job SET state = 'queued', attempt = attempt - 1 WHERE key = ?", [key.0])?;
        Ok(())
    }

    /// After a start: jobs that were running when the process died go back to the queue.
    ///
    /// A death counts only within one boot of the machine: a power cut is not the job's fault.
    pub fn recover(&self) -> Result<usize, StoreError> {
        let recovered = self.lock().execute(
            "UPDATE job SET state = 'queued', deaths = CASE WHEN boot = ? THEN deaths + 1 ELSE 0 END WHERE state = 'running'",
            [&self.boot],
        )?;
        Ok(recovered)
    }

    /// Asks for the end of one job of a client, or of all of them. Queued jobs end here and now with `status` (from
    /// their id, the request with every default written out, and their number); running ones are returned, for the
    /// worker to stop.
    pub fn cancel(
        &self,
        client: &Client,
        id: Option<&JobId>,
        time: SystemTime,
        status: impl Fn(&JobId, &str, u64) -> String,
    ) -> Result<(u64, Vec<JobKey>), StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let open = open_jobs_of(&transaction, client, id)?;
        let mut running = Vec::new();
        for job in &open {
            if job.state == State::Running {
                transaction.execute("UPDATE job SET cancel = 1 WHERE key = ?", [job.key.0])?;
                running.push(job.key);
                continue;
            }
            transaction.execute(
                "UPDATE job SET state = 'cancelled', finished = ? WHERE key = ?",
                params![to_millis(time), job.key.0],
            )?;
            last_status(&transaction, job.key, |seq| status(&job.id, &job.request, seq))?;
        }
        transaction.commit()?;
        Ok((open.len() as u64, running))
    }

    /// Number of jobs that wait or run.
    pub fn open_jobs(&self) -> Result<u64, StoreError> {
        Ok(self
            .lock()
            .query_row("SELECT count(*) FROM job WHERE state IN ('queued', 'running')", [], |row| row.get(0))?)
    }

    /// Forgets finished jobs that are older than `keep` and have no mail waiting; gives the space back.
    pub fn forget(&self, now: SystemTime, keep: Duration) -> Result<usize, StoreError> {
        let before = to_millis(now.checked_sub(keep).unwrap_or(SystemTime::UNIX_EPOCH));
        let connection = self.lock();
        let forgotten = connection.execute(
            "DELETE FROM job WHERE finished < ? AND NOT EXISTS (SELECT 1 FROM mail WHERE mail.job = job.key)",
            [before],
        )?;
        if forgotten > 0 {
            // This pragma frees one page a row.
            let mut statement = connection.prepare("PRAGMA incremental_vacuum")?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
        }
        Ok(forgotten)
    }

    /// Adds one to a counter that lives as long as the store, and returns its new value.
    pub fn count(&self, name: &str) -> Result<u64, StoreError> {
        let value = self.lock().query_row(
            "INSERT INTO fact (name, value) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
            [name],
            |row| row.get(0),
        )?;
        Ok(value)
    }

    /// The value of such a counter.
    pub fn counted(&self, name: &str) -> Result<u64, StoreError> {
        let value =
            self.lock().query_row("SELECT value FROM fact WHERE name = ?", [name], |row| row.get(0)).optional()?;
        Ok(value.unwrap_or(0))
    }
}

struct Open {
    key: JobKey,
    id: JobId,
    request: String,
    state: State,
}

fn open_jobs_of(transaction: &Transaction<'_>, client: &Client, id: Option<&JobId>) -> Result<Vec<Open>, StoreError> {
    let mut statement = transaction.prepare_cached(
        "SELECT key, id, request, state FROM job
         WHERE state IN ('queued', 'running') AND client = ?1 AND (?2 IS NULL OR id = ?2)",
    )?;
    let rows = statement.query_map(params![client.as_str(), id.map(JobId::as_str)], |row| {
        let id = JobId::try_from(row.get::<_, String>(1)?.as_str()).map_err(|_| unreadable(1))?;
        let state = State::find(&row.get::<_, String>(3)?);
        Ok(Open { key: JobKey(row.get(0)?), id, request: row.get(2)?, state })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
