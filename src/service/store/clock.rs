//! A board without a battery begins in 1970, until the network sets its clock.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rusqlite::params;

use super::address::to_millis;
use super::{Store, StoreError};

/// Before this moment, the first of 2024, the clock has not been set.
pub const CLOCK_IS_SET_AFTER: Duration = Duration::from_secs(1_704_067_200);
/// A clock that goes ahead by more at once has been set.
const JUMP: Duration = Duration::from_secs(60);
/// What the store knows of times.
const TIMES: [(&str, &str); 6] = [
    ("job", "accepted"),
    ("job", "due"),
    ("job", "not_after"),
    ("job", "started"),
    ("job", "finished"),
    ("upload", "time"),
];

/// A moment on both clocks.
pub(super) struct Clock(Mutex<(SystemTime, Instant)>);

impl Default for Clock {
    fn default() -> Self {
        Self(Mutex::new((SystemTime::now(), Instant::now())))
    }
}

impl Store {
    /// If the clock was set since this was called last, and had not been set before: what the store knows of times goes
    /// along, or each deadline would have passed and each result be older than it may be. To be called before either is
    /// looked at.
    pub fn follow_clock(&self) -> Result<(), StoreError> {
        self.follow(SystemTime::now(), Instant::now())
    }

    pub(super) fn follow(&self, time: SystemTime, at: Instant) -> Result<(), StoreError> {
        let mut known = self.clock.0.lock().unwrap_or_else(PoisonError::into_inner);
        let expected = known.0 + at.saturating_duration_since(known.1);
        let ahead = time.duration_since(expected).unwrap_or_default();
        let was_set = expected.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| since > CLOCK_IS_SET_AFTER);
        if ahead > JUMP && !was_set {
            self.shift(ahead)?;
            tracing::info!(seconds = ahead.as_secs(), "the clock was set, deadlines and ages of jobs go along");
        }
        *known = (time, at);
        Ok(())
    }

    /// Times of the clock that had not been set become so much later; those of one that had been stay.
    fn shift(&self, by: Duration) -> Result<(), StoreError> {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let set = to_millis(SystemTime::UNIX_EPOCH + CLOCK_IS_SET_AFTER);
        self.write(|transaction| {
            for (table, column) in TIMES {
                let later = format!("UPDATE {table} SET {column} = {column} + ? WHERE {column} < ?");
                transaction.execute(&later, params![by, set])?;
            }
            transaction.execute(
                "UPDATE client SET head = (SELECT min(due) FROM job WHERE client = client.name AND state = 'queued')
                 WHERE head IS NOT NULL",
                [],
            )?;
            Ok(())
        })
    }
}
