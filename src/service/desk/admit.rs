//! Whether there is room for a request.

use std::time::{Duration, SystemTime};

use super::{Desk, Message, RETRY_AFTER};
use crate::job::{Code, Origin, Rejection, Request};
use crate::service::store::{Accepted, Admission, StoreError};
use crate::service::{Heat, Mode, Notice};

/// A request to a pool that was given back less often than this goes to nodes without any work only.
const EAGER_HOPS: u8 = 8;

impl Desk {
    /// Puts a request into the store, or says why there is no room.
    pub(super) fn admit(
        &self,
        message: &Message,
        request: &Request,
        hash: [u8; 32],
        has_own_id: bool,
    ) -> Result<Result<(), Rejection>, StoreError> {
        let closed = self.closed();
        let admission = Admission {
            request,
            hash,
            correlation: message.correlation.as_deref(),
            reply: message.reply.as_deref(),
            redelivered: message.redelivered && !has_own_id,
            time: SystemTime::now(),
            // Whoever repeats a request that was taken before gets its answer also while nothing new is taken.
            queue: if closed.is_some() { 0 } else { self.room(message) },
            per_client: if request.origin == Origin::Shortcut { self.queue } else { self.per_client },
        };
        let rejection = match self.store.admit(&admission, |seq, position| self.accepted(request, seq, position))? {
            Accepted::New => {
                self.log_accepted(request);
                self.activity.count(|figures| figures.accepted += 1);
                self.count_open()?;
                self.bell.ring();
                return Ok(Ok(()));
            }
            Accepted::Again => {
                self.activity.count(|figures| figures.repeated += 1);
                (self.notify)(Notice::Mail);
                return Ok(Ok(()));
            }
            Accepted::Conflict => {
                Rejection::of_field(Code::IdConflict, "id", "this id was used before with another content")
            }
            Accepted::StorageFull => {
                Rejection::new(Code::StorageFull, "the store has no room for this request").retry_after(RETRY_AFTER)
            }
            Accepted::QueueFull(jobs) => {
                closed.unwrap_or_else(|| self.no_room(format!("the queue is full with {jobs} jobs")))
            }
            Accepted::ClientFull(jobs) => {
                self.no_room(format!("a client may have {} open jobs, this one has {jobs}", self.per_client))
            }
        };
        Ok(Err(rejection))
    }

    /// A job has its line at its end; who asks for prompts gets another one here.
    fn log_accepted(&self, request: &Request) {
        let (job, client, prompt) = (request.id.as_str(), request.client.as_str(), request.recipe.prompt.text());
        match self.log_prompts {
            true => tracing::info!(job, client, prompt, "request accepted"),
            false => tracing::debug!(job, client, "request accepted"),
        }
    }

    /// Why no new request is taken, if an administrator said so or it is too hot.
    fn closed(&self) -> Option<Rejection> {
        let now = self.activity.snapshot();
        let (code, message) = match now.mode {
            Mode::Open if now.vitals.heat == Heat::Hot => (Code::TooHot, "the board is too hot to take more work"),
            Mode::Open => return None,
            Mode::Paused => (Code::Paused, "the appliance is paused"),
            Mode::Draining => (Code::Draining, "the appliance is being drained"),
        };
        Some(Rejection::new(code, message).retry_after(RETRY_AFTER))
    }

    /// Jobs that the queue may hold for this message.
    fn room(&self, message: &Message) -> u64 {
        let looks_for_an_idle_node = message.hops.is_some_and(|hops| hops < EAGER_HOPS);
        if looks_for_an_idle_node { self.queue.min(1) } else { self.queue }
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
