//! The front desk: every message that comes in is answered here, and what is accepted is on the disk before it is.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::report::unreadable_id;
use super::store::{Accepted, Admission, JobKey, State, StoreError};
use super::worker::Bell;
use super::{Activity, LiveRules, Notice, Notify, Reporter, Store};
use crate::job::request::{Arrival, Refused};
use crate::job::units::{Client, JobId, Seed};
use crate::job::{Code, Failure, Origin, Rejection, Request, Stop};

/// How soon a requester that found no room may try again, if no job was measured yet.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// A message as the transport hands it in.
#[derive(Clone, Debug)]
pub struct Message {
    /// Who sent it.
    pub client: Client,
    /// Through which door.
    pub origin: Origin,
    /// The bytes.
    pub payload: Vec<u8>,
    /// Whether the transport kept it for us; such requests are refused, for they would come again with every start.
    pub retained: bool,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// Correlation Data.
    pub correlation: Option<Vec<u8>>,
    /// Message Expiry.
    pub expiry: Option<Duration>,
    /// Whether it asks for an answer on a topic of its own choice.
    pub asks_for_topic: bool,
}

/// What the transport does with a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is safe on the disk: acknowledge it.
    Taken,
    /// Send this status to the requester under this id, then acknowledge.
    Refused {
        /// The id to answer to.
        id: String,
        /// The status.
        body: String,
    },
    /// Nothing to say: acknowledge it.
    Ignored,
}

/// Takes requests and commands. Belongs to one thread of the transport.
pub struct Desk {
    /// What requests are held against.
    pub rules: Arc<LiveRules>,
    /// Jobs that the queue holds.
    pub queue: u64,
    /// Open jobs that one client may have.
    pub per_client: u64,
    /// Whether prompts may be written into the log.
    pub log_prompts: bool,
    /// Where accepted requests go.
    pub store: Arc<Store>,
    /// Writes the answers.
    pub reporter: Reporter,
    /// What goes on.
    pub activity: Arc<Activity>,
    /// Wakes the worker.
    pub bell: Arc<Bell>,
    /// Tells the transport.
    pub notify: Notify,
}

impl Desk {
    /// Admits a request or says why not. An error means that nothing was written: the message must not be acknowledged.
    pub fn request(&self, message: &Message) -> Result<Verdict, StoreError> {
        if message.payload.is_empty() {
            return Ok(Verdict::Ignored);
        }
        let hash: [u8; 32] = Sha256::digest(&message.payload).into();
        let refuse = |id: Option<&str>, rejection: &Rejection| {
            let id = id.map_or_else(|| unreadable_id(&hash), str::to_owned);
            tracing::info!(job = id, client = message.client.as_str(), code = %rejection.code, "request refused");
            Verdict::Refused { body: self.reporter.rejected(&id, rejection), id }
        };
        let arrival = self.arrival(message);
        let request = match self.parse(message, &arrival) {
            Ok(request) => request,
            Err(Refused { id, rejection }) => return Ok(refuse(id.as_ref().map(JobId::as_str), &rejection)),
        };
        let id = request.id.as_str();
        let has_own_id = request.id != arrival.fresh_id;
        let admission = self.admission(message, &request, hash, has_own_id);
        let accepted = self.store.admit(&admission, |seq, position| self.accepted(&request, seq, position))?;
        let rejection = match accepted {
            Accepted::New => {
                let prompt = self.log_prompts.then_some(request.recipe.prompt.text());
                tracing::info!(job = id, client = request.client.as_str(), prompt, "request accepted");
                let open = self.store.open_jobs()?;
                self.activity.change(|now| now.queue = open);
                self.bell.ring();
                (self.notify)(Notice::State);
                (self.notify)(Notice::Mail);
                return Ok(Verdict::Taken);
            }
            Accepted::Again => {
                (self.notify)(Notice::Mail);
                return Ok(Verdict::Taken);
            }
            Accepted::Conflict => {
                Rejection::of_field(Code::IdConflict, "id", "this id was used before with another content")
            }
            Accepted::QueueFull(jobs) => self.no_room(format!("the queue is full with {jobs} jobs")),
            Accepted::ClientFull(jobs) => {
                self.no_room(format!("a client may have {} open jobs, this one has {jobs}", self.per_client))
            }
        };
        Ok(refuse(Some(id), &rejection))
    }

