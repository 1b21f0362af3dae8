//! The broker takes less than was thought when a picture was stored.

use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::Value;

use super::mail::{MANIFEST, last_status, remove};
use super::pictures::picture;
use super::{JobKey, Store, StoreError};
use crate::picture::Format;

impl Store {
    /// The picture of a message goes in parts of this size from now on: what waits of it becomes its manifest and, if
    /// parts go unasked, all of them. The statuses that tell of it are put right.
    pub fn split(&self, key: i64, part_bytes: u32) -> Result<(), StoreError> {
        self.write(|transaction| {
            let Some((job, Some(k))) = picture_of(transaction, key)? else { return Ok(()) };
            let facts = picture(transaction, job, k)?.facts;
            let stride = Format::find(&facts.format).map_or(0, |format| format.stride(facts.width)) as u32;
            // Whole rows, as a part had that was planned from the beginning.
            let rows = part_bytes.checked_div(stride).filter(|rows| *rows > 0).map_or(part_bytes, |rows| rows * stride);
            transaction.execute(
                "UPDATE picture SET part_bytes = ? WHERE job = ? AND k = ?",
                params![rows.max(1), job.0, k],
            )?;
            let picture = picture(transaction, job, k)?;
            let parts = picture.facts.parts();
            let last = if picture.push { i64::from(parts) - 1 } else { MANIFEST };
            // Parts of another size are of no use any more; the first message takes the place of all.
            transaction.execute(
                "UPDATE mail SET next = ?1, last = ?2
                 WHERE key = (SELECT min(key) FROM mail WHERE job = ?3 AND k = ?4)",
                params![MANIFEST, last, job.0, k],
            )?;
            let others = "SELECT key FROM mail WHERE job = ?1 AND k = ?2 AND key > (SELECT min(key) FROM mail WHERE job = ?1 AND k = ?2)";
            let others: Vec<i64> = transaction
                .prepare(others)?
                .query_map(params![job.0, k], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            others.into_iter().try_for_each(|other| remove(transaction, other))?;
            correct_statuses(transaction, job, k, picture.facts.part_bytes, parts)
        })
    }

    /// A picture cannot be sent at all: the job fails with `status` (from the request with every default written out,
    /// the pictures that were delivered, and its number) instead of what it still has in the outbox. Where the job was
    /// told to be done before, only this message goes: a job ends once.
    pub fn replace_pictures(&self, key: i64, status: impl FnOnce(&str, u64, u64) -> String) -> Result<(), StoreError> {
        self.write(|transaction| {
            let Some((job, _)) = picture_of(transaction, key)? else { return Ok(()) };
            if was_told(transaction, job)? {
                return remove(transaction, key);
            }
            let request: String =
                transaction.query_row("SELECT body FROM request WHERE job = ?", [job.0], |row| row.get(0))?;
            let delivered = transaction.query_row(
                "SELECT (SELECT count(*) FROM picture WHERE job = ?1) - (SELECT count(DISTINCT k) FROM mail WHERE job = ?1)",
                [job.0],
                |row| row.get(0),
            )?;
            transaction.execute("DELETE FROM mail WHERE job = ?", [job.0])?;
            transaction.execute("DELETE FROM picture WHERE job = ?", [job.0])?;
            transaction.execute("UPDATE job SET state = 'failed' WHERE key = ?", [job.0])?;
            last_status(transaction, job, |seq| status(&request, delivered, seq))
        })
    }
}

/// Whether the last status of a job that ended was delivered before.
fn was_told(transaction: &Transaction<'_>, job: JobKey) -> Result<bool, StoreError> {
    let told =
        "SELECT told OR NOT EXISTS (SELECT 1 FROM mail WHERE job = job.key AND k IS NULL) FROM job WHERE key = ?";
    Ok(transaction.query_row(told, [job.0], |row| row.get(0))?)
}

/// The job and the picture that a message belongs to.
fn picture_of(transaction: &Transaction<'_>, key: i64) -> Result<Option<(JobKey, Option<u8>)>, StoreError> {
    let found = transaction
        .query_row("SELECT job, k FROM mail WHERE key = ?", [key], |row| Ok((JobKey(row.get(0)?), row.get(1)?)));
    Ok(found.optional()?)
}

/// Writes another number of parts for picture `k` into the job's statuses that wait, and into its answer.
fn correct_statuses(
    transaction: &Transaction<'_>,
    job: JobKey,
    k: u8,
    part_bytes: u32,
    parts: u32,
) -> Result<(), StoreError> {
    let answer: String = transaction.query_row("SELECT answer FROM job WHERE key = ?", [job.0], |row| row.get(0))?;
    transaction
        .execute("UPDATE job SET answer = ? WHERE key = ?", params![corrected(&answer, k, part_bytes, parts), job.0])?;
    let statuses: Vec<(i64, String)> = transaction
        .prepare("SELECT key, body FROM mail WHERE job = ? AND k IS NULL")?
        .query_map([job.0], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (key, body) in statuses {
        let body = corrected(&body, k, part_bytes, parts);
        transaction.execute("UPDATE mail SET body = ? WHERE key = ?", params![body, key])?;
    }
    Ok(())
}

/// The same status with another number of parts for picture `k`; one that tells of no pictures stays as it is.
fn corrected(status: &str, k: u8, part_bytes: u32, parts: u32) -> String {
    let Ok(mut json) = serde_json::from_str::<Value>(status) else { return status.to_owned() };
    let images = json.get_mut("images").and_then(Value::as_array_mut);
    let image = images.and_then(|images| images.iter_mut().find(|image| image["k"] == k));
    let Some(image) = image else { return status.to_owned() };
    image["part_bytes"] = part_bytes.into();
    image["parts"] = parts.into();
    json.to_string()
}
