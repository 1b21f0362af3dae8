//! Bad input gets the contract's code, the node stays up, and the next good request is served.

use serde_json::{Value, json};

use crate::support::broker::Mosquitto;
use crate::support::fake::Painter;
use crate::support::listener::Listener;
use crate::support::node::Node;

mod bytes;
mod codes;
mod fields;
mod five;
mod limits;
mod matrix;
mod messages;
mod orders;
mod pictures;
mod row;
mod talker;

#[test]
fn what_depends_on_the_message_itself_is_refused_too() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let lines = "[limits]\nrequest_bytes = 300\nprompt_chars = 100";
    let node = Node::with(&broker, Painter::default(), lines, tempfile::tempdir().unwrap());
    listener.first_where("jet1/availability", |heard| heard.text() == "online");
    let topic = "diffused/jet1/request/esp32";
    broker.publish(topic, "x".repeat(301), &[]);
    assert_eq!(nth_rejection(&listener, 0)["code"], json!("payload_too_large"));
    broker.publish(topic, "x".repeat(101), &[]);
    assert_eq!(nth_rejection(&listener, 1)["code"], json!("prompt_too_long"));
    broker.publish(topic, "x", &["-r"]);
    let retained = nth_rejection(&listener, 2);
    assert_eq!(retained["code"], json!("retained_request"));
    assert!(retained["id"].as_str().unwrap().starts_with("invalid-"));
    broker.publish(topic, "x", &["-D", "publish", "response-topic", "homeassistant/x"]);
    assert_eq!(nth_rejection(&listener, 3)["code"], json!("reply_topic_denied"));
    broker.publish(topic, "", &[]);
    broker.publish("diffused/jet1/request/status", "x", &[]);
    broker.publish(topic, r#"{"id":"good","prompt":"x"}"#, &[]);
    listener.status("good", "done");
    assert_eq!(node.painter.begun(), 1, "empty messages and clients that are topic words are ignored");
}

#[test]
fn requests_at_any_quality_of_service_and_protocol_version_are_served() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    for (id, flags) in [("q0", ["-q", "0"]), ("q2", ["-q", "2"]), ("v311", ["-V", "mqttv311"])] {
        broker.publish("diffused/jet1/request/esp32", format!(r#"{{"id":"{id}","prompt":"x"}}"#), &flags);
        listener.status(id, "done");
    }
}

#[test]
fn correlation_data_and_message_expiry_stand_in_for_id_and_deadline() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::holding(), &listener);
    let properties = ["-D", "publish", "correlation-data", "job-7", "-D", "publish", "message-expiry-interval", "1"];
    broker.publish("diffused/jet1/request/esp32", "x", &properties);
    assert_eq!(listener.status("job-7", "expired")["code"], json!("expired"));
}

#[test]
fn commands_that_cannot_be_done_are_answered() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    let topic = "diffused/jet1/command/esp32";
    broker.publish(topic, r#"{"id":"c1","command":"list","what":"cats"}"#, &[]);
    let answer = listener.first("reply/esp32/c1/answer").json();
    assert_eq!((&answer["ok"], &answer["field"]), (&json!(false), &json!("what")));
    broker.publish(topic, r#"{"id":"c2","command":"cancel","job":"nobody"}"#, &[]);
    assert_eq!(listener.first("reply/esp32/c2/answer").json()["code"], json!("not_found"));
    broker.publish(topic, "cancel!", &[]);
    let unread = listener.first_where("/answer", |heard| heard.topic.contains("/esp32/invalid-")).json();
    assert_eq!(unread["code"], json!("malformed"));
}

#[test]
fn a_picture_that_the_broker_would_not_take_is_made_smaller_or_goes_in_parts_and_never_ends_the_connection() {
    let broker = Mosquitto::with("allow_anonymous true\nmax_packet_size 3000");
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    let ask = |id: &str, format: &str| {
        let output = json!({"format": format});
        let request = json!({"id": id, "prompt": "x", "width": 1024, "height": 1024, "output": output});
        broker.publish("diffused/jet1/request/esp32", request.to_string(), &[]);
    };
    ask("lossless", "png");
    assert!(listener.status("lossless", "done")["images"][0]["parts"].as_u64().unwrap() > 1);
    ask("lossy", "jpeg");
    listener.status("lossy", "done");
    assert!(listener.first("lossy/image/0").payload.len() < 3000);
    assert_eq!(listener.on("jet1/availability").len(), 1, "the connection was never lost");
}

#[test]
fn an_answer_that_the_broker_would_not_take_with_its_correlation_data_goes_without() {
    let broker = Mosquitto::with("allow_anonymous true\nmax_packet_size 3000");
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    let long = "x".repeat(2850);
    let topic = "diffused/jet1/request/esp32";
    let properties = ["-D", "publish", "correlation-data", &long];
    broker.publish(topic, "{", &properties);
    assert_eq!(nth_rejection(&listener, 0)["code"], json!("malformed"));
    broker.publish(topic, r#"{"id":"a1","prompt":"x","progress":true}"#, &properties);
    listener.status("a1", "done");
    listener.first("a1/image/0");
    assert_eq!(listener.on("jet1/availability").len(), 1, "the connection was never lost");
}

#[test]
fn the_operators_defaults_hold_for_what_a_request_leaves_out() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let lines = "[defaults]\nwidth = 128\ndeadline_ms = 1500\n[defaults.output]\nformat = 'jpeg'";
    let node = Node::with(&broker, Painter::holding(), lines, tempfile::tempdir().unwrap());
    listener.first_where("jet1/availability", |heard| heard.text() == "online");
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"a1","prompt":"x"}"#, &[]);
    listener.status("a1", "expired");
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"a2","prompt":"x","deadline_ms":60000}"#, &[]);
    listener.status("a2", "started");
    node.painter.let_go();
    let image = listener.status("a2", "done")["images"][0].clone();
    assert_eq!((&image["width"], &image["format"]), (&json!(128), &json!("jpeg")));
}

/// The rejections of client `esp32` in the order they came.
fn nth_rejection(listener: &Listener, index: usize) -> Value {
    let mut found = None;
    crate::support::eventually(&format!("rejection {index}"), || {
        let all: Vec<Value> = listener
            .all()
            .iter()
            .filter(|heard| heard.topic.contains("/reply/esp32/") && heard.topic.ends_with("/status"))
            .map(crate::support::listener::Heard::json)
            .filter(|status| status["state"] == json!("rejected"))
            .collect();
        found = all.get(index).cloned();
        found.is_some()
    });
    found.unwrap()
}
