//! What Home Assistant is told of the node, so that it shows a device without any configuration: MQTT discovery.
//!
//! One entity is one JSON object that says which topics of the contract it reads and writes, and how. Entities that change
//! the defaults of `prompt` write parts of them to `defaults/set`; everything is read from `image`, `image/status`,
//! `defaults` and `state`. Source: the pages "MQTT" and its platforms in Home Assistant's documentation; tried with
//! Home Assistant itself by `tests/home_assistant.sh`.

mod choices;
mod controls;
mod entity;
mod sensors;

use serde_json::{Map, Value, json};

pub use self::choices::Choices;
use self::entity::Entity;
use super::Topics;
use super::topics::{NameError, are_levels};
use crate::job::units::Client;
use crate::picture::Format;

/// How the node shows itself to Home Assistant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeAssistant {
    /// Below it Home Assistant looks for devices.
    pub prefix: Prefix,
    /// How the device is told.
    pub form: Form,
    /// The name under which Home Assistant gives orders: its user name at a broker with access rules.
    pub client: Client,
    /// The room in which a new device is put.
    pub area: Option<String>,
}

/// One or more plain topic levels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

/// How a device is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In one message; Home Assistant 2024.11 and newer.
    Device,
    /// One message an entity, for older ones, and for brokers that take only small packets.
    Single,
}

/// What a node has to show.
pub struct Shown<'a> {
    /// Its topics.
    pub topics: &'a Topics,
    /// What it takes and what a bare prompt gets.
    pub choices: Choices,
    /// What its board calls itself.
    pub board: Option<&'a str>,
    /// Format of the pictures on `image`; absent if the `prompt` topic is closed.
    pub image: Option<Format>,
}

/// A message that is retained below the prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Where.
    pub topic: String,
    /// The JSON.
    pub payload: String,
}

impl HomeAssistant {
    /// Where Home Assistant says that it has started.
    pub fn status(&self) -> String {
        format!("{}/status", self.prefix.0)
    }

    /// Whether topics of the node would lie where Home Assistant looks for devices: it would try to read pictures there.
    pub fn swallows(&self, topics: &Topics) -> bool {
        format!("{}/", topics.root).starts_with(&format!("{}/", self.prefix.0))
    }

    /// In which form this node is told on a topic; in none if it is not told there.
    pub fn form_of(&self, topics: &Topics, topic: &str) -> Option<Form> {
        let id = identity(topics);
        let rest = topic.strip_prefix(&self.prefix.0)?.strip_prefix('/')?;
        match rest.split('/').collect::<Vec<_>>()[..] {
            ["device", node, "config"] if node == id => Some(Form::Device),
            [_, node, _, "config"] if node == id => Some(Form::Single),
            _ => None,
        }
    }

    /// The messages of a form.
    pub fn announcements(&self, shown: &Shown<'_>, form: Form) -> Vec<Announcement> {
        let id = identity(shown.topics);
        let entities = self.entities(shown);
        match form {
            Form::Device => {
                let mut components = self.absent(&entities, shown);
                components.extend(entities.into_iter().map(|one| (one.object.to_owned(), one.component(&id))));
                let mut whole = self.frame(shown);
                whole["components"] = Value::Object(components);
                vec![Announcement { topic: self.topic(format_args!("device/{id}")), payload: whole.to_string() }]
            }
            Form::Single => {
                let place = |entity: &Entity| self.topic(format_args!("{}/{id}/{}", entity.platform, entity.object));
                let frame = self.frame(shown);
                let single = |entity: Entity| Announcement {
                    topic: place(&entity),
                    payload: entity.alone(&id, &frame).to_string(),
                };
                entities.into_iter().map(single).collect()
            }
        }
    }

    /// What other settings would show: a component of which only the platform is told disappears, and one that is not
    /// told at all would stay.
    fn absent(&self, entities: &[Entity], shown: &Shown<'_>) -> Map<String, Value> {
        let all = self.entities(&Shown { image: Some(Format::Jpeg), choices: shown.choices.clone(), ..*shown });
        let gone = all.into_iter().filter(|one| entities.iter().all(|there| there.object != one.object));
        gone.map(|one| (one.object.to_owned(), json!({"platform": one.platform}))).collect()
    }

    fn entities(&self, shown: &Shown<'_>) -> Vec<Entity> {
        let mut entities = Vec::new();
        if let Some(format) = shown.image {
            entities.extend(controls::picture(shown.topics, format));
            entities.extend(controls::prompt(shown.topics));
            entities.extend(controls::settings(shown.topics, &shown.choices));
        }
        entities.push(controls::switch(shown.topics, &self.client));
        entities.extend(sensors::all(shown.topics));
        entities
    }

    /// What all entities share. Availability stands here only, and as a list: beside another form of it in a component
    /// Home Assistant refuses everything.
    fn frame(&self, shown: &Shown<'_>) -> Value {
        let version = env!("CARGO_PKG_VERSION");
        let mut frame = json!({
            "device": {
                "identifiers": [identity(shown.topics)], "name": format!("diffused {}", shown.topics.node()),
                "manufacturer": "diffused", "model": shown.board.unwrap_or("picture-making appliance"), "sw_version": version,
            },
            "origin": {"name": "diffused", "sw_version": version},
            "availability": [{"topic": shown.topics.availability()}],
            "qos": 1,
        });
        if let Some(area) = &self.area {
            frame["device"]["suggested_area"] = json!(area);
        }
        frame
    }

    fn topic(&self, place: std::fmt::Arguments<'_>) -> String {
        format!("{}/{place}/config", self.prefix.0)
    }
}

/// The node's name among all devices of Home Assistant.
fn identity(topics: &Topics) -> String {
    topics.root.replace('/', "_")
}

impl TryFrom<&str> for Prefix {
    type Error = NameError;

    fn try_from(prefix: &str) -> Result<Self, NameError> {
        if are_levels(prefix) { Ok(Self(prefix.to_owned())) } else { Err(NameError::Prefix(prefix.to_owned())) }
    }
}

#[cfg(test)]
mod tests;
