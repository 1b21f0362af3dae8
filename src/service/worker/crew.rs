//! The jobs at work, each on a thread of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Ending;
use crate::job::{Code, Request};
use crate::service::Tally;
use crate::service::store::{JobKey, Queued};

/// The jobs at work. Its lock is held while the next one is chosen.
#[derive(Default)]
pub struct Crew(Mutex<State>);

/// A job at work.
pub(super) struct Begun {
    pub(super) job: Queued,
    pub(super) request: Arc<Request>,
    /// Number of the job's last status.
    pub(super) seq: u64,
    /// When it began, by a clock that nobody sets.
    pub(super) since: Instant,
    /// What the board's figures added up to then.
    pub(super) tally: Tally,
}

#[derive(Default)]
pub(super) struct State {
    running: Vec<Running>,
    /// Inferences that failed in a row.
    faults: u32,
    /// When finished jobs were forgotten last.
    swept: Option<Instant>,
}

struct Running {
    key: JobKey,
    request: Arc<Request>,
    /// Whether the process died over it before.
    is_suspect: bool,
}

impl Crew {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether this job can be done beside those at work: it must be able to share their passes. One over which the process
    /// died is alone, so that no other is blamed for the next death.
    pub(super) fn has_room_for(&self, job: &Queued, request: &Request) -> bool {
        let fits = |other: &Running| !other.is_suspect && other.request.recipe.shares_passes_with(&request.recipe);
        self.running.is_empty() || job.deaths == 0 && self.running.iter().all(fits)
    }

    pub(super) fn joined(&mut self, begun: &Begun) {
        let (key, request) = (begun.job.key, Arc::clone(&begun.request));
        self.running.push(Running { key, request, is_suspect: begun.job.deaths > 0 });
    }

    /// A job ended; how many failed in the graphs, one after another.
    pub(super) fn left(&mut self, key: JobKey, ending: &Ending) -> u32 {
        self.running.retain(|other| other.key != key);
        self.faults = match ending {
            Ending::Failed(failure) if failure.code == Code::Inference => self.faults + 1,
            _ => 0,
        };
        self.faults
    }

    /// Whether finished jobs are to be looked through now.
    pub(super) fn is_time_to_sweep(&mut self, every: Duration) -> bool {
        let is_time = self.swept.is_none_or(|swept| swept.elapsed() >= every);
        if is_time {
            self.swept = Some(Instant::now());
        }
        is_time
    }
}
