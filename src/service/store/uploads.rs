//! Pictures that are sent ahead of the request that names them.

use std::time::{Duration, SystemTime};

use rusqlite::{OptionalExtension, Transaction, params};

use super::address::to_millis;
use super::room::or_undone;
use super::{Store, StoreError};
use crate::job::units::Client;

/// How long an upload is kept.
const KEEP: Duration = Duration::from_secs(600);
/// Uploads that one client may have; with one more, the oldest goes.
const PER_CLIENT: usize = 4;

impl Store {
    /// Keeps an upload, in place of one of the same name. False if the store is full: then nothing has changed.
    pub fn put_upload(&self, client: &Client, name: &str, bytes: &[u8], now: SystemTime) -> Result<bool, StoreError> {
        self.write(|transaction| {
            or_undone(transaction, || {
                transaction.execute(
                    "DELETE FROM upload WHERE client = ?1 AND (name = ?2 OR key NOT IN (
                    SELECT key FROM upload WHERE client = ?1 AND name <> ?2 ORDER BY time DESC, key DESC LIMIT ?3
                 ))",
                    params![client.as_str(), name, PER_CLIENT - 1],
                )?;
                let room = self.make_room(transaction, bytes.len() as u64)?;
                if room {
                    transaction.execute(
                        "INSERT INTO upload (client, name, time, bytes) VALUES (?, ?, ?, ?)",
                        params![client.as_str(), name, to_millis(now), bytes],
                    )?;
                }
                Ok(room)
            })
        })
    }

    /// A client's upload of that name, if it came within the last 10 minutes.
    pub fn upload(&self, client: &Client, name: &str, now: SystemTime) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|connection| {
            let upload = connection.query_row(
                "SELECT bytes FROM upload WHERE client = ? AND name = ? AND time >= ?",
                params![client.as_str(), name, oldest(now)],
                |row| row.get(0),
            );
            Ok(upload.optional()?)
        })
    }
}

/// Uploads older than 10 minutes go.
pub(super) fn sweep(transaction: &Transaction<'_>, now: SystemTime) -> Result<usize, StoreError> {
    Ok(transaction.execute("DELETE FROM upload WHERE time < ?", [oldest(now)])?)
}

fn oldest(now: SystemTime) -> i64 {
    to_millis(now.checked_sub(KEEP).unwrap_or(SystemTime::UNIX_EPOCH))
}
