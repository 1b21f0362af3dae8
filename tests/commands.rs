//! What clients and administrators may order, and the defaults of `prompt`.

use serde_json::{Value, json};

use crate::support::broker::Mosquitto;
use crate::support::eventually;
use crate::support::fake::Painter;
use crate::support::listener::Listener;
use crate::support::node::{BREAKS_THE_TOKENIZER, Node};

const REQUEST: &str = "diffused/jet1/request/esp32";

/// Sends an order and waits for its answer.
fn order(broker: &Mosquitto, listener: &Listener, door: &str, order: Value) -> Value {
    broker.publish(&format!("diffused/jet1/{door}/esp32"), order.to_string(), &[]);
    listener.first(&format!("reply/esp32/{}/answer", order["id"].as_str().unwrap())).json()
}

#[test]
fn a_finished_job_can_be_had_again_in_whole_or_in_parts() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    let output = json!({"format": "bmp", "part_bytes": 4000});
    broker.publish(REQUEST, json!({"id": "a1", "prompt": "x", "output": output}).to_string(), &[]);
    let parts = listener.status("a1", "done")["images"][0]["parts"].as_u64().unwrap();
    eventually("all parts came", || (0..parts).all(|i| listener.on(&format!("a1/part/0.{i}")).len() == 1));
    let get = json!({"id": "c1", "command": "get", "job": "a1", "k": 0, "parts": [[1, 2], 0]});
    let answer = order(&broker, &listener, "command", get);
    assert_eq!((&answer["ok"], &answer["state"], &answer["sent"]), (&json!(true), &json!("done"), &json!(3)));
    eventually("three parts came again", || (0..3).all(|i| listener.on(&format!("a1/part/0.{i}")).len() == 2));
    assert_eq!(listener.on("a1/part/0.3").len(), 1);
    let answer = order(&broker, &listener, "command", json!({"id": "c2", "command": "get", "job": "a1"}));
    // The manifest, the parts, and the last status.
    assert_eq!(answer["sent"], json!(parts + 2), "{answer}");
    listener.first_where("/a1/status", |heard| heard.json()["replay"] == json!(true));
    for (id, wrong, field) in [
        ("c3", json!({"job": "a2"}), "job"),
        ("c4", json!({"job": "a1", "k": 1}), "k"),
        ("c5", json!({"job": "a1", "k": 0, "parts": [parts]}), "parts"),
    ] {
        let mut get = json!({"id": id, "command": "get"});
        get.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        let answer = order(&broker, &listener, "command", get);
        assert_eq!((&answer["code"], &answer["field"]), (&json!("not_found"), &json!(field)));
    }
    let foreign = json!({"id": "c6", "command": "get", "job": "a1"});
    broker.publish("diffused/jet1/command/stranger", foreign.to_string(), &[]);
    assert_eq!(listener.first("reply/stranger/c6/answer").json()["code"], json!("not_found"));
}

#[test]
fn jobs_models_and_adapters_are_listed_page_by_page() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::holding(), &listener);
    let ids: Vec<String> = (0..4).map(|index| format!("a{index}-{}", "x".repeat(60))).collect();
    for id in &ids {
        broker.publish(REQUEST, json!({"id": id, "prompt": "x"}).to_string(), &[]);
    }
    listener.status(&ids[3], "accepted");
    let mut found = Vec::new();
    let mut after = Value::Null;
    for page in 0.. {
        let mut list = json!({"id": format!("c{page}"), "command": "list", "what": "jobs", "limit": 3});
        if !after.is_null() {
            list["after"] = after.clone();
        }
        broker.publish("diffused/jet1/command/esp32", list.to_string(), &[]);
        let answer = listener.first(&format!("reply/esp32/c{page}/answer"));
        assert!(answer.payload.len() <= 640);
        let answer = answer.json();
        let jobs = answer["jobs"].as_array().unwrap().clone();
        found.extend(jobs.iter().map(|job| job["id"].as_str().unwrap().to_owned()));
        after = json!(found.last());
        if answer["more"] == json!(false) {
            break;
        }
    }
    assert_eq!(found, ids);
    let list =
        |id: &str, what: &str| order(&broker, &listener, "command", json!({"id": id, "command": "list", "what": what}));
    assert_eq!(list("m", "models")["models"], json!([{"name": "flat", "family": "sd1", "default": true}]));
    assert_eq!(list("n", "adapters")["adapters"][0], json!({"name": "style", "kind": "lora"}));
    node.painter.let_go();
}

