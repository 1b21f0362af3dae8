//! The JSON that goes out: statuses, progress, answers, `info` and `state`. Keys stand in the contract's order.

mod line;
mod retained;

use std::time::Duration;

use serde_json::{Value, json};

use self::line::{Envelope, Line, millis, shorten, time};
pub use self::retained::NodeFacts;
use crate::job::units::{JobId, Seed, Tags};
use crate::job::{Failure, Fit, Progress, Reading, Rejection, Request};
use crate::picture::Encoded;
use crate::service::store::State;

/// Writes what goes out, under one node's name.
#[derive(Clone, Debug)]
pub struct Reporter {
    node: String,
}

/// A picture as `done` describes it.
pub struct Delivered<'a> {
    /// The encoded picture.
    pub encoded: &'a Encoded,
    /// Its seed.
    pub seed: Seed,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
}

impl Reporter {
    /// Writes as `node`.
    pub fn new(node: &str) -> Self {
        Self { node: node.to_owned() }
    }

    /// `accepted`, with the number of jobs before this one and the time until its turn if that can be guessed.
    pub fn accepted(
        &self,
        request: &Request,
        seq: u64,
        position: u64,
        eta: Option<Duration>,
        reading: &Reading,
    ) -> String {
        let body = Line::new("state", "accepted")
            .all(&self.envelope(request.id.as_str(), seq))
            .put("position", position)
            .maybe("eta_ms", eta.map(millis))
            .put("model", &request.recipe.model)
            .put("seed", request.recipe.seed.get())
            .put("tokens", reading.tokens)
            .put("chunks", reading.chunks);
        let body = if request.warnings.is_empty() { body } else { body.put("warnings", &request.warnings) };
        body.tags(&request.tags).done()
    }

    /// `started`, for the given attempt, counted from 1, with the LoRAs that the model does not have a place for in whole.
    pub fn started(&self, request: &Request, seq: u64, attempt: u32, unmatched: &[(String, Fit)]) -> String {
        let envelope = self.envelope(request.id.as_str(), seq);
        let body = Line::new("state", "started").all(&envelope).put("attempt", attempt);
        let told =
            |(name, fit): &(String, Fit)| json!({"name": name, "matched": fit.matched, "unmatched": fit.unmatched});
        let body = match unmatched {
            [] => body,
            // Statuses must stay small, so of many only the first are named.
            some => body.put("loras", some.iter().take(4).map(told).collect::<Vec<_>>()),
        };
        body.tags(&request.tags).done()
    }

    /// `done`: how long the job waited and ran, and what its pictures are.
    pub fn done(
        &self,
        request: &Request,
        seq: u64,
        queued: Duration,
        ran: Duration,
        pictures: &[Delivered<'_>],
    ) -> String {
        let images: Vec<Value> = (0..)
            .zip(pictures)
            .map(|(k, picture): (u8, _)| {
                json!({
                    "k": k, "seed": picture.seed.get(), "format": picture.encoded.format.name(),
                    "width": picture.encoded.width, "height": picture.encoded.height,
                    "bytes": picture.encoded.bytes.len(), "sha256": picture.sha256, "part_bytes": 0, "parts": 0,
                })
            })
            .collect();
        Line::new("state", "done")
            .all(&self.envelope(request.id.as_str(), seq))
            .put("queue_ms", millis(queued))
            .put("run_ms", millis(ran))
            .put("images", images)
            .tags(&request.tags)
            .done()
    }

    /// `failed`, `cancelled` or `expired`, after `images_done` pictures were delivered.
    pub fn failed(
        &self,
        state: State,
        id: &JobId,
        seq: u64,
        failure: &Failure,
        images_done: u64,
        tags: &Tags,
    ) -> String {
        Line::new("state", state.name())
            .all(&self.envelope(id.as_str(), seq))
            .put("code", failure.code.name())
            .put("message", shorten(&failure.message))
            .put("retryable", failure.code.retryable())
            .put("images_done", images_done)
            .tags(tags)
            .done()
    }

    /// `rejected`.
    pub fn rejected(&self, id: &str, rejection: &Rejection) -> String {
        Line::new("state", "rejected").all(&self.envelope(id, 1)).rejection(rejection).done()
    }

    /// How far a job is; `seq` is that of its last status.
    pub fn progress(&self, id: &JobId, seq: u64, at: Progress, eta: Option<Duration>) -> String {
        Line::new("stage", at.stage.name())
            .put("step", at.step)
            .put("steps", at.steps)
            .put("k", at.k)
            .maybe("eta_ms", eta.map(millis))
            .all(&self.envelope(id.as_str(), seq))
            .done()
    }

    /// The answer to a `cancel` that ended, or will end, `jobs` jobs.
    pub fn cancelled(&self, id: Option<&str>, jobs: u64) -> String {
        Line::new("command", "cancel").put("ok", true).all(&self.anonymous(id)).put("jobs", jobs).done()
    }

    /// The answer to a command that cannot be done.
    pub fn refused(&self, command: &str, id: Option<&str>, rejection: &Rejection) -> String {
        Line::new("command", command).put("ok", false).all(&self.anonymous(id)).rejection(rejection).done()
    }

    fn envelope<'a>(&'a self, id: &'a str, seq: u64) -> Envelope<'a> {
        Envelope { id: Some(id), node: &self.node, seq, time: time(), v: 1 }
    }

    /// The envelope of an answer, which belongs to a command and not to a job.
    fn anonymous<'a>(&'a self, id: Option<&'a str>) -> Envelope<'a> {
        Envelope { id, node: &self.node, seq: 1, time: time(), v: 1 }
    }
}

/// The id to answer to when the requester's own cannot be read: made of the payload's SHA-256.
pub fn unreadable_id(hash: &[u8; 32]) -> String {
    format!("invalid-{}", hex(&hash[..4]))
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
