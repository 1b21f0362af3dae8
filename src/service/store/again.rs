//! What was posted once is posted again: for a repeated request, for a command, for a broker that forgot.

use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::{Map, Value};

use super::mail::{MANIFEST, post, post_picture, post_status};
use super::pictures::{Stored, picture, pictures};
use super::{JobKey, State, Store, StoreError};
use crate::job::units::{Client, JobId};

/// What of a job is to be posted again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// Every picture in its form and the last status.
    All,
    /// A picture: as a whole, or its manifest and all parts.
    Picture(u8),
    /// Parts of a picture, as ranges of first and last.
    Parts(u8, Vec<(u32, u32)>),
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeated {
    /// So many messages of those that were asked for lie in the outbox now; those that lay there already count too.
    Posted(State, u64),
    /// The client has no job of that id.
    NoJob,
    /// The job has no such picture.
    NoPicture,
    /// The picture has this many parts, 0 if it goes as a whole.
    NoParts(u32),
    /// More of this job waits already than anybody needs.
    TooMany,
}

/// Messages of a job that may wait when more parts are asked for; a picture has up to 32768 of them.
const MOST_WAITING: u64 = 40_000;

impl Store {
    /// Posts again what is asked for, unless it still waits in the outbox.
    pub fn again(&self, client: &Client, id: &JobId, what: &Again) -> Result<Repeated, StoreError> {
        self.write(|transaction| {
            let Some((job, state)) = job(transaction, client, id)? else { return Ok(Repeated::NoJob) };
            match what {
                Again::All => Ok(Repeated::Posted(state, replay(transaction, job)?)),
                Again::Picture(k) => match picture(transaction, job, *k).optional()? {
                    None => Ok(Repeated::NoPicture),
                    Some(picture) => Ok(Repeated::Posted(state, post_whole(transaction, job, &picture)?)),
                },
                Again::Parts(k, ranges) => match picture(transaction, job, *k).optional()? {
                    None => Ok(Repeated::NoPicture),
                    Some(picture) => post_parts(transaction, job, &picture, state, ranges),
                },
            }
        })
    }

    /// For a broker that lost its retained messages: posts what the `prompt` topic made last again, unless it waits
    /// already. Returns the number of messages that wait for it.
    pub fn renew_shortcut(&self) -> Result<u64, StoreError> {
        self.write(|transaction| {
            let newest = transaction.query_row(
                "SELECT key FROM job WHERE client = ? AND state = 'done' AND whole = 1 ORDER BY key DESC LIMIT 1",
                [Client::shortcut().as_str()],
                |row| Ok(JobKey(row.get(0)?)),
            );
            newest.optional()?.map_or(Ok(0), |job| replay(transaction, job))
        })
    }
}

fn job(transaction: &Transaction<'_>, client: &Client, id: &JobId) -> Result<Option<(JobKey, State)>, StoreError> {
    let job = transaction.query_row(
        "SELECT key, state FROM job WHERE client = ? AND id = ?",
        params![client.as_str(), id.as_str()],
        |row| Ok((JobKey(row.get(0)?), State::find(&row.get::<_, String>(1)?))),
    );
    Ok(job.optional()?)
}

/// Puts the stored answer into the outbox again, unless the first one still waits there.
pub(super) fn replay(transaction: &Transaction<'_>, job: JobKey) -> Result<u64, StoreError> {
    let pictures = pictures(transaction, job)?;
    if !is_on_its_way(transaction, job, !pictures.is_empty())? {
        let told = "UPDATE job SET told = 1 WHERE key = ? AND finished IS NOT NULL AND told = 0";
        transaction.prepare_cached(told)?.execute([job.0])?;
        for picture in &pictures {
            let waits = "SELECT EXISTS (SELECT 1 FROM mail WHERE job = ? AND k = ?)";
            if !transaction.prepare_cached(waits)?.query_row(params![job.0, picture.facts.k], |row| row.get(0))? {
                post_picture(transaction, job, picture)?;
            }
        }
        let answer: String =
            transaction.query_row("SELECT answer FROM job WHERE key = ?", [job.0], |row| row.get(0))?;
        post_status(transaction, job, &replayed(&answer))?;
    }
    waiting(transaction, job)
}

/// Whether an answer waits that is more than its last words.
///
/// Parts that somebody asked for may wait as well; only a status says that an answer is on its way. One that waits alone
/// tells of pictures that were delivered, perhaps before the one who asks again could hear them.
fn is_on_its_way(transaction: &Transaction<'_>, job: JobKey, has_pictures: bool) -> Result<bool, StoreError> {
    let mut waits = transaction.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM mail WHERE job = ?1 AND k IS NULL)
         AND (NOT ?2 OR EXISTS (SELECT 1 FROM mail WHERE job = ?1 AND k IS NOT NULL))",
    )?;
    Ok(waits.query_row(params![job.0, has_pictures], |row| row.get(0))?)
}

fn waiting(transaction: &Transaction<'_>, job: JobKey) -> Result<u64, StoreError> {
    let count = "SELECT count(*) + coalesce(sum(last - next), 0) FROM mail WHERE job = ?";
    Ok(transaction.prepare_cached(count)?.query_row([job.0], |row| row.get(0))?)
}

/// The same status with `replay`, which stands before the tags.
fn replayed(answer: &str) -> String {
    let Ok(mut status) = serde_json::from_str::<Map<String, Value>>(answer) else { return answer.to_owned() };
    let tags = status.shift_remove("tags");
    status.insert("replay".to_owned(), Value::Bool(true));
    status.extend(tags.map(|tags| ("tags".to_owned(), tags)));
    Value::Object(status).to_string()
}

/// Posts a picture with all of its parts, also those that do not go unasked.
fn post_whole(transaction: &Transaction<'_>, job: JobKey, picture: &Stored) -> Result<u64, StoreError> {
    match picture.facts.parts() {
        0 => post_once(transaction, job, picture, None),
        parts => post_once(transaction, job, picture, Some((MANIFEST, i64::from(parts) - 1))),
    }
}

fn post_parts(
    transaction: &Transaction<'_>,
    job: JobKey,
    picture: &Stored,
    state: State,
    ranges: &[(u32, u32)],
) -> Result<Repeated, StoreError> {
    let parts = picture.facts.parts();
    if ranges.iter().any(|(first, last)| first > last || *last >= parts) {
        return Ok(Repeated::NoParts(parts));
    }
    if waiting(transaction, job)? > MOST_WAITING {
        return Ok(Repeated::TooMany);
    }
    let mut posted = 0;
    for (first, last) in ranges {
        posted += post_once(transaction, job, picture, Some((i64::from(*first), i64::from(*last))))?;
    }
    Ok(Repeated::Posted(state, posted))
}

/// Posts something unless it waits already: who asks again and again does not get it twice as often.
fn post_once(
    transaction: &Transaction<'_>,
    job: JobKey,
    picture: &Stored,
    range: Option<(i64, i64)>,
) -> Result<u64, StoreError> {
    let (first, last) = range.unzip();
    let mut waits = transaction.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM mail WHERE job = ?1 AND k = ?2
         AND (?3 IS NULL AND next IS NULL OR next <= ?3 AND last >= ?4))",
    )?;
    if !waits.query_row(params![job.0, picture.facts.k, first, last], |row| row.get(0))? {
        post(transaction, job, picture.facts.k, range)?;
    }
    Ok(range.map_or(1, |(first, last)| (last - first) as u64 + 1))
}
