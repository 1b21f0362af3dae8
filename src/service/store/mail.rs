//! The outbox: what an accepted requester must still get. Removed only when the broker has acknowledged it.

use std::sync::atomic::Ordering::Relaxed;

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::address::{ADDRESS, address};
use super::pictures::{PictureFacts, Stored, picture};
use super::{Address, JobKey, Store, StoreError};

/// One message that waits to be delivered.
#[derive(Clone, Debug, PartialEq)]
pub struct Mail {
    /// Its key in the outbox; messages of one picture in parts share it.
    pub key: i64,
    /// The job that it is about.
    pub job: JobKey,
    /// Whom it is for.
    pub address: Address,
    /// Number of the job's last status.
    pub seq: u64,
    /// What it carries.
    pub kind: MailKind,
}

/// What a message carries.
#[derive(Clone, Debug, PartialEq)]
pub enum MailKind {
    /// A status as JSON.
    Status(String),
    /// A picture as a whole.
    Picture {
        /// Its index within the request.
        k: u8,
        /// Name of its format.
        format: String,
        /// The encoded file.
        bytes: Vec<u8>,
    },
    /// What comes in the parts of a picture, or can be asked for.
    Manifest(PictureFacts),
    /// A part of a picture.
    Part {
        /// The picture.
        facts: PictureFacts,
        /// Number of the part, from 0.
        index: u32,
        /// Its bytes.
        bytes: Vec<u8>,
    },
}

/// Part of a picture that stands for its manifest.
pub(super) const MANIFEST: i64 = -1;

/// So many statuses in a row may overtake pictures of other jobs.
const IN_A_ROW: u32 = 8;

/// A row of the outbox, as far as it says what it is.
struct Entry {
    k: Option<u8>,
    body: Option<String>,
    next: Option<i64>,
    job: JobKey,
}

impl Store {
    /// The message to send next, besides those of `busy` jobs: the oldest status, unless a picture of its own job lies
    /// before it; then the oldest.
    ///
    /// After so many statuses in a row the oldest message goes, until that is no such status: who has many answers
    /// repeated does not keep the pictures of others waiting for ever.
    pub fn next_mail(&self, busy: &[JobKey]) -> Result<Option<Mail>, StoreError> {
        let order = if self.is_oldests_turn() { "mail.key" } else { "mail.rank, mail.key" };
        self.read(|connection| {
            let mut next = connection.prepare_cached(&format!(
                "SELECT mail.k, mail.body, mail.next, mail.job, mail.key, job.seq, {ADDRESS}
                 FROM mail JOIN job ON job.key = mail.job ORDER BY {order}"
            ))?;
            let mut waiting = next.query([])?;
            // A job has only a few rows here, and only a few jobs are busy.
            let (entry, key, seq, address) = loop {
                let Some(row) = waiting.next()? else { return Ok(None) };
                let entry = entry(row)?;
                if !busy.contains(&entry.job) {
                    break (entry, row.get(4)?, row.get(5)?, address(row, 6)?);
                }
            };
            let kind = match (entry.k, entry.next) {
                (None, _) => MailKind::Status(entry.body.unwrap_or_default()),
                (Some(k), None) => {
                    let picture = picture(connection, entry.job, k)?;
                    MailKind::Picture { k, bytes: picture.bytes(connection)?, format: picture.facts.format }
                }
                (Some(k), Some(MANIFEST)) => MailKind::Manifest(picture(connection, entry.job, k)?.facts),
                (Some(k), Some(index)) => {
                    let (picture, index) = (picture(connection, entry.job, k)?, index as u32);
                    MailKind::Part { index, bytes: picture.part(connection, index)?, facts: picture.facts }
                }
            };
            Ok(Some(Mail { key, job: entry.job, address, seq, kind }))
        })
    }

    /// The broker has acknowledged a message. A power cut soon after may bring it back: then it goes out once more.
    pub fn delivered(&self, key: i64) -> Result<(), StoreError> {
        let overtakes = self.write_lazily(|transaction| {
            let mut rank = transaction.prepare_cached("SELECT rank = 0 FROM mail WHERE key = ?")?;
            let overtakes = rank.query_row([key], |row| row.get(0)).optional()?.unwrap_or(false);
            let mut more =
                transaction.prepare_cached("UPDATE mail SET next = next + 1 WHERE key = ? AND next < last")?;
            if more.execute([key])? == 0 {
                remove(transaction, key)?;
            }
            Ok(overtakes)
        })?;
        let more = |streak: u32| if overtakes { streak.saturating_add(1) } else { 0 };
        self.streak.store(more(self.streak.load(Relaxed)), Relaxed);
        Ok(())
    }

