//! Looks on while a job's pictures are made.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Worker;
use super::crew::Begun;
use super::laps::Laps;
use crate::job::{Origin, Progress, Stage, Stop, Watch};
use crate::picture::Picture;
use crate::service::Notice;

/// Progress is told at most this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// Previews are made at most this often.
const PREVIEW_EVERY: Duration = Duration::from_millis(500);

/// Looks on for one job: tells its progress and passes on the wish to stop.
pub(super) struct Onlooker<'a> {
    pub(super) worker: &'a Worker,
    pub(super) begun: &'a Begun,
    /// When its requester wants it no longer, by a clock that nobody sets.
    pub(super) expires: Option<Instant>,
    pub(super) pace: Mutex<Pace>,
    pub(super) laps: Mutex<Laps>,
    pub(super) told: Mutex<Option<Instant>>,
    pub(super) shown: Mutex<Shown>,
}

/// The steps of a job and the rests between them.
#[derive(Default)]
pub(super) struct Pace {
    /// When the step at work began.
    step: Option<Instant>,
    /// All rests so far.
    rested: Duration,
}

/// The previews that were made.
#[derive(Default)]
pub(super) struct Shown {
    /// The step that was shown last.
    step: usize,
    /// When the next step may be shown.
    due: Option<Instant>,
}

impl Shown {
    /// Whether another preview of this step may be made. Those of one step go together, so that none of several pictures is
    /// left out, and the next step waits so long that there are no more than promised.
    fn may_show(&mut self, step: usize, now: Instant) -> bool {
        let due = self.due.unwrap_or(now);
        if step != self.step && due > now {
            return false;
        }
        self.step = step;
        self.due = Some(due.max(now) + PREVIEW_EVERY);
        true
    }
}

impl Onlooker<'_> {
    pub(super) fn publishing(&self, pictures: usize) {
        let steps = usize::from(self.begun.request.recipe.steps.get());
        self.progress(Progress { stage: Stage::Publish, step: steps, steps, k: pictures.saturating_sub(1) });
    }

    /// Time until the job is done, from its steps so far.
    fn rest(&self, at: Progress) -> Option<Duration> {
        let ran = self.begun.since.elapsed();
        (at.step > 0).then(|| ran.mul_f64((at.steps.saturating_sub(at.step)) as f64 / at.step as f64))
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

impl Onlooker<'_> {
    /// A step begins. While it is hot the job rests before it for as long as the last one took.
    fn rest_before_step(&self) {
        let took = self.pace().step.map_or(Duration::ZERO, |begun| begun.elapsed());
        let rest = self.worker.activity.heat().rest(took);
        let begun = Instant::now();
        if !rest.is_zero() {
            self.worker.bell.rest(self.begun.job.key, rest);
            self.worker.pulse.step();
        }
        let mut pace = self.pace();
        pace.rested += begun.elapsed();
        pace.step = Some(Instant::now());
    }

    /// How long it has been at work: neither rests nor what slower clocks cost count.
    fn worked(&self) -> Duration {
        let lost = self.worker.activity.tally().lost.saturating_sub(self.begun.tally.lost);
        self.begun.since.elapsed().saturating_sub(lost + self.pace().rested)
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Onlooker<'_> {
    fn progress(&self, progress: Progress) {
        self.worker.pulse.step();
        self.laps.lock().unwrap_or_else(PoisonError::into_inner).at(Instant::now(), progress);
        self.worker.activity.change(|now| now.follow(self.begun.job.key, progress));
        (self.worker.notify)(Notice::State);
        if self.begun.request.progress && self.may_tell() {
            let (id, seq) = (&self.begun.request.id, self.begun.seq);
            let body = self.worker.reporter.progress(id, seq, progress, self.rest(progress));
            (self.worker.notify)(Notice::Progress { address: self.begun.job.address.clone(), body });
        }
        if progress.stage == Stage::Denoise {
            self.rest_before_step();
        }
    }

    fn heartbeat(&self) {
        self.worker.pulse.beat();
    }

    fn stop(&self) -> Option<Stop> {
        if self.worker.bell.is_cancelled(self.begun.job.key) {
            return Some(Stop::Cancelled);
        }
        if self.worker.bell.is_stopping() {
            return Some(Stop::Shutdown);
        }
        let is_late = self.expires.is_some_and(|expires| Instant::now() >= expires);
        (is_late || self.worked() >= self.worker.job_time).then_some(Stop::Expired)
    }

    fn wants_preview(&self, _: usize, step: usize) -> bool {
        let wish = self.begun.request.preview.filter(|_| self.begun.request.origin == Origin::Request);
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        wish.is_some_and(|wish| wish.wants(step)) && shown.may_show(step, Instant::now())
    }

    fn preview(&self, k: usize, step: usize, picture: Picture) {
        let Some(wish) = self.begun.request.preview else { return };
        match wish.file(&picture) {
            Ok(bytes) => {
                (self.worker.notify)(Notice::Preview { address: self.begun.job.address.clone(), k, step, bytes });
            }
            Err(error) => tracing::warn!(%error, "no preview"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The steps that may be shown of a run of steps of so many milliseconds, with so many pictures at once.
    fn shown(steps: usize, millis: u64, pictures: usize) -> Vec<usize> {
        let (begun, mut shown) = (Instant::now(), Shown::default());
        let mut may = |step: usize| shown.may_show(step, begun + Duration::from_millis(millis * step as u64));
        (1..=steps).flat_map(|step| vec![step; pictures]).filter(|step| may(*step)).collect()
    }

    #[test]
    fn a_slow_run_shows_every_step_and_a_fast_one_two_a_second() {
        assert_eq!(shown(4, 600, 1), [1, 2, 3, 4]);
        assert_eq!(shown(20, 100, 1), [1, 6, 11, 16]);
    }

    #[test]
    fn pictures_made_together_are_shown_together_and_not_more_often() {
        assert_eq!(shown(11, 100, 2), [1, 1, 11, 11]);
        assert_eq!(shown(4, 600, 2), [1, 1, 3, 3]);
    }
}
