//! What goes out: one message at a time, removed from where it came only when the broker has acknowledged it.

use std::time::{Duration, Instant};

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::PubAckReason;

use super::Talk;
use crate::job::units::JobId;
use crate::job::{Code, Failure, Origin, Request};
use crate::mqtt::slot::Slot;
use crate::mqtt::wire::{Content, Outgoing};
use crate::picture::Format;
use crate::service::store::State;
use crate::service::{Mail, MailKind, StoreError};

/// How long a message that the broker could not take rests before it is tried again.
const REST: Duration = Duration::from_secs(10);
/// How often it is tried.
const TRIES: u32 = 6;

impl Talk {
    pub(super) fn acknowledged(&mut self, reason: PubAckReason) -> Result<(), StoreError> {
        let fine = matches!(reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers);
        if !fine {
            tracing::error!(?reason, slot = ?self.line.slot, "the broker refused a message");
        }
        match self.line.slot.take() {
            Some(Slot::Mail(key)) if !fine && self.is_worth_another_try(key, reason) => {
                self.line.rest_until = Some(Instant::now() + REST);
            }
            Some(Slot::Mail(key)) => self.courier.desk.store.delivered(key)?,
            Some(Slot::Retained) => drop(self.retained.pop_front()),
            Some(Slot::Answer(ticket)) => {
                self.answers.pop_front();
                self.inbox.settle(ticket);
                self.acknowledge_ready();
            }
            None => {}
        }
        Ok(())
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
        if let Some(outgoing) = self.retained.front() {
            match self.publish(outgoing, QoS::AtLeastOnce) {
                Sent::Yes => self.line.slot = Some(Slot::Retained),
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
        let Some((outgoing, ticket)) = self.answers.front() else { return false };
        let ticket = *ticket;
        match self.publish(outgoing, QoS::AtLeastOnce) {
            Sent::Yes => self.line.slot = Some(Slot::Answer(ticket)),
            Sent::TooLarge => {
                self.answers.pop_front();
                self.inbox.settle(ticket);
            }
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
        let (key, is_picture) = (mail.key, matches!(mail.kind, MailKind::Picture { .. }));
        let id = mail.address.id.clone();
        let outgoing = self.outgoing(mail);
        match self.publish(&outgoing, QoS::AtLeastOnce) {
            Sent::Yes => self.line.slot = Some(Slot::Mail(key)),
            Sent::TooLarge if is_picture => self.give_up(key, &id, outgoing.packet_bytes())?,
            Sent::TooLarge => self.courier.desk.store.delivered(key)?,
            Sent::NoRoom => {}
        }
        Ok(true)
    }

    /// A picture that the broker would not take.
    fn give_up(&self, key: i64, id: &JobId, size: usize) -> Result<(), StoreError> {
        let message = format!("the picture makes a packet of {size} bytes, the broker takes {}", self.line.max_packet);
        let failure = Failure::new(Code::OutputTooLarge, message);
        let reporter = &self.courier.desk.reporter;
        self.courier.desk.store.replace_pictures(key, |request, delivered, seq| {
            reporter.failed(State::Failed, id, seq, &failure, delivered, &Request::tags_of(request))
        })
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
                content: Content::Picture(
                    Format::find(&format).map_or("application/octet-stream", Format::content_type),
                ),
                retain,
                correlation: mail.address.correlation,
            },
        }
    }

    /// Hands a message to the connection's thread, without its Correlation Data if only that makes it too large.
    ///
    /// The library must never see a packet that the broker does not take: it would break the connection, and the next.
    pub(super) fn publish(&self, outgoing: &Outgoing, qos: QoS) -> Sent {
        let Some(client) = &self.line.client else { return Sent::NoRoom };
        let bare = Outgoing { correlation: None, ..outgoing.clone() };
        let fitting = [outgoing, &bare].into_iter().find(|outgoing| outgoing.packet_bytes() <= self.line.max_packet);
        let Some(outgoing) = fitting else {
            let (size, limit) = (bare.packet_bytes(), self.line.max_packet);
            tracing::error!(topic = bare.topic, size, limit, "a message is larger than the broker takes");
            return Sent::TooLarge;
        };
        let payload = outgoing.payload.clone();
        let sent =
            client.try_publish_with_properties(&outgoing.topic, qos, outgoing.retain, payload, outgoing.properties());
        if sent.is_ok() { Sent::Yes } else { Sent::NoRoom }
    }
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
