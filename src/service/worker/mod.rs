//! The worker: takes the next job from the store, has its pictures made, and puts the result into the store.

mod bell;
mod onlooker;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest, Sha256};

pub use self::bell::Bell;
use self::onlooker::Onlooker;
use super::report::{Delivered, hex};
use super::store::{Finished, Queued, State, StoreError};
use super::{Activity, Lifecycle, LiveRules, Notice, Notify, Pulse, Reporter, Store};
use crate::job::request::Arrival;
use crate::job::{Code, Failure, Generate, Made, Rejection, Request, Stop};
use crate::picture::Encoded;

/// A request over which the process died this often in one boot of the machine is not tried again.
const POISON: u32 = 2;
/// After so many failed inferences in a row the fault lies with the appliance.
const INFERENCE_FAULTS: u32 = 5;
/// How often finished jobs that are old enough are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Everything that the worker thread needs.
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
    /// How long a job may run.
    pub job_time: Duration,
}

/// How the work on a job ended.
enum Ending {
    /// Its pictures are in the store.
    Done,
    /// It could not be finished, or was told to stop.
    Failed(Failure),
    /// It was cancelled at the last moment, before it began.
    Skipped,
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
    /// Works until the bell says stop.
    pub fn run(&self) -> Result<(), WorkerError> {
        let mut faults = 0;
        let mut swept = None;
        while !self.bell.is_stopping() {
            if swept.is_none_or(|swept: Instant| swept.elapsed() >= SWEEP_EVERY) {
                self.store.forget(SystemTime::now(), self.keep)?;
                swept = Some(Instant::now());
            }
            let Some(job) = self.store.next_job()? else {
                self.bell.wait(SWEEP_EVERY);
                continue;
            };
            match self.work(&job)? {
                Ending::Failed(failure) if failure.code == Code::Inference => faults += 1,
                _ => faults = 0,
            }
            if faults >= INFERENCE_FAULTS {
                return Err(WorkerError::Inference);
            }
        }
        Ok(())
    }

    /// Brings one job to its end, or gives it back when the appliance stops.
    fn work(&self, job: &Queued) -> Result<Ending, StoreError> {
        let begun = Instant::now();
        let ending = self.attempt(job, begun)?;
        match &ending {
            Ending::Failed(failure) if failure.stop == Some(Stop::Shutdown) => self.store.give_back(job.key)?,
            Ending::Failed(failure) => self.fail(job, failure)?,
            Ending::Done | Ending::Skipped => {}
        }
        let done = matches!(ending, Ending::Done);
        self.pulse.rest(done);
        self.bell.forget(job.key);
        self.idle(done.then(|| begun.elapsed()))?;
        Ok(ending)
    }

    /// Makes and stores the pictures, unless there is a reason not to begin.
    fn attempt(&self, job: &Queued, begun: Instant) -> Result<Ending, StoreError> {
        let request = match self.reread(job) {
            Ok(request) => request,
            Err(rejection) => return Ok(Ending::Failed(Failure::new(rejection.code, rejection.message))),
        };
        if let Some(failure) = self.refuse(job, &request) {
            return Ok(Ending::Failed(failure));
        }
        let attempt = job.attempts + 1;
        let begin = self.store.begin(job.key, SystemTime::now(), |seq| self.started(&request, seq, attempt))?;
        let Some(seq) = begin else { return Ok(Ending::Skipped) };
        match self.make(job, &request, seq) {
            Ok((made, encoded)) => {
                self.succeed(job, &request, begun, &made, &encoded)?;
                Ok(Ending::Done)
            }
            Err(failure) => Ok(Ending::Failed(failure)),
        }
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
        Request::parse(&arrival, &self.rules.now().for_stored()).map_err(|refused| refused.rejection)
    }

    /// `started`, with what of the LoRAs the model has no place for.
    fn started(&self, request: &Request, seq: u64, attempt: u32) -> String {
        let rules = self.rules.now();
        let unmatched = rules.model(&request.recipe.model).map(|model| request.recipe.unmatched(model));
        self.reporter.started(request, seq, attempt, &unmatched.unwrap_or_default())
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

    /// Tells that work begins, and has the pictures made.
    fn make(&self, job: &Queued, request: &Request, seq: u64) -> Result<(Vec<Made>, Vec<Encoded>), Failure> {
        let began = Instant::now();
        self.activity.change(|now| (now.lifecycle, now.began) = (Lifecycle::Busy, Some(began)));
        (self.notify)(Notice::Mail);
        (self.notify)(Notice::State);
        self.pulse.begin(&request.recipe.model);
        let onlooker =
            Onlooker { worker: self, job, request, seq, give_up: began + self.job_time, told: Mutex::new(None) };
        let made = self.generator.generate(&request.recipe, &onlooker)?;
        onlooker.publishing(made.len());
        let room = self.activity.snapshot().room;
        let encoded = made.iter().map(|made| {
            let encoded = request.output.encode(made, &request.recipe, room);
            encoded.map_err(|error| Failure::new(Code::OutputTooLarge, error.to_string()))
        });
        let encoded = encoded.collect::<Result<_, _>>()?;
        Ok((made, encoded))
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
        self.store
            .finish(job.key, &end, |seq| self.reporter.done(request, seq, whole.saturating_sub(ran), ran, &pictures))?;
        self.store.count("jobs_done")?;
        tracing::info!(job = job.address.id.as_str(), ms = ran.as_millis() as u64, pictures = made.len(), "job done");
        Ok(())
    }

    fn fail(&self, job: &Queued, failure: &Failure) -> Result<(), StoreError> {
        let state = State::of(failure.code);
        let end = Finished { state, pictures: &[], time: SystemTime::now() };
        let tags = Request::tags_of(&job.request);
        self.store.finish(job.key, &end, |seq| self.reporter.failed(state, &job.address.id, seq, failure, 0, &tags))?;
        if state == State::Failed {
            self.store.count("jobs_failed")?;
        }
        tracing::warn!(job = job.address.id.as_str(), code = %failure.code, error = failure.message, "job not done");
        Ok(())
    }

    /// Between two jobs: what `state` shows is brought up to date.
    fn idle(&self, ran: Option<Duration>) -> Result<(), StoreError> {
        let (queue, done, failed) =
            (self.store.open_jobs()?, self.store.counted("jobs_done")?, self.store.counted("jobs_failed")?);
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
