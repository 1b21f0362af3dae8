//! What goes out: one message at a time, removed from where it came only when the broker has acknowledged
//! it, or has refused it for good.

use std::time::{Duration, Instant};

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::PubAckReason;

use super::{Line, Talk};
use crate::job::Origin;
use crate::mqtt::slot::Slot;
use crate::mqtt::wire::Outgoing;
use crate::service::{Address, Alert, StoreError};

/// How long a message that the broker could not take rests before it is tried again.
const REST: Duration = Duration::from_secs(10);
/// How often it is tried.
const TRIES: u32 = 360;

/// A message of fewer bytes holds up nothing, if the line moves at all: its acknowledgement comes within this time.
const SMALL: usize = 16 * 1024;
const FRESH: Duration = Duration::from_secs(1);
/// Stands for a retained topic where mail has its key.
const RETAINED: i64 = -1;

/// An answer that is not stored: the message that it answers is acknowledged after it.
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

impl Line {
    /// A message is on its way.
    fn takes(&mut self, slot: Slot, bytes: usize) {
        (self.slot, self.sent, self.since) = (Some(slot), bytes, Some(Instant::now()));
    }

    /// Whether something small would not wait behind what is on its way.
    fn is_quick(&self) -> bool {
        let is_fresh = self.since.is_some_and(|since| since.elapsed() < FRESH);
        self.slot.is_none() || self.sent < SMALL && is_fresh
    }
}

impl Talk {
    pub(super) fn acknowledged(&mut self, reason: PubAckReason) -> Result<(), StoreError> {
        let fine = matches!(reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers);
        if !fine {
            tracing::error!(?reason, slot = ?self.line.slot, "the broker refused a message");
        }
        if reason == PubAckReason::NotAuthorized {
            self.note(Alert::PublishRefused);
        }
        match self.line.slot.take() {
            Some(Slot::Mail(key)) if !fine && self.is_worth_another_try(key, reason) => {
                self.line.rest_until = Some(Instant::now() + REST);
            }
            Some(Slot::Mail(key)) => self.courier.desk.store.delivered(key)?,
            Some(Slot::Retained) if !fine && self.is_worth_another_try(RETAINED, reason) => {
                self.line.rest_until = Some(Instant::now() + REST);
            }
            Some(Slot::Retained) => drop(self.retained.pop_front()),
            // Nobody listens where a request was handed back to: then it is refused here.
            Some(Slot::Answer) => self.answered(reason == PubAckReason::Success),
            None => {}
        }
        Ok(())
    }

    /// The first answer was said, or has to be said in another way.
    fn answered(&mut self, heard: bool) {
        let Some(answer) = self.answers.front_mut() else { return };
        if let Some(instead) = answer.instead.take().filter(|_| !heard) {
            answer.outgoing = instead;
            return;
        }
        let ticket = answer.ticket;
        self.answers.pop_front();
        self.inbox.settle(ticket);
        self.acknowledge_ready();
    }

    /// A full or troubled broker may take the message later; one that keeps refusing it must not hold up all others.
    fn is_worth_another_try(&mut self, key: i64, reason: PubAckReason) -> bool {
        let times = self.refused.filter(|(refused, _)| *refused == key).map_or(0, |(_, times)| times) + 1;
        self.refused = Some((key, times));
        let passing = matches!(
            reason,
            PubAckReason::QuotaExceeded | PubAckReason::UnspecifiedError | PubAckReason::ImplementationSpecificError
        );
        passing && times < TRIES
    }

    /// Retained topics first, then answers and the outbox in turns; nothing while a message is unacknowledged.
    pub(super) fn send_next(&mut self) -> Result<(), StoreError> {
        if !self.line.subscribed || self.line.slot.is_some() {
            return Ok(());
        }
        let rests = self.line.rest_until.is_some_and(|until| until > Instant::now());
        if let Some(outgoing) = self.retained.front().filter(|_| !rests) {
            match self.publish(outgoing, QoS::AtLeastOnce) {
                Sent::Yes => self.line.takes(Slot::Retained, outgoing.packet_bytes()),
                Sent::TooLarge => drop(self.retained.pop_front()),
                Sent::NoRoom => {}
            }
            return Ok(());
        }
        let mail_first = std::mem::take(&mut self.line.mail_is_next);
        if mail_first && self.send_mail()? {
            return Ok(());
        }
        if !self.send_answer() && !mail_first {
            self.send_mail()?;
        }
        Ok(())
    }

    /// False if there is no answer to send.
    fn send_answer(&mut self) -> bool {
        let Some(answer) = self.answers.front() else { return false };
        match self.publish(&answer.outgoing, QoS::AtLeastOnce) {
            Sent::Yes => self.line.takes(Slot::Answer, answer.outgoing.packet_bytes()),
            Sent::TooLarge => self.answered(false),
            Sent::NoRoom => {}
        }
        self.line.mail_is_next = true;
        true
    }

    /// False if there is no mail to send, or not now.
    fn send_mail(&mut self) -> Result<bool, StoreError> {
        if self.line.rest_until.is_some_and(|until| until > Instant::now()) {
            return Ok(false);
        }
        let Some(mail) = self.courier.desk.store.next_mail()? else { return Ok(false) };
        let outgoing = self.outgoing(&mail);
        match self.publish(&outgoing, QoS::AtLeastOnce) {
            Sent::Yes => self.line.takes(Slot::Mail(mail.key), outgoing.packet_bytes()),
            Sent::TooLarge => self.too_large(&mail, outgoing.packet_bytes())?,
            Sent::NoRoom => {}
        }
        Ok(true)
    }

    /// Something for one requester that is worth nothing once it is late.
    pub(super) fn whisper(&self, address: &Address, outgoing: Outgoing) {
        let free = self.line.subscribed && self.line.is_quick();
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
