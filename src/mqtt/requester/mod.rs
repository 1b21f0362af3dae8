//! The other side of the contract: asks a node, or a pool of nodes, for pictures and waits until they are there.
//!
//! The conversations are state machines without sockets: `errand` for a request, `question` for a command. [`line`]
//! connects them with a broker; [`join`] makes pictures out of parts.

mod album;
mod errand;
mod error;
pub mod join;
mod line;
mod question;
mod talk;
mod target;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::Value;

pub use self::error::AskError;
pub use self::talk::{Patience, Update};
pub use self::target::{Fleet, Target};

use self::errand::{Errand, Order};
use self::line::Line;
use self::question::Question;
use super::Broker;
use crate::job::units::{Client, JobId};

/// Memory that the pictures of one job may take.
const MOST: usize = 256 * 1024 * 1024;

/// A requester of one node or of one pool.
#[derive(Clone, Debug)]
pub struct Requester {
    /// Where the broker is.
    pub broker: Broker,
    /// Whom to ask.
    pub target: Target,
    /// Our name.
    pub client: Client,
    /// How long to wait for what.
    pub patience: Patience,
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The `done` status.
    pub done: Value,
    /// The pictures, in order, each checked against its SHA-256.
    pub pictures: Vec<Vec<u8>>,
}

impl Requester {
    /// A requester called `client`.
    pub fn new(broker: Broker, target: impl Into<Target>, client: Client) -> Self {
        Self { broker, target: target.into(), client, patience: Patience::default() }
    }

    /// Sends `payload`, a request whose `id` is `id`, until it is accepted, and waits for its pictures.
    ///
    /// `told` hears what happens meanwhile; `stop` ends the waiting.
    pub fn ask(
        &self,
        id: &JobId,
        payload: &str,
        timeout: Duration,
        stop: &AtomicBool,
        told: impl FnMut(&Update),
    ) -> Result<Answer, AskError> {
        let errand = Errand::new(Order {
            target: self.target.clone(),
            client: self.client.clone(),
            id: id.clone(),
            payload: payload.to_owned(),
            patience: self.patience,
            most: MOST,
        });
        Line::open(&self.broker).hold(errand, timeout, stop, told)
    }

    /// Sends a command, or an administrator's order, and waits for its answer, which may say `"ok":false`.
    ///
    /// The JSON object needs `command`; without an `id` it gets a random one. Every node of a pool answers: the first
    /// `"ok":true` counts.
    pub fn command(&self, payload: &Value, timeout: Duration, stop: &AtomicBool) -> Result<Value, AskError> {
        let mut payload = payload.clone();
        let id = match payload.get("id").and_then(Value::as_str) {
            Some(id) => {
                JobId::try_from(id).map_err(|rejection| AskError::rejected("invalid_field", rejection.message))?
            }
            None => crate::service::desk::fresh_id(),
        };
        if let Value::Object(fields) = &mut payload {
            fields.insert("id".to_owned(), Value::from(id.as_str()));
        }
        let question = Question::new(self.target.clone(), self.client.clone(), id, &payload);
        Line::open(&self.broker).hold(question, timeout, stop, |_| {})
    }
}

/// An upper bound of the size of a packet that publishes `payload` bytes without properties.
fn packet_bytes(topic: &str, payload: usize) -> usize {
    /// Fixed header 5, topic length 2, packet identifier 2, property length 1.
    const OVERHEAD: usize = 5 + 2 + 2 + 1;
    OVERHEAD + topic.len() + payload
}
