//! After a fault of the disk.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::Ordering;

use rusqlite::Connection;

use super::{Store, StoreError, connect, relief};

impl Store {
    /// After a fault of the disk: closes the file, opens it anew and proves that it can be written.
    ///
    /// What was written in vain may still be in the system's memory, and what is read from there could be gone after a
    /// power cut. So the whole log is written into the file itself, and a new log begins. As long as this fails, every
    /// other method fails too.
    ///
    /// Then as much is written as the result of a job has, or the store would be called well and fail with the next
    /// result; for want of room the oldest results are forgotten, as by [`relieve`](Self::relieve). Where that does not
    /// help this fails, but what needs no room goes on.
    ///
    /// SQLite also calls a file malformed that the disk fails to read. Then every page is examined; the store is
    /// [`Damaged`](StoreError::Damaged) only if the disk reads it all and something is wrong with what it reads.
    pub fn heal(&self) -> Result<(), StoreError> {
        let mut guard = self.lock();
        // The old connection must be gone before the new one comes, or its picture of the log would live on.
        drop(guard.take());
        match self.suspecting(self.reopen()) {
            Ok((connection, room)) => {
                *guard = Some(connection);
                self.suspect.store(false, Ordering::Relaxed);
                room
            }
            Err(error) if error.is_damage() => {
                read_through(&self.folder)?;
                Err(StoreError::Damaged(error.to_string()))
            }
            Err(error) => Err(error),
        }
    }

    /// The connection, and whether there is room.
    fn reopen(&self) -> Result<(Connection, Result<(), StoreError>), StoreError> {
        let connection = connect(&self.folder)?;
        if self.suspect.load(Ordering::Relaxed) {
            let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
            if found != "ok" {
                return Err(StoreError::Damaged(found));
            }
        }
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        match relief::prove(&connection) {
            Err(error) if !error.is_full() => Err(error),
            room => Ok((connection, room)),
        }
    }
}

/// Fails if the disk does. No connection may be open: closing a file takes away the locks that SQLite has on it.
fn read_through(folder: &Path) -> std::io::Result<()> {
    for name in ["store.sqlite", "store.sqlite-wal"] {
        let path = folder.join(name);
        if path.exists() {
            std::io::copy(&mut File::open(path)?, &mut std::io::sink())?;
        }
    }
    Ok(())
}
