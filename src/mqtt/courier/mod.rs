//! The conversation: one thread that hands incoming messages to the desk and delivers what lies in the outbox.
//!
//! It waits on one channel of [`Signal`]s and holds at most one unacknowledged message of ours, so that every
//! acknowledgement is known to belong to it.

mod deliver;
mod receive;
mod retained;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rumqttc::v5::Client as Handle;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Publish, RetainForwardRule, SubscribeReasonCode};

use super::slot::{Inbox, Slot};
use super::wire::{Content, Outgoing};
use super::{Signal, Topics};
use crate::job::Origin;
use crate::service::report::NodeFacts;
use crate::service::{Activity, Desk, Lifecycle, Notice, StoreError};

/// How long a clean stop may take to deliver what is left.
const FAREWELL: Duration = Duration::from_secs(5);
/// The conversation with the broker.
pub struct Courier {
    /// Takes what comes in.
    pub desk: Desk,
    /// Where things are said.
    pub topics: Topics,
    /// What `info` tells.
    pub facts: NodeFacts,
    /// Whether the `prompt` topic is open.
    pub shortcut: bool,
    /// Whether the broker keeps the newest picture of the `prompt` topic.
    pub retain_image: bool,
}

/// Why the conversation ended.
#[derive(Debug, thiserror::Error)]
pub enum CourierError {
    /// The store cannot be read or written; what came in since was not acknowledged.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What belongs to the present connection.
#[derive(Default)]
struct Line {
    client: Option<Handle>,
    max_packet: usize,
    subscribed: bool,
    slot: Option<Slot>,
    rest_until: Option<Instant>,
}

impl Courier {
    /// Reacts to signals until it is told to stop and has said goodbye.
    pub fn run(self, signals: &Receiver<Signal>) -> Result<(), CourierError> {
        let activity = Arc::clone(&self.desk.activity);
        let mut talk = Talk {
            courier: self,
            activity,
            line: Line::default(),
            inbox: Inbox::new(),
            retained: VecDeque::new(),
            answers: VecDeque::new(),
            state_sent: None,
            state_changed: false,
            leaving: None,
        };
        loop {
            match signals.recv_timeout(Duration::from_millis(500)) {
                Ok(signal) => talk.react(signal)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            talk.refresh_state();
            talk.send_next()?;
            if talk.has_left()? {
                return Ok(());
            }
        }
    }
}

/// A courier at work.
struct Talk {
    courier: Courier,
    activity: Arc<Activity>,
    line: Line,
    inbox: Inbox<Publish>,
    /// Retained topics to publish, in order.
    retained: VecDeque<Outgoing>,
    /// Answers that are not stored, each with the ticket of the message that it answers.
    answers: VecDeque<(Outgoing, u64)>,
    state_sent: Option<(Instant, (Lifecycle, Vec<&'static str>))>,
    state_changed: bool,
    leaving: Option<Instant>,
}

impl Talk {
    fn react(&mut self, signal: Signal) -> Result<(), StoreError> {
        match signal {
            Signal::Up { client, max_packet } => self.connected(client, max_packet),
            Signal::Down { .. } => self.forget_connection(),
            Signal::Granted(codes) => self.granted(&codes),
            Signal::Incoming(publish) => self.receive(publish)?,
            Signal::Acknowledged(reason) => self.acknowledged(reason)?,
            Signal::Notice(Notice::Mail) => {}
            Signal::Notice(Notice::State) => self.state_changed = true,
            Signal::Notice(Notice::Progress { address, body }) => {
                if address.origin == Origin::Request {
                    let topic = self.courier.topics.progress(&address.client, &address.id);
                    self.publish(&Outgoing::json(topic, body, address.correlation), QoS::AtMostOnce);
                }
            }
            Signal::Stop => self.leave(),
        }
        Ok(())
    }

    fn connected(&mut self, client: Handle, max_packet: usize) {
        self.forget_connection();
        let filters = self.courier.topics.filters(self.courier.shortcut).into_iter().map(|path| Filter {
            // Without Retain As Published a retained request could not be told from a live one.
            preserve_retain: true,
            retain_forward_rule: RetainForwardRule::OnNewSubscribe,
            ..Filter::new(path, QoS::AtLeastOnce)
        });
        if let Err(error) = client.try_subscribe_many(filters) {
            tracing::error!(%error, "cannot subscribe");
        }
        self.line = Line { client: Some(client), max_packet, ..Line::default() };
    }

    fn forget_connection(&mut self) {
        self.line = Line::default();
        self.inbox.clear();
        self.answers.clear();
        self.retained.clear();
    }

    /// The subscriptions stand: now the retained topics, `online` last.
    fn granted(&mut self, codes: &[SubscribeReasonCode]) {
        let refused = codes.iter().filter(|code| !matches!(code, SubscribeReasonCode::Success(_))).count();
        self.activity.change(|now| {
            now.alerts.retain(|alert| *alert != "subscription_refused");
            if refused > 0 {
                now.alerts.push("subscription_refused");
            }
        });
        if refused > 0 {
            tracing::error!(?codes, "the broker refuses subscriptions, no requests will come: check its access rules");
        }
        self.line.subscribed = true;
        self.queue_info();
        self.queue_state();
        self.queue_availability("online");
    }

    /// A clean stop: the last state and `offline`, after what can still be delivered.
    fn leave(&mut self) {
        self.activity.change(|now| now.lifecycle = Lifecycle::Stopping);
        self.leaving = Some(Instant::now() + FAREWELL);
        if self.line.subscribed {
            self.queue_state();
        }
    }

    /// True once everything is said, or the time for it is over.
    fn has_left(&mut self) -> Result<bool, StoreError> {
        let Some(until) = self.leaving else { return Ok(false) };
        let late = Instant::now() >= until;
        let silent = self.line.client.is_none();
        let busy = self.line.slot.is_some() || !self.retained.is_empty() || self.courier.desk.store.mail_waiting()? > 0;
        if busy && !late && !silent {
            return Ok(false);
        }
        if !silent && self.line.subscribed && !late {
            self.line.subscribed = false;
            let topic = self.courier.topics.availability();
            self.publish(&Outgoing::retained(topic, "offline".to_owned(), Content::Text), QoS::AtLeastOnce);
            self.line.slot = Some(Slot::Retained);
            return Ok(false);
        }
        if let Some(client) = &self.line.client {
            let _ = client.try_disconnect();
            // The connection's thread writes it; nothing else is waited for.
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(true)
    }
}
