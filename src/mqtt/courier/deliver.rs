//! What goes out: removed from where it came only when the broker has acknowledged it, or has refused it for good.

use std::time::{Duration, Instant};

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::PubAckReason;

use super::Talk;
use super::flight::Load;
use crate::job::Origin;
use crate::mqtt::wire::Outgoing;
use crate::service::{Address, Alert, StoreError};

/// How long a message that the broker could not take rests before it is tried again.
const REST: Duration = Duration::from_secs(10);
/// How often it is tried.
const TRIES: u32 = 360;

/// Stands for a retained topic where mail has its key.
const RETAINED: i64 = -1;

/// An answer that is not stored: the message that it answers is acknowledged after it.
#[derive(Debug)]
pub(super) struct Answer {
    /// What is said.
    pub(super) outgoing: Outgoing,
    /// The ticket of the message that it answers.
    pub(super) ticket: u64,
    /// What is said if the broker does not take it.
    pub(super) instead: Option<Outgoing>,
}

/// What became of a message.
pub(super) enum Sent {
    /// It is on its way.
    Yes,
    /// Not now.
    NoRoom,
    /// The broker would never take it.
    TooLarge,
}

impl Talk {
    pub(super) fn acknowledged(&mut self, number: u64, reason: PubAckReason) -> Result<(), StoreError> {
        let Some(load) = self.line.flight.lands(number) else { return Ok(()) };
        let fine = matches!(reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers);
        if !fine {
            tracing::error!(?reason, ?load, "the broker refused a message");
        }
        if reason == PubAckReason::NotAuthorized {
            self.note(Alert::PublishRefused);
        }
        match load {
            Load::Mail { key, .. } if !fine && self.is_worth_another_try(key, reason) => self.rest(),
            Load::Mail { key, .. } => {
                self.refused.remove(&key);
                self.courier.desk.store.delivered(key)?;
            }
            Load::Retained(outgoing) if !fine && self.is_worth_another_try(RETAINED, reason) => {
                self.retained.push_front(outgoing);
                self.rest();
            }
            Load::Retained(outgoing) => {
                self.refused.remove(&RETAINED);
                if fine {
                    self.forget_if_cleared(&outgoing)?;
                }
            }
            // Nobody listens where a request was handed back to: then it is refused here.
            Load::Answer(answer) => self.answered(answer, reason == PubAckReason::Success),
        }
        Ok(())
    }

    /// An answer was said, or has to be said in another way.
    fn answered(&mut self, mut answer: Answer, heard: bool) {
        if let Some(instead) = answer.instead.take().filter(|_| !heard) {
            self.answers.push_front(Answer { outgoing: instead, ..answer });
            return;
        }
        self.inbox.settle(answer.ticket);
        self.acknowledge_ready();
    }

    fn rest(&mut self) {
        self.line.rest_until = Some(Instant::now() + REST);
    }

    fn rests(&self) -> bool {
        self.line.rest_until.is_some_and(|until| until > Instant::now())
    }

    /// A full or troubled broker may take the message later; one that keeps refusing it must not hold up all others.
    fn is_worth_another_try(&mut self, key: i64, reason: PubAckReason) -> bool {
        let times = self.refused.entry(key).or_default();
        *times += 1;
        let passing = matches!(
            reason,
            PubAckReason::QuotaExceeded | PubAckReason::UnspecifiedError | PubAckReason::ImplementationSpecificError
        );
        passing && *times < TRIES
    }

    /// Fills the way to the broker: retained topics first, then answers and the outbox in turns.
    pub(super) fn send_next(&mut self) -> Result<(), StoreError> {
        while self.line.subscribed && self.line.flight.has_room() && self.send_one()? {}
        Ok(())
    }

    /// False if there is nothing to send, or not now.
    fn send_one(&mut self) -> Result<bool, StoreError> {
        if !self.retained.is_empty() && !self.rests() {
            return Ok(!self.line.flight.has_retained() && self.send_retained());
        }
        let mail_first = std::mem::take(&mut self.line.mail_is_next);
        Ok(mail_first && self.send_mail()? || self.send_answer() || !mail_first && self.send_mail()?)
    }

    fn send_retained(&mut self) -> bool {
        let Some(outgoing) = self.retained.pop_front() else { return false };
        match self.publish(&outgoing, QoS::AtLeastOnce) {
            Sent::Yes => {
                let bytes = outgoing.packet_bytes();
                self.line.flight.takes(Load::Retained(outgoing), bytes);
            }
            Sent::TooLarge => {}
            Sent::NoRoom => {
                self.retained.push_front(outgoing);
                return false;
            }
        }
        true
    }

    fn send_answer(&mut self) -> bool {
        let Some(answer) = self.answers.pop_front() else { return false };
        self.line.mail_is_next = true;
        match self.publish(&answer.outgoing, QoS::AtLeastOnce) {
            Sent::Yes => {
                let bytes = answer.outgoing.packet_bytes();
                self.line.flight.takes(Load::Answer(answer), bytes);
            }
            Sent::TooLarge => self.answered(answer, false),
            Sent::NoRoom => {
                self.answers.push_front(answer);
                return false;
            }
        }
        true
    }

    fn send_mail(&mut self) -> Result<bool, StoreError> {
        if self.rests() {
            return Ok(false);
        }
        let Some(mail) = self.courier.desk.store.next_mail(&self.line.flight.jobs())? else { return Ok(false) };
        let outgoing = self.outgoing(&mail);
        match self.publish(&outgoing, QoS::AtLeastOnce) {
            Sent::Yes => {
                self.line.flight.takes(Load::Mail { key: mail.key, job: mail.job }, outgoing.packet_bytes());
            }
            Sent::TooLarge => self.too_large(&mail, outgoing.packet_bytes())?,
            Sent::NoRoom => return Ok(false),
        }
        Ok(true)
    }

    /// Something for one requester that is worth nothing once it is late.
    pub(super) fn whisper(&self, address: &Address, outgoing: Outgoing) {
        let free = self.line.subscribed && self.line.flight.is_quick();
        if address.origin == Origin::Request && free && outgoing.packet_bytes() <= self.line.max_packet {
            self.publish(&outgoing, QoS::AtMostOnce);
        }
    }

    /// Hands a message to the connection's thread, without its Correlation Data and tags if only they make it too large.
    ///
    /// The library must never see a packet that the broker does not take: it would break the connection, and the next.
    pub(super) fn publish(&self, outgoing: &Outgoing, qos: QoS) -> Sent {
        let Some(client) = &self.line.client else { return Sent::NoRoom };
        let Some(outgoing) = outgoing.within(self.line.max_packet) else {
            let (size, limit) = (outgoing.packet_bytes(), self.line.max_packet);
            tracing::warn!(topic = outgoing.topic, size, limit, "a message is larger than the broker takes");
            return Sent::TooLarge;
        };
        let payload = outgoing.payload.clone();
        let sent =
            client.try_publish_with_properties(&outgoing.topic, qos, outgoing.retain, payload, outgoing.properties());
        if sent.is_ok() { Sent::Yes } else { Sent::NoRoom }
    }
}
