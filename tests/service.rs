//! The service in this process, with a fake generator, against a real broker.

use diffused::job::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::broker::Mosquitto;
use crate::support::eventually;
use crate::support::fake::Painter;
use crate::support::listener::Listener;
use crate::support::node::Node;
use crate::support::pixels::Pixels;

#[test]
fn a_plain_prompt_becomes_a_picture_on_image_which_the_broker_keeps() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    broker.publish("diffused/jet1/prompt", "a yellow star on a purple background", &[]);
    let picture = listener.first("jet1/image");
    assert_eq!(picture.content_type, "image/jpeg");
    assert_eq!(picture.payload[..3], [0xff, 0xd8, 0xff]);
    let done = listener.first_where("jet1/image/status", |heard| heard.state() == "done").json();
    assert_eq!(done["images"][0]["bytes"], json!(picture.payload.len()));
    let later = Listener::start(&broker);
    let kept = later.first("jet1/image");
    assert!(kept.retained && kept.payload == picture.payload);
}

#[test]
fn a_request_is_answered_in_order_with_its_id_its_correlation_data_and_its_tags() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    let request = r#"{"id":"a1","prompt":"a cat","seed":7,"count":2,"tags":{"room":"hall"}}"#;
    broker.publish("diffused/jet1/request/esp32", request, &["-D", "publish", "correlation-data", "xyz"]);
    let done = listener.status("a1", "done");
    assert_eq!(listener.states("a1"), ["accepted", "started", "done"]);
    let accepted = listener.status("a1", "accepted");
    assert_eq!((&accepted["seed"], &accepted["tokens"], &accepted["model"]), (&json!(7), &json!(2), &json!("flat")));
    assert_eq!(done["tags"], json!({"room": "hall"}));
    for (k, seed) in [(0, 7), (1, 8)] {
        let picture = listener.first(&format!("reply/esp32/a1/image/{k}"));
        let sha256 = hex(&Sha256::digest(&picture.payload));
        assert_eq!((&done["images"][k]["sha256"], &done["images"][k]["seed"]), (&json!(sha256), &json!(seed)));
        assert_eq!((picture.content_type.as_str(), picture.correlation.as_str()), ("image/png", "xyz"));
        assert_eq!(Pixels::of_png(&picture.payload).rgb[0], [seed as u8, 100, 200]);
        assert!(!picture.retained);
    }
    assert_eq!(listener.first("/a1/status").correlation, "xyz");
    assert!(listener.on("/a1/progress").iter().all(|heard| heard.json()["steps"] == json!(4)));
}

#[test]
fn a_jpeg_within_a_size_can_be_asked_for() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    let request = r#"{"id":"a1","prompt":"x","output":{"format":"jpeg","quality":95,"max_bytes":900}}"#;
    broker.publish("diffused/jet1/request/esp32", request, &[]);
    listener.status("a1", "done");
    let picture = listener.first("a1/image/0");
    assert!(picture.payload.starts_with(&[0xff, 0xd8]) && picture.payload.len() <= 900);
}

