//! Jobs that end without being worked on: one line each in the log, as for all others.

use std::cell::RefCell;

use crate::job::Failure;
use crate::job::units::JobId;
use crate::service::JOB_LOG;

/// The jobs that a call of the store ends.
#[derive(Default)]
pub(super) struct Ended(RefCell<Vec<JobId>>);

impl Ended {
    pub(super) fn note(&self, id: &JobId) {
        self.0.borrow_mut().push(id.clone());
    }

    /// How many.
    pub(super) fn count(&self) -> u64 {
        self.0.borrow().len() as u64
    }

    /// Once the call has returned, or the disk would not have it.
    pub(super) fn log(self, failure: &Failure) {
        for id in self.0.into_inner() {
            tracing::info!(target: JOB_LOG, job = id.as_str(), code = %failure.code, "job not done");
        }
    }
}
