//! What has no parts: statuses, and brokers that refuse what they did not say they would.

use rumqttc::v5::mqttbytes::v5::PublishProperties;
use serde_json::{Value, json};

use super::Behind;
use super::peer::{Peer, job, read, with_id};
use super::size::broker;
use crate::support::broker::Mosquitto;

#[test]
fn a_status_with_tags_and_correlation_reaches_its_requester_at_two_kilobytes() {
    let broker = broker(2048);
    let peer = Peer::start(broker.port);
    let node = Behind::fair("jet1", broker.port, &peer);
    let tags: Value =
        (0..8).map(|n| (format!("tag-{n}"), json!("y".repeat(64)))).collect::<serde_json::Map<_, _>>().into();
    let ask = |id: &str, request: Value, correlation: usize| {
        let properties = PublishProperties {
            correlation_data: Some(vec![b'c'; correlation].into()),
            ..PublishProperties::default()
        };
        peer.say("diffused/jet1/request/esp32", with_id(id, &request), properties);
        peer.outcome(&job("jet1", id))
    };
    let small = json!({"prompt": "x", "steps": 1, "seed": 7, "output": {"format": "mono"}});
    let with = |key: &str, value: Value| {
        let mut request = small.clone();
        request[key] = value;
        request
    };
    assert_eq!(ask("a1", small.clone(), 128)["state"], "done");
    let echoed = peer.first("a1/status", |status| read(status)["state"] == "done");
    assert_eq!(echoed.properties.unwrap().correlation_data.unwrap().len(), 128);
    assert_eq!(ask("a2", with("tags", tags.clone()), 128)["tags"], tags);
    assert_eq!(ask("a3", with("steps", json!(4000)), 128)["state"], "rejected");
    // Four pictures, tags and Correlation Data are too much: first the Correlation Data stays away.
    let mut four = with("tags", tags.clone());
    four["count"] = json!(4);
    assert_eq!(ask("a4", four, 128)["images"].as_array().unwrap().len(), 4);
    // Then the tags.
    let mut six = with("tags", tags);
    six["count"] = json!(6);
    let six = ask("a5", six, 128);
    assert_eq!(six["message"], Value::Null);
    assert_eq!((six["state"].as_str(), six["images"].as_array().map(Vec::len)), (Some("done"), Some(6)));
    // A status that fits in no way says so, and is the only one, also when the request comes again.
    let sixteen = ask("a6", with("count", json!(16)), 128);
    assert_eq!((sixteen["state"].as_str(), sixteen["code"].as_str()), (Some("failed"), Some("output_too_large")));
    peer.ask("jet1", "a6", &with("count", json!(16)));
    let again = read(&peer.first("a6/status", |status| read(status)["replay"] == true));
    assert_eq!(again["code"], "output_too_large");
    assert_eq!(node.shim.connections(), 1);
}

#[test]
fn a_broker_that_takes_less_than_it_says_is_understood_after_a_few_tries() {
    // Mosquitto does not tell of this limit, and answers with a reason that the library does not know.
    let broker = Mosquitto::with("allow_anonymous true\nmax_queued_messages 0\nmessage_size_limit 7000");
    let peer = Peer::start(broker.port);
    let node = Behind::fair("jet1", broker.port, &peer);
    let request = json!({"prompt": "x", "steps": 1, "seed": 7, "output": {"format": "bmp"}});
    peer.ask("jet1", "a1", &request);
    peer.outcome(&job("jet1", "a1"));
    let first = peer.pictures(&job("jet1", "a1")).unwrap();
    assert!(first[0].part_bytes > 1000 && first[0].part_bytes <= 7000, "{} bytes", first[0].part_bytes);
    let connections = node.shim.connections();
    assert!(connections <= 4, "{connections} connections");
    // From now on it is known.
    peer.ask("jet1", "a2", &request);
    peer.outcome(&job("jet1", "a2"));
    assert_eq!(peer.pictures(&job("jet1", "a2")).unwrap()[0].bytes, first[0].bytes);
    assert_eq!(node.shim.connections(), connections);
}