#[test]
fn the_newest_job_is_repeated_with_another_seed() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::default(), &listener);
    let nothing = order(&broker, &listener, "command", json!({"id": "c0", "command": "repeat"}));
    assert_eq!(nothing["code"], json!("not_found"));
    broker.publish("diffused/jet1/prompt", "a cat", &[]);
    listener.first("jet1/image");
    let button = order(&broker, &listener, "command", json!({"id": "c1", "command": "repeat"}));
    assert_eq!(button["ok"], json!(true));
    eventually("another picture for everybody", || listener.on("jet1/image").len() == 2);
    broker.publish(REQUEST, r#"{"id":"a1","prompt":"a cat","seed":7}"#, &[]);
    listener.status("a1", "done");
    let again = order(&broker, &listener, "command", json!({"id": "c2", "command": "repeat"}));
    let done = listener.status(again["job"].as_str().unwrap(), "done");
    assert_eq!(done["images"][0]["seed"], again["seed"]);
    assert_eq!(node.painter.finished(), 4);
}

#[test]
fn a_paused_node_takes_and_begins_nothing_also_after_a_restart_and_repeats_answers() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::default(), &listener);
    broker.publish(REQUEST, r#"{"id":"a1","prompt":"x"}"#, &[]);
    listener.status("a1", "done");
    let order = |door: &str, id: &str, command: &str| {
        order(&broker, &listener, door, json!({"id": id, "command": command}));
    };
    order("admin", "m1", "pause");
    listener.first_where("jet1/state", |heard| heard.json()["lifecycle"] == json!("paused"));
    let store = node.stop();
    let node = Node::with(&broker, Painter::default(), "", store);
    broker.publish(REQUEST, r#"{"id":"a2","prompt":"x"}"#, &[]);
    let paused = listener.status("a2", "rejected");
    assert_eq!((&paused["code"], &paused["retryable"]), (&json!("paused"), &json!(true)));
    broker.publish(REQUEST, r#"{"id":"a1","prompt":"x"}"#, &[]);
    listener.first_where("/a1/status", |heard| heard.json()["replay"] == json!(true));
    order("admin", "m2", "resume");
    broker.publish(REQUEST, r#"{"id":"a2","prompt":"x"}"#, &[]);
    listener.status("a2", "done");
    assert_eq!(node.painter.begun(), 1);
}

#[test]
fn a_draining_node_finishes_its_queue_and_a_cleared_one_ends_it() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::holding(), &listener);
    for id in ["a1", "a2", "a3"] {
        broker.publish(REQUEST, format!(r#"{{"id":"{id}","prompt":"x","tags":{{"room":"hall"}}}}"#), &[]);
    }
    listener.status("a1", "started");
    order(&broker, &listener, "admin", json!({"id": "m1", "command": "drain"}));
    broker.publish(REQUEST, r#"{"id":"a4","prompt":"x","tags":{"room":"hall"}}"#, &[]);
    let rejected = listener.status("a4", "rejected");
    assert_eq!((&rejected["code"], &rejected["tags"]), (&json!("draining"), &json!({"room": "hall"})));
    let cleared = order(&broker, &listener, "admin", json!({"id": "m2", "command": "clear"}));
    assert_eq!(cleared["jobs"], json!(2));
    assert_eq!(listener.status("a3", "cancelled")["tags"], json!({"room": "hall"}));
    node.painter.let_go();
    listener.status("a1", "done");
    let stranger = order(&broker, &listener, "command", json!({"id": "m3", "command": "pause"}));
    assert_eq!(stranger["code"], json!("invalid_field"), "an administrator's word is none of a client's");
}

#[test]
fn an_administrator_has_the_retained_topics_told_again_and_the_adapters_looked_at() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::default(), &listener);
    let told = listener.on("jet1/info").len();
    order(&broker, &listener, "admin", json!({"id": "m1", "command": "announce"}));
    eventually("info is told again", || listener.on("jet1/info").len() > told);
    node.emptied.store(true, std::sync::atomic::Ordering::SeqCst);
    order(&broker, &listener, "admin", json!({"id": "m2", "command": "reload"}));
    listener.first_where("jet1/info", |heard| heard.json()["adapters"]["lora"] == json!(0));
}

#[test]
fn defaults_of_the_prompt_topic_are_set_told_and_kept() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::default(), &listener);
    assert_eq!(listener.first("jet1/defaults").json()["steps"], json!(4));
    broker.publish("diffused/jet1/defaults/set", r#"{"steps":7,"sampler":"euler"}"#, &[]);
    listener.first_where("jet1/defaults", |heard| heard.json()["steps"] == json!(7));
    for wrong in [r#"{"steps":400}"#, r#"{"prompt":"x"}"#, r#"{"output":{"format":"bmp"}}"#, "steps"] {
        broker.publish("diffused/jet1/defaults/set", wrong, &[]);
    }
    // Every try has the defaults told again, and none of these has changed them.
    order(&broker, &listener, "admin", json!({"id": "m1", "command": "announce"}));
    let told = || listener.on("jet1/defaults").into_iter().skip_while(|heard| heard.json()["steps"] != json!(7));
    eventually("what was refused is told", || told().count() > 1);
    assert!(told().all(|heard| heard.json()["steps"] == json!(7) && heard.json()["sampler"] == json!("euler")));
    broker.publish("diffused/jet1/defaults/set", r#"{"sampler":null,"seed":5}"#, &[]);
    let now = listener.first_where("jet1/defaults", |heard| heard.json()["seed"] == json!(5)).json();
    assert_eq!((&now["steps"], &now["sampler"]), (&json!(7), &json!("ddim")));
    let store = node.stop();
    let _node = Node::with(&broker, Painter::default(), "", store);
    eventually("they hold after a restart", || {
        listener.on("jet1/defaults").last().is_some_and(|heard| heard.json()["seed"] == json!(5))
    });
    broker.publish("diffused/jet1/prompt", "x", &[]);
    let accepted = listener.first_where("image/status", |heard| heard.state() == "accepted").json();
    assert_eq!(accepted["seed"], json!(5));
    broker.publish(REQUEST, r#"{"id":"a1","prompt":"x","seed":9}"#, &[]);
    listener.status("a1", "done");
}

#[test]
fn a_message_over_which_a_reader_panics_is_answered_and_stops_nobody() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    let asked = json!({"id": "a1", "prompt": BREAKS_THE_TOKENIZER, "tags": {"room": "hall"}});
    broker.publish(REQUEST, asked.to_string(), &[]);
    let status = listener.status("a1", "rejected");
    assert_eq!((&status["code"], &status["tags"]["room"]), (&json!("internal"), &json!("hall")));
    // Settings have no answer but the retained topic, which is told again.
    let told = listener.on("jet1/defaults").len();
    broker.publish("diffused/jet1/defaults/set", json!({"negative_prompt": BREAKS_THE_TOKENIZER}).to_string(), &[]);
    broker.publish("diffused/jet1/defaults/set", json!({"negative_prompt": "rain"}).to_string(), &[]);
    eventually("the defaults were told again", || listener.on("jet1/defaults").len() > told);
    assert_eq!(listener.on("jet1/defaults").last().unwrap().json()["negative_prompt"], json!("rain"));
    broker.publish(REQUEST, json!({"id": "a2", "prompt": "x"}).to_string(), &[]);
    listener.status("a2", "done");
}
