//! What the appliance is doing right now, for `state` and for guessing waiting times.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::figures::Figures;
use super::heat::Heat;
use super::lifecycle::{Alert, Lifecycle, Mode, Phase};
use super::store::JobKey;
use super::vitals::{Tally, Vitals};
use crate::job::Progress;

/// The shared picture of what goes on; its locks are held only to read or write a few numbers.
pub struct Activity {
    now: Mutex<Snapshot>,
    figures: Mutex<Figures>,
}

/// One look at it.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// How far the appliance came.
    pub phase: Phase,
    /// What an administrator wants.
    pub mode: Mode,
    /// Starts since the store was made.
    pub boot: u64,
    /// Jobs that wait or run.
    pub queue: u64,
    /// Jobs that fit.
    pub queue_limit: u64,
    /// Guessed time until a new job would begin.
    pub eta: Duration,
    /// How far the job at work is.
    pub progress: Option<Progress>,
    /// The job whose progress that is.
    pub followed: Option<JobKey>,
    /// Jobs that may be at work at the same time.
    pub at_once: u32,
    /// When the job at work began.
    pub began: Option<Instant>,
    /// The default model.
    pub model: String,
    /// What an operator should look at.
    pub alerts: Vec<Alert>,
    /// Whether it keeps away from the transport because of one of them.
    pub away: bool,
    /// Whether the transport is there, and hears what is sent to us.
    pub online: bool,
    /// Jobs finished since the store was made.
    pub jobs_done: u64,
    /// Jobs failed since the store was made.
    pub jobs_failed: u64,
    /// Messages since the start that nobody could be answered about.
    pub ignored: u64,
    /// How long the last job ran.
    pub last: Option<Duration>,
    /// Bytes of the largest picture that the transport takes in one piece, once that is known.
    pub room: Option<u32>,
    /// What the board told when it was looked at last.
    pub vitals: Vitals,
}

impl Activity {
    /// The appliance as it is being built.
    pub fn new(boot: u64, queue_limit: u64, model: &str) -> Self {
        let now = Snapshot {
            phase: Phase::Starting,
            mode: Mode::Open,
            boot,
            queue: 0,
            queue_limit,
            eta: Duration::ZERO,
            progress: None,
            followed: None,
            at_once: 1,
            began: None,
            model: model.to_owned(),
            alerts: Vec::new(),
            away: false,
            online: false,
            jobs_done: 0,
            jobs_failed: 0,
            ignored: 0,
            last: None,
            room: None,
            vitals: Vitals::default(),
        };
        Self { now: Mutex::new(now), figures: Mutex::default() }
    }

    /// A copy of everything, with the waiting time guessed from the last job and the running one.
    pub fn snapshot(&self) -> Snapshot {
        let mut now = self.lock().clone();
        now.eta = now.eta_after(now.queue).unwrap_or(Duration::ZERO);
        now
    }

    /// How hot it is.
    pub fn heat(&self) -> Heat {
        self.lock().vitals.heat
    }

    /// What the board's figures add up to by now.
    pub fn tally(&self) -> Tally {
        self.lock().vitals.tally
    }

    /// Changes it.
    pub fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.lock());
    }

    /// A copy of what was counted since the start.
    pub fn figures(&self) -> Figures {
        self.counted().clone()
    }

    /// Counts something.
    pub fn count(&self, count: impl FnOnce(&mut Figures)) {
        count(&mut self.counted());
    }

    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counted(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshot {
    /// Where the appliance stands.
    pub fn lifecycle(&self) -> Lifecycle {
        match (self.phase, self.mode) {
            (Phase::Stopping, _) => Lifecycle::Stopping,
            _ if self.away => Lifecycle::Degraded,
            (Phase::Starting, _) => Lifecycle::Starting,
            (Phase::Loading, _) => Lifecycle::Loading,
            (Phase::Working, Mode::Paused) => Lifecycle::Paused,
            (Phase::Working, Mode::Draining) => Lifecycle::Draining,
            (Phase::Working, Mode::Open) if self.vitals.heat == Heat::Hot => Lifecycle::Degraded,
            (Phase::Working, Mode::Open) if self.began.is_some() => Lifecycle::Busy,
            (Phase::Working, Mode::Open) => Lifecycle::Ready,
        }
    }

    /// Whether an operator is told of this.
    pub fn has(&self, alert: Alert) -> bool {
        self.alerts.contains(&alert)
    }

    /// From now on an operator is told of this, or not any more. What stands already keeps its place.
    pub fn alert(&mut self, alert: Alert, is_on: bool) {
        match is_on {
            true if self.has(alert) => {}
            true => self.alerts.push(alert),
            false => self.alerts.retain(|other| *other != alert),
        }
    }

    /// Whether a job may begin.
    pub fn may_begin(&self) -> bool {
        self.mode != Mode::Paused && self.vitals.heat != Heat::Hot
    }

    /// Time until `jobs` jobs are done, if one was measured before.
    pub fn eta_after(&self, jobs: u64) -> Option<Duration> {
        let last = self.last?;
        let whole = last.saturating_mul(u32::try_from(jobs).unwrap_or(u32::MAX)) / self.at_once.max(1);
        Some(whole.saturating_sub(self.began.map_or(Duration::ZERO, |began| began.elapsed().min(last))))
    }

    /// How far a job is; of several at the same time the first one is told of until it ends.
    pub fn follow(&mut self, job: JobKey, at: Progress) {
        if *self.followed.get_or_insert(job) == job {
            self.progress = Some(at);
        }
    }

    /// A job ended.
    pub fn left(&mut self, job: JobKey) {
        if self.followed.take_if(|followed| *followed == job).is_some() {
            self.progress = None;
        }
    }
}
