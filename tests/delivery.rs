//! Ways for pictures to come in and to go out, and who may hear the answers.

use base64::Engine;
use diffused::job::hex;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::broker::Mosquitto;
use crate::support::eventually;
use crate::support::fake::Painter;
use crate::support::listener::Listener;
use crate::support::node::Node;

const REQUEST: &str = "diffused/jet1/request/esp32";

/// A PNG of one colour, as large as its pixels.
fn flat(side: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, side, side);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::NoCompression);
    encoder.write_header().unwrap().write_image_data(&vec![9; (side * side * 3) as usize]).unwrap();
    file
}

#[test]
fn a_picture_in_parts_is_the_same_file() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    let output = json!({"format": "rgb565", "width": 50, "height": 40, "part_bytes": 1024});
    let request = json!({"id": "a1", "prompt": "x", "output": output});
    broker.publish(REQUEST, request.to_string(), &["-D", "publish", "correlation-data", "c7"]);
    let done = listener.status("a1", "done")["images"][0].clone();
    let manifest = listener.first("a1/manifest/0");
    assert_eq!(manifest.correlation, "c7");
    let manifest = manifest.json();
    // A row has 100 bytes, so a part has ten whole rows.
    for (key, value) in [("stride", 100), ("rows", 10), ("part_bytes", 1000), ("parts", 4), ("bytes", 4000), ("k", 0)] {
        assert_eq!(manifest[key], json!(value), "{key}");
    }
    assert_eq!((&manifest["sha256"], &manifest["parts"]), (&done["sha256"], &done["parts"]));
    let parts: Vec<u8> = (0..4).flat_map(|i| listener.first(&format!("a1/part/0.{i}")).payload).collect();
    let sha256 = hex(&Sha256::digest(&parts));
    assert_eq!(done["sha256"], json!(sha256));
    assert!(listener.on("a1/image/0").is_empty());
}

#[test]
fn parts_that_are_not_pushed_are_fetched() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    let output = json!({"format": "bmp", "part_bytes": 4096, "push": false});
    broker.publish(REQUEST, json!({"id": "a1", "prompt": "x", "output": output}).to_string(), &[]);
    listener.status("a1", "done");
    listener.first("a1/manifest/0");
    assert!(listener.on("a1/part/0.0").is_empty());
    let get = r#"{"id":"c1","command":"get","job":"a1","k":0,"parts":[0]}"#;
    broker.publish("diffused/jet1/command/esp32", get, &[]);
    assert_eq!(listener.first("a1/part/0.0").payload.len(), 4096);
}

