//! Wakes the worker and stops it.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::service::store::JobKey;

/// Wakes the worker, and carries the wishes to stop.
#[derive(Default)]
pub struct Bell {
    state: Mutex<Wishes>,
    wakes: Condvar,
}

#[derive(Default)]
struct Wishes {
    rung: bool,
    stopping: bool,
    cancelled: HashSet<JobKey>,
}

impl Bell {
    /// There is work.
    pub fn ring(&self) {
        self.lock().rung = true;
        self.wakes.notify_all();
    }

    /// A running job is to end.
    pub fn cancel(&self, job: JobKey) {
        self.lock().cancelled.insert(job);
        self.wakes.notify_all();
    }

    /// The appliance is to end: running work is given back.
    pub fn stop(&self) {
        self.lock().stopping = true;
        self.wakes.notify_all();
    }

    /// Whether the appliance is to end.
    pub fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    pub(super) fn is_cancelled(&self, job: JobKey) -> bool {
        self.lock().cancelled.contains(&job)
    }

    pub(super) fn forget(&self, job: JobKey) {
        self.lock().cancelled.remove(&job);
    }

    /// Until the bell rings or the time is over.
    pub(super) fn wait(&self, time: Duration) {
        let state = self.lock();
        let waited = self.wakes.wait_timeout_while(state, time, |wishes| !wishes.rung && !wishes.stopping);
        waited.unwrap_or_else(PoisonError::into_inner).0.rung = false;
    }

    /// Until the time is over, or this job or the appliance is to end.
    pub(super) fn rest(&self, job: JobKey, time: Duration) {
        let goes_on = |wishes: &mut Wishes| !wishes.stopping && !wishes.cancelled.contains(&job);
        drop(self.wakes.wait_timeout_while(self.lock(), time, goes_on));
    }

    fn lock(&self) -> MutexGuard<'_, Wishes> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
