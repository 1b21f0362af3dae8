//! What must survive a power cut: accepted jobs, finished pictures, and mail that the broker has not acknowledged.
//!
//! One SQLite file in WAL mode with `synchronous=FULL`: when a method that writes returns, the write is on the disk
//! (given a disk that does not lie about it). Every method is one transaction; those that end or forget any number of
//! jobs take them in portions, each a transaction, so that nobody waits long for the lock.

mod address;
mod admission;
mod again;
mod clock;
mod copies;
mod end;
mod fault;
mod folder;
mod heal;
mod inspect;
mod jobs;
mod lists;
mod mail;
mod pictures;
mod recent;
mod relief;
mod room;
mod schema;
mod settings;
mod split;
mod turn;
mod upgrade;
mod uploads;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use self::clock::Clock;
pub use address::{Address, JobKey, State};
pub use admission::{Accepted, Admission, Repetition};
pub use again::{Again, Repeated};
pub use clock::CLOCK_IS_SET_AFTER;
pub use fault::StoreError;
pub use inspect::{Condition, inspect};
pub use jobs::{Finished, Queued};
pub use lists::Listed;
pub use mail::{Mail, MailKind};
pub use pictures::{Delivery, PictureFacts};
pub use recent::Recent;
pub use schema::FORMAT;

/// The file.
const FILE: &str = "store.sqlite";
/// Is there while a process has the store open, and after it died.
const RUNNING: &str = "store.running";

/// The durable store. Its lock is held for one transaction at a time, never while waiting for anything else.
pub struct Store {
    /// Nothing while the file could not be opened again after a fault.
    connection: Mutex<Option<Connection>>,
    folder: PathBuf,
    boot: String,
    max_bytes: Option<u64>,
    /// Whether the process that had the store last did not come to a clean end.
    died: bool,
    /// Statuses that were delivered since anything else was.
    streak: AtomicU32,
    /// SQLite said that the file is malformed; see `heal`.
    suspect: AtomicBool,
    clock: Clock,
    /// Held for as long as the store is open.
    _lock: File,
}

impl Store {
    /// Opens `folder/store.sqlite`, making both if they are missing.
    ///
    /// `boot` names this boot of the machine: a job that was running when the process died counts as a death only
    /// if it was the same boot, and not if the process [closed](Self::close) the store. Above `max_bytes` no
    /// request is admitted. A file of an older version is copied, and brought to this version's format.
    pub fn open(folder: &Path, boot: &str, max_bytes: Option<u64>) -> Result<Self, StoreError> {
        folder::make(folder)?;
        let lock = folder::lock(folder)?;
        // Before SQLite has it open: who closes a file gives up the locks that this process has on it.
        drop(folder::own(&folder.join(FILE))?);
        let connection = connect(folder)?;
        relief::clean(&connection)?;
        let connection = Mutex::new(Some(connection));
        let died = folder.join(RUNNING).exists();
        // Where even that finds no room a death is not noticed; jobs do not begin there either.
        let _ = folder::own(&folder.join(RUNNING));
        Ok(Self {
            connection,
            folder: folder.to_owned(),
            boot: boot.to_owned(),
            max_bytes,
            died,
            streak: AtomicU32::new(0),
            suspect: AtomicBool::new(false),
            clock: Clock::default(),
            _lock: lock,
        })
    }

    /// The process comes to a clean end: a job that still runs, because a sick disk did not take it back, did not kill
    /// it. Works on a full disk, but not on one that can only be read: there such a job counts one death.
    pub fn close(&self) {
        if let Err(error) = std::fs::remove_file(self.folder.join(RUNNING)) {
            tracing::warn!(%error, "the store cannot note that this end is a clean one");
        }
    }

    /// Reads, all in the same state of the file.
    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.suspecting(work(self.lock().as_ref().ok_or(StoreError::Closed)?))
    }

    /// Writes all or nothing, and is on the disk when it returns.
    fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.suspecting(self.transact("FULL", work))
    }

    /// Writes all or nothing, in order with all other writes; a power cut may undo it.
    fn write_lazily<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.suspecting(self.transact("NORMAL", work))
    }

    fn transact<T>(
        &self,
        synchronous: &str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut guard = self.lock();
        let connection = guard.as_mut().ok_or(StoreError::Closed)?;
        if !connection.is_autocommit() {
            // A sick disk may have failed to roll back, too.
            connection.execute_batch("ROLLBACK")?;
        }
        connection.pragma_update(None, "synchronous", synchronous)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let outcome = work(&transaction)?;
        transaction.commit()?;
        Ok(outcome)
    }

    /// Remembers whether SQLite finds the file malformed.
    fn suspecting<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        outcome.inspect_err(|error| {
            self.suspect.fetch_or(error.is_damage(), Ordering::Relaxed);
        })
    }

    /// A thread that died in the middle rolled its transaction back, so the connection is still sound.
    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(folder: &Path) -> Result<Connection, StoreError> {
    let mut connection = Connection::open(folder.join(FILE))?;
    // One that a newer version wrote must stay as it is, with its log.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    schema::readable(&connection, folder, FORMAT)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    schema::prepare(&connection)?;
    upgrade::upgrade(&mut connection, folder, &schema::STEPS)?;
    Ok(connection)
}

#[cfg(test)]
mod tests;
