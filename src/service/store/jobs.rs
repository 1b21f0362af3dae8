//! A job from its beginning to its end.

use std::time::SystemTime;

use rusqlite::{OptionalExtension, params};

use super::address::to_millis;
use super::mail::{last_status, next_status, post_picture};
use super::pictures::{Delivery, keep, picture};
use super::turn::served;
use super::{Address, JobKey, State, Store, StoreError};

/// A job whose turn it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    /// Its key.
    pub key: JobKey,
    /// Whom it belongs to.
    pub address: Address,
    /// The request with every default written out.
    pub request: String,
    /// When it was accepted.
    pub accepted: SystemTime,
    /// When it expires. The clock may have been set since the request was written out, so this one counts.
    pub not_after: Option<SystemTime>,
    /// How often it was started before.
    pub attempts: u32,
    /// How often the process died over it in this boot of the machine.
    pub deaths: u32,
    /// Whether its requester took it back while it ran.
    pub cancelled: bool,
}

/// How a job ended.
pub struct Finished<'a> {
    /// Its final state.
    pub state: State,
    /// Its pictures, in order.
    pub pictures: &'a [Delivery<'a>],
    /// When.
    pub time: SystemTime,
}

impl Store {
    /// Work on a job begins: counted on the disk before it starts, so that a job that kills the process is found out.
    /// Returns the number of the status, or nothing if the job was cancelled meanwhile. Once more for a job that runs
    /// does nothing.
    pub fn begin(
        &self,
        key: JobKey,
        time: SystemTime,
        status: impl FnOnce(u64) -> String,
    ) -> Result<Option<u64>, StoreError> {
        self.write(|transaction| {
            // It may have begun before, in a call that failed: what a failed sync was to keep can be there after all.
            let mut running = transaction.prepare_cached("SELECT seq FROM job WHERE key = ? AND state = 'running'")?;
            let before = running.query_row([key.0], |row| row.get(0)).optional()?;
            if before.is_some() {
                return Ok(before);
            }
            let begun = transaction.execute(
                "UPDATE job SET state = 'running', attempt = attempt + 1, started = ?, boot = ?
                 WHERE key = ? AND state = 'queued'",
                params![to_millis(time), self.boot, key.0],
            )?;
            if begun == 0 {
                return Ok(None);
            }
            served(transaction, key)?;
            let mut number = 0;
            next_status(transaction, key, |seq| {
                number = seq;
                status(seq)
            })?;
            Ok(Some(number))
        })
    }

    /// A job ended: its pictures and its last status are in the outbox when this returns.
    ///
    /// A job that ended before, because it was cancelled at the same moment, keeps its first end.
    pub fn finish(
        &self,
        key: JobKey,
        end: &Finished<'_>,
        status: impl FnOnce(u64) -> String,
    ) -> Result<(), StoreError> {
        self.write(|transaction| {
            let ended = transaction.execute(
                "UPDATE job SET state = ?, finished = ? WHERE key = ? AND state IN ('queued', 'running')",
                params![end.state.name(), to_millis(end.time), key.0],
            )?;
            if ended == 0 {
                return Ok(());
            }
            for (k, delivery) in (0..).zip(end.pictures) {
                keep(transaction, key, k, delivery)?;
                post_picture(transaction, key, &picture(transaction, key, k)?)?;
            }
            last_status(transaction, key, status)
        })
    }

    /// A clean stop: the job goes back to the queue and the attempt does not count.
    pub fn give_back(&self, key: JobKey) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE job SET state = 'queued', attempt = attempt - 1 WHERE key = ? AND state = 'running'",
                [key.0],
            )?;
            Ok(())
        })
    }

    /// After a start: jobs that were running when the process died go back to the queue.
    ///
    /// A death counts only within one boot of the machine: a power cut is not the job's fault. Nor is a clean end that
    /// could not give the job back.
    pub fn recover(&self) -> Result<usize, StoreError> {
        let recovered = self.write(|transaction| {
            Ok(transaction.execute(
                "UPDATE job SET state = 'queued', deaths = CASE WHEN boot IS NOT ?1 THEN 0 ELSE deaths + ?2 END
                 WHERE state = 'running'",
                params![self.boot, self.died],
            )?)
        });
        if recovered.is_err() && !self.died {
            self.close();
        }
        recovered
    }
}
