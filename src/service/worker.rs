//! The worker: takes the next job from the store, has its pictures made, and puts the result into the store.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest, Sha256};

use super::report::{Delivered, hex};
use super::store::{Finished, JobKey, Queued, State, StoreError};
use super::{Activity, Lifecycle, Notice, Notify, Pulse, Reporter, Store};
use crate::job::request::Arrival;
use crate::job::{Code, Failure, Generate, Made, Progress, Rejection, Request, Rules, Stage, Stop, Watch};
use crate::picture::Encoded;

/// A request over which the process died this often in one boot of the machine is not tried again.
const POISON: u32 = 2;
/// After so many failed inferences in a row the fault lies with the appliance.
const INFERENCE_FAULTS: u32 = 5;
/// Progress is told at most this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// How often the store is swept while there is nothing to do.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Everything that the worker thread needs.
pub struct Worker {
    /// Where jobs come from and results go.
    pub store: Arc<Store>,
    /// Makes the pictures.
    pub generator: Arc<dyn Generate>,
    /// What requests are held against.
    pub rules: Arc<Rules>,
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
    /// How long a job may run.
    pub job_time: Duration,
}

/// Why the worker gave up.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Inference fails again and again.
    #[error("{INFERENCE_FAULTS} jobs in a row failed in the graphs, the last with: {0}")]
    Inference(String),
}

impl Worker {
    /// Works until the bell says stop.
    pub fn run(&self) -> Result<(), WorkerError> {
        let mut faults = 0;
        while !self.bell.is_stopping() {
            let Some(job) = self.store.next_job()? else {
                self.store.forget(SystemTime::now(), self.keep)?;
                self.bell.wait(SWEEP_EVERY);
                continue;
            };
            match self.work(&job)? {
                Some(failure) if failure.code == Code::Inference => faults += 1,
                _ => faults = 0,
            }
            if faults >= INFERENCE_FAULTS {
                return Err(WorkerError::Inference("see the log".to_owned()));
            }
        }
        Ok(())
    }

    /// Brings one job to its end, or gives it back when the appliance stops.
    fn work(&self, job: &Queued) -> Result<Option<Failure>, StoreError> {
        let request = match self.reread(job) {
            Ok(request) => request,
            Err(rejection) => {
                let failure = Failure::new(rejection.code, rejection.message);
                self.fail(job, None, &failure)?;
                return Ok(Some(failure));
            }
        };
        let begun = Instant::now();
        let outcome = match self.refuse(job, &request) {
            Some(failure) => Err(failure),
            None => self.make(job, &request)?,
        };
        self.pulse.rest();
        let failure = match outcome {
            Ok((made, encoded)) => {
                self.succeed(job, &request, begun, &made, &encoded)?;
                None
            }
            Err(failure) if failure.stop == Some(Stop::Shutdown) => {
                self.store.give_back(job.key)?;
                Some(failure)
            }
            Err(failure) => {
                self.fail(job, Some(&request), &failure)?;
                Some(failure)
            }
        };
        self.bell.forget(job.key);
        self.idle(failure.is_none().then(|| begun.elapsed()))?;
        Ok(failure)
    }

    /// The stored request goes through the same door as when it came: a model may have gone since.
    fn reread(&self, job: &Queued) -> Result<Request, Rejection> {
        let arrival = Arrival {
            client: job.address.client.clone(),
            origin: job.address.origin,
            payload: job.request.as_bytes(),
            time: job.accepted,
            correlation: None,
            expiry: None,
            fresh_id: job.address.id.clone(),
            fresh_seed: 0_u32.into(),
        };
        Request::parse(&arrival, &self.rules).map_err(|refused| refused.rejection)
    }

    /// Reasons not to begin at all.
    fn refuse(&self, job: &Queued, request: &Request) -> Option<Failure> {
        if job.deaths >= POISON {
            let message = format!("the process died {} times over this request", job.deaths);
            return Some(Failure::new(Code::Poison, message));
        }
        if job.cancelled {
            return Some(Failure::stopped(Stop::Cancelled));
        }
        request.deadline.filter(|deadline| *deadline <= SystemTime::now()).map(|_| Failure::stopped(Stop::Expired))
    }

