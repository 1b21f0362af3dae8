//! A command, or an administrator's order, on its way until it is answered.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::talk::{Act, Event, Talk};
use super::target::{About, What};
use super::{AskError, Target};
use crate::job::command::{Admin, Command};
use crate::job::units::{Client, JobId};

/// Without an answer for this long a command that may be repeated is sent again.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// Every node of a pool answers; a no of one is the answer if no other says yes within this time.
const OTHERS: Duration = Duration::from_secs(2);

/// A command on its way.
pub(super) struct Question {
    target: Target,
    client: Client,
    id: JobId,
    topic: String,
    payload: Vec<u8>,
    /// Whether a second time would do no more than the first.
    repeatable: bool,
    granted: bool,
    /// When it was last sent.
    sent: Option<Instant>,
    /// The best answer so far, and when it becomes the last word.
    answer: Option<(Value, Instant)>,
    last_word: Option<Value>,
}

impl Question {
    /// A command that has an id.
    pub(super) fn new(target: Target, client: Client, id: JobId, command: &Value) -> Self {
        let word = command.get("command").and_then(Value::as_str).unwrap_or("");
        // What is no administrator's order is a client's command.
        let topic = target.order(Admin::named(word).is_some(), &client);
        let payload = command.to_string().into_bytes();
        let repeatable = word != Command::Repeat.name();
        let (granted, sent, answer, last_word) = (false, None, None, None);
        Self { target, client, id, topic, payload, repeatable, granted, sent, answer, last_word }
    }

    fn send(&mut self, now: Instant) -> Vec<Act> {
        // What cannot be repeated is sent once.
        if self.sent.is_some() && !self.repeatable {
            return Vec::new();
        }
        self.sent = Some(now);
        vec![Act::Publish { topic: self.topic.clone(), payload: self.payload.clone() }]
    }

    fn hear(&mut self, topic: &str, payload: &[u8], now: Instant) {
        let heard = self.target.hear(&self.client, topic).map(|heard| heard.about);
        if heard != Some(About::Reply(self.id.as_str(), What::Answer)) {
            return;
        }
        let Ok(answer) = serde_json::from_slice::<Value>(payload) else { return };
        let is_yes = answer.get("ok") == Some(&Value::Bool(true));
        if is_yes || self.answer.is_none() {
            let is_final = is_yes || matches!(self.target, Target::Node(_));
            self.answer = Some((answer, if is_final { now } else { now + OTHERS }));
        }
    }

    fn tick(&mut self, now: Instant) -> Vec<Act> {
        if let Some((answer, _)) = self.answer.take_if(|(_, ready)| *ready <= now) {
            self.last_word = Some(answer);
        }
        let waits = self.granted && self.answer.is_none() && self.last_word.is_none();
        let due = waits && self.sent.is_some_and(|sent| sent + ASK_AGAIN <= now);
        if due { self.send(now) } else { Vec::new() }
    }
}

impl Talk for Question {
    type Result = Value;

    fn react(&mut self, event: Event<'_>, now: Instant) -> Result<Vec<Act>, AskError> {
        match event {
            Event::Up { .. } => Ok(vec![Act::Subscribe(self.target.filters(&self.client))]),
            Event::Down => {
                self.granted = false;
                Ok(Vec::new())
            }
            Event::Granted => {
                self.granted = true;
                Ok(self.send(now))
            }
            Event::Acknowledged { denied: true } => {
                Err(AskError::Denied("commands may not be published here".to_owned()))
            }
            Event::Message { topic, payload, .. } => {
                self.hear(topic, payload, now);
                Ok(self.tick(now))
            }
            Event::Acknowledged { denied: false } | Event::Tick => Ok(self.tick(now)),
        }
    }

    fn result(&mut self) -> Option<Value> {
        self.last_word.take()
    }

    fn state(&self) -> String {
        if self.granted { "the command was sent, but not answered" } else { "there is no connection to the broker" }
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mqtt::{Pool, Topics};

    fn asked(target: Target, command: &str) -> (Question, Vec<Act>) {
        let client = Client::try_from("cam").unwrap();
        let command = json!({"id": "c1", "command": command});
        let mut question = Question::new(target, client, JobId::try_from("c1").unwrap(), &command);
        let acts = question.react(Event::Granted, Instant::now()).unwrap();
        (question, acts)
    }

    fn node() -> Target {
        Topics::new("diffused", "jet1").unwrap().into()
    }

    fn answered(question: &mut Question, node: &str, ok: bool, now: Instant) {
        let topic = format!("diffused/{node}/reply/cam/c1/answer");
        let payload = json!({"command": "cancel", "ok": ok, "node": node}).to_string();
        let event = Event::Message { topic: &topic, payload: payload.as_bytes(), retained: false, mark: None };
        question.react(event, now).unwrap();
    }

    #[test]
    fn orders_of_an_administrator_have_a_door_of_their_own() {
        let topic = |acts: &[Act]| if let [Act::Publish { topic, .. }] = acts { topic.clone() } else { String::new() };
        assert_eq!(topic(&asked(node(), "cancel").1), "diffused/jet1/command/cam");
        assert_eq!(topic(&asked(node(), "drain").1), "diffused/jet1/admin/cam");
    }

    #[test]
    fn on_a_pool_a_yes_counts_more_than_an_earlier_no() {
        let pool = Target::pool("diffused", Pool::try_from("studio").unwrap()).unwrap();
        let (mut question, _) = asked(pool.clone(), "cancel");
        let now = Instant::now();
        answered(&mut question, "jet1", false, now);
        assert_eq!(question.result(), None);
        answered(&mut question, "jet2", true, now);
        assert_eq!(question.result().unwrap()["node"], "jet2");
        let (mut question, _) = asked(pool, "cancel");
        answered(&mut question, "jet1", false, now);
        question.react(Event::Tick, now + OTHERS).unwrap();
        assert_eq!(question.result().unwrap()["ok"], false);
    }

    #[test]
    fn a_command_is_repeated_unless_twice_is_more_than_once() {
        for (command, times) in [("cancel", 1), ("repeat", 0)] {
            let (mut question, _) = asked(node(), command);
            let later = Instant::now() + ASK_AGAIN;
            assert_eq!(question.react(Event::Tick, later).unwrap().len(), times, "{command}");
            assert_eq!(question.react(Event::Granted, later).unwrap().len(), times, "{command}");
        }
    }
}
