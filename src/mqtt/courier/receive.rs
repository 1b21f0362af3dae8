//! What comes in: requests and commands, each acknowledged once it is safe or answered.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rumqttc::v5::mqttbytes::v5::Publish;

use super::{Answer, Talk};
use crate::job::units::Client;
use crate::job::{Code, Origin};
use crate::mqtt::door::{Door, Pool};
use crate::mqtt::wire::{self, Outgoing};
use crate::service::{Message, StoreError, Verdict};

/// Answers that may wait to be sent; beyond that there are none, and the requester asks again. Receive Maximum does not
/// bound them: mosquitto 2.0.11 sends a whole window of messages for every one that is acknowledged.
const ANSWERS: usize = 4096;
/// Bytes of answers that may wait before requests are refused rather than given back.
const ANSWER_BYTES: usize = 32 << 20;
/// A request that was given back so often is refused.
const MOST_HOPS: u8 = 16;

impl Talk {
    pub(super) fn receive(&mut self, publish: Publish) -> Result<(), StoreError> {
        if self.leaving.is_some() {
            self.pass_on(&publish);
            return Ok(());
        }
        if self.trouble.is_some() {
            // Not acknowledged, so the broker keeps it for later.
            return Ok(());
        }
        let ticket = self.inbox.note(receipt(&publish));
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        let answer = match self.courier.topics.door(&topic) {
            Some(Door::State) => {
                self.hear_of_another(&publish);
                None
            }
            Some(door) => match catch_unwind(AssertUnwindSafe(|| self.answer(door, &publish))) {
                Ok(answer) => answer?,
                // It must not end the service: the broker would send the message again after every start.
                Err(_) => self.ignored("a message over which a reader panicked is ignored"),
            },
            None if self.courier.home_assistant.as_ref().is_some_and(|settings| settings.status() == topic) => {
                self.hear_of_home_assistant(&publish);
                None
            }
            None => self.ignored("a message on a topic that names no client is ignored"),
        };
        match answer {
            // There is no room to give so much back: its requester hears why, and tries again later.
            Some((_, Some(refusal))) if self.waiting_bytes() > ANSWER_BYTES => {
                self.answers.push_back(Answer { outgoing: refusal, ticket, instead: None });
            }
            // A request that goes back to its pool is never dropped: nobody else has it.
            Some((outgoing, instead)) if self.answers.len() < ANSWERS || instead.is_some() => {
                self.answers.push_back(Answer { outgoing, ticket, instead });
            }
            Some(_) => {
                tracing::warn!("too many answers wait, one is dropped");
                self.inbox.settle(ticket);
            }
            None => self.inbox.settle(ticket),
        }
        Ok(())
    }

    /// Nothing is said to a message; that there was one is counted.
    fn ignored<T>(&self, why: &str) -> Option<T> {
        tracing::warn!("{why}");
        self.courier.desk.activity.change(|now| now.ignored += 1);
        None
    }

    /// While we leave, requests of a pool go to others; anything else the broker keeps for us, unacknowledged.
    fn pass_on(&mut self, publish: &Publish) {
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        if let Some(Door::PoolRequest { pool, hops, client }) = self.courier.topics.door(&topic) {
            let ticket = self.inbox.note(receipt(publish));
            let topic = self.courier.topics.handback(&pool, hops.saturating_add(1), &client);
            self.answers.push_back(Answer { outgoing: Outgoing::handed_back(topic, publish), ticket, instead: None });
        }
    }

    /// Bytes of the answers that wait.
    fn waiting_bytes(&self) -> usize {
        self.answers.iter().map(|answer| answer.outgoing.payload.len()).sum()
    }

