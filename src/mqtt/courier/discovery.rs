//! What Home Assistant is told of us, and that it does not keep what is no longer true.
//!
//! Retained topics outlive their node, and only their publisher can take them back. So the store remembers where
//! something was told; what is not told any more, because of another prefix, form or name or because all of it was
//! switched off, is cleared with empty messages, and forgotten once the broker has acknowledged that.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rumqttc::v5::mqttbytes::v5::Publish;
use serde::{Deserialize, Serialize};

use super::Talk;
use crate::job::Rules;
use crate::mqtt::home_assistant::{Announcement, Choices, Form, Shown};
use crate::mqtt::wire::{Content, Outgoing};
use crate::picture::Format;
use crate::service::StoreError;
use crate::service::desk::fresh_seed;

/// Under this name the store remembers what was told.
const MEMORY: &str = "home assistant";

/// Said on a topic before its entities are told in the other form: Home Assistant keeps what people set for them.
const HAND_OVER: &str = r#"{"migrate_discovery":true}"#;

/// All nodes hear at the same time that Home Assistant has started; each waits a second and up to so many milliseconds
/// more, drawn at random.
const SPREAD: u64 = 9000;

/// What was told on this connection.
#[derive(Default)]
pub(super) struct Discovery {
    /// The rules that it was told of; nothing if everything is to be told again.
    rules: Option<Arc<Rules>>,
    told: Vec<Announcement>,
    /// When everything is told again, because Home Assistant has started.
    again: Option<Instant>,
}

/// What the broker may still keep of what we told.
#[derive(Default, PartialEq, Serialize, Deserialize)]
struct Memory {
    /// Where Home Assistant was listened to.
    status: Option<String>,
    topics: BTreeSet<String>,
}

impl Talk {
    /// Tells what has changed since it was told last, once there are models to choose from.
    pub(super) fn announce(&mut self) -> Result<(), StoreError> {
        if self.discovery.again.is_some_and(|again| again <= Instant::now()) {
            self.discovery = Discovery::default();
        }
        let rules = self.courier.desk.rules.now();
        let is_news = self.discovery.rules.as_ref().is_none_or(|told| !Arc::ptr_eq(told, &rules));
        if !self.line.subscribed || !self.has_begun || self.leaving.is_some() || !is_news {
            return Ok(());
        }
        let announcements = self.announcements(&rules);
        let gone = self.remember_where(&announcements)?;
        let form = announcements.first().and_then(|one| self.form_of(&one.topic));
        let moves = |topic: &&String| self.form_of(topic).is_some_and(|before| form.is_some_and(|now| now != before));
        for topic in gone.iter().filter(moves).cloned().collect::<Vec<_>>() {
            self.retained.push_back(Outgoing::retained(topic, HAND_OVER.to_owned(), Content::Json));
        }
        let news = announcements.iter().filter(|one| !self.discovery.told.contains(one));
        for Announcement { topic, payload } in news.cloned().collect::<Vec<_>>() {
            self.keep(Outgoing::retained(topic, payload, Content::Json));
        }
        for topic in gone {
            self.retained.push_back(Outgoing::retained(topic, String::new(), Content::Text));
        }
        (self.discovery.rules, self.discovery.told) = (Some(rules), announcements);
        Ok(())
    }

    /// Everything is to be told again.
    pub(super) fn announce_again(&mut self) {
        self.discovery.rules = None;
        self.discovery.told.clear();
    }

    /// Home Assistant says whether it is there; one that has just started knows nothing of us.
    pub(super) fn hear_of_home_assistant(&mut self, publish: &Publish) {
        if publish.payload.as_ref() == b"online" {
            let wait = 1000 + fresh_seed().get() % SPREAD;
            self.discovery.again = Some(Instant::now() + Duration::from_millis(wait));
        }
    }

    /// The broker has taken a retained message: if it was an empty one, there is nothing left of that topic.
    pub(super) fn forget_if_cleared(&mut self, outgoing: &Outgoing) -> Result<(), StoreError> {
        if !outgoing.payload.is_empty() {
            return Ok(());
        }
        let mut memory = self.memory()?;
        if memory.topics.remove(&outgoing.topic) { self.remember(&memory) } else { Ok(()) }
    }

    /// In the form that was configured, unless the broker takes no packet that large.
    fn announcements(&self, rules: &Rules) -> Vec<Announcement> {
        let courier = &self.courier;
        let Some(settings) = &courier.home_assistant else { return Vec::new() };
        let format = courier.facts.image["format"].as_str().and_then(Format::find);
        let shown = Shown {
            topics: &courier.topics,
            choices: Choices::new(rules, &courier.desk.defaults()),
            board: courier.facts.device.as_deref(),
            image: format.filter(|_| courier.shortcut),
        };
        let whole = settings.announcements(&shown, settings.form);
        let limit = self.line.max_packet;
        let bytes = |one: &Announcement| {
            Outgoing::retained(one.topic.clone(), one.payload.clone(), Content::Json).packet_bytes()
        };
        match whole.iter().map(bytes).max() {
            Some(size) if size > limit && settings.form == Form::Device => {
                tracing::warn!(
                    size,
                    limit,
                    "the broker does not take the whole device, its entities are told one by one"
                );
                settings.announcements(&shown, Form::Single)
            }
            _ => whole,
        }
    }

    /// In which form we are told on a topic, under the name and the prefix of now.
    fn form_of(&self, topic: &str) -> Option<Form> {
        self.courier.home_assistant.as_ref()?.form_of(&self.courier.topics, topic)
    }

    /// Remembers where something is about to be told, before it is: what is not remembered could never be taken back.
    /// Returns where something was told before and is no longer.
    fn remember_where(&self, announcements: &[Announcement]) -> Result<Vec<String>, StoreError> {
        let before = self.memory()?;
        let topics: BTreeSet<String> = announcements.iter().map(|one| one.topic.clone()).collect();
        let status = self.courier.home_assistant.as_ref().map(|settings| settings.status());
        if let (Some(old), Some(client)) =
            (before.status.as_ref().filter(|old| status.as_ref() != Some(old)), &self.line.client)
        {
            let _ = client.try_unsubscribe(old);
        }
        let gone = before.topics.difference(&topics).cloned().collect();
        let after = Memory { status, topics: topics.union(&before.topics).cloned().collect() };
        if after != before {
            self.remember(&after)?;
        }
        Ok(gone)
    }

    fn memory(&self) -> Result<Memory, StoreError> {
        let stored = self.courier.desk.store.setting(MEMORY)?;
        Ok(stored.and_then(|stored| serde_json::from_str(&stored).ok()).unwrap_or_default())
    }

    fn remember(&self, memory: &Memory) -> Result<(), StoreError> {
        let stored = (*memory != Memory::default()).then(|| serde_json::to_string(memory).unwrap_or_default());
        self.courier.desk.store.set(MEMORY, stored.as_deref())
    }
}
