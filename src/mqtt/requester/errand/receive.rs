//! What a node says about our job, and what follows from it.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::node::Node;
use super::{Errand, NODES, RESTARTS};
use crate::mqtt::requester::album::Unfit;
use crate::mqtt::requester::join::Taken;
use crate::mqtt::requester::talk::{Act, Update};
use crate::mqtt::requester::target::{About, Heard, What};
use crate::mqtt::requester::{AskError, Target};

type Acts = Result<Vec<Act>, AskError>;

impl Errand {
    pub(super) fn receive(
        &mut self,
        heard: Heard<'_>,
        payload: &[u8],
        retained: bool,
        mark: Option<(u8, u16)>,
        now: Instant,
    ) -> Acts {
        let name = heard.node.availability();
        match heard.about {
            About::Info => self.fits(payload).map(|()| Vec::new()),
            About::Availability => Ok(self.availability(&name, payload, retained, now)),
            About::Reply(id, What::Answer) => self.answered(&name, id, payload, now),
            About::Reply(id, what) if id == self.order.id.as_str() || (id == self.unread && what == What::Status) => {
                if !self.nodes.contains_key(&name) && self.nodes.len() >= NODES {
                    return Ok(Vec::new());
                }
                let most = self.order.most;
                let node = self.nodes.entry(name.clone()).or_insert_with(|| Node::new(heard.node, most, now));
                node.heard = now;
                match what {
                    What::Status => self.status(&name, payload, now),
                    _ => Ok(self.content(&name, what, payload, mark)),
                }
            }
            About::Reply(..) => Ok(Vec::new()),
        }
    }

    /// Fails if the request is larger than the node takes: the broker would keep it from the node without a word.
    fn fits(&self, info: &[u8]) -> Result<(), AskError> {
        let info: Value = serde_json::from_slice(info).unwrap_or_default();
        let (most, got) = (info["limits"]["request_bytes"].as_u64(), self.order.payload.len());
        match most {
            Some(most) if got as u64 > most => {
                let message = format!("a request must be at most {most} bytes, got {got}");
                Err(AskError::rejected("payload_too_large", message))
            }
            _ => Ok(()),
        }
    }

    fn availability(&mut self, name: &str, payload: &[u8], retained: bool, now: Instant) -> Vec<Act> {
        let came_back = payload == b"online" && !retained && self.winner.is_none();
        let mut concerns_us = matches!(self.order.target, Target::Node(_));
        if let Some(node) = self.nodes.get_mut(name) {
            node.away = (payload == b"offline").then(|| node.away.unwrap_or(now));
            concerns_us |= node.accepted;
        }
        // A request sent before the node first subscribed went nowhere, and a node may come back without its store.
        if came_back && concerns_us { self.ask(now) } else { Vec::new() }
    }

    fn status(&mut self, name: &str, payload: &[u8], now: Instant) -> Acts {
        let Ok(status) = serde_json::from_slice::<Value>(payload) else { return Ok(Vec::new()) };
        let Some(node) = self.nodes.get_mut(name) else { return Ok(Vec::new()) };
        let news = node.is_news(&status);
        let mut acts = match text(&status, "state").as_str() {
            "accepted" | "started" => self.holds(name),
            "done" => self.done(name, &status)?,
            "rejected" if status.get("retryable") == Some(&Value::Bool(true)) => {
                self.rejected_for_now(name, &status, now);
                Vec::new()
            }
            "rejected" | "failed" | "cancelled" | "expired" => self.ended(name, &status)?,
            _ => Vec::new(),
        };
        if news {
            self.state = match text(&status, "code").as_str() {
                "" => format!("the last word was {}", text(&status, "state")),
                code => format!("{code}: {}", text(&status, "message")),
            };
            acts.push(Act::Tell(Update::Status(status)));
        }
        Ok(acts)
    }

    /// The node has the job.
    fn holds(&mut self, name: &str) -> Vec<Act> {
        let Some(node) = self.nodes.get_mut(name) else { return Vec::new() };
        let first = !std::mem::replace(&mut node.accepted, true);
        let watch = first && matches!(self.order.target, Target::Pool(_));
        let acts = watch.then(|| Act::Subscribe(vec![node.topics.availability()]));
        self.due = None;
        acts.into_iter().collect()
    }

