//! The other side of the contract: asks a node for pictures and waits until they are there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rumqttc::v5::Client as Handle;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, PubAckReason, Publish, SubscribeReasonCode};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Broker, Signal, Topics, link};
use crate::job::units::{Client, JobId};
use crate::service::report::{hex, unreadable_id};

/// Without `accepted` for this long the same request is sent again, under the same id.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Signals that may wait; beyond that the network has to wait.
const SIGNALS: usize = 64;

/// A requester of one node.
pub struct Requester {
    /// Where the broker is.
    pub broker: Broker,
    /// The topics of the node.
    pub topics: Topics,
    /// Our name.
    pub client: Client,
}

/// Why there are no pictures.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The time is over.
    #[error("no picture within {} s: {state}", .waited.as_secs())]
    Timeout {
        /// How long we waited.
        waited: Duration,
        /// How far the request came.
        state: String,
    },
    /// The caller does not want to wait any longer.
    #[error("stopped")]
    Stopped,
    /// The broker does not let us in, or not to these topics.
    #[error("the broker denies access: {0}")]
    Denied(String),
    /// The node said no.
    #[error("{state}: {code}: {message}")]
    Refused {
        /// `rejected`, `failed`, `cancelled` or `expired`.
        state: String,
        /// The contract's code.
        code: String,
        /// Its sentence.
        message: String,
    },
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The `done` status.
    pub done: Value,
    /// The pictures, in order, each checked against its SHA-256.
    pub pictures: Vec<Vec<u8>>,
}

impl Requester {
    /// Sends `payload`, a request whose `id` is `id`, until it is accepted, and waits for its pictures.
    ///
    /// `told` hears every status and progress message; `stop` ends the waiting.
    pub fn ask(
        &self,
        id: &JobId,
        payload: &str,
        timeout: Duration,
        stop: &AtomicBool,
        mut told: impl FnMut(&Value),
    ) -> Result<Answer, AskError> {
        let (sender, signals) = mpsc::sync_channel(SIGNALS);
        let stopping = Arc::new(AtomicBool::new(false));
        let (broker, leaving) = (self.broker.clone(), Arc::clone(&stopping));
        thread::spawn(move || link::run(&broker, None, &sender, &leaving));
        let mut errand = Errand::new(self, id, payload);
        let end = Instant::now() + timeout;
        let answer = loop {
            match signals.recv_timeout(Duration::from_millis(200)) {
                Ok(signal) => match errand.react(signal, &mut told) {
                    Ok(None) => {}
                    Ok(Some(answer)) => break Ok(answer),
                    Err(error) => break Err(error),
                },
                Err(RecvTimeoutError::Timeout) => errand.ask_if_due(),
                Err(RecvTimeoutError::Disconnected) => break Err(AskError::Denied("the connection ended".to_owned())),
            }
            if stop.load(Ordering::Relaxed) {
                break Err(AskError::Stopped);
            }
            if Instant::now() >= end {
                break Err(AskError::Timeout { waited: timeout, state: errand.state.clone() });
            }
        };
        stopping.store(true, Ordering::Relaxed);
        errand.hang_up();
        answer
    }
}

/// One request on its way.
struct Errand<'a> {
    requester: &'a Requester,
    id: &'a JobId,
    payload: &'a str,
    handle: Option<Handle>,
    accepted: bool,
    /// How far the request came, in words.
    state: String,
    /// When to send the request again.
    due: Option<Instant>,
    images: BTreeMap<u64, Vec<u8>>,
    done: Option<Value>,
}

impl<'a> Errand<'a> {
    fn new(requester: &'a Requester, id: &'a JobId, payload: &'a str) -> Self {
        let state = "there is no connection to the broker".to_owned();
        Self {
            requester,
            id,
            payload,
            handle: None,
            accepted: false,
            state,
            due: None,
            images: BTreeMap::new(),
            done: None,
        }
    }

    fn react(&mut self, signal: Signal, told: &mut impl FnMut(&Value)) -> Result<Option<Answer>, AskError> {
        match signal {
            Signal::Up { client, .. } => {
                let topics = &self.requester.topics;
                let filters = [topics.replies(&self.requester.client), topics.availability(), topics.info()];
                let _ = client.try_subscribe_many(filters.map(|path| Filter::new(path, QoS::AtLeastOnce)));
                self.handle = Some(client);
            }
            Signal::Down { denied: Some(reason) } => return Err(AskError::Denied(reason)),
            Signal::Down { denied: None } => self.handle = None,
            Signal::Granted(codes) => match codes.first() {
                Some(SubscribeReasonCode::Success(_)) => self.ask(),
                other => return Err(AskError::Denied(format!("the subscription was answered with {other:?}"))),
            },
            Signal::Acknowledged(PubAckReason::NotAuthorized) => {
                return Err(AskError::Denied("requests may not be published here".to_owned()));
            }
            Signal::Incoming(publish) => return self.receive(&publish, told),
            Signal::Acknowledged(_) | Signal::Notice(_) | Signal::Stop => {}
        }
        Ok(None)
    }

