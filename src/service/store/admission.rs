//! The door of the store: a request goes in once, and its repetitions get the stored answer.

use std::time::{Duration, SystemTime};

use rusqlite::{OptionalExtension, Transaction, params};

use super::address::to_millis;
use super::again::replay;
use super::mail::post_status;
use super::settings::counted;
use super::turn::due;
use super::{JobKey, Store, StoreError};
use crate::job::units::{Client, JobId};
use crate::job::{Origin, Request};

/// A redelivered message without an id is the same request as before if that came within this time.
const REDELIVERY: Duration = Duration::from_secs(300);

/// What is to be admitted, and how much room there is.
pub struct Admission<'a> {
    /// The request.
    pub request: &'a Request,
    /// SHA-256 of the payload as it came.
    pub hash: [u8; 32],
    /// Correlation Data.
    pub correlation: Option<&'a [u8]>,
    /// The topic below which the answers go instead of the usual one.
    pub reply: Option<&'a str>,
    /// Set for a redelivered message without an id: the same payload seen a short time ago is the same request.
    pub redelivered: bool,
    /// When it came.
    pub time: SystemTime,
    /// Open jobs that the queue holds.
    pub queue: u64,
    /// Open jobs that one client may have.
    pub per_client: u64,
}

/// What became of an admission. The request was not written unless it is `New` or `Again`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is in the queue.
    New,
    /// It was there before; its answer is in the outbox again.
    Again,
    /// The id was used for another content.
    Conflict,
    /// The queue holds this many jobs and takes no more.
    QueueFull(u64),
    /// The client has this many open jobs and may have no more.
    ClientFull(u64),
    /// The store holds as much as it may, and nothing that could be forgotten.
    StorageFull,
}

impl Store {
    /// Admits a request: when this returns `New`, the request is on the disk and its `accepted` is in the outbox.
    ///
    /// `status` makes the status from its number and the number of jobs before this one.
    pub fn admit(
        &self,
        admission: &Admission<'_>,
        status: impl FnOnce(u64, u64) -> String,
    ) -> Result<Accepted, StoreError> {
        self.write(|transaction| {
            if let Some((key, same)) = known(transaction, admission)? {
                if !same {
                    return Ok(Accepted::Conflict);
                }
                redirect(transaction, key, admission.correlation, admission.reply)?;
                replay(transaction, key)?;
                return Ok(Accepted::Again);
            }
            let waiting = counted(transaction, "open")?;
            if waiting >= admission.queue {
                return Ok(Accepted::QueueFull(waiting));
            }
            let own = open_jobs_of(transaction, &admission.request.client)?;
            if own >= admission.per_client {
                return Ok(Accepted::ClientFull(own));
            }
            let request = admission.request.to_json();
            if !self.make_room(transaction, request.len() as u64)? {
                return Ok(Accepted::StorageFull);
            }
            let body = status(1, waiting);
            let key = insert(transaction, admission, &request, &body)?;
            post_status(transaction, key, &body)?;
            Ok(Accepted::New)
        })
    }
}

impl Store {
    /// Whether a client has sent just this under this id before; then its answer lies in the outbox again.
    ///
    /// For requests that cannot be read any more as they were: a picture that they name may have gone since.
    pub fn repeats(&self, client: &Client, id: &JobId, again: &Repetition<'_>) -> Result<bool, StoreError> {
        self.write(|transaction| {
            let job = transaction.query_row(
                "SELECT key FROM job WHERE client = ? AND id = ? AND hash = ?",
                params![client.as_str(), id.as_str(), again.hash],
                |row| Ok(JobKey(row.get(0)?)),
            );
            let Some(key) = job.optional()? else { return Ok(false) };
            redirect(transaction, key, again.correlation, again.reply)?;
            replay(transaction, key)?;
            Ok(true)
        })
    }
}

/// What a repeated request looks like from outside.
pub struct Repetition<'a> {
    /// SHA-256 of the payload as it came.
    pub hash: [u8; 32],
    /// Correlation Data of this time.
    pub correlation: Option<&'a [u8]>,
    /// Where the answers go this time, if not to the usual topics.
    pub reply: Option<&'a str>,
}

/// The job that this admission repeats, and whether its content is the same.
fn known(transaction: &Transaction<'_>, admission: &Admission<'_>) -> Result<Option<(JobKey, bool)>, StoreError> {
    let request = admission.request;
    let by_id = transaction
        .query_row(
            "SELECT key, hash FROM job WHERE client = ? AND id = ?",
            params![request.client.as_str(), request.id.as_str()],
            |row| Ok((JobKey(row.get(0)?), row.get::<_, Vec<u8>>(1)? == admission.hash)),
        )
        .optional()?;
    if by_id.is_some() || !admission.redelivered {
        return Ok(by_id);
    }
    let since = to_millis(admission.time.checked_sub(REDELIVERY).unwrap_or(SystemTime::UNIX_EPOCH));
    let by_hash = transaction
        .query_row(
            "SELECT key FROM job WHERE client = ? AND hash = ? AND accepted >= ? ORDER BY key DESC LIMIT 1",
            params![request.client.as_str(), admission.hash, since],
            |row| Ok((JobKey(row.get(0)?), true)),
        )
        .optional()?;
    Ok(by_hash)
}

fn insert(
    transaction: &Transaction<'_>,
    admission: &Admission<'_>,
    json: &str,
    answer: &str,
) -> Result<JobKey, StoreError> {
    let request = admission.request;
    let mut job = transaction.prepare_cached(
        "INSERT INTO job (client, id, origin, correlation, reply, hash, accepted, priority, due, not_after, state, seq, answer)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued', 1, ?)",
    )?;
    job.execute(params![
        request.client.as_str(),
        request.id.as_str(),
        if request.origin == Origin::Shortcut { "shortcut" } else { "request" },
        admission.correlation,
        admission.reply,
        admission.hash,
        to_millis(admission.time),
        request.priority.get(),
        due(admission.time, request.priority.get()),
        request.deadline.map(to_millis),
        answer,
    ])?;
    let key = transaction.last_insert_rowid();
    transaction.prepare_cached("INSERT INTO request (job, body) VALUES (?, ?)")?.execute(params![key, json])?;
    Ok(JobKey(key))
}

/// Who repeats a request may wait for the answers elsewhere than before.
fn redirect(
    transaction: &Transaction<'_>,
    key: JobKey,
    correlation: Option<&[u8]>,
    reply: Option<&str>,
) -> Result<(), StoreError> {
    transaction.execute(
        "UPDATE job SET correlation = ?1, reply = ?2 WHERE key = ?3 AND (correlation IS NOT ?1 OR reply IS NOT ?2)",
        params![correlation, reply, key.0],
    )?;
    Ok(())
}

/// Jobs of a client that wait or run.
fn open_jobs_of(transaction: &Transaction<'_>, client: &Client) -> Result<u64, StoreError> {
    let mut open = transaction.prepare_cached("SELECT open FROM client WHERE name = ?")?;
    Ok(open.query_row([client.as_str()], |row| row.get(0)).optional()?.unwrap_or(0))
}
