//! One JSON object, written key by key.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::job::Rejection;
use crate::job::units::Tags;
use crate::service::store::CLOCK_IS_SET_AFTER;

/// A JSON object under construction, in order, without blanks.
pub(super) struct Line(Map<String, Value>);

impl Line {
    pub(super) fn new(key: &str, value: impl Serialize) -> Self {
        Self(Map::new()).put(key, value)
    }

    pub(super) fn put(mut self, key: &str, value: impl Serialize) -> Self {
        self.0.insert(key.to_owned(), json!(value));
        self
    }

    pub(super) fn maybe(self, key: &str, value: Option<impl Serialize>) -> Self {
        match value {
            Some(value) => self.put(key, value),
            None => self,
        }
    }

    pub(super) fn all(mut self, envelope: &Envelope<'_>) -> Self {
        if let Value::Object(map) = json!(envelope) {
            self.0.extend(map);
        }
        self
    }

    pub(super) fn rejection(self, rejection: &Rejection) -> Self {
        self.put("code", rejection.code.name())
            .put("message", shorten(&rejection.message))
            .maybe("field", rejection.field.as_ref())
            .put("retryable", rejection.code.retryable())
            .maybe("retry_after_ms", rejection.retry_after.map(millis))
    }

    pub(super) fn tags(self, tags: &Tags) -> Self {
        if tags.pairs().is_empty() {
            return self;
        }
        let tags: Map<String, Value> = tags.pairs().iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        self.put("tags", tags)
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        json!(self.0).to_string().len()
    }

    pub(super) fn done(self) -> String {
        Value::Object(self.0).to_string()
    }
}

/// The keys that stand in every message: `id`, `node`, `seq`, `time` and `v`.
#[derive(Serialize)]
pub(super) struct Envelope<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
    pub(super) node: &'a str,
    pub(super) seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<String>,
    pub(super) v: u8,
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The time as the contract writes it; nothing while the clock has not been set.
pub(super) fn time() -> Option<String> {
    let now = SystemTime::now();
    let set = now.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| since > CLOCK_IS_SET_AFTER);
    set.then(|| humantime::format_rfc3339_millis(now).to_string())
}

/// A message of at most 160 bytes, cut between characters.
pub(super) fn shorten(message: &str) -> &str {
    let mut end = message.len().min(160);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}
