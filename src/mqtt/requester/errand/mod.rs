//! One request on its way, until its pictures are here: the rule for requesters as a state machine.

mod node;
mod receive;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use serde_json::Value;
use sha2::{Digest, Sha256};

use self::node::Node;
use super::talk::{Act, Event, Patience, Talk};
use super::{Answer, AskError, Target, packet_bytes};
use crate::job::units::{Client, JobId};
use crate::service::report::unreadable_id;

/// Nodes of a pool that are listened to about one job.
const NODES: usize = 8;
/// How often the job is asked for again after a node forgot its pictures.
const RESTARTS: u32 = 2;

/// What is asked for.
pub(super) struct Order {
    pub(super) target: Target,
    pub(super) client: Client,
    pub(super) id: JobId,
    /// The request, whose `id` is `id`.
    pub(super) payload: String,
    pub(super) patience: Patience,
    /// Memory that the pictures may take, in bytes.
    pub(super) most: usize,
}

/// One request on its way.
pub(super) struct Errand {
    order: Order,
    /// The id that an unreadable request is answered under.
    unread: String,
    /// Parts do not come by themselves.
    pulls: bool,
    line: Line,
    nodes: BTreeMap<String, Node>,
    /// The node whose `done` counts, and that `done`.
    winner: Option<(String, Value)>,
    /// When to send the request again.
    due: Option<Instant>,
    state: String,
    restarts: u32,
    gets: u32,
}

/// The connection, as far as a conversation cares.
#[derive(Default)]
struct Line {
    granted: bool,
    /// Whether each message that the broker has not yet answered is the request.
    sent: VecDeque<bool>,
}

impl Errand {
    pub(super) fn new(order: Order) -> Self {
        let request: Value = serde_json::from_str(&order.payload).unwrap_or_default();
        Self {
            unread: unreadable_id(&Sha256::digest(order.payload.as_bytes()).into()),
            pulls: request["output"]["push"] == Value::Bool(false),
            order,
            line: Line::default(),
            nodes: BTreeMap::new(),
            winner: None,
            due: None,
            state: "there is no connection to the broker".to_owned(),
            restarts: 0,
            gets: 0,
        }
    }

    fn up(&mut self, max_packet: usize) -> Result<Vec<Act>, AskError> {
        let size = packet_bytes(&self.order.target.request(&self.order.client), self.order.payload.len());
        if size > max_packet {
            let message = format!("the request makes a packet of {size} bytes, the broker takes {max_packet}");
            return Err(AskError::rejected("payload_too_large", message));
        }
        self.line = Line::default();
        let mut filters = self.order.target.filters(&self.order.client);
        if matches!(self.order.target, Target::Pool(_)) {
            filters.extend(self.nodes.values().map(|node| node.topics.availability()));
        }
        Ok(vec![Act::Subscribe(filters)])
    }

    /// The request once more; harmless, for the node knows the id.
    fn ask(&mut self, now: Instant) -> Vec<Act> {
        if !self.line.granted {
            return Vec::new();
        }
        // A pool is asked for any node; the one that has the job already is asked itself.
        let holder = self.holder().map(|node| node.topics.request(&self.order.client));
        self.due = holder.is_none().then(|| now + self.order.patience.accepted);
        if holder.is_none() {
            self.state = "the request was sent, but not accepted".to_owned();
        }
        let topic = holder.unwrap_or_else(|| self.order.target.request(&self.order.client));
        self.line.sent.push_back(true);
        vec![Act::Publish { topic, payload: self.order.payload.clone().into_bytes() }]
    }

    /// The node whose work we wait for.
    fn holder(&self) -> Option<&Node> {
        let winner = self.winner.as_ref().and_then(|(name, _)| self.nodes.get(name));
        winner.or_else(|| self.nodes.values().find(|node| node.accepted))
    }

    fn tick(&mut self, now: Instant) -> Vec<Act> {
        self.give_up_lost_nodes(now);
        if self.due.is_some_and(|due| due <= now) {
            return self.ask(now);
        }
        self.chase(now)
    }

    /// A node of a pool may be gone for good; another one shall do its work.
    fn give_up_lost_nodes(&mut self, now: Instant) {
        if matches!(self.order.target, Target::Node(_)) {
            return;
        }
        let (patience, most) = (self.order.patience.offline, self.order.most);
        let gone = |node: &&mut Node| node.accepted && node.away.is_some_and(|since| now >= since + patience);
        let mut lost = false;
        for node in self.nodes.values_mut().filter(gone) {
            node.forget(most);
            lost = true;
        }
        if lost {
            self.winner = self.winner.take().filter(|(name, _)| self.nodes.get(name).is_some_and(|node| node.accepted));
            self.state = "the node that had the job is offline".to_owned();
        }
        if lost && self.holder().is_none() {
            self.due = Some(now);
        }
    }

    /// Asks for what is missing after `done`.
    fn chase(&mut self, now: Instant) -> Vec<Act> {
        let Some((name, _)) = self.winner.as_ref().filter(|_| self.line.granted) else { return Vec::new() };
        let Some(node) = self.nodes.get_mut(name) else { return Vec::new() };
        let commands = node.gets(&self.order.id, self.pulls, &self.order.patience, now);
        if commands.is_empty() {
            return Vec::new();
        }
        let (topic, deaf) = (node.topics.command(&self.order.client), node.is_deaf());
        self.state = "pictures or parts of them are missing".to_owned();
        if deaf {
            return self.ask(now);
        }
        let numbered = |mut command: Value| {
            self.gets += 1;
            command["id"] = Value::from(get_id(&self.order.id, self.gets));
            self.line.sent.push_back(false);
            Act::Publish { topic: topic.clone(), payload: command.to_string().into_bytes() }
        };
        commands.into_iter().map(numbered).collect()
    }

    fn acknowledged(&mut self, denied: bool, now: Instant) -> Result<Vec<Act>, AskError> {
        match self.line.sent.pop_front() {
            Some(true) | None if denied => Err(AskError::Denied("requests may not be published here".to_owned())),
            // Without commands the request has to do: its repetition brings the pictures again.
            Some(false) if denied => Ok(self.ask(now)),
            _ => Ok(Vec::new()),
        }
    }
}

impl Talk for Errand {
    type Result = Answer;

    fn react(&mut self, event: Event<'_>, now: Instant) -> Result<Vec<Act>, AskError> {
        match event {
            Event::Up { max_packet } => self.up(max_packet),
            Event::Down => {
                self.line = Line::default();
                Ok(Vec::new())
            }
            Event::Granted => {
                self.line.granted = true;
                Ok(self.ask(now))
            }
            Event::Acknowledged { denied } => self.acknowledged(denied, now),
            Event::Message { topic, payload, retained, mark } => {
                let client = self.order.client.clone();
                let Some(heard) = self.order.target.hear(&client, topic) else { return Ok(Vec::new()) };
                let mut acts = self.receive(heard, payload, retained, mark, now)?;
                acts.extend(self.tick(now));
                Ok(acts)
            }
            Event::Tick => Ok(self.tick(now)),
        }
    }

    fn result(&mut self) -> Option<Answer> {
        let (name, done) = self.winner.as_ref()?;
        let pictures = self.nodes.get(name)?.album.complete()?;
        Some(Answer { done: done.clone(), pictures })
    }

    fn state(&self) -> String {
        self.state.clone()
    }
}

/// The name of our `number`th `get` for a job.
fn get_id(job: &JobId, number: u32) -> String {
    let start: String = job.as_str().chars().take(32).collect();
    format!("{start}-get-{number}")
}
