//! A conversation with a node as a state machine: what happens goes in, what to do comes out. No socket, no thread.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::AskError;

/// What happens to a conversation.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// A connection stands.
    Up {
        /// The largest packet that the broker takes, in bytes.
        max_packet: usize,
    },
    /// The connection is gone.
    Down,
    /// The broker granted the first subscription of this connection.
    Granted,
    /// The broker answered the oldest of our messages that it had not yet answered.
    Acknowledged {
        /// Whether it says that we may not publish there.
        denied: bool,
    },
    /// A message came in.
    Message {
        /// Its topic.
        topic: &'a str,
        /// Its bytes.
        payload: &'a [u8],
        /// Whether the broker had kept it.
        retained: bool,
        /// MQTT 5 user properties `k` and `step`, which previews have.
        mark: Option<(u8, u16)>,
    },
    /// Some time went by.
    Tick,
}

/// What a conversation wants done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Act {
    /// Subscribe to these topics.
    Subscribe(Vec<String>),
    /// Publish this at QoS 1.
    Publish {
        /// Where to.
        topic: String,
        /// The bytes.
        payload: Vec<u8>,
    },
    /// Tell the caller.
    Tell(Update),
}

/// What a waiting caller may want to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// A status, each one once.
    Status(Value),
    /// A progress message.
    Progress(Value),
    /// The picture so far, as a JPEG.
    Preview {
        /// The picture's number and the step that it shows, as far as they are known.
        mark: Option<(u8, u16)>,
        /// The file.
        jpeg: Vec<u8>,
    },
    /// A part of a picture came.
    Parts {
        /// The picture's number.
        k: u8,
        /// Parts that are there.
        have: u32,
        /// Parts that there are.
        of: u32,
    },
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Without `accepted` for this long the same request is sent again, under the same id.
    pub accepted: Duration,
    /// After `done` and this much silence, missing pictures and parts are asked for.
    pub silence: Duration,
    /// They are asked for again after this long.
    pub again: Duration,
    /// A node of a pool that is offline for this long has lost its job: the pool is asked again.
    pub offline: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            accepted: Duration::from_secs(10),
            silence: Duration::from_secs(3),
            again: Duration::from_secs(5),
            offline: Duration::from_secs(30),
        }
    }
}

/// A conversation.
pub(super) trait Talk {
    /// What it is about.
    type Result;

    /// Reacts to what happened at `now`.
    fn react(&mut self, event: Event<'_>, now: Instant) -> Result<Vec<Act>, AskError>;

    /// The result, once it is there.
    fn result(&mut self) -> Option<Self::Result>;

    /// How far it came, in words.
    fn state(&self) -> String;
}
