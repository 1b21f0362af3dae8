//! The front desk: every message that comes in is answered here, and what is accepted is on the disk before it is.

mod admin;
mod admit;
mod defaults;
mod draw;
mod ended;
mod orders;
mod rate;
mod upload;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest, Sha256};

pub use self::draw::{fresh_id, fresh_seed};
pub use self::rate::{Meter, Rate};
use super::report::unreadable_id;
use super::store::{Repetition, StoreError};
use super::worker::Bell;
use super::{Activity, LiveRules, Notice, Notify, Phase, Reporter, Store};
use crate::job::request::{Arrival, Reference, Refused};
use crate::job::units::{Client, JobId};
use crate::job::{Code, Origin, Rejection, Request};

/// How soon a requester that found no room may try again, if no job was measured yet.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// How soon, while the models are being loaded.
const SOON: Duration = Duration::from_secs(10);

/// A message as the transport hands it in.
#[derive(Clone, Debug)]
pub struct Message {
    /// Who sent it.
    pub client: Client,
    /// Through which door.
    pub origin: Origin,
    /// The bytes.
    pub payload: Vec<u8>,
    /// An init image that came beside the request.
    pub attachment: Option<Vec<u8>>,
    /// Whether the transport kept it for us; such requests are refused, for they would come again with every start.
    pub retained: bool,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// Correlation Data.
    pub correlation: Option<Vec<u8>>,
    /// Message Expiry.
    pub expiry: Option<Duration>,
    /// The topic below which it wants its answers.
    pub reply: Option<String>,
    /// Set for a request to a pool: how often a node gave it back.
    pub hops: Option<u8>,
    /// What the transport found wrong with it.
    pub fault: Option<Rejection>,
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
        /// Why; another node of a pool may have another opinion.
        code: Code,
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
    /// How often one client may ask.
    pub meter: Option<Meter>,
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
        let hash = hash(message);
        let refused = match self.unread(message) {
            Some(rejection) => {
                let (id, tags) = Request::label(&message.payload, message.correlation.as_deref());
                Refused { id, tags, rejection }
            }
            None => match self.read(message, hash)? {
                Ok(()) => return Ok(Verdict::Taken),
                Err(refused) => refused,
            },
        };
        let (correlation, reply) = (message.correlation.as_deref(), message.reply.as_deref());
        let again = Repetition { hash, correlation, reply };
        let known = refused.id.as_ref().filter(|_| !message.retained);
        if known.map_or(Ok(false), |id| self.store.repeats(&message.client, id, &again))? {
            // It was taken before, whatever speaks against it now.
            self.activity.count(|figures| figures.repeated += 1);
            (self.notify)(Notice::Mail);
            return Ok(Verdict::Taken);
        }
        Ok(self.refusal(message, hash, refused))
    }

    /// Reads a request and puts it into the store.
    fn read(&self, message: &Message, hash: [u8; 32]) -> Result<Result<(), Refused>, StoreError> {
        let fresh_id = fresh_id();
        let request = match self.parsed(message, &fresh_id)? {
            Ok(request) => request,
            Err(refused) => return Ok(Err(refused)),
        };
        let has_own_id = request.id != fresh_id;
        let admitted = self.admit(message, &request, hash, has_own_id)?;
        Ok(admitted.map_err(|rejection| Refused { id: Some(request.id), tags: request.tags, rejection }))
    }

    /// Reasons to refuse a message before it is read.
    fn unread(&self, message: &Message) -> Option<Rejection> {
        let text = "a request must not be retained, it would run again with every start";
        if message.retained {
            return Some(Rejection::new(Code::RetainedRequest, text));
        }
        if message.fault.is_some() {
            return message.fault.clone();
        }
        if matches!(self.activity.snapshot().phase, Phase::Starting | Phase::Loading) {
            let rejection = Rejection::new(Code::NotReady, "the models are being loaded");
            return Some(rejection.retry_after(SOON));
        }
        if message.hops.is_some_and(|hops| hops > 0) {
            // It was counted when it came to the pool.
            return None;
        }
        self.metered(&message.client).err()
    }

    /// Whether a client asks too often.
    fn metered(&self, client: &Client) -> Result<(), Rejection> {
        let Some(meter) = &self.meter else { return Ok(()) };
        meter.take(client, Instant::now()).map_err(|wait| {
            let rejection = Rejection::new(Code::RateLimited, "this client sends more than it may");
            rejection.retry_after(wait.max(Duration::from_millis(100)))
        })
    }

    /// Reads a request, with the pictures that it names.
    fn parsed(&self, message: &Message, fresh_id: &JobId) -> Result<Result<Request, Refused>, StoreError> {
        let fault = RefCell::new(None);
        let find = |reference: &Reference| {
            let found = self.picture(&message.client, reference);
            found.unwrap_or_else(|error| {
                fault.replace(Some(error));
                None
            })
        };
        let arrival = Arrival {
            client: message.client.clone(),
            origin: message.origin,
            payload: &message.payload,
            attachment: message.attachment.as_deref(),
            find: &find,
            time: SystemTime::now(),
            correlation: message.correlation.as_deref(),
            expiry: message.expiry,
            fresh_id: fresh_id.clone(),
            fresh_seed: fresh_seed(),
        };
        let rules = self.rules.now();
        let request = catch_unwind(AssertUnwindSafe(|| Request::parse(&arrival, &rules)));
        let request = request.unwrap_or_else(|_| Err(gave_up(message)));
        match fault.take() {
            Some(error) => Err(error),
            None => Ok(request),
        }
    }

    /// An earlier result of the client, or an upload.
    fn picture(&self, client: &Client, reference: &Reference) -> Result<Option<Vec<u8>>, StoreError> {
        match reference {
            Reference::Result { id, k } => Ok(self.store.result(client, id, *k)?.map(|(_, bytes)| bytes)),
            Reference::Upload(name) => self.store.upload(client, name.as_str(), SystemTime::now()),
        }
    }

    fn refusal(&self, message: &Message, hash: [u8; 32], refused: Refused) -> Verdict {
        let Refused { id, tags, rejection } = refused;
        self.activity.count(|figures| figures.refused(rejection.code));
        let id = id.map_or_else(|| unreadable_id(&hash), |id| id.as_str().to_owned());
        match message.hops {
            None => {
                tracing::info!(job = id, client = message.client.as_str(), code = %rejection.code, "request refused")
            }
            Some(hops) => tracing::debug!(job = id, hops, code = %rejection.code, "request of a pool refused"),
        }
        Verdict::Refused { body: self.reporter.rejected(&id, &rejection, &tags), code: rejection.code, id }
    }

    /// The queue changed: everybody who cares is told.
    fn count_open(&self) -> Result<(), StoreError> {
        let open = self.store.open_jobs()?;
        self.activity.change(|now| now.queue = open);
        (self.notify)(Notice::State);
        (self.notify)(Notice::Mail);
        Ok(())
    }
}

/// A reader panicked over a request. That must not end the service: the broker would send it again after every start.
fn gave_up(message: &Message) -> Refused {
    let (id, tags) = Request::label(&message.payload, message.correlation.as_deref());
    Refused { id, tags, rejection: Rejection::new(Code::Internal, "reading the request failed, see the log") }
}

/// What makes two messages the same request.
fn hash(message: &Message) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(&message.payload);
    if let Some(picture) = &message.attachment {
        // Its own digest, so that the border between the two cannot be moved.
        hash.update(Sha256::digest(picture));
    }
    hash.finalize().into()
}