#[test]
fn the_same_request_again_gets_the_stored_answer_and_another_content_a_conflict() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::default(), &listener);
    let request = r#"{"id":"a1","prompt":"a cat","seed":1}"#;
    let topic = "diffused/jet1/request/esp32";
    broker.publish(topic, request, &[]);
    listener.status("a1", "done");
    broker.publish(topic, request, &[]);
    let again = listener.first_where("/a1/status", |heard| heard.json()["replay"] == json!(true)).json();
    assert_eq!((&again["state"], &again["seq"]), (&json!("done"), &json!(3)));
    let pictures = listener.on("a1/image/0");
    assert_eq!(pictures.len(), 2);
    assert_eq!(pictures[0].payload, pictures[1].payload);
    broker.publish(topic, r#"{"id":"a1","prompt":"a dog","seed":1}"#, &[]);
    assert_eq!(listener.status("a1", "rejected")["code"], json!("id_conflict"));
    broker.publish("diffused/jet1/request/other", r#"{"id":"a1","prompt":"a dog","seed":1}"#, &[]);
    listener.first_where("reply/other/a1/status", |heard| heard.state() == "done");
    assert_eq!(node.painter.finished(), 2);
}

#[test]
fn running_and_waiting_jobs_can_be_cancelled_by_their_own_client_only() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::holding(), &listener);
    for id in ["a1", "a2"] {
        broker.publish("diffused/jet1/request/esp32", format!(r#"{{"id":"{id}","prompt":"x"}}"#), &[]);
    }
    listener.status("a1", "started");
    broker.publish("diffused/jet1/command/stranger", r#"{"id":"c0","command":"cancel","job":"a1"}"#, &[]);
    assert_eq!(listener.first("reply/stranger/c0/answer").json()["code"], json!("not_found"));
    broker.publish("diffused/jet1/command/esp32", r#"{"id":"c1","command":"cancel","job":"*"}"#, &[]);
    let answer = listener.first("reply/esp32/c1/answer").json();
    assert_eq!((&answer["ok"], &answer["jobs"]), (&json!(true), &json!(2)));
    listener.status("a1", "cancelled");
    listener.status("a2", "cancelled");
    assert_eq!(listener.states("a2"), ["accepted", "cancelled"]);
    assert_eq!((node.painter.begun(), node.painter.finished()), (1, 0));
}

#[test]
fn a_job_whose_deadline_passes_expires_whether_it_runs_or_waits() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::holding(), &listener);
    let topic = "diffused/jet1/request/esp32";
    broker.publish(topic, r#"{"id":"runs","prompt":"x","deadline_ms":2000}"#, &[]);
    broker.publish(topic, r#"{"id":"waits","prompt":"x","deadline_ms":1000}"#, &[]);
    broker.publish(topic, r#"{"id":"old","prompt":"x","not_after":"2020-01-01T00:00:00Z"}"#, &[]);
    assert_eq!(listener.status("runs", "expired")["code"], json!("expired"));
    listener.status("waits", "expired");
    listener.status("old", "expired");
    assert_eq!(listener.states("waits"), ["accepted", "expired"]);
    assert_eq!(node.painter.begun(), 1);
}

#[test]
fn a_full_queue_says_when_to_try_again() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let lines = "[limits]\nqueue = 2\nper_client = 1";
    let node = Node::with(&broker, Painter::holding(), lines, tempfile::tempdir().unwrap());
    listener.first_where("jet1/availability", |heard| heard.text() == "online");
    let ask = |client: &str, id: &str| {
        broker.publish(&format!("diffused/jet1/request/{client}"), format!(r#"{{"id":"{id}","prompt":"x"}}"#), &[]);
    };
    ask("a", "a1");
    ask("a", "a2");
    let own = listener.status("a2", "rejected");
    assert!(own["message"].as_str().unwrap().contains("a client may have 1 open jobs"), "{own}");
    ask("b", "b1");
    ask("c", "c1");
    let full = listener.status("c1", "rejected");
    assert_eq!((&full["code"], &full["retryable"]), (&json!("queue_full"), &json!(true)));
    assert!(full["retry_after_ms"].as_u64().unwrap() >= 1000);
    node.painter.let_go();
    listener.status("b1", "done");
    ask("c", "c1");
    listener.status("c1", "done");
}

#[test]
fn a_failed_job_says_why_and_the_next_one_is_served() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"a1","prompt":"fail"}"#, &[]);
    let failed = listener.status("a1", "failed");
    assert_eq!((&failed["code"], &failed["images_done"]), (&json!("inference"), &json!(0)));
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"a2","prompt":"x"}"#, &[]);
    listener.status("a2", "done");
}

#[test]
fn higher_priority_goes_first() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::holding(), &listener);
    for (id, priority) in [("first", 5), ("low", 1), ("high", 9)] {
        let request = json!({"id": id, "prompt": "x", "priority": priority});
        broker.publish("diffused/jet1/request/esp32", request.to_string(), &[]);
        if id == "first" {
            listener.status(id, "started");
        }
    }
    eventually("all are accepted", || ["first", "low", "high"].iter().all(|id| !listener.states(id).is_empty()));
    node.painter.let_go();
    listener.status("low", "done");
    let done: Vec<String> =
        listener.all().iter().filter(|heard| is_done(heard)).map(|heard| heard.topic.clone()).collect();
    let position = |id: &str| done.iter().position(|topic| topic.contains(&format!("/{id}/"))).unwrap();
    assert!(position("first") < position("high") && position("high") < position("low"), "{done:?}");
}

