//! The worker: takes the next job from the store, has its pictures made, and puts the result into the store. Several
//! threads may do that at the same time, for jobs whose passes can be shared.

mod bell;
mod crew;
mod job;
mod laps;
mod onlooker;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use self::bell::Bell;
pub use self::crew::Crew;
use self::crew::{Begun, State};
use super::store::StoreError;
use super::{Activity, LiveRules, Notice, Notify, Pulse, Reporter, Store};
use crate::job::{Failure, Generate, Stop};

/// After so many failed inferences in a row the fault lies with the appliance.
const INFERENCE_FAULTS: u32 = 5;
/// How long a store that fails is left alone.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often finished jobs that are old enough are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Everything that the worker's threads need.
pub struct Worker {
    /// Where jobs come from and results go.
    pub store: Arc<Store>,
    /// Makes the pictures.
    pub generator: Arc<dyn Generate>,
    /// What stored requests are held against.
    pub rules: Arc<LiveRules>,
    /// Writes the statuses.
    pub reporter: Reporter,
    /// What goes on.
    pub activity: Arc<Activity>,
    /// Proof of life for the watchdog.
    pub pulse: Arc<Pulse>,
    /// Wakes and stops the worker.
    pub bell: Arc<Bell>,
    /// Tells the transport.
    pub notify: Notify,
    /// How long finished jobs are remembered.
    pub keep: Duration,
    /// How long a job may run, apart from what heat costs it.
    pub job_time: Duration,
    /// The jobs at work.
    pub crew: Crew,
}

/// How the work on a job ended.
enum Ending {
    /// Its pictures are in the store.
    Done,
    /// It could not be finished, or was told to stop.
    Failed(Failure),
}

/// Why the worker gave up.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Inference fails again and again.
    #[error("{INFERENCE_FAULTS} jobs in a row failed in the graphs, see the log")]
    Inference,
}

impl Worker {
    /// Works until the bell says stop. Each thread that calls this is at work on one job at a time.
    pub fn run(&self) -> Result<(), WorkerError> {
        while !self.bell.is_stopping() {
            // The store is asked by one thread at a time, so that no job is begun twice.
            let begun = self.next(&mut self.crew.lock())?;
            let Some(begun) = begun else {
                self.bell.wait(SWEEP_EVERY);
                continue;
            };
            // There may be more that can be done at the same time.
            self.bell.ring();
            let ending = self.make(&begun)?;
            self.end(&begun, &ending)?;
            if self.crew.lock().left(begun.job.key, &ending) >= INFERENCE_FAULTS {
                return Err(WorkerError::Inference);
            }
            let ran = begun.since.elapsed();
            self.idle(matches!(ending, Ending::Done).then_some(ran))?;
            self.bell.rest(begun.job.key, self.activity.heat().rest(ran));
        }
        Ok(())
    }

    /// Begins the job whose turn it is, if it can be done beside those at work. Nobody overtakes it.
    fn next(&self, crew: &mut State) -> Result<Option<Begun>, StoreError> {
        self.insist(Store::follow_clock)?;
        if crew.is_time_to_sweep(SWEEP_EVERY) {
            self.insist(|store| store.forget(SystemTime::now(), self.keep))?;
        }
        while self.activity.snapshot().may_begin() {
            let Some(job) = self.insist(|store| store.next_job(SystemTime::now()))?.flatten() else { break };
            let begun = match self.reread(&job) {
                Ok(request) if !crew.has_room_for(&job, &request) => break,
                Ok(request) => self.begin(job, request)?,
                Err(failure) => {
                    self.fail(&job, &failure)?;
                    None
                }
            };
            if let Some(begun) = begun {
                crew.joined(&begun);
                return Ok(Some(begun));
            }
            self.idle(None)?;
            if self.bell.is_stopping() {
                break;
            }
        }
        Ok(None)
    }

    /// Does something with the store until it works: what is made is not thrown away because a disk is full. Older
    /// results go for it.
    ///
    /// Nothing if the appliance stops meanwhile. What does not pass by waiting is an error.
    fn insist<T>(&self, act: impl Fn(&Store) -> Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        loop {
            match act(&self.store) {
                Ok(done) => return Ok(Some(done)),
                Err(error) if !error.is_passing() => return Err(error),
                Err(error) if self.bell.is_stopping() => {
                    tracing::error!(%error, "the store cannot be used, the work goes on after the next start");
                    return Ok(None);
                }
                Err(error) if error.is_full() && self.store.relieve().unwrap_or(false) => {}
                Err(_) => {
                    (self.notify)(Notice::StoreFails);
                    // The watchdog is for work that hangs; a full disk is none.
                    self.pulse.step();
                    self.bell.wait(PATIENCE);
                }
            }
        }
    }

    /// Brings one job to its end, or gives it back when the appliance stops.
    fn end(&self, begun: &Begun, ending: &Ending) -> Result<(), StoreError> {
        match ending {
            Ending::Failed(failure) if failure.stop == Some(Stop::Shutdown) => {
                self.insist(|store| store.give_back(begun.job.key))?;
            }
            Ending::Failed(failure) => self.fail(&begun.job, failure)?,
            Ending::Done => {}
        }
        self.pulse.rest(matches!(ending, Ending::Done));
        self.activity.change(|now| now.left(begun.job.key));
        self.bell.forget(begun.job.key);
        Ok(())
    }

    /// Between two jobs: what `state` shows is brought up to date.
    fn idle(&self, ran: Option<Duration>) -> Result<(), StoreError> {
        let counted =
            self.insist(|store| Ok((store.open_jobs()?, store.counted("jobs_done")?, store.counted("jobs_failed")?)))?;
        self.activity.change(|now| {
            if let Some((queue, done, failed)) = counted {
                (now.queue, now.jobs_done, now.jobs_failed) = (queue, done, failed);
            }
            // Between two jobs of a queue it is as busy as in them.
            now.began = now.began.filter(|_| now.queue > 0 && now.may_begin());
            now.last = ran.or(now.last);
        });
        (self.notify)(Notice::Mail);
        (self.notify)(Notice::State);
        Ok(())
    }
}
