//! What Home Assistant is told by the service, with the fake generator, against a real mosquitto. Home Assistant itself
//! is tried by `tests/home_assistant.sh`.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::broker::Mosquitto;
use crate::support::eventually;
use crate::support::fake::Painter;
use crate::support::listener::{Heard, Listener};
use crate::support::node::Node;

const DEVICE: &str = "homeassistant/device/diffused_jet1/config";
const ON: &str = "[home_assistant]\nenabled = true\n";

fn node(broker: &Mosquitto, lines: &str, store: tempfile::TempDir) -> Node {
    Node::with(broker, Painter::default(), lines, store)
}

fn empty() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// The topics that the broker keeps for Home Assistant; nothing while the node never was online.
fn kept(broker: &Mosquitto) -> Option<Vec<String>> {
    // What is subscribed to last comes last, so that everything before it has come.
    let last = "diffused/jet1/availability";
    let port = broker.port.to_string();
    let output = Command::new("mosquitto_sub")
        .args(["-h", "127.0.0.1", "-p", &port, "-t", "homeassistant/#", "-t", last, "-F", "%r %t", "-W", "1"])
        .output()
        .expect("mosquitto_sub must be installed");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut topics: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("1 ")).map(str::to_owned).collect();
    (topics.pop()? == last).then_some(topics)
}

/// Waits until the broker keeps so many topics, one of them this.
fn eventually_kept(broker: &Mosquitto, count: usize, one: Option<&str>) {
    eventually(&format!("{count} topics are kept"), || {
        kept(broker).is_some_and(|kept| kept.len() == count && one.is_none_or(|one| kept.contains(&one.to_owned())))
    });
}

#[test]
fn the_device_is_kept_by_the_broker_and_told_again_when_home_assistant_starts() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = node(&broker, ON, empty());
    let told = listener.first(DEVICE);
    assert_eq!((told.qos, told.content_type.as_str()), (1, "application/json"));
    eventually_kept(&broker, 1, Some(DEVICE));
    let components = told.json()["components"].clone();
    assert_eq!(components["image"]["image_topic"], json!("diffused/jet1/image"));
    assert_eq!(components["model"]["options"], json!(["flat"]));
    for word in ["offline", "online"] {
        broker.publish("homeassistant/status", word, &[]);
    }
    eventually("it is told again", || listener.on(DEVICE).len() == 2);
    assert_eq!(listener.on(DEVICE)[1].payload, told.payload);
    let ignored = listener.on("jet1/state").last().unwrap().json()["health"]["ignored"].clone();
    assert_eq!(ignored, Value::Null, "the word of Home Assistant is no stray message");
}

#[test]
fn the_choices_follow_what_is_set() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = node(&broker, ON, empty());
    let sizes = |heard: &Heard| heard.json()["components"]["size"]["options"].clone();
    assert_eq!(sizes(&listener.first(DEVICE))[0], json!("64x64"));
    broker.publish("diffused/jet1/defaults/set", r#"{"width":40,"height":72}"#, &[]);
    listener.first_where(DEVICE, |heard| sizes(heard)[0] == json!("40x72"));
    broker.publish("diffused/jet1/defaults/set", r#"{"steps":3}"#, &[]);
    listener.first_where("jet1/defaults", |heard| heard.json()["steps"] == json!(3));
    assert_eq!(listener.on(DEVICE).len(), 2, "what is the same is not told again");
}

#[test]
fn what_was_told_is_taken_back_when_it_is_told_elsewhere_or_not_at_all() {
    let broker = Mosquitto::start();
    let mut store = empty();
    let single = "discovery = 'single'\n";
    for (lines, count, one) in [
        (format!("{ON}{single}"), 23, Some("homeassistant/image/diffused_jet1/image/config")),
        (ON.to_owned(), 1, Some(DEVICE)),
        (format!("{ON}prefix = 'homeassistant/lab'\n"), 1, Some("homeassistant/lab/device/diffused_jet1/config")),
        (String::new(), 0, None),
    ] {
        let node = node(&broker, &lines, store);
        eventually_kept(&broker, count, one);
        store = node.stop();
    }
}

#[test]
fn entities_are_handed_over_to_the_other_form_and_not_to_nowhere() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let single = "homeassistant/image/diffused_jet1/image/config";
    let said = |topic: &str| listener.on(topic).iter().map(Heard::text).collect::<Vec<_>>();
    let told = node(&broker, &format!("{ON}discovery = 'single'\n"), empty());
    eventually("the picture is told", || said(single).len() == 1);
    let told = node(&broker, ON, told.stop());
    eventually("and cleared", || said(single).len() == 3);
    assert_eq!(said(single)[1..], [r#"{"migrate_discovery":true}"#, ""]);
    let before = said(DEVICE).len();
    let _node = node(&broker, "", told.stop());
    eventually("the device is cleared", || said(DEVICE).len() > before);
    assert_eq!(said(DEVICE)[before..], [""]);
}

#[test]
fn a_broker_that_takes_only_small_packets_gets_one_entity_at_a_time() {
    let broker = Mosquitto::with("allow_anonymous true\nmax_packet_size 4000");
    let _node = node(&broker, ON, empty());
    eventually_kept(&broker, 23, Some("homeassistant/image/diffused_jet1/image/config"));
}

#[test]
fn the_jobs_of_prompt_are_cancelled_and_repeated_by_their_own_command_topic() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::holding(), &listener);
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"a1","prompt":"a dog"}"#, &[]);
    broker.publish("diffused/jet1/prompt", "a cat", &[]);
    listener.first_where("jet1/image/status", |heard| heard.state() == "accepted");
    let order = |id: &str, order: Value| {
        broker.publish("diffused/jet1/command/shortcut", order.to_string(), &[]);
        listener.first(&format!("reply/shortcut/{id}/answer")).json()
    };
    let answer = order("c1", json!({"id": "c1", "command": "cancel", "job": "*"}));
    assert_eq!(answer["jobs"], json!(1), "{answer}");
    listener.first_where("jet1/image/status", |heard| heard.state() == "cancelled");
    node.painter.let_go();
    listener.status("a1", "done");
    let answer = order("c2", json!({"id": "c2", "command": "repeat"}));
    assert_eq!(answer["ok"], json!(true), "{answer}");
    listener.first("jet1/image");
    assert!(listener.on("a1/image/0").len() == 1, "the job of the other client is not repeated");
}