    fn make(&self, job: &Queued, request: &Request) -> Result<Result<(Vec<Made>, Vec<Encoded>), Failure>, StoreError> {
        let attempt = job.attempts + 1;
        let seq = self.store.begin(job.key, SystemTime::now(), |seq| self.reporter.started(request, seq, attempt))?;
        (self.notify)(Notice::Mail);
        self.activity.change(|now| {
            now.lifecycle = Lifecycle::Busy;
            now.began = Some(Instant::now());
        });
        (self.notify)(Notice::State);
        self.pulse.begin();
        let onlooker = Onlooker {
            worker: self,
            job,
            request,
            seq,
            give_up: Instant::now() + self.job_time,
            told: Mutex::new(None),
        };
        let pictures = self.generator.generate(&request.recipe, &onlooker).and_then(|made| {
            onlooker.publishing(made.len());
            let encoded = made.iter().map(|made| encode(made, request)).collect::<Result<_, _>>()?;
            Ok((made, encoded))
        });
        Ok(pictures)
    }

    fn succeed(
        &self,
        job: &Queued,
        request: &Request,
        begun: Instant,
        made: &[Made],
        encoded: &[Encoded],
    ) -> Result<(), StoreError> {
        let ran = begun.elapsed();
        let whole = SystemTime::now().duration_since(job.accepted).unwrap_or(ran);
        let pictures: Vec<Delivered<'_>> = made
            .iter()
            .zip(encoded)
            .map(|(made, encoded)| Delivered { encoded, seed: made.seed, sha256: hex(&Sha256::digest(&encoded.bytes)) })
            .collect();
        let end = Finished { state: State::Done, pictures: encoded, time: SystemTime::now() };
        self.store.finish(job.key, &end, |seq| {
            self.reporter.done(request, seq, whole.saturating_sub(ran), ran, &pictures)
        })?;
        self.store.count("jobs_done")?;
        tracing::info!(job = job.address.id.as_str(), ms = ran.as_millis() as u64, pictures = made.len(), "job done");
        Ok(())
    }

    fn fail(&self, job: &Queued, request: Option<&Request>, failure: &Failure) -> Result<(), StoreError> {
        let state = State::of(failure.code);
        let end = Finished { state, pictures: &[], time: SystemTime::now() };
        self.store.finish(job.key, &end, |seq| {
            self.reporter.failed(state.name(), &job.address.id, seq, failure, request)
        })?;
        if state == State::Failed {
            self.store.count("jobs_failed")?;
        }
        tracing::warn!(job = job.address.id.as_str(), code = %failure.code, error = failure.message, "job not done");
        Ok(())
    }

    /// Between two jobs: what `state` shows is brought up to date.
    fn idle(&self, ran: Option<Duration>) -> Result<(), StoreError> {
        let (queue, done, failed) = (self.store.open_jobs()?, self.store.counted("jobs_done")?, self.store.counted("jobs_failed")?);
        self.activity.change(|now| {
            now.queue = queue;
            (now.jobs_done, now.jobs_failed) = (done, failed);
            (now.progress, now.began) = (None, None);
            now.last = ran.or(now.last);
            if now.lifecycle == Lifecycle::Busy && queue == 0 {
                now.lifecycle = Lifecycle::Ready;
            }
        });
        (self.notify)(Notice::Mail);
        (self.notify)(Notice::State);
        Ok(())
    }
}

fn encode(made: &Made, request: &Request) -> Result<Encoded, Failure> {
    let encoded = request.output.encode(made, &request.recipe);
    encoded.map_err(|error| Failure::new(Code::OutputTooLarge, error.to_string()))
}

/// Looks on for one job: tells its progress and passes on the wish to stop.
struct Onlooker<'a> {
    worker: &'a Worker,
    job: &'a Queued,
    request: &'a Request,
    /// Number of the job's last status.
    seq: u64,
    give_up: Instant,
    told: Mutex<Option<Instant>>,
}

impl Onlooker<'_> {
    fn publishing(&self, pictures: usize) {
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
        self.worker.pulse.beat();
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

    fn is_cancelled(&self, job: JobKey) -> bool {
        self.lock().cancelled.contains(&job)
    }

    fn forget(&self, job: JobKey) {
        self.lock().cancelled.remove(&job);
    }

    /// Until the bell rings or the time is over.
    fn wait(&self, time: Duration) {
        let state = self.lock();
        let waited = self.wakes.wait_timeout_while(state, time, |wishes| !wishes.rung && !wishes.stopping);
        waited.unwrap_or_else(PoisonError::into_inner).0.rung = false;
    }

    fn lock(&self) -> MutexGuard<'_, Wishes> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
