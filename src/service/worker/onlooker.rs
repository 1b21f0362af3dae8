//! Looks on while a job's pictures are made.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::Worker;
use crate::job::{Progress, Request, Stage, Stop, Watch};
use crate::service::Notice;
use crate::service::store::Queued;

/// Progress is told at most this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// Looks on for one job: tells its progress and passes on the wish to stop.
pub(super) struct Onlooker<'a> {
    pub(super) worker: &'a Worker,
    pub(super) job: &'a Queued,
    pub(super) request: &'a Request,
    /// Number of the job's last status.
    pub(super) seq: u64,
    pub(super) give_up: Instant,
    pub(super) told: Mutex<Option<Instant>>,
}

impl Onlooker<'_> {
    pub(super) fn publishing(&self, pictures: usize) {
        let steps = usize::from(self.request.recipe.steps.get());
        self.progress(Progress { stage: Stage::Publish, step: steps, steps, k: pictures.saturating_sub(1) });
    }

    /// Whether progress may be told now, not more often than promised.
    fn may_tell(&self) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let due = told.is_none_or(|told| told.elapsed() >= PROGRESS_EVERY);
        if due {
            *told = Some(Instant::now());
        }
        due
    }
}

impl Watch for Onlooker<'_> {
    fn progress(&self, progress: Progress) {
        self.worker.pulse.step();
        self.worker.activity.change(|now| now.progress = Some(progress));
        (self.worker.notify)(Notice::State);
        if self.request.progress && self.may_tell() {
            let eta = self.worker.activity.snapshot().rest_of(progress);
            let body = self.worker.reporter.progress(&self.request.id, self.seq, progress, eta);
            (self.worker.notify)(Notice::Progress { address: self.job.address.clone(), body });
        }
    }

    fn heartbeat(&self) {
        self.worker.pulse.beat();
    }

    fn stop(&self) -> Option<Stop> {
        if self.worker.bell.is_cancelled(self.job.key) {
            return Some(Stop::Cancelled);
        }
        if self.worker.bell.is_stopping() {
            return Some(Stop::Shutdown);
        }
        let late = self.request.deadline.is_some_and(|deadline| deadline <= SystemTime::now());
        (late || Instant::now() >= self.give_up).then_some(Stop::Expired)
    }
}
