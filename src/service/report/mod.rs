//! The JSON that goes out: statuses, progress, answers, `info` and `state`. Keys stand in the contract's order.

mod line;
mod retained;

use std::time::Duration;

use serde_json::{Value, json};

use self::line::{Envelope, Line, millis, shorten, time};
pub use self::retained::NodeFacts;
use crate::job::units::{JobId, Tags};
use crate::job::{Failure, Fit, Progress, Reading, Rejection, Request, hex};
use crate::picture::Format;
use crate::service::store::{Delivery, PictureFacts, State};

/// Writes what goes out, under one node's name.
#[derive(Clone, Debug)]
pub struct Reporter {
    node: String,
}

/// What an answer says besides the envelope, in order.
pub type Answer = Vec<(&'static str, Value)>;

/// Bytes that a status or an answer may have, tags and pictures aside.
const STATUS: usize = 640;

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
        let room = STATUS.saturating_sub(body.len() + r#","warnings":[]"#.len());
        let body = match fitting(request.warnings.iter().map(|warning| json!(shorten(warning))), room) {
            none if none.is_empty() => body,
            warnings => body.put("warnings", warnings),
        };
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
        pictures: &[Delivery<'_>],
    ) -> String {
        Line::new("state", "done")
            .all(&self.envelope(request.id.as_str(), seq))
            .put("queue_ms", millis(queued))
            .put("run_ms", millis(ran))
            .put("images", (0..).zip(pictures).map(|(k, picture)| told(k, picture)).collect::<Vec<_>>())
            .tags(&request.tags)
            .done()
    }

    /// What stands before the parts of a picture; `seq` is that of the job's last status.
    pub fn manifest(&self, id: &JobId, seq: u64, picture: &PictureFacts) -> String {
        let stride = Format::find(&picture.format).map_or(0, |format| format.stride(picture.width)) as u64;
        let rows = u64::from(picture.part_bytes).checked_div(stride).unwrap_or(0);
        Line::new("k", picture.k)
            .put("format", &picture.format)
            .put("width", picture.width)
            .put("height", picture.height)
            .put("stride", stride)
            .put("rows", rows)
            .put("bytes", picture.bytes)
            .put("part_bytes", picture.part_bytes)
            .put("parts", picture.parts())
            .put("sha256", &picture.sha256)
            .put("seed", picture.seed)
            .all(&self.envelope(id.as_str(), seq))
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
    pub fn rejected(&self, id: &str, rejection: &Rejection, tags: &Tags) -> String {
        Line::new("state", "rejected").all(&self.envelope(id, 1)).rejection(rejection).tags(tags).done()
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

    /// The answer to a command that was carried out.
    pub fn answer(&self, command: &str, id: Option<&str>, answer: &Answer) -> String {
        let body = Line::new("command", command).put("ok", true).all(&self.anonymous(id));
        answer.iter().fold(body, |body, (key, value)| body.put(key, value)).done()
    }

    /// The answer to a `list` of at most `limit` entries: as many as an answer may hold, and whether there are more.
    pub fn list(&self, what: &'static str, entries: Vec<Value>, limit: usize) -> Answer {
        let empty = vec![(what, json!([])), ("more", json!(false))];
        let room = STATUS.saturating_sub(self.answer("list", Some(&"x".repeat(64)), &empty).len());
        // At least one, or whoever goes through a list would not come to its end.
        let told = fitting(entries.iter().take(limit).cloned(), room).len().max(entries.len().min(1));
        let more = entries.len() > told;
        vec![(what, entries.into_iter().take(told).collect()), ("more", json!(more))]
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

/// As many values, from the first on, as a list of so many bytes holds.
fn fitting(values: impl Iterator<Item = Value>, room: usize) -> Vec<Value> {
    let mut left = room;
    let fits = |value: &Value| {
        let bytes = value.to_string().len() + 1;
        let fits = bytes <= left;
        left = left.saturating_sub(bytes);
        fits
    };
    values.take_while(fits).collect()
}

/// A picture as `done` tells of it.
fn told(k: u8, picture: &Delivery<'_>) -> Value {
    let encoded = picture.encoded;
    json!({
        "k": k, "seed": picture.seed, "format": encoded.format.name(), "width": encoded.width,
        "height": encoded.height, "bytes": encoded.bytes.len(), "sha256": picture.sha256,
        "part_bytes": picture.part_bytes, "parts": picture.parts(),
    })
}

/// The id to answer to when the requester's own cannot be read: made of the payload's SHA-256.
pub fn unreadable_id(hash: &[u8; 32]) -> String {
    format!("invalid-{}", hex(&hash[..4]))
}

/// A measured figure without the digits that mean nothing.
pub fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
