//! The conversation: one thread that hands incoming messages to the desk and delivers what lies in the outbox.
//!
//! It waits on one channel of [`Signal`]s and holds at most one unacknowledged message of ours, so that every
//! acknowledgement is known to belong to it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rumqttc::v5::Client as Handle;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, PubAckReason, Publish, RetainForwardRule, SubscribeReasonCode};

use super::slot::{Inbox, Slot};
use super::topics::Door;
use super::wire::{self, Content, Outgoing};
use super::{Signal, Topics};
use crate::job::command::Command;
use crate::job::units::Client;
use crate::job::{Code, Failure, Origin, Rejection};
use crate::picture::Format;
use crate::service::report::NodeFacts;
use crate::service::store::State;
use crate::service::{Activity, Desk, Lifecycle, Mail, MailKind, Notice, StoreError, Verdict};

/// `state` goes out at most this often while nothing important changes.
const STATE_EVERY: Duration = Duration::from_secs(10);
/// How long a clean stop may take to deliver what is left.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long a message that the broker could not take rests before it is tried again.
const REST: Duration = Duration::from_secs(10);

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
        let courier = &self.courier;
        let info = courier.desk.reporter.info(&courier.desk.rules, &courier.facts);
        self.retained.push_back(Outgoing::retained(courier.topics.info(), info, Content::Json));
        self.queue_state();
        self.queue_availability("online");
    }

    fn receive(&mut self, publish: Publish) -> Result<(), StoreError> {
        if self.leaving.is_some() {
            // Not acknowledged, so the broker keeps it for the next start.
            return Ok(());
        }
        let ticket = self.inbox.note(publish.clone());
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        let answer = match self.courier.topics.door(&topic) {
            Some(Ok(door)) => self.answer(door, &publish)?,
            Some(Err(_)) | None => {
                tracing::warn!("a message on a topic that names no client is ignored");
                self.courier.desk.store.count("ignored")?;
                None
            }
        };
        match answer {
            Some(outgoing) => self.answers.push_back((outgoing, ticket)),
            None => self.acknowledge(ticket),
        }
        Ok(())
    }

    /// What is to be said before the message is acknowledged; nothing if the answer lies in the outbox.
    fn answer(&self, door: Door, publish: &Publish) -> Result<Option<Outgoing>, StoreError> {
        let (client, origin) = match door {
            Door::Prompt => (Client::shortcut(), Origin::Shortcut),
            Door::Request(client) => (client, Origin::Request),
            Door::Command(client) => return self.command(&client, publish).map(Some),
        };
        let message = wire::message(publish, client, origin);
        let Verdict::Refused { id, body } = self.courier.desk.request(&message)? else { return Ok(None) };
        let topics = &self.courier.topics;
        Ok(Some(match origin {
            Origin::Request => Outgoing::json(topics.reply(&message.client, &id, "status"), body, message.correlation),
            Origin::Shortcut => Outgoing {
                retain: self.courier.retain_image,
                ..Outgoing::json(topics.shortcut_status(), body, message.correlation)
            },
        }))
    }

    fn command(&self, client: &Client, publish: &Publish) -> Result<Outgoing, StoreError> {
        let desk = &self.courier.desk;
        let message = wire::message(publish, client.clone(), Origin::Request);
        let limit = desk.rules.limits.request_bytes;
        let (id, body) = match Command::parse(&message.payload, message.retained, limit) {
            Ok(Command::Cancel { id, job }) => {
                let jobs = desk.cancel(client, job.as_ref())?;
                let body = match (jobs, &job) {
                    (0, Some(_)) => {
                        let rejection = Rejection::new(Code::NotFound, "there is no open job of this id");
                        desk.reporter.refused("cancel", id.as_deref(), &rejection)
                    }
                    _ => desk.reporter.cancelled(id.as_deref(), jobs),
                };
                (id, body)
            }
            Err(refused) => {
                let body = desk.reporter.refused(&refused.command, refused.id.as_deref(), &refused.rejection);
                (refused.id, body)
            }
        };
        let id = id.unwrap_or_else(|| "command".to_owned());
        Ok(Outgoing::json(self.courier.topics.reply(client, &id, "answer"), body, message.correlation))
    }

    fn acknowledge(&mut self, ticket: u64) {
        for publish in self.inbox.settle(ticket) {
            if let Some(Err(error)) = self.line.client.as_ref().map(|client| client.try_ack(&publish)) {
                tracing::warn!(%error, "cannot acknowledge a request, it will come again");
            }
        }
    }

    fn acknowledged(&mut self, reason: PubAckReason) -> Result<(), StoreError> {
        let fine = matches!(reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers);
        let passing = matches!(
            reason,
            PubAckReason::QuotaExceeded | PubAckReason::UnspecifiedError | PubAckReason::ImplementationSpecificError
        );
        if !fine {
            tracing::error!(?reason, slot = ?self.line.slot, "the broker refused a message");
        }
        match self.line.slot.take() {
            Some(Slot::Mail(_)) if passing => self.line.rest_until = Some(Instant::now() + REST),
            Some(Slot::Mail(key)) => self.courier.desk.store.delivered(key)?,
            Some(Slot::Retained) => drop(self.retained.pop_front()),
            Some(Slot::Answer(ticket)) => {
                self.answers.pop_front();
                self.acknowledge(ticket);
            }
            None => {}
        }
        Ok(())
    }

    /// Retained topics first, then answers, then the outbox; nothing while a message is unacknowledged.
    fn send_next(&mut self) -> Result<(), StoreError> {
        let resting = self.line.rest_until.is_some_and(|until| until > Instant::now());
        if !self.line.subscribed || self.line.slot.is_some() {
            return Ok(());
        }
        if let Some(outgoing) = self.retained.front() {
            if self.publish(outgoing, QoS::AtLeastOnce) {
                self.line.slot = Some(Slot::Retained);
            }
        } else if let Some((outgoing, ticket)) = self.answers.front() {
            if self.publish(outgoing, QoS::AtLeastOnce) {
                self.line.slot = Some(Slot::Answer(*ticket));
            }
        } else if !resting && let Some(mail) = self.courier.desk.store.next_mail()? {
            self.deliver(mail)?;
        }
        Ok(())
    }

    fn deliver(&mut self, mail: Mail) -> Result<(), StoreError> {
        let key = mail.key;
        let (client, id) = (mail.address.client.clone(), mail.address.id.clone());
        let outgoing = self.outgoing(mail);
        let size = outgoing.packet_bytes();
        if size > self.line.max_packet {
            // Sent all the same it would break the connection, again and again.
            let message = format!("the picture makes a packet of {size} bytes, the broker takes {}", self.line.max_packet);
            tracing::warn!(job = id.as_str(), client = client.as_str(), message, "job not delivered");
            let failure = Failure::new(Code::OutputTooLarge, message);
            let reporter = self.courier.desk.reporter.clone();
            self.courier.desk.store.replace_pictures(key, |seq| {
                reporter.failed(State::Failed.name(), &id, seq, &failure, None)
            })?;
            return Ok(());
        }
        if self.publish(&outgoing, QoS::AtLeastOnce) {
            self.line.slot = Some(Slot::Mail(key));
        }
        Ok(())
    }

    fn outgoing(&self, mail: Mail) -> Outgoing {
        let retain = mail.address.origin == Origin::Shortcut && self.courier.retain_image;
        match mail.kind {
            MailKind::Status(body) => {
                let topic = self.courier.topics.status(&mail.address);
                Outgoing { retain, ..Outgoing::json(topic, body, mail.address.correlation) }
            }
            MailKind::Picture { k, format, bytes } => Outgoing {
                topic: self.courier.topics.picture(&mail.address, k),
                payload: bytes,
                content: Content::Picture(Format::find(&format).map_or("application/octet-stream", Format::content_type)),
                retain,
                correlation: mail.address.correlation,
            },
        }
    }

    /// Hands a message to the connection's thread; false if it has no room or there is none.
    fn publish(&self, outgoing: &Outgoing, qos: QoS) -> bool {
        let Some(client) = &self.line.client else { return false };
        let properties = outgoing.properties();
        let payload = outgoing.payload.clone();
        client.try_publish_with_properties(&outgoing.topic, qos, outgoing.retain, payload, properties).is_ok()
    }

    /// At once when something important changed, else at most every ten seconds.
    fn refresh_state(&mut self) {
        if !self.state_changed || !self.line.subscribed {
            return;
        }
        let now = self.activity.snapshot();
        let important = (now.lifecycle, now.alerts);
        let due = self.state_sent.as_ref().is_none_or(|(sent, before)| *before != important || sent.elapsed() >= STATE_EVERY);
        if due {
            self.queue_state();
        }
    }

    fn queue_state(&mut self) {
        let now = self.activity.snapshot();
        self.state_sent = Some((Instant::now(), (now.lifecycle, now.alerts)));
        self.state_changed = false;
        let state = self.courier.desk.reporter.state(&self.activity);
        self.retained.push_back(Outgoing::retained(self.courier.topics.state(), state, Content::Json));
    }

    fn queue_availability(&mut self, word: &str) {
        let topic = self.courier.topics.availability();
        self.retained.push_back(Outgoing::retained(topic, word.to_owned(), Content::Text));
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
