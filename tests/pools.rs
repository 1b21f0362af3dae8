//! Several nodes behind one shared subscription, on brokers of different make.

mod makes;
mod trip;

use diffused::board::Board;
use serde_json::{Value, json};

use self::makes::Make;
use self::trip::a_broker_that_forgot_everything_hears_all_again_and_pictures_come_in_parts_as_before;
use crate::support::eventually;
use crate::support::fake::Painter;
use crate::support::listener::{Heard, Listener};
use crate::support::node::{Loading, Node, mqtt};
use crate::support::orin::Orin;

const POOL: &str = "diffused/pool/studio/request/esp32";
/// What makes a node work for it.
const POOLS: &str = "[pool]\nnames = ['studio']";

/// Each of them is a test on each broker.
macro_rules! on_both_brokers {
    ($($course:ident)+) => {
        mod on_mosquitto {
            $(#[test] fn $course() { super::$course::<crate::support::broker::Mosquitto>(); })+
        }
        mod on_mqtt5 {
            $(#[test] fn $course() { super::$course::<crate::support::mqtt5::Mqtt5>(); })+
        }
    };
}

on_both_brokers! {
    a_busy_node_gives_work_back_until_an_idle_one_takes_it
    where_nothing_can_be_handed_back_a_busy_node_refuses_what_an_idle_one_would_have_made
    where_all_are_busy_work_waits_and_where_all_are_full_it_is_refused_once
    a_paused_node_and_one_without_the_model_leave_work_to_others
    a_node_that_is_too_hot_leaves_work_to_others_until_it_is_cool
    every_node_of_a_pool_answers_its_commands
    a_node_that_stops_in_good_order_leaves_no_work_behind_at_the_broker
    a_node_that_loads_its_models_joins_its_pools_afterwards
    a_broker_that_forgot_everything_hears_all_again_and_pictures_come_in_parts_as_before
}

fn node(broker: &impl Make, name: &str, painter: Painter, lines: &str) -> Node {
    Node::described(name, &mqtt(broker.port()), painter, &format!("{lines}\n{POOLS}"), tempfile::tempdir().unwrap())
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

/// Asks a pool of a busy and an idle node six times, one after the other: what became of each request, and where.
fn six_requests(broker: &impl Make, listener: &Listener) -> Vec<(String, String)> {
    let busy = node(broker, "busy", Painter::holding(), "");
    let _idle = node(broker, "idle", Painter::default(), "");
    online(listener, &["busy", "idle"]);
    broker.publish("diffused/busy/request/esp32", r#"{"id":"own","prompt":"x"}"#);
    listener.status("own", "started");
    let ask = |index: usize| {
        broker.publish(POOL, json!({"id": format!("a{index}"), "prompt": "x"}).to_string());
        let is_over = |heard: &Heard| ["done", "rejected"].contains(&heard.state().as_str());
        let end = listener.first_where(&format!("/a{index}/status"), is_over);
        (end.state(), end.topic.split('/').nth(1).unwrap().to_owned())
    };
    let ends = (0..6).map(ask).collect();
    busy.painter.let_go();
    listener.status("own", "done");
    ends
}

fn a_busy_node_gives_work_back_until_an_idle_one_takes_it<B: Make>() {
    let broker = B::start();
    let listener = Listener::at(broker.port());
    let ends = six_requests(&broker, &listener);
    assert_eq!(ends, vec![("done".to_owned(), "idle".to_owned()); 6]);
    assert!(!listener.on("pool/studio/handback/1/esp32").is_empty(), "the broker rotates blindly");
}

/// The control: without the rule the check above sees requests that were not made while a node did nothing.
fn where_nothing_can_be_handed_back_a_busy_node_refuses_what_an_idle_one_would_have_made<B: Make>() {
    let rules = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(rules.path(), B::NO_HANDBACK).unwrap();
    let broker = B::with_rules(rules.path());
    let listener = Listener::at(broker.port());
    let ends = six_requests(&broker, &listener);
    let refused = ("rejected".to_owned(), "busy".to_owned());
    assert!(ends.contains(&refused), "{ends:?}");
}

fn where_all_are_busy_work_waits_and_where_all_are_full_it_is_refused_once<B: Make>() {
    let broker = B::start();
    let listener = Listener::at(broker.port());
    let lines = "[limits]\nqueue = 2";
    let nodes_of = [node(&broker, "n1", Painter::holding(), lines), node(&broker, "n2", Painter::holding(), lines)];
    online(&listener, &["n1", "n2"]);
    for index in 0..4 {
        broker.publish(POOL, json!({"id": format!("a{index}"), "prompt": "x"}).to_string());
        listener.status(&format!("a{index}"), "accepted");
    }
    let started = || (0..4).filter(|index| !nodes(&listener, &format!("a{index}"), "started").is_empty()).count();
    eventually("each node works", || started() == 2);
    broker.publish(POOL, r#"{"id":"a4","prompt":"x"}"#);
    let full = listener.status("a4", "rejected");
    assert_eq!(full["code"], json!("queue_full"));
    let hops = |heard: &Heard| heard.topic.split('/').nth(4).unwrap().parse::<u8>().unwrap();
    let handed =
        listener.all().into_iter().filter(|heard| heard.topic.contains("/handback/")).map(|it| hops(&it)).max();
    assert_eq!(handed, Some(16));
    nodes_of.iter().for_each(|node| node.painter.let_go());
    (0..4).for_each(|index| drop(listener.status(&format!("a{index}"), "done")));
    assert_eq!(nodes(&listener, "a4", "rejected").len(), 1);
}

fn a_paused_node_and_one_without_the_model_leave_work_to_others<B: Make>() {
    let broker = B::start();
    let listener = Listener::at(broker.port());
    let (_paused, works) = (node(&broker, "n1", Painter::default(), ""), node(&broker, "n2", Painter::default(), ""));
    online(&listener, &["n1", "n2"]);
    broker.publish("diffused/n1/admin/ops", r#"{"id":"m1","command":"pause"}"#);
    listener.first("reply/ops/m1/answer");
    for index in 0..4 {
        broker.publish(POOL, json!({"id": format!("a{index}"), "prompt": "x"}).to_string());
        listener.status(&format!("a{index}"), "done");
    }
    assert_eq!(works.painter.finished(), 4);
    broker.publish(POOL, r#"{"id":"b","prompt":"x","model":"none"}"#);
    assert_eq!(listener.status("b", "rejected")["code"], json!("unknown_model"));
    broker.publish(POOL, r#"{"id":"c","prompt":"x","steps":400}"#);
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

fn a_node_that_is_too_hot_leaves_work_to_others_until_it_is_cool<B: Make>() {
    let broker = B::start();
    let listener = Listener::at(broker.port());
    let orin = Orin::new();
    orin.heat(100.0);
    let (board, store) = (Board::at(orin.root()), tempfile::tempdir().unwrap());
    let hot = Node::built(board, "n1", &mqtt(broker.port()), Painter::default(), POOLS, store);
    let cool = node(&broker, "n2", Painter::default(), "");
    online(&listener, &["n1", "n2"]);
    let ask = |id: &str| {
        broker.publish(POOL, json!({"id": id, "prompt": "x"}).to_string());
        listener.status(id, "done");
    };
    ["a0", "a1", "a2", "a3"].into_iter().for_each(ask);
    assert_eq!((hot.painter.begun(), cool.painter.finished()), (0, 4));
    orin.heat(50.0);
    listener.first_where("n1/state", |heard| heard.json()["lifecycle"] == json!("ready"));
    cool.stop();
    ask("b");
    assert_eq!(hot.painter.finished(), 1);
}

fn every_node_of_a_pool_answers_its_commands<B: Make>() {
    let broker = B::start();
    let listener = Listener::at(broker.port());
    let _nodes = (node(&broker, "n1", Painter::default(), ""), node(&broker, "n2", Painter::default(), ""));
    online(&listener, &["n1", "n2"]);
    broker.publish("diffused/pool/studio/admin/ops", r#"{"id":"m1","command":"drain"}"#);
    for name in ["n1", "n2"] {
        listener.first(&format!("{name}/reply/ops/m1/answer"));
        listener.first_where(&format!("{name}/state"), |heard| heard.json()["lifecycle"] == json!("draining"));
    }
}

fn a_node_that_stops_in_good_order_leaves_no_work_behind_at_the_broker<B: Make>() {
    let broker = B::start();
    let listener = Listener::at(broker.port());
    let (leaves, stays) = (node(&broker, "n1", Painter::default(), ""), node(&broker, "n2", Painter::default(), ""));
    online(&listener, &["n1", "n2"]);
    leaves.stop();
    for index in 0..4 {
        broker.publish(POOL, json!({"id": format!("a{index}"), "prompt": "x"}).to_string());
        listener.status(&format!("a{index}"), "done");
    }
    assert_eq!(stays.painter.finished(), 4);
}

fn a_node_that_loads_its_models_joins_its_pools_afterwards<B: Make>() {
    let broker = B::start();
    let listener = Listener::at(broker.port());
    let mut loading = Loading::start(broker.port(), POOLS);
    listener.first_where("jet1/state", |heard| heard.json()["lifecycle"] == json!("loading"));
    let works = node(&broker, "n2", Painter::default(), "");
    online(&listener, &["n2"]);
    for index in 0..4 {
        broker.publish(POOL, json!({"id": format!("a{index}"), "prompt": "x"}).to_string());
        listener.status(&format!("a{index}"), "done");
    }
    assert!(listener.on("/handback/").is_empty(), "it would only have handed them back");
    works.stop();
    loading.begin();
    online(&listener, &["jet1"]);
    broker.publish(POOL, r#"{"id":"late","prompt":"x"}"#);
    listener.status("late", "done");
    assert_eq!(nodes(&listener, "late", "done"), ["jet1"]);
    loading.stop();
}
