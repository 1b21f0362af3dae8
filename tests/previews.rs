//! Pictures so far, and pictures that come beside a request, over MQTT with the fake generator.

use serde_json::json;

use crate::support::broker::Mosquitto;
use crate::support::fake::Painter;
use crate::support::listener::Listener;
use crate::support::node::Node;

/// A grey picture of 1x1 pixels.
const DOT: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0\x3a\x7e\x9b\x55\
    \0\0\0\x0aIDAT\x78\x9c\x63\x68\0\0\0\x82\0\x81\x77\xcd\x72\xb6\0\0\0\0IEND\xae\x42\x60\x82";

const REQUESTS: &str = "diffused/jet1/request/esp32";

#[test]
fn a_preview_is_a_small_jpeg_that_says_of_which_picture_and_step_it_is() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::holding(), &listener);
    let wish = r#"{"id":"a1","prompt":"x","width":128,"preview":{"every":3,"size":32}}"#;
    broker.publish(REQUESTS, wish, &["-D", "publish", "correlation-data", "xyz"]);
    // A preview does not wait behind other messages, and a fake job is over before they are through.
    listener.status("a1", "started");
    listener.first_where("jet1/state", |heard| heard.json()["lifecycle"] == json!("busy"));
    std::thread::sleep(std::time::Duration::from_millis(300));
    node.painter.let_go();
    listener.status("a1", "done");
    let previews = listener.on("reply/esp32/a1/preview");
    assert_eq!(previews.len(), 1, "of four steps only the third is wanted");
    let preview = &previews[0];
    assert_eq!((preview.content_type.as_str(), preview.correlation.as_str()), ("image/jpeg", "xyz"));
    assert_eq!(preview.user_properties, "k:0 step:3");
    assert!(!preview.retained);
    let picture = image::load_from_memory(&preview.payload).unwrap();
    assert_eq!((picture.width(), picture.height()), (32, 16));
}

#[test]
fn nobody_gets_a_preview_who_did_not_ask_for_it() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    broker.publish(REQUESTS, r#"{"id":"a1","prompt":"x"}"#, &[]);
    broker.publish("diffused/jet1/prompt", r#"{"prompt":"x","preview":{"every":1}}"#, &[]);
    listener.first_where("jet1/image/status", |heard| heard.state() == "done");
    listener.status("a1", "done");
    assert!(listener.all().iter().all(|heard| !heard.topic.ends_with("preview")), "{:?}", listener.all());
}

#[test]
fn there_are_no_more_than_two_previews_a_second() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    broker.publish(REQUESTS, r#"{"id":"a1","prompt":"x","steps":50,"preview":{"every":1}}"#, &[]);
    let run_ms = listener.status("a1", "done")["run_ms"].as_u64().unwrap();
    let previews = listener.on("/a1/preview").len() as u64;
    assert!((1..=run_ms / 500 + 1).contains(&previews), "{previews} previews in {run_ms} ms");
}

#[test]
fn a_picture_as_payload_is_the_init_image_of_the_request_beside_it() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::default(), &listener);
    let publish = |request: &str, payload: &[u8]| {
        let mut flags = vec!["-D", "publish", "content-type", "image/png"];
        if !request.is_empty() {
            flags.extend(["-D", "publish", "user-property", "request", request]);
        }
        broker.publish(REQUESTS, payload, &flags);
    };
    let request = r#"{"id":"a1","prompt":"x","strength":0.5}"#;
    publish(request, DOT);
    let accepted = listener.status("a1", "accepted");
    assert_eq!(accepted.get("warnings"), None, "strength would be without effect if there were no init image");
    listener.status("a1", "done");
    publish(request, DOT);
    listener.first_where("/a1/status", |heard| heard.json()["replay"] == json!(true));
    publish(request, &[DOT, b" "].concat());
    assert_eq!(listener.status("a1", "rejected")["code"], json!("id_conflict"));
    publish(r#"{"id":"a2","prompt":"x"}"#, b"no picture");
    assert_eq!(listener.status("a2", "rejected")["code"], json!("invalid_image"));
    publish("", DOT);
    let nameless = listener.first_where("/status", |heard| heard.topic.contains("/invalid-")).json();
    assert_eq!(nameless["code"], json!("malformed"));
    assert!(nameless["message"].as_str().unwrap().contains("user property request"), "{nameless}");
    assert_eq!(node.painter.begun(), 1);
}