    fn done(&mut self, name: &str, status: &Value) -> Acts {
        let acts = self.holds(name);
        // On a pool two nodes may have done the job: the first counts.
        if self.winner.as_ref().is_some_and(|(winner, _)| winner != name) {
            return Ok(acts);
        }
        let most = self.order.most;
        let named = self.nodes.get_mut(name).map(|node| node.album.name(status));
        match named {
            Some(Ok(())) => {
                self.winner.get_or_insert_with(|| (name.to_owned(), status.clone()));
                let others = self.nodes.iter_mut().filter(|(other, _)| *other != name);
                others.for_each(|(_, node)| node.forget(most));
                Ok(acts)
            }
            Some(Err(Unfit::TooLarge)) => Err(AskError::TooLarge { most }),
            Some(Err(Unfit::Unreadable)) | None => Ok(acts),
        }
    }

    fn rejected_for_now(&mut self, name: &str, status: &Value, now: Instant) {
        if let Some(node) = self.nodes.get_mut(name) {
            node.accepted = false;
        }
        if self.holder().is_none() {
            let wait = status.get("retry_after_ms").and_then(Value::as_u64).map(Duration::from_millis);
            self.due = Some(now + wait.unwrap_or(self.order.patience.accepted));
        }
    }

    /// The job came to an end without pictures; on a pool another node may still have it.
    fn ended(&mut self, name: &str, status: &Value) -> Acts {
        let most = self.order.most;
        if let Some(node) = self.nodes.get_mut(name) {
            node.forget(most);
        }
        match self.holder() {
            Some(_) => Ok(Vec::new()),
            None => Err(AskError::refused(status)),
        }
    }

    /// Everything about the job but its statuses.
    fn content(&mut self, name: &str, what: What, payload: &[u8], mark: Option<(u8, u16)>) -> Vec<Act> {
        // What comes after another node's `done` is not wanted.
        if self.winner.as_ref().is_some_and(|(winner, _)| winner != name) {
            return Vec::new();
        }
        let mut acts = self.holds(name);
        let Some(node) = self.nodes.get_mut(name) else { return acts };
        let update = match what {
            What::Image(k) => {
                node.album.whole(k, payload);
                None
            }
            What::Manifest(k) => {
                let _ = serde_json::from_slice(payload).map(|manifest| node.album.manifest(k, &manifest));
                None
            }
            What::Part(k, i) => {
                let taken = node.album.part(k, i, payload);
                let (have, of) = node.album.count(k);
                matches!(taken, Taken::New | Taken::Complete).then_some(Update::Parts { k, have, of })
            }
            What::Preview => Some(Update::Preview { mark, jpeg: payload.to_vec() }),
            What::Progress => serde_json::from_slice(payload).ok().map(Update::Progress),
            What::Status | What::Answer => None,
        };
        acts.extend(update.map(Act::Tell));
        acts
    }

    /// The answer to one of our commands.
    fn answered(&mut self, name: &str, id: &str, payload: &[u8], now: Instant) -> Acts {
        let ours = (1..=self.gets).rev().take(64).any(|number| super::get_id(&self.order.id, number) == id);
        let from_winner = self.winner.as_ref().is_some_and(|(winner, _)| winner == name);
        let answer: Value = serde_json::from_slice(payload).unwrap_or_default();
        if !ours || !from_winner || answer.get("ok") != Some(&Value::Bool(false)) {
            return Ok(Vec::new());
        }
        if text(&answer, "code") != "not_found" {
            // It does not know the command, or cannot serve it now: the request itself brings the pictures as well.
            return Ok(self.ask(now));
        }
        if text(&answer, "field") == "parts" {
            self.nodes.get_mut(name).into_iter().for_each(Node::has_other_parts);
            return Ok(Vec::new());
        }
        // The node knows the job no more. The gets of one round have one answer each, but the first one ends the round.
        self.restarts += 1;
        if self.restarts > RESTARTS {
            return Err(AskError::refused(&answer));
        }
        let most = self.order.most;
        self.winner = None;
        if let Some(node) = self.nodes.get_mut(name) {
            node.forget(most);
        }
        Ok(self.ask(now))
    }
}

fn text(json: &Value, key: &str) -> String {
    json.get(key).and_then(Value::as_str).unwrap_or("").to_owned()
}
