//! Whose a job is and where it stands, and how both are written into the file.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::Row;

use crate::job::units::{Client, JobId};
use crate::job::{Code, Origin};

/// A job's key in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JobKey(pub(crate) i64);

/// Who a job belongs to and where its answers go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Who asked.
    pub client: Client,
    /// The requester's name for the job.
    pub id: JobId,
    /// Through which door it came.
    pub origin: Origin,
    /// Correlation Data, echoed on every message of the job.
    pub correlation: Option<Vec<u8>>,
    /// The topic below which its answers go instead of the usual one.
    pub reply: Option<String>,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits for its turn.
    Queued,
    /// Is being worked on.
    Running,
    /// Its pictures were made.
    Done,
    /// It could not be finished.
    Failed,
    /// Its requester took it back.
    Cancelled,
    /// Its deadline passed.
    Expired,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Queued, Self::Running, Self::Done, Self::Failed, Self::Cancelled, Self::Expired];

    /// The contract's name, also the one in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// The final state that a failure's code stands for.
    pub fn of(code: Code) -> Self {
        match code {
            Code::Cancelled => Self::Cancelled,
            Code::Expired => Self::Expired,
            _ => Self::Failed,
        }
    }

    pub(super) fn find(name: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.name() == name).unwrap_or(Self::Failed)
    }
}

/// The columns that [`address`] reads.
pub(super) const ADDRESS: &str = "job.client, job.id, job.origin, job.correlation, job.reply";

/// Reads an address from the columns of [`ADDRESS`], which begin at `first`.
pub(super) fn address(row: &Row<'_>, first: usize) -> rusqlite::Result<Address> {
    let text: String = row.get(first)?;
    let origin: String = row.get(first + 2)?;
    let origin = if origin == "shortcut" { Origin::Shortcut } else { Origin::Request };
    let client = match origin {
        Origin::Shortcut => Client::shortcut(),
        Origin::Request => Client::try_from(text.as_str()).map_err(|_| unreadable(first))?,
    };
    let (correlation, reply) = (row.get(first + 3)?, row.get(first + 4)?);
    Ok(Address { client, id: job_id(row, first + 1)?, origin, correlation, reply })
}

/// Reads a job's id.
pub(super) fn job_id(row: &Row<'_>, column: usize) -> rusqlite::Result<JobId> {
    JobId::try_from(row.get::<_, String>(column)?.as_str()).map_err(|_| unreadable(column))
}

fn unreadable(column: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(column, "a name".to_owned(), rusqlite::types::Type::Text)
}

/// Milliseconds since 1970; a clock before that counts as 1970.
pub(super) fn to_millis(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

pub(super) fn from_millis(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