#[test]
fn info_and_state_are_kept_by_the_broker_and_name_no_prompt() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::holding(), &listener);
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"secret-id","prompt":"secret cat"}"#, &[]);
    let busy = listener.first_where("jet1/state", |heard| heard.json()["lifecycle"] == json!("busy"));
    assert!(!busy.text().contains("secret") && busy.payload.len() <= 768, "{}", busy.text());
    assert_eq!(busy.json()["accepting"], json!(true));
    node.painter.let_go();
    listener.status("secret-id", "done");
    let later = Listener::start(&broker);
    let info = later.first("jet1/info");
    assert!(info.retained);
    let info = info.json();
    assert_eq!((&info["contract"], &info["models"][0]["name"]), (&json!("1.0"), &json!("flat")));
    for list in ["samplers", "schedules", "formats"] {
        assert!(info[list].as_array().is_some_and(|list| !list.is_empty()), "{list}");
    }
    assert_eq!(later.first("jet1/availability").text(), "online");
    drop(node);
    assert_eq!(later.first_where("jet1/availability", |heard| heard.text() == "offline").text(), "offline");
    assert_eq!(later.on("jet1/state").last().map(|heard| heard.json()["lifecycle"].clone()), Some(json!("stopping")));
}

fn is_done(heard: &crate::support::listener::Heard) -> bool {
    heard.topic.ends_with("/status") && heard.state() == "done"
}

#[test]
fn keys_stand_in_the_contracts_order() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"a1","prompt":"x"}"#, &[]);
    let keys = |status: Value| status.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(keys(listener.status("a1", "done")), "state id node seq time v queue_ms run_ms images");
    assert_eq!(keys(listener.status("a1", "accepted")), "state id node seq time v position model seed tokens chunks");
    assert_eq!(keys(listener.status("a1", "started")), "state id node seq time v attempt");
    let image = listener.status("a1", "done")["images"][0].clone();
    assert_eq!(keys(image), "k seed format width height bytes sha256 part_bytes parts");
}

#[test]
fn what_a_lora_has_without_a_place_in_the_model_is_told_when_the_job_starts() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    let info = listener.first("jet1/info").json();
    assert_eq!(info["adapters"], json!({"lora": 2, "embedding": 1, "hypernetwork": 0}));
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"a1","prompt":"a cat <lora:style:0.5>"}"#, &[]);
    assert_eq!(listener.status("a1", "started")["loras"], json!([{"name": "style", "matched": 5, "unmatched": 2}]));
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"a2","prompt":"a cat"}"#, &[]);
    assert!(listener.status("a2", "started").get("loras").is_none());
}

#[test]
fn adapters_that_change_while_it_runs_are_told_and_held_against_requests() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::default(), &listener);
    node.emptied.store(true, std::sync::atomic::Ordering::SeqCst);
    listener.first_where("jet1/info", |heard| heard.json()["adapters"]["lora"] == json!(0));
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"a1","prompt":"a cat <lora:style>"}"#, &[]);
    assert_eq!(listener.status("a1", "rejected")["code"], json!("unknown_adapter"));
}
