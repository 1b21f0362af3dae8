//! A round trip: a request, its picture in parts, and a broker that loses its memory between two of them.

use diffused::job::hex;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::makes::Make;
use super::{POOL, node, online};
use crate::support::fake::Painter;
use crate::support::listener::Listener;

/// What a node keeps at the broker.
const RETAINED: [&str; 4] = ["availability", "info", "state", "defaults"];

pub(super) fn a_broker_that_forgot_everything_hears_all_again_and_pictures_come_in_parts_as_before<B: Make>() {
    let mut broker = B::start();
    let listener = Listener::at(broker.port());
    let node = node(&broker, "n1", Painter { noise: true, ..Painter::default() }, "");
    online(&listener, &["n1"]);
    comes_in_parts(&broker, &listener, "diffused/n1/request/esp32", "a1");
    drop(listener);
    broker.forget();
    let listener = Listener::at(broker.port());
    online(&listener, &["n1"]);
    comes_in_parts(&broker, &listener, POOL, "a2");
    assert_eq!(node.painter.begun(), 2);
    drop(listener);
    // Whoever comes later finds what the node said since.
    let late = Listener::at(broker.port());
    for topic in RETAINED {
        late.first_where(&format!("diffused/n1/{topic}"), |heard| heard.retained);
    }
    assert_eq!(late.first("n1/availability").text(), "online");
}

/// A picture of noise in parts, whole, and one of them once more.
fn comes_in_parts(broker: &impl Make, listener: &Listener, topic: &str, id: &str) {
    let output = json!({"format": "rgb565", "part_bytes": 1000});
    broker.publish(topic, json!({"id": id, "prompt": "x", "output": output}).to_string());
    let done = listener.status(id, "done")["images"][0].clone();
    let count = done["parts"].as_u64().unwrap();
    assert!(count > 1, "{done}");
    let part = |index: u64| listener.first(&format!("/{id}/part/0.{index}")).payload;
    let joined: Vec<u8> = (0..count).flat_map(part).collect();
    let sha256 = hex(&Sha256::digest(&joined));
    assert_eq!(done["sha256"], json!(sha256));
    let get = json!({"id": format!("get-{id}"), "command": "get", "job": id, "k": 0, "parts": [1]});
    broker.publish("diffused/n1/command/esp32", get.to_string());
    listener.first(&format!("/get-{id}/answer"));
    let end = format!("/{id}/part/0.1");
    crate::support::eventually("the part comes again", || listener.on(&end).len() == 2);
    let twice = listener.on(&end);
    assert_eq!(twice[0].payload, twice[1].payload);
}
