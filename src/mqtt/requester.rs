//! The other side of the contract: asks a node for pictures and waits until they are there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rumqttc::v5::Client as Handle;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Publish, SubscribeReasonCode};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Broker, Signal, Topics, link};
use crate::job::units::{Client, JobId};
use crate::service::report::hex;

/// Without `accepted` for this long the same request is sent again, under the same id.
const ASK_AGAIN: Duration = Duration::from_secs(10);

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
    #[error("no picture within {} s, {}", .waited.as_secs(), if *.accepted { "although the request was accepted" } else { "the request was not even accepted" })]
    Timeout {
        /// How long we waited.
        waited: Duration,
        /// Whether `accepted` came.
        accepted: bool,
    },
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
    /// `told` hears every status and progress message.
    pub fn ask(
        &self,
        id: &JobId,
        payload: &str,
        timeout: Duration,
        mut told: impl FnMut(&Value),
    ) -> Result<Answer, AskError> {
        let (sender, signals) = mpsc::channel();
        let stopping = Arc::new(AtomicBool::new(false));
        let (broker, stop) = (self.broker.clone(), Arc::clone(&stopping));
        thread::spawn(move || link::run(&broker, None, &sender, &stop));
        let mut errand = Errand {
            requester: self,
            id,
            payload,
            handle: None,
            accepted: false,
            asked: None,
            images: BTreeMap::new(),
            done: None,
        };
        let begun = Instant::now();
        let answer = loop {
            match signals.recv_timeout(Duration::from_millis(200)) {
                Ok(signal) => match errand.react(signal, &mut told) {
                    Ok(None) => {}
                    Ok(Some(answer)) => break Ok(answer),
                    Err(error) => break Err(error),
                },
                Err(RecvTimeoutError::Timeout) => errand.ask_again(),
                Err(RecvTimeoutError::Disconnected) => break Err(AskError::Denied("the connection ended".to_owned())),
            }
            if begun.elapsed() >= timeout {
                break Err(AskError::Timeout { waited: timeout, accepted: errand.accepted });
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
    asked: Option<Instant>,
    images: BTreeMap<u64, Vec<u8>>,
    done: Option<Value>,
}

impl Errand<'_> {
    fn react(&mut self, signal: Signal, told: &mut impl FnMut(&Value)) -> Result<Option<Answer>, AskError> {
        match signal {
            Signal::Up { client, .. } => {
                let topics = &self.requester.topics;
                let filters = [topics.replies(&self.requester.client), topics.availability()];
                let _ = client.try_subscribe_many(filters.map(|path| Filter::new(path, QoS::AtLeastOnce)));
                self.handle = Some(client);
            }
            Signal::Down { denied: Some(reason) } => return Err(AskError::Denied(reason)),
            Signal::Down { denied: None } => self.handle = None,
            Signal::Granted(codes) => match codes.first() {
                Some(SubscribeReasonCode::Success(_)) => self.ask(),
                other => return Err(AskError::Denied(format!("the subscription was answered with {other:?}"))),
            },
            Signal::Incoming(publish) => return self.receive(&publish, told),
            Signal::Acknowledged(_) | Signal::Notice(_) | Signal::Stop => {}
        }
        Ok(None)
    }

    fn ask(&mut self) {
        let topic = self.requester.topics.request(&self.requester.client);
        if let Some(handle) = &self.handle {
            let _ = handle.try_publish(topic, QoS::AtLeastOnce, false, self.payload.to_owned());
            self.asked = Some(Instant::now());
        }
    }

    fn ask_again(&mut self) {
        if !self.accepted && self.asked.is_some_and(|asked| asked.elapsed() >= ASK_AGAIN) {
            self.ask();
        }
    }

    fn receive(&mut self, publish: &Publish, told: &mut impl FnMut(&Value)) -> Result<Option<Answer>, AskError> {
        if let Some(handle) = &self.handle {
            let _ = handle.try_ack(publish);
        }
        let topic = String::from_utf8_lossy(&publish.topic);
        if topic == self.requester.topics.availability() && publish.payload.as_ref() == b"online" && !self.accepted {
            // A request sent before the node first subscribed went nowhere.
            self.ask();
        }
        let ours = self.requester.topics.reply(&self.requester.client, self.id.as_str(), "");
        match topic.strip_prefix(&ours) {
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

    fn status(&mut self, payload: &[u8], told: &mut impl FnMut(&Value)) -> Result<(), AskError> {
        let Ok(status) = serde_json::from_slice::<Value>(payload) else { return Ok(()) };
        told(&status);
        let text = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        match text("state").as_str() {
            "accepted" | "started" => self.accepted = true,
            "done" => self.done = Some(status),
            "rejected" if status.get("retryable") == Some(&Value::Bool(true)) => self.asked = Some(Instant::now()),
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