    /// What is to be said before the message is acknowledged; nothing if the answer lies in the outbox.
    fn answer(&self, door: Door, publish: &Publish) -> Result<Option<(Outgoing, Option<Outgoing>)>, StoreError> {
        let desk = &self.courier.desk;
        let plain = |client: &Client| self.message(publish, client.clone(), Origin::Request);
        let said = match door {
            Door::Prompt => self.refusal(&self.message(publish, Client::shortcut(), Origin::Shortcut))?.map(|it| it.0),
            Door::Request(client) => self.refusal(&plain(&client))?.map(|it| it.0),
            Door::PoolRequest { pool, hops, client } => return self.of_pool(&pool, hops, &client, publish),
            Door::Upload(client, name) => {
                desk.upload(&plain(&client), &name)?;
                None
            }
            Door::Defaults => {
                desk.set_defaults(&self.message(publish, Client::shortcut(), Origin::Shortcut))?;
                None
            }
            Door::Command(client) => Some(self.told(&client, publish, desk.command(&plain(&client))?)),
            Door::Admin(client) => Some(self.told(&client, publish, desk.admin(&plain(&client))?)),
            Door::State => None,
        };
        Ok(said.map(|outgoing| (outgoing, None)))
    }

    /// The answer to an order.
    fn told(&self, client: &Client, publish: &Publish, (id, body): (String, String)) -> Outgoing {
        let correlation = wire::correlation(publish);
        Outgoing::json(self.courier.topics.reply(client, &id, "answer"), body, correlation)
    }

    /// Hands a request to the desk; what is said if it is refused, and why.
    fn refusal(&self, message: &Message) -> Result<Option<(Outgoing, Code)>, StoreError> {
        let Verdict::Refused { id, body, code } = self.courier.desk.request(message)? else { return Ok(None) };
        let (topics, correlation) = (&self.courier.topics, message.correlation.clone());
        let outgoing = match (message.origin, &message.reply) {
            (Origin::Request, None) => Outgoing::json(topics.reply(&message.client, &id, "status"), body, correlation),
            (Origin::Request, Some(own)) => Outgoing::json(format!("{own}/status"), body, correlation),
            (Origin::Shortcut, _) => Outgoing {
                retain: self.courier.retain_image,
                ..Outgoing::json(topics.shortcut_status(), body, correlation)
            },
        };
        Ok(Some((outgoing, code)))
    }

    /// A request to a pool: what another node might take goes back to the pool, and is acknowledged once the broker has
    /// it there. Brokers hand requests to the nodes blindly, one after the other.
    fn of_pool(
        &self,
        pool: &Pool,
        hops: u8,
        client: &Client,
        publish: &Publish,
    ) -> Result<Option<(Outgoing, Option<Outgoing>)>, StoreError> {
        let message = Message { hops: Some(hops), ..self.message(publish, client.clone(), Origin::Request) };
        let Some((refusal, code)) = self.refusal(&message)? else { return Ok(None) };
        if hops >= MOST_HOPS || !is_for_others(code) {
            return Ok(Some((refusal, None)));
        }
        tracing::debug!(hops, code = %code, "a request goes back to its pool");
        let topic = self.courier.topics.handback(pool, hops + 1, client);
        Ok(Some((Outgoing::handed_back(topic, publish), Some(refusal))))
    }

    fn message(&self, publish: &Publish, client: Client, origin: Origin) -> Message {
        wire::message(publish, client, origin, &self.courier.reply_prefixes)
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

/// What an acknowledgement needs of a message: many may wait, and they may be large.
fn receipt(publish: &Publish) -> Publish {
    let mut receipt = publish.clone();
    (receipt.payload, receipt.properties) = (Default::default(), None);
    receipt
}

/// Whether another node of a pool may take what this one refuses: it has room, works, or has what this one lacks.
fn is_for_others(code: Code) -> bool {
    let busy = code.retryable() && code != Code::RateLimited;
    busy || matches!(
        code,
        Code::UnknownModel
            | Code::UnknownAdapter
            | Code::AdapterMismatch
            | Code::UnsupportedMode
            | Code::SizeNotSupported
            | Code::NotFound
    )
}