    fn ask(&mut self) {
        let topic = self.requester.topics.request(&self.requester.client);
        if let Some(handle) = &self.handle {
            let _ = handle.try_publish(topic, QoS::AtLeastOnce, false, self.payload.to_owned());
            self.due = Some(Instant::now() + ASK_AGAIN);
            if !self.accepted {
                self.state = "the request was sent, but not accepted".to_owned();
            }
        }
    }

    fn ask_if_due(&mut self) {
        if !self.accepted && self.due.is_some_and(|due| due <= Instant::now()) {
            self.ask();
        }
    }

    fn receive(&mut self, publish: &Publish, told: &mut impl FnMut(&Value)) -> Result<Option<Answer>, AskError> {
        if let Some(handle) = &self.handle {
            let _ = handle.try_ack(publish);
        }
        let topic = String::from_utf8_lossy(&publish.topic);
        let came_online = publish.payload.as_ref() == b"online" && !publish.retain;
        if came_online && topic == self.requester.topics.availability() && !self.accepted {
            // A request sent before the node first subscribed went nowhere.
            self.ask();
        }
        if topic == self.requester.topics.info() {
            self.fits(&publish.payload)?;
        }
        let below = |id: &str| self.requester.topics.reply(&self.requester.client, id, "");
        // A request that is too large is refused before its id is read.
        let unread = unreadable_id(&Sha256::digest(self.payload.as_bytes()).into());
        let name = topic.strip_prefix(&below(self.id.as_str())).or(topic.strip_prefix(&below(&unread)));
        match name {
            Some("status") => self.status(&publish.payload, told)?,
            Some("progress") => drop(serde_json::from_slice(&publish.payload).map(|progress| told(&progress))),
            Some(rest) => {
                if let Some(k) = rest.strip_prefix("image/").and_then(|k| k.parse().ok()) {
                    self.images.insert(k, publish.payload.to_vec());
                }
            }
            None => {}
        }
        Ok(self.complete())
    }

    /// Fails if the request is larger than the node takes: the broker would keep it from the node without a word.
    fn fits(&self, info: &[u8]) -> Result<(), AskError> {
        let info: Value = serde_json::from_slice(info).unwrap_or_default();
        let (most, got) = (info["limits"]["request_bytes"].as_u64(), self.payload.len());
        if most.is_none_or(|most| got as u64 <= most) {
            return Ok(());
        }
        let message = format!("a request must be at most {} bytes, got {got}", most.unwrap_or_default());
        Err(AskError::Refused { state: "rejected".to_owned(), code: "payload_too_large".to_owned(), message })
    }

    fn status(&mut self, payload: &[u8], told: &mut impl FnMut(&Value)) -> Result<(), AskError> {
        let Ok(status) = serde_json::from_slice::<Value>(payload) else { return Ok(()) };
        told(&status);
        let text = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        match text("state").as_str() {
            state @ ("accepted" | "started") => {
                self.accepted = true;
                self.state = format!("the last word was {state}");
            }
            "done" => self.done = Some(status),
            "rejected" if status.get("retryable") == Some(&Value::Bool(true)) => {
                let wait = status.get("retry_after_ms").and_then(Value::as_u64).map(Duration::from_millis);
                self.due = Some(Instant::now() + wait.unwrap_or(ASK_AGAIN));
                self.state = format!("{}: {}", text("code"), text("message"));
            }
            "rejected" | "failed" | "cancelled" | "expired" => {
                return Err(AskError::Refused { state: text("state"), code: text("code"), message: text("message") });
            }
            _ => {}
        }
        Ok(())
    }

    /// The answer once `done` and every picture that it names are there, unharmed.
    fn complete(&self) -> Option<Answer> {
        let done = self.done.as_ref()?;
        let images = done.get("images")?.as_array()?;
        let pictures = images.iter().map(|image| {
            let bytes = self.images.get(&image.get("k")?.as_u64()?)?;
            let sha256 = hex(&Sha256::digest(bytes));
            (image.get("sha256")?.as_str()? == sha256).then(|| bytes.clone())
        });
        Some(Answer { done: done.clone(), pictures: pictures.collect::<Option<_>>()? })
    }

    fn hang_up(&self) {
        if let Some(handle) = &self.handle {
            let _ = handle.try_disconnect();
            thread::sleep(Duration::from_millis(50));
        }
    }
}
