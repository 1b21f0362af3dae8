//! Several nodes behind one shared subscription.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use diffused::app::{Appliance, rules};
use diffused::config::Config;
use serde_json::{Value, json};

use crate::support::broker::Mosquitto;
use crate::support::eventually;
use crate::support::fake::Painter;
use crate::support::listener::Listener;
use crate::support::node::{Node, facts};

const POOL: &str = "diffused/pool/studio/request/esp32";

fn node(broker: &Mosquitto, name: &str, painter: Painter, lines: &str) -> Node {
    let lines = format!("{lines}\n[pool]\nnames = ['studio']");
    Node::named(name, broker, painter, &lines, tempfile::tempdir().unwrap())
}

fn online(listener: &Listener, names: &[&str]) {
    for name in names {
        listener.first_where(&format!("{name}/availability"), |heard| heard.text() == "online");
    }
}

/// The nodes that said this of a job.
fn nodes(listener: &Listener, id: &str, state: &str) -> Vec<String> {
    let said = listener.on(&format!("/{id}/status")).into_iter().filter(|heard| heard.state() == state);
    said.map(|heard| heard.topic.split('/').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn a_busy_node_gives_work_back_until_an_idle_one_takes_it() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let busy = node(&broker, "busy", Painter::holding(), "");
    let idle = node(&broker, "idle", Painter::default(), "");
    online(&listener, &["busy", "idle"]);
    broker.publish("diffused/busy/request/esp32", r#"{"id":"own","prompt":"x"}"#, &[]);
    listener.status("own", "started");
    for index in 0..6 {
        let id = format!("a{index}");
        broker.publish(POOL, json!({"id": id, "prompt": "x"}).to_string(), &[]);
        listener.status(&id, "done");
        assert_eq!(nodes(&listener, &id, "done"), ["idle"]);
    }
    assert!(!listener.on("pool/studio/handback/1/esp32").is_empty(), "the broker rotates blindly");
    busy.painter.let_go();
    listener.status("own", "done");
    drop((busy, idle));
}

#[test]
fn where_all_are_busy_work_waits_and_where_all_are_full_it_is_refused_once() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let lines = "[limits]\nqueue = 2";
    let nodes_of = [node(&broker, "n1", Painter::holding(), lines), node(&broker, "n2", Painter::holding(), lines)];
    online(&listener, &["n1", "n2"]);
    for index in 0..4 {
        broker.publish(POOL, json!({"id": format!("a{index}"), "prompt": "x"}).to_string(), &[]);
        listener.status(&format!("a{index}"), "accepted");
    }
    let started = || (0..4).filter(|index| !nodes(&listener, &format!("a{index}"), "started").is_empty()).count();
    eventually("each node works", || started() == 2);
    broker.publish(POOL, r#"{"id":"a4","prompt":"x"}"#, &[]);
    let full = listener.status("a4", "rejected");
    assert_eq!(full["code"], json!("queue_full"));
    let hops = |heard: &crate::support::listener::Heard| heard.topic.split('/').nth(4).unwrap().parse::<u8>().unwrap();
    let handed =
        listener.all().into_iter().filter(|heard| heard.topic.contains("/handback/")).map(|it| hops(&it)).max();
    assert_eq!(handed, Some(16));
    nodes_of.iter().for_each(|node| node.painter.let_go());
    (0..4).for_each(|index| drop(listener.status(&format!("a{index}"), "done")));
    assert_eq!(nodes(&listener, "a4", "rejected").len(), 1);
}

#[test]
fn a_paused_node_and_one_without_the_model_leave_work_to_others() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let (_paused, works) = (node(&broker, "n1", Painter::default(), ""), node(&broker, "n2", Painter::default(), ""));
    online(&listener, &["n1", "n2"]);
    broker.publish("diffused/n1/admin/ops", r#"{"id":"m1","command":"pause"}"#, &[]);
    listener.first("reply/ops/m1/answer");
    for index in 0..4 {
        broker.publish(POOL, json!({"id": format!("a{index}"), "prompt": "x"}).to_string(), &[]);
        listener.status(&format!("a{index}"), "done");
    }
    assert_eq!(works.painter.finished(), 4);
    broker.publish(POOL, r#"{"id":"b","prompt":"x","model":"none"}"#, &[]);
    assert_eq!(listener.status("b", "rejected")["code"], json!("unknown_model"));
    broker.publish(POOL, r#"{"id":"c","prompt":"x","steps":400}"#, &[]);
    assert_eq!(listener.status("c", "rejected")["code"], json!("invalid_field"));
    let handed: Vec<Value> = listener
        .all()
        .into_iter()
        .filter(|heard| heard.topic.contains("/handback/"))
        .map(|heard| heard.json()["id"].clone())
        .collect();
    assert!(
        handed.contains(&json!("b")) && !handed.contains(&json!("c")),
        "what is wrong everywhere is refused at once"
    );
}

#[test]
fn every_node_of_a_pool_answers_its_commands() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _nodes = (node(&broker, "n1", Painter::default(), ""), node(&broker, "n2", Painter::default(), ""));
    online(&listener, &["n1", "n2"]);
    broker.publish("diffused/pool/studio/admin/ops", r#"{"id":"m1","command":"drain"}"#, &[]);
    for name in ["n1", "n2"] {
        listener.first(&format!("{name}/reply/ops/m1/answer"));
        listener.first_where(&format!("{name}/state"), |heard| heard.json()["lifecycle"] == json!("draining"));
    }
}

#[test]
fn a_node_that_stops_in_good_order_leaves_no_work_behind_at_the_broker() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let (leaves, stays) = (node(&broker, "n1", Painter::default(), ""), node(&broker, "n2", Painter::default(), ""));
    online(&listener, &["n1", "n2"]);
    leaves.stop();
    for index in 0..4 {
        broker.publish(POOL, json!({"id": format!("a{index}"), "prompt": "x"}).to_string(), &[]);
        listener.status(&format!("a{index}"), "done");
    }
    assert_eq!(stays.painter.finished(), 4);
}

#[test]
fn a_node_that_loads_its_models_joins_its_pools_afterwards() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let (store, file) = (tempfile::tempdir().unwrap(), Path::new("test.toml"));
    let text = format!(
        "[node]\nname = 'jet1'\n[mqtt]\nurl = '{}'\n[store]\ndir = '{}'\n[pool]\nnames = ['studio']",
        broker.url(),
        store.path().display()
    );
    let config = Config::parse(&text, file).unwrap();
    let mut loading = Appliance::connect(&config).unwrap();
    listener.first_where("jet1/state", |heard| heard.json()["lifecycle"] == json!("loading"));
    let works = node(&broker, "n2", Painter::default(), "");
    online(&listener, &["n2"]);
    for index in 0..4 {
        broker.publish(POOL, json!({"id": format!("a{index}"), "prompt": "x"}).to_string(), &[]);
        listener.status(&format!("a{index}"), "done");
    }
    assert!(listener.on("/handback/").is_empty(), "it would only have handed them back");
    works.stop();
    let rules = rules(&config, vec![facts()], file).unwrap();
    loading.begin(&config, rules, Arc::new(Painter::default()), Box::new(|| None)).unwrap();
    online(&listener, &["jet1"]);
    broker.publish(POOL, r#"{"id":"late","prompt":"x"}"#, &[]);
    listener.status("late", "done");
    assert_eq!(nodes(&listener, "late", "done"), ["jet1"]);
    loading.supervise(&AtomicBool::new(true)).unwrap();
}
