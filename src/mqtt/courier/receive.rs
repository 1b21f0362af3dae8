//! What comes in: requests and commands, each acknowledged once it is safe or answered.

use rumqttc::v5::mqttbytes::v5::Publish;

use super::{ANSWERS, Talk};
use crate::job::command::Command;
use crate::job::units::Client;
use crate::job::{Code, Origin, Rejection};
use crate::mqtt::topics::Door;
use crate::mqtt::wire::{self, Outgoing};
use crate::service::{StoreError, Verdict};

impl Talk {
    pub(super) fn receive(&mut self, publish: Publish) -> Result<(), StoreError> {
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
            Some(outgoing) if self.answers.len() < ANSWERS => self.answers.push_back((outgoing, ticket)),
            Some(_) | None => self.inbox.settle(ticket),
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
        let limit = desk.rules.now().limits.request_bytes;
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

    /// Acknowledges what may be acknowledged, as far as there is room on the way to the broker.
    pub(super) fn acknowledge_ready(&mut self) {
        let Some(client) = &self.line.client else { return };
        while let Some(publish) = self.inbox.ready() {
            if client.try_ack(publish).is_err() {
                return;
            }
            self.inbox.acknowledged();
        }
    }
}
