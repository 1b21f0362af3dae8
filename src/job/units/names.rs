//! Names of jobs and requesters, and the tags that come back.

use serde_json::Value;

use super::shown;
use crate::job::hex;
use crate::job::outcome::{Code, Rejection};

/// The name of a job, chosen by the requester: `[A-Za-z0-9_-]{1,64}`, and none of the words that stand in its place in topics.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(String);

impl JobId {
    /// An id of 32 hexadecimal digits, from bytes that somebody drew at random.
    pub fn random(bytes: [u8; 16]) -> Self {
        Self(hex(&bytes))
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for JobId {
    type Error = Rejection;

    fn try_from(text: &str) -> Result<Self, Rejection> {
        let fits = is_made_of(text, |byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if fits && !["request", "reply", "command"].contains(&text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Rejection::field(
            "id",
            format!("id must be 1 to 64 of A-Z a-z 0-9 _ - and not a topic word, got {}", shown(text)),
        ))
    }
}

/// The name of a requester: one topic level, `[A-Za-z0-9._:@-]{1,64}`, and none of the contract's own topic words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client(String);

impl Client {
    /// The client of everything that comes through the `prompt` topic.
    pub fn shortcut() -> Self {
        Self("shortcut".to_owned())
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Topic words that no client may be called.
const RESERVED_CLIENTS: [&str; 16] = [
    "status", "progress", "preview", "image", "manifest", "part", "answer", "request", "reply", "command", "admin",
    "defaults", "upload", "shortcut", "pool", "prompt",
];

impl TryFrom<&str> for Client {
    type Error = Rejection;

    fn try_from(text: &str) -> Result<Self, Rejection> {
        let fits = is_made_of(text, |byte| byte.is_ascii_alphanumeric() || b"._:@-".contains(&byte));
        if fits && !RESERVED_CLIENTS.contains(&text) {
            return Ok(Self(text.to_owned()));
        }
        let message =
            format!("a client must be 1 to 64 of A-Z a-z 0-9 . _ : @ - and not a topic word, got {}", shown(text));
        Err(Rejection::new(Code::Malformed, message))
    }
}

/// The name of an uploaded picture, chosen by its sender: `[A-Za-z0-9._-]{1,64}`. It is looked up, never made a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadName(String);

impl UploadName {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for UploadName {
    type Error = Rejection;

    fn try_from(text: &str) -> Result<Self, Rejection> {
        if is_made_of(text, |byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
            return Ok(Self(text.to_owned()));
        }
        let message = format!("the name of an upload must be 1 to 64 of A-Z a-z 0-9 . _ -, got {}", shown(text));
        Err(Rejection::field("upload", message))
    }
}

/// Up to 8 pairs of short strings that come back with every status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(Vec<(String, String)>);

impl Tags {
    /// At most 8 pairs, each side at most 64 bytes.
    pub fn new(pairs: Vec<(String, String)>) -> Result<Self, Rejection> {
        if pairs.len() > 8 {
            return Err(Rejection::field("tags", format!("tags must be at most 8 pairs, got {}", pairs.len())));
        }
        match pairs.iter().find(|(key, value)| key.len() > 64 || value.len() > 64) {
            Some((key, _)) => Err(Rejection::field(
                "tags",
                format!("a tag's two sides are at most 64 bytes each, {} is longer", shown(key)),
            )),
            None => Ok(Self(pairs)),
        }
    }

    /// The pairs of a JSON object, if it is one of tags.
    pub(in crate::job) fn peek(value: &Value) -> Option<Self> {
        let pair = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        Self::new(value.as_object()?.iter().map(pair).collect::<Option<_>>()?).ok()
    }

    /// The pairs in the order they came.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}

fn is_made_of(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}
