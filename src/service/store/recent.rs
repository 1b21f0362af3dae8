//! The newest pictures, for a person who looks at the box.

use std::time::SystemTime;

use rusqlite::{OptionalExtension, params};

use super::address::from_millis;
use super::pictures::{PictureFacts, picture, stored};
use super::{JobKey, Store, StoreError};

/// The pictures of the jobs that were done last, with their requests' prompts if they are asked for. A request may hold
/// pictures of megabytes, so no more of it is taken out than that.
const RECENT: &str =
    "SELECT picture.key, push, k, format, width, height, size, sha256, seed, part_bytes, job, finished,
        CASE WHEN ?2 THEN (SELECT json_extract(body, '$.prompt') FROM request WHERE request.job = picture.job) END
    FROM (SELECT key AS ended, finished FROM job WHERE finished IS NOT NULL AND whole = 1 AND state = 'done'
        ORDER BY finished DESC LIMIT ?1)
    JOIN picture ON picture.job = ended ORDER BY finished DESC, job DESC, k LIMIT ?1";

/// A finished picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Recent {
    /// The job that it belongs to.
    pub job: JobKey,
    /// What is known of it.
    pub facts: PictureFacts,
    /// When its job was done.
    pub finished: SystemTime,
    /// What it was asked for with, if that was wanted.
    pub prompt: Option<String>,
}

impl Store {
    /// The newest pictures of all clients, at most so many, the newest first.
    pub fn recent(&self, most: usize, with_prompts: bool) -> Result<Vec<Recent>, StoreError> {
        self.read(|connection| {
            let mut recent = connection.prepare_cached(RECENT)?;
            let rows = recent.query_map(params![most, with_prompts], |row| {
                let (job, finished) = (JobKey(row.get(10)?), from_millis(row.get(11)?));
                Ok(Recent { job, facts: stored(row)?.facts, finished, prompt: row.get(12)? })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The format and the bytes of one of them, if it was not forgotten meanwhile.
    pub fn picture_file(&self, job: JobKey, k: u8) -> Result<Option<(String, Vec<u8>)>, StoreError> {
        self.read(|connection| {
            let Some(stored) = picture(connection, job, k).optional()? else { return Ok(None) };
            let bytes = stored.bytes(connection)?;
            Ok(Some((stored.facts.format, bytes)))
        })
    }
}