    pub(super) fn is_oldests_turn(&self) -> bool {
        self.streak.load(Relaxed) >= IN_A_ROW
    }

    /// A status goes in another form, which its receiver can take.
    pub fn rewrite(&self, key: i64, body: &str) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction.execute("UPDATE mail SET body = ? WHERE key = ?", params![body, key])?;
            Ok(())
        })
    }

    /// Number of messages that wait.
    pub fn mail_waiting(&self) -> Result<u64, StoreError> {
        self.read(|connection| {
            let parts = "SELECT count(*) + coalesce(sum(last - next), 0) FROM mail";
            Ok(connection.prepare_cached(parts)?.query_row([], |row| row.get(0))?)
        })
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry { k: row.get(0)?, body: row.get(1)?, next: row.get(2)?, job: JobKey(row.get(3)?) })
}

/// Takes a message out; statuses that stood behind it alone may go before the pictures of other jobs now.
pub(super) fn remove(transaction: &Transaction<'_>, key: i64) -> Result<(), StoreError> {
    let mut gone = transaction.prepare_cached("DELETE FROM mail WHERE key = ? RETURNING job, k")?;
    let gone = gone.query_row([key], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<u8>>(1)?))).optional()?;
    if let Some((job, Some(_))) = gone {
        let mut free = transaction.prepare_cached(
            "UPDATE mail SET rank = 0 WHERE job = ?1 AND k IS NULL AND rank = 1
             AND key < coalesce((SELECT min(key) FROM mail WHERE job = ?1 AND k IS NOT NULL), key + 1)",
        )?;
        free.execute([job])?;
    }
    Ok(())
}

/// Numbers a job's next status and puts it into the outbox.
pub(super) fn next_status(
    transaction: &Transaction<'_>,
    key: JobKey,
    status: impl FnOnce(u64) -> String,
) -> Result<String, StoreError> {
    let mut number = transaction.prepare_cached("UPDATE job SET seq = seq + 1 WHERE key = ? RETURNING seq")?;
    let body = status(number.query_row([key.0], |row| row.get(0))?);
    post_status(transaction, key, &body)?;
    Ok(body)
}

/// Numbers a job's last status, puts it into the outbox, and keeps it as the answer to a repeated request.
pub(super) fn last_status(
    transaction: &Transaction<'_>,
    key: JobKey,
    status: impl FnOnce(u64) -> String,
) -> Result<(), StoreError> {
    let body = next_status(transaction, key, status)?;
    transaction.prepare_cached("UPDATE job SET answer = ? WHERE key = ?")?.execute(params![body, key.0])?;
    Ok(())
}

/// Puts a status into the outbox.
pub(super) fn post_status(transaction: &Transaction<'_>, job: JobKey, body: &str) -> Result<(), StoreError> {
    let mut post = transaction.prepare_cached(
        "INSERT INTO mail (job, body, rank)
         VALUES (?1, ?2, EXISTS (SELECT 1 FROM mail WHERE job = ?1 AND k IS NOT NULL))",
    )?;
    post.execute(params![job.0, body])?;
    Ok(())
}

/// Puts a picture into the outbox in its form: as a whole, or the manifest and the parts that go unasked.
pub(super) fn post_picture(transaction: &Transaction<'_>, job: JobKey, picture: &Stored) -> Result<(), StoreError> {
    let range = match picture.facts.parts() {
        0 => None,
        parts if picture.push => Some((MANIFEST, i64::from(parts) - 1)),
        _ => Some((MANIFEST, MANIFEST)),
    };
    post(transaction, job, picture.facts.k, range)
}

/// Puts picture `k`, or a range of its parts, into the outbox.
pub(super) fn post(
    transaction: &Transaction<'_>,
    job: JobKey,
    k: u8,
    range: Option<(i64, i64)>,
) -> Result<(), StoreError> {
    let mut post = transaction.prepare_cached("INSERT INTO mail (job, k, next, last, rank) VALUES (?, ?, ?, ?, 1)")?;
    post.execute(params![job.0, k, range.map(|(next, _)| next), range.map(|(_, last)| last)])?;
    Ok(())
}
