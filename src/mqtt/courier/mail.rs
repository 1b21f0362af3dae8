//! Mail from the outbox as messages, and what becomes of mail that the broker would not take.

use serde_json::{Map, Value};

use super::Talk;
use crate::job::units::Tags;
use crate::job::{Code, Failure, Origin, Request};
use crate::mqtt::wire::{Content, Outgoing};
use crate::picture::Format;
use crate::service::store::State;
use crate::service::{Mail, MailKind, StoreError};

/// Parts are at least this large, as a requester may ask for them.
const SMALLEST_PART: usize = 512;

impl Talk {
    pub(super) fn outgoing(&self, mail: &Mail) -> Outgoing {
        let (topics, address) = (&self.courier.topics, &mail.address);
        let retain = address.origin == Origin::Shortcut && self.courier.retain_image;
        let correlation = address.correlation.clone();
        let picture = |topic, name: &str, bytes: &Vec<u8>| Outgoing {
            topic,
            payload: bytes.clone(),
            content: Content::Picture(Format::find(name).map_or("application/octet-stream", Format::content_type)),
            retain,
            correlation: address.correlation.clone(),
        };
        match &mail.kind {
            MailKind::Status(body) => {
                Outgoing { retain, ..Outgoing::json(topics.status(address), body.clone(), correlation) }
            }
            MailKind::Picture { k, format, bytes } => picture(topics.picture(address, *k), format, bytes),
            MailKind::Manifest(facts) => {
                let body = self.courier.desk.reporter.manifest(&address.id, mail.seq, facts);
                Outgoing::json(topics.about(address, format_args!("manifest/{}", facts.k)), body, correlation)
            }
            MailKind::Part { facts, index, bytes } => {
                let topic = topics.about(address, format_args!("part/{}.{index}", facts.k));
                Outgoing { content: Content::Bytes, ..picture(topic, &facts.format, bytes) }
            }
        }
    }

    /// A packet of `size` bytes is more than the broker takes: a picture goes in parts, or in smaller ones.
    pub(super) fn too_large(&self, mail: &Mail, size: usize) -> Result<(), StoreError> {
        let store = &self.courier.desk.store;
        let payload = match &mail.kind {
            MailKind::Status(body) => return self.shorten(mail, body, size),
            MailKind::Manifest(_) => return store.delivered(mail.key),
            MailKind::Picture { bytes, .. } | MailKind::Part { bytes, .. } => bytes.len(),
        };
        // The index of a part may make its topic longer than the one that was measured.
        let head = size - payload + 16;
        let part = self.line.max_packet.saturating_sub(head).min(payload.saturating_sub(1));
        match (mail.address.origin, u32::try_from(part)) {
            (Origin::Request, Ok(part)) if part as usize >= SMALLEST_PART => {
                tracing::info!(
                    job = mail.address.id.as_str(),
                    part,
                    "a picture goes in parts, the broker takes no more"
                );
                store.split(mail.key, part)
            }
            _ => self.give_up(mail, size),
        }
    }

    /// A status that the broker would not take goes without its tags, or as the news that it cannot be told.
    fn shorten(&self, mail: &Mail, body: &str, size: usize) -> Result<(), StoreError> {
        let store = &self.courier.desk.store;
        let mut status: Map<String, Value> = serde_json::from_str(body).unwrap_or_default();
        if status.shift_remove("tags").is_some() || status.shift_remove("warnings").is_some() {
            return store.rewrite(mail.key, &Value::Object(status).to_string());
        }
        let Some(pictures) = status.get("images").and_then(Value::as_array).map(Vec::len) else {
            tracing::error!(job = mail.address.id.as_str(), size, "the broker takes no status at all");
            return store.delivered(mail.key);
        };
        let message = format!("done takes a packet of {size} bytes, the broker takes {}", self.line.max_packet);
        let failure = Failure::new(Code::OutputTooLarge, message);
        let reporter = &self.courier.desk.reporter;
        let told =
            reporter.failed(State::Failed, &mail.address.id, mail.seq, &failure, pictures as u64, &Tags::default());
        let mut told: Map<String, Value> = serde_json::from_str(&told).unwrap_or_default();
        told.extend(status.remove_entry("replay"));
        store.rewrite(mail.key, &Value::Object(told).to_string())
    }

    /// A picture that the broker would not take in any form.
    fn give_up(&self, mail: &Mail, size: usize) -> Result<(), StoreError> {
        let message = format!("the answer makes a packet of {size} bytes, the broker takes {}", self.line.max_packet);
        let failure = Failure::new(Code::OutputTooLarge, message);
        let reporter = &self.courier.desk.reporter;
        self.courier.desk.store.replace_pictures(mail.key, |request, delivered, seq| {
            let tags = Request::tags_of(request);
            reporter.failed(State::Failed, &mail.address.id, seq, &failure, delivered, &tags)
        })
    }
}
