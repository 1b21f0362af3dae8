//! The door of the store: a request goes in once, and its repetitions get the stored answer.

use std::time::{Duration, SystemTime};

use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::{Map, Value};

use super::mail::post_status;
use super::{JobKey, Store, StoreError, to_millis};
use crate::job::units::Client;
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
    /// Set for a redelivered message without an id: the same payload seen a short time ago is the same request.
    pub redelivered: bool,
    /// When it came.
    pub time: SystemTime,
    /// Open jobs that the queue holds.
    pub queue: u64,
    /// Open jobs that one client may have.
    pub per_client: u64,
}

/// What became of an admission. Nothing was written unless it is `New` or `Again`.
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
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        if let Some((key, same)) = known(&transaction, admission)? {
            if same {
                replay(&transaction, key)?;
                transaction.commit()?;
            }
            return Ok(if same { Accepted::Again } else { Accepted::Conflict });
        }
        let waiting = open_jobs(&transaction, None)?;
        if waiting >= admission.queue {
            return Ok(Accepted::QueueFull(waiting));
        }
        let own = open_jobs(&transaction, Some(&admission.request.client))?;
        if own >= admission.per_client {
            return Ok(Accepted::ClientFull(own));
        }
        let body = status(1, waiting);
        let key = insert(&transaction, admission, &body)?;
        post_status(&transaction, key, &body)?;
        transaction.commit()?;
        Ok(Accepted::New)
    }
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

fn insert(transaction: &Transaction<'_>, admission: &Admission<'_>, answer: &str) -> Result<JobKey, StoreError> {
    let request = admission.request;
    transaction.execute(
        "INSERT INTO job (client, id, origin, correlation, hash, request, accepted, priority, state, seq, answer)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'queued', 1, ?)",
        params![
            request.client.as_str(),
            request.id.as_str(),
            if request.origin == Origin::Shortcut { "shortcut" } else { "request" },
            admission.correlation,
            admission.hash,
            request.to_json(),
            to_millis(admission.time),
            request.priority.get(),
            answer,
        ],
    )?;
    Ok(JobKey(transaction.last_insert_rowid()))
}

/// Puts the stored answer into the outbox again, unless the first one still waits there.
fn replay(transaction: &Transaction<'_>, key: JobKey) -> Result<(), StoreError> {
    let waits = transaction.query_row("SELECT EXISTS (SELECT 1 FROM mail WHERE job = ?)", [key.0], |row| row.get(0))?;
    if waits {
        return Ok(());
    }
    let answer: String = transaction.query_row("SELECT answer FROM job WHERE key = ?", [key.0], |row| row.get(0))?;
    transaction.execute("INSERT INTO mail (job, k) SELECT job, k FROM picture WHERE job = ? ORDER BY k", [key.0])?;
    post_status(transaction, key, &replayed(&answer))
}

/// The same status with `replay`, which stands before the tags.
fn replayed(answer: &str) -> String {
    let Ok(mut status) = serde_json::from_str::<Map<String, Value>>(answer) else { return answer.to_owned() };
    let tags = status.shift_remove("tags");
    status.insert("replay".to_owned(), Value::Bool(true));
    status.extend(tags.map(|tags| ("tags".to_owned(), tags)));
    Value::Object(status).to_string()
}

fn open_jobs(transaction: &Transaction<'_>, client: Option<&Client>) -> Result<u64, StoreError> {
    let open = transaction.query_row(
        "SELECT count(*) FROM job WHERE state IN ('queued', 'running') AND (?1 IS NULL OR client = ?1)",
        [client.map(Client::as_str)],
        |row| row.get(0),
    )?;
    Ok(open)
}
