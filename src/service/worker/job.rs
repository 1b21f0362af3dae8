//! One job, from the stored request to the stored pictures.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use sha2::{Digest, Sha256};

use super::crew::Begun;
use super::laps::Laps;
use super::onlooker::Onlooker;
use super::{Ending, Worker};
use crate::job::request::Arrival;
use crate::job::{Code, Failure, Made, Request, Stop, hex};
use crate::picture::Encoded;
use crate::service::figures::Done;
use crate::service::report::tenths;
use crate::service::store::{Delivery, Finished, Queued, State, StoreError};
use crate::service::{JOB_LOG, Notice, Store};

/// A request over which the process died this often in one boot of the machine is not tried again.
const POISON: u32 = 2;

impl Worker {
    /// The stored request goes through the same door as when it came: a model may have gone since.
    pub(super) fn reread(&self, job: &Queued) -> Result<Request, Failure> {
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
        let request = Request::parse(&arrival, &self.rules.now().for_stored())
            .map_err(|refused| Failure::new(refused.rejection.code, refused.rejection.message))?;
        let request = Request { deadline: job.not_after, ..request };
        match refuse(job, &request) {
            Some(failure) => Err(failure),
            None => Ok(request),
        }
    }

    /// `started`, with what of the LoRAs the model has no place for.
    fn started(&self, request: &Request, seq: u64, attempt: u32) -> String {
        let rules = self.rules.now();
        let unmatched = rules.model(&request.recipe.model).map(|model| request.recipe.unmatched(model));
        self.reporter.started(request, seq, attempt, &unmatched.unwrap_or_default())
    }

    /// Says that a job begins, unless it was cancelled meanwhile.
    pub(super) fn begin(&self, job: Queued, request: Request) -> Result<Option<Begun>, StoreError> {
        let (since, attempt) = (Instant::now(), job.attempts + 1);
        let tally = self.activity.tally();
        let begin = |store: &Store| store.begin(job.key, SystemTime::now(), |seq| self.started(&request, seq, attempt));
        let Some(seq) = self.insist(begin)?.flatten() else { return Ok(None) };
        self.activity.change(|now| now.began = Some(since));
        (self.notify)(Notice::Mail);
        (self.notify)(Notice::State);
        self.pulse.begin(&request.recipe.model);
        Ok(Some(Begun { job, request: Arc::new(request), seq, since, tally }))
    }

    /// Has the pictures of a job made, and stores them.
    pub(super) fn make(&self, begun: &Begun) -> Result<Ending, StoreError> {
        match self.pictures(begun) {
            Ok((made, encoded, laps)) => {
                self.succeed(begun, &made, &encoded, laps)?;
                Ok(Ending::Done)
            }
            Err(failure) => Ok(Ending::Failed(failure)),
        }
    }

    fn pictures(&self, begun: &Begun) -> Result<(Vec<Made>, Vec<Encoded>, Laps), Failure> {
        let request = &begun.request;
        let left = request.deadline.map(|at| at.duration_since(SystemTime::now()).unwrap_or_default());
        let onlooker = Onlooker {
            worker: self,
            begun,
            expires: left.map(|left| begun.since + left),
            pace: Mutex::default(),
            laps: Mutex::default(),
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
        Ok((made, encoded, onlooker.laps.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }

    fn succeed(&self, begun: &Begun, made: &[Made], encoded: &[Encoded], laps: Laps) -> Result<(), StoreError> {
        let (Begun { job, request, .. }, ran) = (begun, begun.since.elapsed());
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
        let (stages, steps) = laps.end(Instant::now());
        let (model, pictures) = (&request.recipe.model, made.len());
        self.activity.count(|figures| figures.done(&Done { model, pictures, queued, ran, stages, steps }));
        let joules = self.activity.tally().energy_since(&begun.tally, ran).map(tenths);
        let ms = ran.as_millis() as u64;
        let (queue_ms, pictures) = (queued.as_millis() as u64, made.len());
        let (id, client) = (job.address.id.as_str(), job.address.client.as_str());
        tracing::info!(target: JOB_LOG, job = id, client, ms, queue_ms, pictures, joules, "job done");
        Ok(())
    }

    pub(super) fn fail(&self, job: &Queued, failure: &Failure) -> Result<(), StoreError> {
        let state = State::of(failure.code);
        let end = Finished { state, pictures: &[], time: SystemTime::now() };
        let tags = Request::tags_of(&job.request);
        let status = |seq| self.reporter.failed(state, &job.address.id, seq, failure, 0, &tags);
        self.insist(|store| store.finish(job.key, &end, status))?;
        self.activity.count(|figures| figures.ended(state, 1));
        if state == State::Failed {
            self.activity.count(|figures| figures.failed(failure.code));
            self.insist(|store| store.count("jobs_failed"))?;
        }
        let (id, client) = (job.address.id.as_str(), job.address.client.as_str());
        let (code, error) = (failure.code, &failure.message);
        tracing::warn!(target: JOB_LOG, job = id, client, %code, error, "job not done");
        Ok(())
    }
}

/// Reasons not to begin at all.
fn refuse(job: &Queued, request: &Request) -> Option<Failure> {
    if job.deaths >= POISON {
        let message = format!("the process died {} times over this request", job.deaths);
        return Some(Failure::new(Code::Poison, message));
    }
    if job.cancelled {
        return Some(Failure::stopped(Stop::Cancelled));
    }
    request.deadline.filter(|deadline| *deadline <= SystemTime::now()).map(|_| Failure::stopped(Stop::Expired))
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