#[test]
fn an_earlier_result_and_an_upload_can_be_init_images_of_their_own_client() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    broker.publish(REQUEST, r#"{"id":"a1","prompt":"x"}"#, &[]);
    listener.status("a1", "done");
    broker.publish(REQUEST, r#"{"id":"a2","prompt":"x","init_image":{"result":"a1/0"}}"#, &[]);
    listener.status("a2", "done");
    broker.publish("diffused/jet1/upload/esp32/cat.png", flat(64), &[]);
    let by_upload = |id: &str| json!({"id": id, "prompt": "x", "init_image": {"upload": "cat.png"}}).to_string();
    broker.publish(REQUEST, by_upload("a3"), &[]);
    listener.status("a3", "done");
    broker.publish("diffused/jet1/request/other", by_upload("b1"), &[]);
    let missing = listener.status("b1", "rejected");
    assert_eq!((&missing["code"], &missing["field"]), (&json!("not_found"), &json!("init_image")));
    broker.publish("diffused/jet1/request/other", r#"{"id":"b2","prompt":"x","init_image":{"result":"a1/0"}}"#, &[]);
    assert_eq!(listener.status("b2", "rejected")["code"], json!("not_found"));
    // What a taken request names may go: its repetition still gets the answer.
    broker.publish("diffused/jet1/upload/esp32/cat.png", "none", &[]);
    broker.publish(REQUEST, by_upload("a3"), &[]);
    listener.first_where("/a3/status", |heard| heard.json()["replay"] == json!(true));
    broker.publish("diffused/jet1/upload/esp32/retained.png", flat(64), &["-r"]);
    broker.publish(REQUEST, r#"{"id":"a4","prompt":"x","init_image":{"upload":"retained.png"}}"#, &[]);
    assert_eq!(listener.status("a4", "rejected")["code"], json!("not_found"));
}

#[test]
fn a_version_5_message_may_carry_the_init_image_itself() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::default(), &listener);
    let request = |id: &str| format!(r#"{{"id":"{id}","prompt":"x","strength":0.5}}"#);
    let properties = |request: &str| {
        ["-D", "publish", "content-type", "image/png", "-D", "publish", "user-property", "request", request]
            .map(str::to_owned)
    };
    let send = |flags: &[String]| {
        broker.publish(REQUEST, flat(64), &flags.iter().map(String::as_str).collect::<Vec<_>>());
    };
    send(&properties(&request("a1")));
    listener.status("a1", "done");
    send(&properties(&request("a1")));
    listener.first_where("/a1/status", |heard| heard.json()["replay"] == json!(true));
    broker.publish(REQUEST, request("a1"), &[]);
    assert_eq!(listener.status("a1", "rejected")["code"], json!("id_conflict"), "without the picture it is another");
    send(&["-D", "publish", "content-type", "image/png"].map(str::to_owned));
    listener.first_where("/status", |heard| heard.json()["code"] == json!("malformed"));
    assert_eq!(node.painter.finished(), 1);
}

#[test]
fn answers_go_to_a_response_topic_that_the_operator_allows() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let url = format!("[mqtt]\nurl = '{}'\nreply_prefixes = ['diffused/answers']", broker.url());
    let node = Node::described("jet1", &url, Painter::default(), "", tempfile::tempdir().unwrap());
    listener.first_where("jet1/availability", |heard| heard.text() == "online");
    let to =
        |topic: &'static str| ["-D", "publish", "response-topic", topic, "-D", "publish", "correlation-data", "c1"];
    broker.publish(REQUEST, r#"{"id":"a1","prompt":"x"}"#, &to("diffused/answers/esp32/kitchen"));
    let done = listener.first_where("answers/esp32/kitchen/status", |heard| heard.state() == "done");
    assert_eq!(done.correlation, "c1");
    listener.first("answers/esp32/kitchen/image/0");
    assert!(listener.states("a1").is_empty(), "nothing goes to the usual topics");
    for denied in ["diffused/answers/other", "homeassistant/esp32", "diffused/jet1/reply/other/esp32"] {
        broker.publish(REQUEST, r#"{"id":"a2","prompt":"x"}"#, &to(denied));
    }
    eventually("all are denied", || listener.on("reply/esp32/a2/status").len() == 3);
    assert_eq!(listener.status("a2", "rejected")["code"], json!("reply_topic_denied"));
    assert_eq!(node.painter.finished(), 1);
}

#[test]
fn a_client_that_asks_too_often_is_told_when_to_come_back() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let lines = "[limits]\nrate = '2/h'";
    let _node = Node::with(&broker, Painter::default(), lines, tempfile::tempdir().unwrap());
    listener.first_where("jet1/availability", |heard| heard.text() == "online");
    for id in ["a1", "a2", "a3"] {
        broker.publish(REQUEST, format!(r#"{{"id":"{id}","prompt":"x","tags":{{"a":"b"}}}}"#), &[]);
    }
    let limited = listener.status("a3", "rejected");
    assert_eq!((&limited["code"], &limited["tags"]), (&json!("rate_limited"), &json!({"a": "b"})));
    assert!(limited["retry_after_ms"].as_u64().unwrap() > 1_000_000);
    broker.publish("diffused/jet1/request/other", r#"{"id":"b1","prompt":"x"}"#, &[]);
    listener.status("b1", "done");
}

#[test]
fn a_full_store_forgets_what_is_finished_and_refuses_what_does_not_fit() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let lines = "max_bytes = '1 MiB'\n[limits]\nper_client = 16";
    let node = Node::with(&broker, Painter::default(), lines, tempfile::tempdir().unwrap());
    listener.first_where("jet1/availability", |heard| heard.text() == "online");
    let large = base64::engine::general_purpose::STANDARD.encode(flat(300));
    let ask = |id: &str| {
        let request = json!({"id": id, "prompt": "x", "init_image": {"data": large}});
        broker.publish(REQUEST, request.to_string(), &[]);
    };
    for index in 0..6 {
        ask(&format!("a{index}"));
        listener.status(&format!("a{index}"), "done");
    }
    node.painter.hold.store(true, std::sync::atomic::Ordering::SeqCst);
    for index in 0..6 {
        ask(&format!("b{index}"));
    }
    let full = listener.status("b5", "rejected");
    assert_eq!((&full["code"], &full["retryable"]), (&json!("storage_full"), &json!(true)));
    listener.status("b0", "accepted");
    node.painter.let_go();
    listener.status("b0", "done");
    ask("b5");
    listener.status("b5", "done");
}

#[test]
fn a_second_node_of_the_same_name_is_noticed_and_left_alone() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _first = Node::online(&broker, Painter::default(), &listener);
    let other_id = format!("[mqtt]\nurl = '{}'\nclient_id = 'somebody-else'", broker.url());
    let _second = Node::described("jet1", &other_id, Painter::default(), "", tempfile::tempdir().unwrap());
    let state = listener.first_where("jet1/state", |heard| heard.json()["alerts"] == json!(["duplicate_node"])).json();
    assert_eq!((&state["lifecycle"], &state["accepting"]), (&json!("degraded"), &json!(false)));
    broker.publish(REQUEST, r#"{"id":"a1","prompt":"x"}"#, &[]);
    listener.status("a1", "done");
    let accepted = listener.on("/a1/status").iter().filter(|heard| heard.state() == "accepted").count();
    assert_eq!(accepted, 1, "only one of them works");
}

#[test]
fn an_answer_that_the_broker_never_takes_goes_without_its_tags_or_as_a_failure() {
    let broker = Mosquitto::with("allow_anonymous true\nmax_packet_size 2000");
    let listener = Listener::start(&broker);
    let lines = "[limits]\ncount = 16";
    let node = Node::with(&broker, Painter::default(), lines, tempfile::tempdir().unwrap());
    listener.first_where("jet1/availability", |heard| heard.text() == "online");
    let tags: serde_json::Map<_, _> =
        (0..8).map(|n| (format!("{n}-{}", "t".repeat(60)), json!("v".repeat(60)))).collect();
    broker.publish(REQUEST, json!({"id": "a1", "prompt": "x", "count": 8, "tags": tags}).to_string(), &[]);
    assert!(listener.status("a1", "done").get("tags").is_none());
    broker.publish(REQUEST, r#"{"id":"a2","prompt":"x","count":16}"#, &[]);
    let failed = listener.status("a2", "failed");
    assert_eq!((&failed["code"], &failed["images_done"]), (&json!("output_too_large"), &json!(16)));
    listener.first("a2/image/15");
    assert_eq!(listener.on("jet1/availability").len(), 1, "the connection was never lost");
    assert_eq!(node.painter.finished(), 2);
}

#[test]
fn a_request_is_answered_again_also_while_parts_of_it_wait() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    let output = json!({"format": "rgb565", "width": 1024, "height": 1024, "part_bytes": 2048});
    let request = json!({"id": "a1", "prompt": "x", "output": output}).to_string();
    broker.publish(REQUEST, &request, &[]);
    listener.status("a1", "done");
    // Some thousand parts on their way, and the request comes again.
    broker.publish(
        "diffused/jet1/command/esp32",
        r#"{"id":"c1","command":"get","job":"a1","k":0,"parts":[[1,1023]]}"#,
        &[],
    );
    broker.publish(REQUEST, &request, &[]);
    listener.first_where("/a1/status", |heard| heard.json()["replay"] == json!(true));
}
