//! Holds what a node says against the contract: topic, schema, order of the keys, size, quality of service.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

use super::listener::Heard;
use crate::contract_schema::schemas;
use crate::contract_schema::topics::{Payload, TOPICS, Topic, Way};

/// The schema of a message, and its validator in which no unknown key is allowed.
struct Strict {
    name: &'static str,
    schema: Value,
    validator: Validator,
}

static STRICT: LazyLock<Vec<Strict>> = LazyLock::new(|| {
    let strict = |(name, mut schema): (&'static str, Value)| {
        close(&mut schema);
        let validator = jsonschema::validator_for(&schema).unwrap();
        Strict { name, schema, validator }
    };
    schemas().into_iter().map(strict).collect()
});

/// What is wrong with a message; nothing if requesters or operators published it.
pub fn faults(heard: &Heard) -> Vec<String> {
    let Some(topic) = TOPICS.iter().find(|topic| topic.fits(&heard.topic)) else {
        let ours = heard.topic.split('/').nth(2).is_some_and(|level| OURS.contains(&level));
        return if ours { vec![format!("{} is no topic of the contract", heard.topic)] } else { Vec::new() };
    };
    // What requesters say is theirs, also when a node gives it back to its pool.
    if topic.way != Way::Out {
        return Vec::new();
    }
    let place = |fault| format!("{}: {fault}", heard.topic);
    let shape = match topic.payload {
        Payload::Json(schema) => faults_of_json(schema, &heard.payload),
        Payload::Word(words) => faults_of_word(words, &heard.text()),
        _ => Vec::new(),
    };
    envelope(topic, heard).into_iter().chain(shape).map(place).collect()
}

/// Levels below a node on which only the node publishes.
const OURS: [&str; 6] = ["reply", "image", "availability", "info", "state", "defaults"];

fn envelope(topic: &Topic, heard: &Heard) -> Vec<String> {
    let mut faults = Vec::new();
    if topic.qos.is_some_and(|qos| qos != heard.qos) {
        faults.push(format!("came with QoS {}", heard.qos));
    }
    let wanted = match topic.payload {
        Payload::Json(_) | Payload::JsonOrPrompt(_) => "application/json",
        Payload::Word(_) => "text/plain",
        Payload::Picture | Payload::Part => "",
    };
    if !wanted.is_empty() && heard.content_type != wanted {
        faults.push(format!("has the Content Type {:?}", heard.content_type));
    }
    if heard.topic.len() > 256 || heard.topic.split('/').count() > 8 {
        faults.push("the topic is longer than 256 bytes or 8 levels".to_owned());
    }
    faults
}

fn faults_of_word(words: &[&str], text: &str) -> Vec<String> {
    if words.contains(&text) { Vec::new() } else { vec![format!("must be one of {words:?}, got {text:?}")] }
}

/// What is wrong with a JSON message of this kind.
pub fn faults_of_json(name: &str, payload: &[u8]) -> Vec<String> {
    let strict = STRICT.iter().find(|strict| strict.name == name).unwrap();
    let value: Value = match serde_json::from_slice(payload) {
        Ok(value) => value,
        Err(error) => return vec![format!("{error} in {:?}", String::from_utf8_lossy(payload))],
    };
    let mut faults: Vec<String> =
        strict.validator.iter_errors(&value).map(|error| format!("{error} at {}", error.instance_path)).collect();
    // What was set by name stands behind what a bare prompt gets.
    if faults.is_empty() && name != "defaults" && !in_order(&strict.schema, &value) {
        faults.push(format!("the keys are not in the contract's order: {value}"));
    }
    if value.to_string().len() != payload.len() {
        faults.push(format!("there are blanks in {}", String::from_utf8_lossy(payload)));
    }
    faults.extend(too_large(name, &value, payload.len()));
    faults
}

/// The contract's bounds.
fn too_large(name: &str, value: &Value, bytes: usize) -> Option<String> {
    let tags = value.get("tags").map_or(0, |tags| r#","tags":"#.len() + tags.to_string().len());
    let pictures = value.get("images").and_then(Value::as_array).map_or(0, Vec::len);
    let most = match name {
        "status" | "answer" => 640 + tags + 220 * pictures,
        "info" => 8192,
        "state" => 768,
        _ => return None,
    };
    (bytes > most).then(|| format!("has {bytes} bytes, at most {most} are allowed: {value}"))
}

/// Whether the keys of an object, and of the objects in it, stand in the order of their schema.
fn in_order(schema: &Value, value: &Value) -> bool {
    if let Some(shapes) = schema["oneOf"].as_array() {
        return shapes.iter().any(|shape| jsonschema::is_valid(shape, value) && in_order(shape, value));
    }
    match value {
        Value::Array(items) => items.iter().all(|item| in_order(&schema["items"], item)),
        Value::Object(map) => match schema["properties"].as_object() {
            None => true,
            Some(properties) => {
                let places: Vec<_> = map.keys().map(|key| properties.keys().position(|known| known == key)).collect();
                places.is_sorted() && map.iter().all(|(key, value)| in_order(&properties[key], value))
            }
        },
        _ => true,
    }
}

/// Readers must ignore keys that they do not know; we must not send any.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.contains_key("properties") {
                map.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            map.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
