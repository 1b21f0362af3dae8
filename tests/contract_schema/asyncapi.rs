//! The AsyncAPI 3 document, made of the table of topics.

use serde_json::{Map, Value, json};

use super::file;
use super::topics::{PARAMETERS, Payload, TOPICS, Topic, Way};

/// The document, from the node's point of view: it receives requests and sends replies.
pub fn document() -> Value {
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "diffused",
            "version": "1.0",
            "description": "A headless picture-making appliance: prompts in over MQTT, pictures out. \
                We refuse unknown keys in what we read; readers of what we write must ignore keys they do not know. \
                Rule for requesters: give each job a random id; no accepted within 10 s: publish the same request with \
                the same id again. On a pool a job may run twice: keep the first done.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "tls": server("mqtts", "8883", "the default"),
            "plain": server("mqtt", "1883", "on loopback, or where the operator allows it"),
        },
        "channels": map(&TOPICS, channel),
        "operations": TOPICS.iter().flat_map(operations).collect::<Map<_, _>>(),
        "components": {
            "messages": messages(),
            "parameters": PARAMETERS.iter().map(|(name, meaning)| {
                ((*name).to_owned(), json!({"description": meaning}))
            }).collect::<Map<_, _>>(),
        },
    })
}

fn server(protocol: &str, port: &str, meaning: &str) -> Value {
    json!({
        "host": format!("{{broker}}:{port}"),
        "protocol": protocol,
        "protocolVersion": "5.0",
        "description": format!("Any MQTT broker, {meaning}; requesters may speak 3.1.1 with it."),
        "variables": {"broker": {"default": "localhost"}},
    })
}

fn channel(topic: &Topic) -> Value {
    let reference = |name: &str| json!({"$ref": format!("#/components/parameters/{name}")});
    let parameters: Map<String, Value> = topic.parameters().map(|name| (name.to_owned(), reference(name))).collect();
    let messages: Map<String, Value> = message_names(topic)
        .into_iter()
        .map(|name| (name.clone(), json!({"$ref": format!("#/components/messages/{name}")})))
        .collect();
    json!({
        "address": topic.address,
        "description": topic.meaning,
        "parameters": parameters,
        "messages": messages,
    })
}

/// One operation, or two where nodes speak with each other.
fn operations(topic: &Topic) -> Vec<(String, Value)> {
    let actions: &[&str] = match topic.way {
        Way::In => &["receive"],
        Way::Out => &["send"],
        Way::Between => &["send", "receive"],
    };
    actions.iter().map(|action| (operation_name(action, topic.name), operation(action, topic))).collect()
}

fn operation(action: &str, topic: &Topic) -> Value {
    let mut binding = json!({"bindingVersion": "0.2.0"});
    if let Some(qos) = topic.qos {
        binding["qos"] = json!(qos);
    }
    if let Some(retain) = topic.retain {
        binding["retain"] = json!(retain);
    }
    let channel = format!("#/channels/{}", topic.name);
    let messages: Vec<Value> =
        message_names(topic).into_iter().map(|name| json!({"$ref": format!("{channel}/messages/{name}")})).collect();
    let summary = match (topic.qos, topic.retain) {
        (None, _) => format!("{}; any QoS, retained ones are refused", topic.meaning),
        (_, None) => format!("{}; whether it is retained is configured", topic.meaning),
        _ => topic.meaning.to_owned(),
    };
    json!({
        "action": action,
        "channel": {"$ref": channel},
        "summary": summary,
        "bindings": {"mqtt": binding},
        "messages": messages,
    })
}

fn operation_name(action: &str, topic: &str) -> String {
    let (first, rest) = topic.split_at(1);
    format!("{action}{}{rest}", first.to_uppercase())
}

fn message_names(topic: &Topic) -> Vec<String> {
    match topic.payload {
        Payload::Json(schema) => vec![schema.to_owned()],
        Payload::JsonOrPrompt(schema) => vec![schema.to_owned(), "plainPrompt".to_owned()],
        Payload::Word(_) => vec!["word".to_owned()],
        Payload::Picture => vec!["picture".to_owned()],
        Payload::Part => vec!["part".to_owned()],
    }
}

fn messages() -> Map<String, Value> {
    let mut messages = Map::new();
    for topic in &TOPICS {
        for name in message_names(topic) {
            messages.entry(name.clone()).or_insert_with(|| message(topic.payload, &name));
        }
    }
    messages
}

fn message(payload: Payload, name: &str) -> Value {
    let correlated = "$message.header#/correlationData";
    let correlation = json!({"location": correlated, "description": "Correlation Data, echoed; absent on MQTT 3.1.1"});
    let whole = |content_type: &str, payload: Value, text: bool| {
        json!({
            "name": name,
            "contentType": content_type,
            "payload": payload,
            "correlationId": correlation,
            "bindings": {"mqtt": {"payloadFormatIndicator": u8::from(text), "bindingVersion": "0.2.0"}},
        })
    };
    match payload {
        Payload::Json(_) | Payload::JsonOrPrompt(_) if name != "plainPrompt" => {
            whole("application/json", json!({"$ref": format!("./{}", file(name))}), true)
        }
        Payload::Word(words) => whole("text/plain", json!({"type": "string", "enum": words}), true),
        Payload::Picture => whole("image/*", json!({"type": "string", "format": "binary"}), false),
        Payload::Part => whole("application/octet-stream", json!({"type": "string", "format": "binary"}), false),
        _ => whole("text/plain", json!({"type": "string", "minLength": 1, "description": "the prompt itself"}), true),
    }
}

fn map(topics: &[Topic], value: fn(&Topic) -> Value) -> Map<String, Value> {
    topics.iter().map(|topic| (topic.name.to_owned(), value(topic))).collect()
}
