//! What the appliance is doing right now, for `state` and for guessing waiting times.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::store::JobKey;
use crate::job::Progress;

/// Where the appliance stands, as the contract names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// Being built.
    Starting,
    /// Models are being loaded.
    Loading,
    /// Waits for work.
    Ready,
    /// Works.
    Busy,
    /// An administrator paused it.
    Paused,
    /// An administrator lets it finish its queue.
    Draining,
    /// Something keeps it from working, see the alerts.
    Degraded,
    /// Is being stopped.
    Stopping,
}

impl Lifecycle {
    /// Every one, in the contract's order.
    pub const ALL: [Self; 8] = [
        Self::Starting,
        Self::Loading,
        Self::Ready,
        Self::Busy,
        Self::Paused,
        Self::Draining,
        Self::Degraded,
        Self::Stopping,
    ];

    /// The contract's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Loading => "loading",
            Self::Ready => "ready",
            Self::Busy => "busy",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Degraded => "degraded",
            Self::Stopping => "stopping",
        }
    }

    /// Whether requests are taken.
    pub fn accepting(self) -> bool {
        matches!(self, Self::Ready | Self::Busy)
    }
}

/// How far the appliance came since it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Being built.
    Starting,
    /// Models are being loaded.
    Loading,
    /// At work, or ready for it.
    Working,
    /// Is being stopped.
    Stopping,
}

/// What an administrator wants of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Take requests and work.
    Open,
    /// Take none, and begin no job.
    Paused,
    /// Take none, and finish the queue.
    Draining,
}

impl Mode {
    /// The name under which it is kept.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Draining => "draining",
        }
    }

    /// The mode of that name; open if there is none.
    pub fn find(name: &str) -> Self {
        [Self::Paused, Self::Draining].into_iter().find(|mode| mode.name() == name).unwrap_or(Self::Open)
    }
}

/// What an operator should look at. Names are the contract's, in `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alert {
    /// The store cannot be written: a full, read-only or broken disk.
    Storage,
    /// Another node works under this one's name.
    DuplicateNode,
    /// The broker refuses subscriptions.
    SubscriptionRefused,
    /// The broker refuses what we publish.
    PublishRefused,
}

impl Alert {
    /// Its name in `state`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Storage => "storage",
            Self::DuplicateNode => "duplicate_node",
            Self::SubscriptionRefused => "subscription_refused",
            Self::PublishRefused => "publish_refused",
        }
    }
}

/// The shared picture of what goes on; its lock is held only to read or write a few numbers.
pub struct Activity {
    now: Mutex<Snapshot>,
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
            jobs_done: 0,
            jobs_failed: 0,
            ignored: 0,
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
    /// Where the appliance stands.
    pub fn lifecycle(&self) -> Lifecycle {
        match (self.phase, self.mode) {
            (Phase::Stopping, _) => Lifecycle::Stopping,
            _ if self.away => Lifecycle::Degraded,
            (Phase::Starting, _) => Lifecycle::Starting,
            (Phase::Loading, _) => Lifecycle::Loading,
            (Phase::Working, Mode::Paused) => Lifecycle::Paused,
            (Phase::Working, Mode::Draining) => Lifecycle::Draining,
            (Phase::Working, Mode::Open) if self.began.is_some() => Lifecycle::Busy,
            (Phase::Working, Mode::Open) => Lifecycle::Ready,
        }
    }

    /// Whether an operator is told of this.
    pub fn has(&self, alert: Alert) -> bool {
        self.alerts.contains(&alert)
    }

    /// From now on an operator is told of this, or not any more.
    pub fn alert(&mut self, alert: Alert, is_on: bool) {
        self.alerts.retain(|other| *other != alert);
        if is_on {
            self.alerts.push(alert);
        }
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
