//! What the broker keeps for everybody: `info`, `state`, `availability`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Talk;
use crate::mqtt::wire::{Content, Outgoing};

/// `state` goes out at most this often while nothing important changes.
const STATE_EVERY: Duration = Duration::from_secs(10);

impl Talk {
    /// Tells of rules that have changed since they were told last.
    pub(super) fn refresh_info(&mut self) {
        let now = self.courier.desk.rules.now();
        if self.line.subscribed && self.rules_told.as_ref().is_none_or(|told| !Arc::ptr_eq(told, &now)) {
            self.queue_info();
        }
    }

    pub(super) fn queue_info(&mut self) {
        let courier = &self.courier;
        let rules = courier.desk.rules.now();
        let info = courier.desk.reporter.info(&rules, &courier.facts);
        self.rules_told = Some(rules);
        self.retained.push_back(Outgoing::retained(courier.topics.info(), info, Content::Json));
    }

    /// At once when something important changed, else at most every ten seconds.
    pub(super) fn refresh_state(&mut self) {
        if !self.line.subscribed {
            return;
        }
        let now = self.courier.desk.activity.snapshot();
        let important = (now.lifecycle, now.alerts);
        let due = self
            .state_sent
            .as_ref()
            .is_none_or(|(sent, before)| *before != important || (self.state_changed && sent.elapsed() >= STATE_EVERY));
        if due {
            self.queue_state();
        }
    }

    pub(super) fn queue_state(&mut self) {
        let now = self.courier.desk.activity.snapshot();
        self.state_sent = Some((Instant::now(), (now.lifecycle, now.alerts)));
        self.state_changed = false;
        let state = self.courier.desk.reporter.state(&self.courier.desk.activity);
        self.retained.push_back(Outgoing::retained(self.courier.topics.state(), state, Content::Json));
    }

    pub(super) fn queue_availability(&mut self, word: &str) {
        let topic = self.courier.topics.availability();
        self.retained.push_back(Outgoing::retained(topic, word.to_owned(), Content::Text));
    }
}
