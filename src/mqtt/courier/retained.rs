//! What the broker keeps for everybody: `info`, `state`, `defaults`, `availability`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Talk;
use crate::mqtt::wire::{Content, Outgoing};
use crate::service::{Alert, Lifecycle, Phase, Snapshot, StoreError};

/// `state` goes out at most this often while nothing important changes.
const STATE_EVERY: Duration = Duration::from_secs(10);

impl Talk {
    /// Everything, `online` last, once there are models to work with.
    pub(super) fn queue_all(&mut self) {
        self.queue_info();
        self.queue_defaults();
        self.queue_state();
        self.announce_again();
        if self.has_begun {
            self.queue_availability("online");
        }
    }

    /// The models are there: whoever waits for `online` may ask now.
    pub(super) fn begin(&mut self) -> Result<(), StoreError> {
        if !self.has_begun && self.courier.desk.activity.snapshot().phase == Phase::Working {
            self.courier.desk.remember_defaults()?;
            self.has_begun = true;
            // Where there are pools, their subscriptions are answered, and then everything is told.
            self.join_pools();
            if self.line.subscribed && self.courier.pools.is_empty() {
                self.queue_all();
            }
        }
        Ok(())
    }

    /// Tells of rules that have changed since they were told last.
    pub(super) fn refresh_info(&mut self) {
        let now = self.courier.desk.rules.now();
        if self.line.subscribed && self.rules_told.as_ref().is_none_or(|told| !Arc::ptr_eq(told, &now)) {
            self.queue_info();
            self.queue_defaults();
        }
    }

    /// Publishes something that the broker keeps; of a topic the newest is enough.
    pub(super) fn keep(&mut self, outgoing: Outgoing) {
        match self.retained.iter_mut().find(|other| other.topic == outgoing.topic) {
            Some(other) => *other = outgoing,
            None => self.retained.push_back(outgoing),
        }
    }

    fn queue_info(&mut self) {
        let courier = &self.courier;
        let rules = courier.desk.rules.now();
        let info = courier.desk.reporter.info(&rules, &courier.facts);
        self.rules_told = Some(rules);
        self.keep(Outgoing::retained(courier.topics.info(), info, Content::Json));
    }

    /// Tells what a bare prompt would get.
    pub(super) fn queue_defaults(&mut self) {
        let courier = &self.courier;
        if self.line.subscribed && courier.shortcut {
            let defaults = courier.desk.reporter.defaults(&courier.desk.defaults());
            self.keep(Outgoing::retained(courier.topics.defaults(), defaults, Content::Json));
        }
    }

    /// At once when something important changed, else at most every ten seconds.
    pub(super) fn refresh_state(&mut self) {
        if !self.line.subscribed {
            return;
        }
        let important = Important::of(&self.courier.desk.activity.snapshot());
        let due = self
            .state_sent
            .as_ref()
            .is_none_or(|(sent, before)| *before != important || (self.state_changed && sent.elapsed() >= STATE_EVERY));
        if due {
            self.queue_state();
        }
    }

    pub(super) fn queue_state(&mut self) {
        let important = Important::of(&self.courier.desk.activity.snapshot());
        self.state_sent = Some((Instant::now(), important));
        self.state_changed = false;
        let state = self.courier.desk.reporter.state(&self.courier.desk.activity);
        let content = Content::Marked(self.courier.mark.clone());
        self.keep(Outgoing::retained(self.courier.topics.state(), state, content));
    }

    pub(super) fn queue_availability(&mut self, word: &str) {
        let topic = self.courier.topics.availability();
        self.keep(Outgoing::retained(topic, word.to_owned(), Content::Text));
    }
}

/// What of the state is told as soon as it changes.
#[derive(PartialEq)]
pub(super) struct Important {
    lifecycle: Lifecycle,
    alerts: Vec<Alert>,
    /// Of several jobs at the same time one may still be told of when another has ended and nothing is left to do.
    at_work: bool,
}

impl Important {
    fn of(now: &Snapshot) -> Self {
        Self { lifecycle: now.lifecycle(), alerts: now.alerts.clone(), at_work: now.progress.is_some() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Progress, Stage};
    use crate::service::Activity;

    #[test]
    fn a_job_that_is_over_is_not_told_of_until_something_else_happens() {
        let activity = Activity::new(1, 4, "");
        let important = || Important::of(&activity.snapshot());
        let idle = important();
        let at = Progress { stage: Stage::Denoise, step: 1, steps: 4, k: 0 };
        activity.change(|now| now.progress = Some(at));
        let (busy, step) = (important(), Progress { step: 2, ..at });
        activity.change(|now| now.progress = Some(step));
        assert!(idle != busy && busy == important(), "a step more is no reason");
        activity.change(|now| now.progress = None);
        assert!(idle == important());
    }
}
