//! What the appliance is doing right now, for `state` and for guessing waiting times.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::job::Progress;

/// Where the appliance stands, as the contract names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// Being built.
    Starting,
    /// Waits for work.
    Ready,
    /// Works.
    Busy,
    /// Is being stopped.
    Stopping,
}

impl Lifecycle {
    /// The contract's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Busy => "busy",
            Self::Stopping => "stopping",
        }
    }

    /// Whether requests are taken.
    pub fn accepting(self) -> bool {
        matches!(self, Self::Ready | Self::Busy)
    }
}

/// The shared picture of what goes on; its lock is held only to read or write a few numbers.
pub struct Activity {
    now: Mutex<Snapshot>,
}

/// One look at it.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Where the appliance stands.
    pub lifecycle: Lifecycle,
    /// Starts since the store was made.
    pub boot: u64,
    /// Jobs that wait or run.
    pub queue: u64,
    /// Jobs that fit.
    pub queue_limit: u64,
    /// Guessed time until a new job would begin.
    pub eta: Duration,
    /// The job at work.
    pub progress: Option<Progress>,
    /// When that job began.
    pub began: Option<Instant>,
    /// The default model.
    pub model: String,
    /// What an operator should look at.
    pub alerts: Vec<&'static str>,
    /// Jobs finished since the store was made.
    pub jobs_done: u64,
    /// Jobs failed since the store was made.
    pub jobs_failed: u64,
    /// How long the last job ran.
    pub last: Option<Duration>,
    /// Bytes of the largest picture that the transport takes in one piece, once that is known.
    pub room: Option<u32>,
}

impl Activity {
    /// The appliance as it is being built.
    pub fn new(boot: u64, queue_limit: u64, model: &str) -> Self {
        let now = Snapshot {
            lifecycle: Lifecycle::Starting,
            boot,
            queue: 0,
            queue_limit,
            eta: Duration::ZERO,
            progress: None,
            began: None,
            model: model.to_owned(),
            alerts: Vec::new(),
            jobs_done: 0,
            jobs_failed: 0,
            last: None,
            room: None,
        };
        Self { now: Mutex::new(now) }
    }

    /// A copy of everything, with the waiting time guessed from the last job and the running one.
    pub fn snapshot(&self) -> Snapshot {
        let mut now = self.lock().clone();
        now.eta = now.eta_after(now.queue).unwrap_or(Duration::ZERO);
        now
    }

    /// Changes it.
    pub fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshot {
    /// Time until `jobs` jobs are done, if one was measured before.
    pub fn eta_after(&self, jobs: u64) -> Option<Duration> {
        let last = self.last?;
        let whole = last.saturating_mul(u32::try_from(jobs).unwrap_or(u32::MAX));
        Some(whole.saturating_sub(self.began.map_or(Duration::ZERO, |began| began.elapsed().min(last))))
    }

    /// Time until the running job is done, from its steps so far.
    pub fn rest_of(&self, at: Progress) -> Option<Duration> {
        let began = self.began?;
        (at.step > 0).then(|| began.elapsed().mul_f64((at.steps.saturating_sub(at.step)) as f64 / at.step as f64))
    }
}
