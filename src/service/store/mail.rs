//! The outbox: what an accepted requester must still get. Removed only when the broker has acknowledged it.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Address, JobKey, Store, StoreError, address};

/// One message that waits to be delivered.
#[derive(Clone, Debug, PartialEq)]
pub struct Mail {
    /// Its key in the outbox.
    pub key: i64,
    /// Whom it is for.
    pub address: Address,
    /// What it carries.
    pub kind: MailKind,
}

/// What a message carries.
#[derive(Clone, Debug, PartialEq)]
pub enum MailKind {
    /// A status as JSON.
    Status(String),
    /// A picture.
    Picture {
        /// Its index within the request.
        k: u8,
        /// Name of its format.
        format: String,
        /// The encoded file.
        bytes: Vec<u8>,
    },
}

/// The oldest status goes first, unless a picture of its own job lies before it; then the oldest message.
const NEXT: &str = "
    SELECT mail.key, mail.k, mail.body, mail.job, job.client, job.id, job.origin, job.correlation
    FROM mail JOIN job ON job.key = mail.job
    ORDER BY mail.k IS NOT NULL OR EXISTS (
        SELECT 1 FROM mail AS before WHERE before.job = mail.job AND before.key < mail.key AND before.k IS NOT NULL
    ), mail.key
    LIMIT 1";

impl Store {
    /// The message to send next.
    pub fn next_mail(&self) -> Result<Option<Mail>, StoreError> {
        let connection = self.lock();
        let mut next = connection.prepare_cached(NEXT)?;
        // The picture is fetched by itself: in the first statement the sort would read every picture that waits.
        let mut picture = connection.prepare_cached("SELECT format, bytes FROM picture WHERE job = ? AND k = ?")?;
        let mail = next.query_row([], |row| {
            let kind = match row.get::<_, Option<u8>>(1)? {
                None => MailKind::Status(row.get(2)?),
                Some(k) => picture.query_row(params![row.get::<_, i64>(3)?, k], |row| {
                    Ok(MailKind::Picture { k, format: row.get(0)?, bytes: row.get(1)? })
                })?,
            };
            Ok(Mail { key: row.get(0)?, address: address(row, 4)?, kind })
        });
        Ok(mail.optional()?)
    }

    /// The broker has acknowledged a message.
    pub fn delivered(&self, key: i64) -> Result<(), StoreError> {
        self.lock().execute("DELETE FROM mail WHERE key = ?", [key])?;
        Ok(())
    }

    /// A picture cannot be sent at all: the job fails with `status` (from the request with every default written out,
    /// the pictures that were delivered, and its number) instead of what it still has in the outbox.
    pub fn replace_pictures(&self, key: i64, status: impl FnOnce(&str, u64, u64) -> String) -> Result<(), StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let job = transaction.query_row(
            "SELECT job.key, job.request FROM mail JOIN job ON job.key = mail.job WHERE mail.key = ?",
            [key],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)),
        );
        if let Some((job, request)) = job.optional()? {
            let delivered = transaction.query_row(
                "SELECT (SELECT count(*) FROM picture WHERE job = ?1) - (SELECT count(k) FROM mail WHERE job = ?1)",
                [job],
                |row| row.get(0),
            )?;
            transaction.execute("DELETE FROM mail WHERE job = ?", [job])?;
            transaction.execute("DELETE FROM picture WHERE job = ?", [job])?;
            transaction.execute("UPDATE job SET state = 'failed' WHERE key = ?", [job])?;
            last_status(&transaction, JobKey(job), |seq| status(&request, delivered, seq))?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Number of messages that wait.
    pub fn mail_waiting(&self) -> Result<u64, StoreError> {
        Ok(self.lock().query_row("SELECT count(*) FROM mail", [], |row| row.get(0))?)
    }
}

/// Numbers a job's next status and puts it into the outbox.
pub(super) fn next_status(
    transaction: &Transaction<'_>,
    key: JobKey,
    status: impl FnOnce(u64) -> String,
) -> Result<String, StoreError> {
    let seq =
        transaction.query_row("UPDATE job SET seq = seq + 1 WHERE key = ? RETURNING seq", [key.0], |row| row.get(0))?;
    let body = status(seq);
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
    transaction.execute("UPDATE job SET answer = ? WHERE key = ?", params![body, key.0])?;
    Ok(())
}

/// Puts a status into the outbox.
pub(super) fn post_status(transaction: &Transaction<'_>, job: JobKey, body: &str) -> Result<(), StoreError> {
    transaction.execute("INSERT INTO mail (job, body) VALUES (?, ?)", params![job.0, body])?;
    Ok(())
}

/// Puts picture `k` into the outbox.
pub(super) fn post_picture(transaction: &Transaction<'_>, job: JobKey, k: u8) -> Result<(), StoreError> {
    transaction.execute("INSERT INTO mail (job, k) VALUES (?, ?)", params![job.0, k])?;
    Ok(())
}
