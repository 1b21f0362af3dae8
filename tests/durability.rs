//! Nothing is lost and nothing comes twice when brokers and services end and begin again.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::broker::Mosquitto;
use crate::support::eventually;
use crate::support::fake::Painter;
use crate::support::listener::Listener;
use crate::support::node::Node;
use crate::support::program::Service;

#[test]
fn a_service_killed_during_a_job_delivers_one_picture_and_one_done_without_being_asked_again() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let mut service = Service::start(&broker);
    listener.first_where("jet1/availability", |heard| heard.text() == "online");
    let request = r#"{"id":"a1","prompt":"a red circle on a blue background","steps":150,"count":2}"#;
    broker.publish("diffused/jet1/request/esp32", request, &[]);
    listener.first_where("/a1/progress", |heard| heard.json()["step"].as_u64().unwrap_or(0) > 5);
    service.kill();
    assert!(listener.on("/a1/image/0").is_empty(), "the job was over before the kill");
    listener.first_where("jet1/availability", |heard| heard.text() == "offline");
    service.start_again();
    let done = listener.status("a1", "done");
    assert_eq!(listener.states("a1"), ["accepted", "started", "started", "done"]);
    assert_eq!(listener.status("a1", "accepted")["seed"], done["images"][0]["seed"], "the seed was drawn once");
    eventually("the pictures are there", || (0..2).all(|k| !listener.on(&format!("/a1/image/{k}")).is_empty()));
    for k in 0..2 {
        let distinct: BTreeSet<_> =
            listener.on(&format!("/a1/image/{k}")).into_iter().map(|heard| heard.payload).collect();
        assert_eq!(distinct.len(), 1);
    }
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn a_service_stopped_during_a_job_gives_the_attempt_back() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::holding(), &listener);
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"a1","prompt":"x"}"#, &[]);
    listener.status("a1", "started");
    let store = node.stop();
    listener.first_where("jet1/availability", |heard| heard.text() == "offline");
    let node = Node::with(&broker, Painter::default(), "", store);
    listener.status("a1", "done");
    let started: Vec<_> = listener
        .on("/a1/status")
        .iter()
        .map(|heard| heard.json()["attempt"].clone())
        .filter(|attempt| !attempt.is_null())
        .collect();
    assert_eq!(started, [json!(1), json!(1)]);
    assert_eq!(node.painter.finished(), 1);
}

#[test]
fn a_request_sent_while_the_service_is_away_waits_at_the_broker() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let store = Node::online(&broker, Painter::default(), &listener).stop();
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"a1","prompt":"x"}"#, &[]);
    let _node = Node::with(&broker, Painter::default(), "", store);
    listener.status("a1", "done");
}

#[test]
fn a_broker_that_is_restarted_during_a_job_gets_the_result() {
    let mut broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::holding(), &listener);
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"a1","prompt":"x"}"#, &[]);
    listener.status("a1", "started");
    broker.stop();
    node.painter.let_go();
    eventually("the painter is done", || node.painter.finished() == 1);
    broker.start_again();
    listener.status("a1", "done");
    listener.first("/a1/image/0");
    assert_eq!(listener.states("a1"), ["accepted", "started", "done"]);
    assert_eq!(node.painter.begun(), 1);
}

#[test]
fn a_broker_that_forgot_everything_gets_the_result_the_subscriptions_and_the_retained_topics() {
    let mut broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::holding(), &listener);
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"a1","prompt":"x"}"#, &[]);
    listener.status("a1", "started");
    drop(listener);
    broker.stop();
    broker.wipe();
    broker.start_again();
    let listener = Listener::start(&broker);
    listener.first("jet1/info");
    listener.first_where("jet1/availability", |heard| heard.text() == "online");
    node.painter.let_go();
    listener.status("a1", "done");
    listener.first("/a1/image/0");
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"a2","prompt":"x"}"#, &[]);
    listener.status("a2", "done");
    assert_eq!(node.painter.begun(), 2);
}

#[test]
fn a_request_over_which_the_process_died_twice_is_given_up_and_the_next_one_is_served() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let mut service = Service::start(&broker);
    listener.first_where("jet1/availability", |heard| heard.text() == "online");
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"a1","prompt":"x","steps":150,"count":4}"#, &[]);
    for attempt in [1, 2] {
        listener.first_where("/a1/status", |heard| heard.json()["attempt"] == json!(attempt));
        service.kill();
        service.start_again();
    }
    assert_eq!(listener.status("a1", "failed")["code"], json!("poison"));
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"a2","prompt":"x","steps":2}"#, &[]);
    listener.status("a2", "done");
}

#[test]
fn a_service_that_cannot_deliver_everything_before_it_stops_still_says_offline() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::holding(), &listener);
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"a1","prompt":"x"}"#, &[]);
    listener.status("a1", "started");
    broker.freeze();
    let stopping = std::thread::spawn(move || node.stop());
    std::thread::sleep(std::time::Duration::from_secs(8));
    broker.thaw();
    let _store = stopping.join().unwrap();
    listener.first_where("jet1/availability", |heard| heard.text() == "offline");
}
