//! What must survive a power cut: accepted jobs, finished pictures, and mail that the broker has not acknowledged.
//!
//! One SQLite file in WAL mode with `synchronous=FULL`: when a method that writes returns, the write is on the disk
//! (given a disk that does not lie about it). Every method is one transaction.

mod admission;
mod jobs;
mod mail;
mod schema;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Row};

use crate::job::units::{Client, JobId};
use crate::job::{Code, Origin};

pub use admission::{Accepted, Admission};
pub use jobs::{Finished, Queued};
pub use mail::{Mail, MailKind};

/// The durable store. Its lock is held for one transaction at a time, never while waiting for anything else.
pub struct Store {
    connection: Mutex<Connection>,
    boot: String,
    /// Held for as long as the store is open.
    _lock: File,
}

/// The store cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says no.
    #[error("the store failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The folder or the file cannot be made.
    #[error("the store cannot be opened: {0}")]
    Io(#[from] std::io::Error),
    /// Another process works with it.
    #[error("the store in {} belongs to another process that is running", .0.display())]
    InUse(PathBuf),
    /// A newer version wrote it.
    #[error("the store has format {found}, this version reads up to {known}")]
    Newer {
        /// What the file says.
        found: i64,
        /// What this version knows.
        known: i64,
    },
}

impl Store {
    /// Opens `folder/store.sqlite`, making both if they are missing.
    ///
    /// `boot` names this boot of the machine: a job that was running when the process died counts as a death only
    /// if it was the same boot.
    pub fn open(folder: &Path, boot: &str) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder)?;
        let lock = File::create(folder.join("store.lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let connection = Connection::open(folder.join("store.sqlite"))?;
        schema::prepare(&connection)?;
        Ok(Self { connection: Mutex::new(connection), boot: boot.to_owned(), _lock: lock })
    }

    /// A thread that died in the middle rolled its transaction back, so the connection is still sound.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job's key in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JobKey(i64);

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
    const ALL: [Self; 6] = [Self::Queued, Self::Running, Self::Done, Self::Failed, Self::Cancelled, Self::Expired];

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

    fn find(name: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.name() == name).unwrap_or(Self::Failed)
    }
}

/// Reads an address from four columns that begin at `first`.
fn address(row: &Row<'_>, first: usize) -> rusqlite::Result<Address> {
    let text: String = row.get(first)?;
    let id: String = row.get(first + 1)?;
    let origin: String = row.get(first + 2)?;
    let origin = if origin == "shortcut" { Origin::Shortcut } else { Origin::Request };
    let client = match origin {
        Origin::Shortcut => Client::shortcut(),
        Origin::Request => Client::try_from(text.as_str()).map_err(|_| unreadable(first))?,
    };
    let id = JobId::try_from(id.as_str()).map_err(|_| unreadable(first + 1))?;
    Ok(Address { client, id, origin, correlation: row.get(first + 3)? })
}

fn unreadable(column: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(column, "a name".to_owned(), rusqlite::types::Type::Text)
}

/// Milliseconds since 1970; a clock before that counts as 1970.
fn to_millis(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn from_millis(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

#[cfg(test)]
mod tests;
