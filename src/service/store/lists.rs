//! What a requester may look up.

use rusqlite::{OptionalExtension, params};

use super::address::job_id;
use super::{State, Store, StoreError};
use crate::job::units::{Client, JobId};

/// A job in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: JobId,
    /// Where it stands.
    pub state: State,
    /// Pictures that it has.
    pub images: u64,
}

impl Store {
    /// A client's jobs in order of admission, behind the one named `after`. Nothing if it has no such job: it may have been
    /// forgotten, and from the first on again the pages would never end.
    pub fn jobs_of(
        &self,
        client: &Client,
        after: Option<&JobId>,
        limit: usize,
    ) -> Result<Option<Vec<Listed>>, StoreError> {
        self.read(|connection| {
            let mut place = connection.prepare_cached("SELECT key FROM job WHERE client = ? AND id = ?")?;
            let mut place =
                |id: &JobId| place.query_row(params![client.as_str(), id.as_str()], |row| row.get(0)).optional();
            let after: i64 = match after.map_or(Ok(Some(0)), &mut place)? {
                Some(key) => key,
                None => return Ok(None),
            };
            let mut jobs = connection.prepare_cached(
                "SELECT id, state, (SELECT count(*) FROM picture WHERE picture.job = job.key) FROM job
                 WHERE client = ? AND key > ? ORDER BY key LIMIT ?",
            )?;
            let jobs = jobs.query_map(params![client.as_str(), after, limit], |row| {
                let state = State::find(&row.get::<_, String>(1)?);
                Ok(Listed { id: job_id(row, 0)?, state, images: row.get(2)? })
            })?;
            Ok(Some(jobs.collect::<Result<_, _>>()?))
        })
    }

    /// The client's newest request that is not forgotten, with every default written out.
    pub fn newest(&self, client: &Client) -> Result<Option<String>, StoreError> {
        self.read(|connection| {
            let newest = connection.query_row(
                "SELECT body FROM request JOIN job ON job.key = request.job WHERE client = ? ORDER BY key DESC LIMIT 1",
                [client.as_str()],
                |row| row.get(0),
            );
            Ok(newest.optional()?)
        })
    }

    /// Format and bytes of picture `k` of a job that is done.
    pub fn result(&self, client: &Client, id: &JobId, k: u8) -> Result<Option<(String, Vec<u8>)>, StoreError> {
        self.read(|connection| {
            let result = connection.query_row(
                "SELECT format, bytes FROM picture JOIN job ON job.key = picture.job
                 WHERE client = ? AND id = ? AND state = 'done' AND k = ?",
                params![client.as_str(), id.as_str(), k],
                |row| Ok((row.get(0)?, row.get(1)?)),
            );
            Ok(result.optional()?)
        })
    }

    /// Number of jobs that wait or run.
    pub fn open_jobs(&self) -> Result<u64, StoreError> {
        self.counted("open")
    }
}