    /// Ends one job of a client, or all of them (`id` absent), and says how many that were.
    pub fn cancel(&self, client: &Client, id: Option<&JobId>) -> Result<u64, StoreError> {
        let failure = Failure::stopped(Stop::Cancelled);
        let (jobs, running) = self.store.cancel(client, id, SystemTime::now(), |id, request, seq| {
            self.reporter.failed(State::Cancelled, id, seq, &failure, 0, &Request::tags_of(request))
        })?;
        running.into_iter().for_each(|key: JobKey| self.bell.cancel(key));
        let open = self.store.open_jobs()?;
        self.activity.change(|now| now.queue = open);
        (self.notify)(Notice::State);
        (self.notify)(Notice::Mail);
        Ok(jobs)
    }

    fn parse(&self, message: &Message, arrival: &Arrival<'_>) -> Result<Request, Refused> {
        let refused = |code, text: &str| Err(Refused { id: None, rejection: Rejection::new(code, text) });
        if message.retained {
            return refused(
                Code::RetainedRequest,
                "a request must not be retained, it would run again with every start",
            );
        }
        if message.asks_for_topic {
            return refused(
                Code::ReplyTopicDenied,
                "no response topic is allowed here, answers go to the reply topics",
            );
        }
        Request::parse(arrival, &self.rules.now())
    }

    fn arrival<'a>(&self, message: &'a Message) -> Arrival<'a> {
        Arrival {
            client: message.client.clone(),
            origin: message.origin,
            payload: &message.payload,
            time: SystemTime::now(),
            correlation: message.correlation.as_deref(),
            expiry: message.expiry,
            fresh_id: fresh_id(),
            fresh_seed: fresh_seed(),
        }
    }

    fn admission<'a>(
        &self,
        message: &'a Message,
        request: &'a Request,
        hash: [u8; 32],
        has_own_id: bool,
    ) -> Admission<'a> {
        Admission {
            request,
            hash,
            correlation: message.correlation.as_deref(),
            redelivered: message.redelivered && !has_own_id,
            time: SystemTime::now(),
            queue: self.queue,
            per_client: if request.origin == Origin::Shortcut { self.queue } else { self.per_client },
        }
    }

    fn accepted(&self, request: &Request, seq: u64, position: u64) -> String {
        let eta = self.activity.snapshot().eta_after(position + 1);
        let rules = self.rules.now();
        let reading =
            rules.model(&request.recipe.model).map(|model| (model.read)(&request.recipe.prompt, request.recipe.steps));
        self.reporter.accepted(request, seq, position, eta, &reading.unwrap_or_default())
    }

    fn no_room(&self, message: String) -> Rejection {
        let wait = self.activity.snapshot().eta_after(1).unwrap_or(RETRY_AFTER);
        Rejection::new(Code::QueueFull, message).retry_after(wait.max(Duration::from_secs(1)))
    }
}

/// An id that nobody has used: 128 random bits.
pub fn fresh_id() -> JobId {
    let mut bytes = [0; 16];
    fill(&mut bytes);
    JobId::random(bytes)
}

/// A seed at random, small enough for JSON.
pub fn fresh_seed() -> Seed {
    let mut bytes = [0; 4];
    fill(&mut bytes);
    Seed::from(u32::from_le_bytes(bytes))
}

/// Without the system's randomness the clock has to do: ids need to differ, not to be secret.
fn fill(bytes: &mut [u8]) {
    if getrandom::fill(bytes).is_err() {
        let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        bytes.iter_mut().zip(nanos.to_le_bytes()).for_each(|(byte, tick)| *byte = tick);
    }
}
