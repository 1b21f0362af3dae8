//! The worker: takes the next job from the store, has its pictures made, and puts the result into the store.

mod bell;
mod onlooker;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest, Sha256};

pub use self::bell::Bell;
use self::onlooker::Onlooker;
use super::report::hex;
use super::store::{Delivery, Finished, Queued, State, StoreError};
use super::{Activity, LiveRules, Mode, Notice, Notify, Pulse, Reporter, Store};
use crate::job::request::Arrival;
use crate::job::{Code, Failure, Generate, Made, Rejection, Request, Stop};
use crate::picture::Encoded;

/// A request over which the process died this often in one boot of the machine is not tried again.
const POISON: u32 = 2;
/// After so many failed inferences in a row the fault lies with the appliance.
const INFERENCE_FAULTS: u32 = 5;
/// How long a store that fails is left alone.
const PATIENCE: Duration = Duration::from_secs(1);
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
            self.insist(Store::follow_clock)?;
            if swept.is_none_or(|swept: Instant| swept.elapsed() >= SWEEP_EVERY) {
                self.insist(|store| store.forget(SystemTime::now(), self.keep))?;
                swept = Some(Instant::now());
            }
            let is_paused = self.activity.snapshot().mode == Mode::Paused;
            let job = if is_paused { None } else { self.insist(|store| store.next_job(SystemTime::now()))?.flatten() };
            let Some(job) = job else {
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
    fn work(&self, job: &Queued) -> Result<Ending, StoreError> {
        let begun = Instant::now();
        let ending = self.attempt(job, begun)?;
        match &ending {
            Ending::Failed(failure) if failure.stop == Some(Stop::Shutdown) => {
                self.insist(|store| store.give_back(job.key))?;
            }
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
        let begin = |store: &Store| store.begin(job.key, SystemTime::now(), |seq| self.started(&request, seq, attempt));
        let Some(seq) = self.insist(begin)?.flatten() else { return Ok(Ending::Skipped) };
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
            // A stored request holds its pictures itself.
            attachment: None,
            find: &|_| None,
            time: job.accepted,
            correlation: None,
            expiry: None,
            fresh_id: job.address.id.clone(),
            fresh_seed: 0_u32.into(),
        };
        let request = Request::parse(&arrival, &self.rules.now().for_stored()).map_err(|refused| refused.rejection)?;
        Ok(Request { deadline: job.not_after, ..request })
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
        self.activity.change(|now| now.began = Some(began));
        (self.notify)(Notice::Mail);
        (self.notify)(Notice::State);
        self.pulse.begin(&request.recipe.model);
        let left = request.deadline.map(|at| at.duration_since(SystemTime::now()).unwrap_or_default());
        let onlooker = Onlooker {
            worker: self,
            job,
            request,
            seq,
            give_up: began + left.unwrap_or(self.job_time).min(self.job_time),
            told: Mutex::new(None),
            shown: Mutex::default(),
        };
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
        let room = self.activity.snapshot().room;
        let pictures: Vec<Delivery<'_>> =
            made.iter().zip(encoded).map(|(made, encoded)| delivery(request, made, encoded, room)).collect();
        let end = Finished { state: State::Done, pictures: &pictures, time: SystemTime::now() };
        let queued = whole.saturating_sub(ran);
        self.insist(|store| {
            store.finish(job.key, &end, |seq| self.reporter.done(request, seq, queued, ran, &pictures))
        })?;
        self.insist(|store| store.count("jobs_done"))?;
        tracing::info!(job = job.address.id.as_str(), ms = ran.as_millis() as u64, pictures = made.len(), "job done");
        Ok(())
    }

    fn fail(&self, job: &Queued, failure: &Failure) -> Result<(), StoreError> {
        let state = State::of(failure.code);
        let end = Finished { state, pictures: &[], time: SystemTime::now() };
        let tags = Request::tags_of(&job.request);
        let status = |seq| self.reporter.failed(state, &job.address.id, seq, failure, 0, &tags);
        self.insist(|store| store.finish(job.key, &end, status))?;
        if state == State::Failed {
            self.insist(|store| store.count("jobs_failed"))?;
        }
        tracing::warn!(job = job.address.id.as_str(), code = %failure.code, error = failure.message, "job not done");
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
            now.began = now.began.filter(|_| now.queue > 0 && now.mode != Mode::Paused);
            now.progress = None;
            now.last = ran.or(now.last);
        });
        (self.notify)(Notice::Mail);
        (self.notify)(Notice::State);
        Ok(())
    }
}

/// A picture as it is handed over: whole, or in parts if the requester or the broker wants that.
fn delivery<'a>(request: &Request, made: &Made, encoded: &'a Encoded, room: Option<u32>) -> Delivery<'a> {
    let parts = request.output.parts(encoded, room);
    Delivery {
        encoded,
        sha256: hex(&Sha256::digest(&encoded.bytes)),
        seed: made.seed.get(),
        part_bytes: parts.map_or(0, |parts| parts.part_bytes),
        push: request.output.push,
    }
}
