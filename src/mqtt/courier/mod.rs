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
use crate::job::{Origin, Rules};
use crate::service::report::NodeFacts;
use crate::service::{Desk, Lifecycle, Notice, StoreError};

/// How long a clean stop may take to deliver what is left, and then for the acknowledgement of `offline`.
const FAREWELL: Duration = Duration::from_secs(5);
const LAST_WORD: Duration = Duration::from_secs(1);
/// Answers that may wait to be sent; beyond that there are none.
const ANSWERS: usize = 64;
/// What a picture's packet needs beside the picture, generously.
const PACKET_HEAD: usize = 1024;
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
    /// The last message was an answer: mail goes before the next one.
    mail_is_next: bool,
}

impl Courier {
    /// Reacts to signals until it is told to stop and has said goodbye.
    pub fn run(self, signals: &Receiver<Signal>) -> Result<(), CourierError> {
        let mut talk = Talk {
            courier: self,
            line: Line::default(),
            inbox: Inbox::new(),
            retained: VecDeque::new(),
            answers: VecDeque::new(),
            state_sent: None,
            rules_told: None,
            state_changed: false,
            refused: None,
            leaving: None,
        };
        loop {
            match signals.recv_timeout(Duration::from_millis(500)) {
                Ok(signal) => talk.react(signal)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            talk.acknowledge_ready();
            talk.refresh_state();
            talk.refresh_info();
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
    line: Line,
    inbox: Inbox<Publish>,
    /// Retained topics to publish, in order.
    retained: VecDeque<Outgoing>,
    /// Answers that are not stored, each with the ticket of the message that it answers.
    answers: VecDeque<(Outgoing, u64)>,
    state_sent: Option<(Instant, (Lifecycle, Vec<&'static str>))>,
    state_changed: bool,
    /// The rules that `info` told of last.
    rules_told: Option<Arc<Rules>>,
    /// The mail that the broker refused last, and how often.
    refused: Option<(i64, u32)>,
    leaving: Option<Farewell>,
}

/// A clean stop under way.
struct Farewell {
    /// When what is not delivered stays in the store.
    until: Instant,
    /// Set once `offline` was handed over: until when its acknowledgement is waited for.
    offline: Option<Instant>,
}

impl Talk {
    fn react(&mut self, signal: Signal) -> Result<(), StoreError> {
        match signal {
            Signal::Up { client, max_packet } => self.connected(client, max_packet),
            Signal::Down { .. } => self.forget_connection(),
            Signal::Granted(codes) => self.granted(&codes),
            Signal::Incoming(publish) => self.receive(publish)?,
            Signal::Acknowledged(reason) => self.acknowledged(reason)?,
            Signal::Notice(Notice::Mail | Notice::Rules) => {}
            Signal::Notice(Notice::State) => self.state_changed = true,
            Signal::Notice(Notice::Progress { address, body }) => {
                // Worth nothing once it is late, so it never waits behind anything.
                if address.origin == Origin::Request && self.line.slot.is_none() {
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
        let room = u32::try_from(max_packet.saturating_sub(PACKET_HEAD)).unwrap_or(u32::MAX);
        self.courier.desk.activity.change(|now| now.room = Some(room));
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
        self.courier.desk.activity.change(|now| {
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
        self.courier.desk.activity.change(|now| now.lifecycle = Lifecycle::Stopping);
        self.leaving = Some(Farewell { until: Instant::now() + FAREWELL, offline: None });
        if self.line.subscribed {
            self.queue_state();
        }
    }

    /// True once everything is said, or the time for it is over.
    fn has_left(&mut self) -> Result<bool, StoreError> {
        let Some(farewell) = &self.leaving else { return Ok(false) };
        let Some(client) = self.line.client.clone() else { return Ok(true) };
        let now = Instant::now();
        if let Some(until) = farewell.offline {
            let acknowledged = self.line.slot.is_none();
            if acknowledged {
                let _ = client.try_disconnect();
                // The connection's thread writes it; nothing else is waited for.
                std::thread::sleep(Duration::from_millis(100));
            }
            // Without the acknowledgement we leave without a goodbye, so that the last will says offline for us.
            return Ok(acknowledged || now >= until);
        }
        let mail = self.courier.desk.store.mail_waiting()? > 0;
        let busy = mail || self.line.slot.is_some() || !self.retained.is_empty();
        if busy && now < farewell.until {
            return Ok(false);
        }
        let offline = Outgoing::retained(self.courier.topics.availability(), "offline".to_owned(), Content::Text);
        self.publish(&offline, QoS::AtLeastOnce);
        self.retained.clear();
        self.line.subscribed = false;
        self.line.slot = Some(Slot::Retained);
        self.leaving = Some(Farewell { until: now, offline: Some(now + LAST_WORD) });
        Ok(false)
    }
}
