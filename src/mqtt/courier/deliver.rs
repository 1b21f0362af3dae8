//! What goes out: one message at a time, removed from where it came only when the broker has acknowledged it.

use std::time::{Duration, Instant};

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::PubAckReason;

use super::Talk;
use crate::job::{Code, Failure, Origin};
use crate::mqtt::slot::Slot;
use crate::mqtt::wire::{Content, Outgoing};
use crate::picture::Format;
use crate::service::store::State;
use crate::service::{Mail, MailKind, StoreError};

/// How long a message that the broker could not take rests before it is tried again.
const REST: Duration = Duration::from_secs(10);

impl Talk {
    pub(super) fn acknowledged(&mut self, reason: PubAckReason) -> Result<(), StoreError> {
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
    pub(super) fn send_next(&mut self) -> Result<(), StoreError> {
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
            let message =
                format!("the picture makes a packet of {size} bytes, the broker takes {}", self.line.max_packet);
            tracing::warn!(job = id.as_str(), client = client.as_str(), message, "job not delivered");
            let failure = Failure::new(Code::OutputTooLarge, message);
            let reporter = self.courier.desk.reporter.clone();
            self.courier
                .desk
                .store
                .replace_pictures(key, |seq| reporter.failed(State::Failed.name(), &id, seq, &failure, None))?;
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
                content: Content::Picture(
                    Format::find(&format).map_or("application/octet-stream", Format::content_type),
                ),
                retain,
                correlation: mail.address.correlation,
            },
        }
    }

    /// Hands a message to the connection's thread; false if it has no room or there is none.
    pub(super) fn publish(&self, outgoing: &Outgoing, qos: QoS) -> bool {
        let Some(client) = &self.line.client else { return false };
        let properties = outgoing.properties();
        let payload = outgoing.payload.clone();
        client.try_publish_with_properties(&outgoing.topic, qos, outgoing.retain, payload, properties).is_ok()
    }
}
