//! Several jobs at the same time: whose passes can be shared, and in what order they begin.

use std::thread::sleep;
use std::time::Duration;

use serde_json::json;

use crate::support::broker::Mosquitto;
use crate::support::eventually;
use crate::support::fake::Painter;
use crate::support::listener::Listener;
use crate::support::node::Node;

const TOPIC: &str = "diffused/jet1/request/esp32";

/// Long enough for a job to begin that should not.
const A_MOMENT: Duration = Duration::from_millis(300);

/// A node for so many jobs at the same time, none of which ends before it may.
fn holding(broker: &Mosquitto, listener: &Listener, jobs: usize) -> Node {
    let lines = format!("[engine]\njobs = {jobs}");
    let node = Node::with(broker, Painter::holding(), &lines, tempfile::tempdir().unwrap());
    listener.first_where("jet1/availability", |heard| heard.text() == "online");
    node
}

/// Sends jobs with these ids and fields, each once the one before was accepted.
fn send(broker: &Mosquitto, listener: &Listener, jobs: &[(&str, &str)]) {
    for (id, fields) in jobs {
        broker.publish(TOPIC, format!(r#"{{"id":"{id}","prompt":"x"{fields}}}"#), &[]);
        listener.status(id, "accepted");
    }
}

/// Waits until so many jobs are at work, and sees that no other joins them.
fn stay_at(node: &Node, jobs: usize) {
    eventually("the jobs are at work", || node.painter.begun() == jobs);
    sleep(A_MOMENT);
    assert_eq!(node.painter.begun(), jobs);
}

#[test]
fn as_many_jobs_as_configured_are_at_work_at_the_same_time() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = holding(&broker, &listener, 2);
    send(&broker, &listener, &[("a1", ""), ("a2", r#","seed":3,"steps":9,"sampler":"euler""#), ("a3", "")]);
    listener.status("a1", "started");
    listener.status("a2", "started");
    stay_at(&node, 2);
    assert_eq!(listener.states("a3"), ["accepted"]);
    node.painter.let_go();
    for id in ["a1", "a2", "a3"] {
        listener.status(id, "done");
        assert_eq!(listener.states(id), ["accepted", "started", "done"]);
    }
    assert_eq!((node.painter.begun(), node.painter.finished()), (3, 3));
    // Between two jobs the node may be ready with one in the queue.
    eventually("the node is ready with nothing to do", || {
        let state = listener.on("jet1/state").last().unwrap().json();
        state["lifecycle"] == json!("ready") && state["queue"] == json!(0) && state["job"].is_null()
    });
}

#[test]
fn one_job_at_a_time_is_the_default() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::holding(), &listener);
    send(&broker, &listener, &[("a1", ""), ("a2", "")]);
    listener.status("a1", "started");
    stay_at(&node, 1);
    node.painter.let_go();
    listener.status("a2", "done");
}

#[test]
fn a_job_of_another_size_or_with_other_adapters_waits_for_its_turn_and_nobody_overtakes_it() {
    for other in [r#","width":16"#, r#","loras":[{"name":"style"}]"#] {
        let broker = Mosquitto::start();
        let listener = Listener::start(&broker);
        let node = holding(&broker, &listener, 3);
        send(&broker, &listener, &[("a1", ""), ("a2", ""), ("b1", other), ("a3", "")]);
        listener.status("a2", "started");
        stay_at(&node, 2);
        node.painter.let_go();
        listener.status("a3", "done");
        let started = listener.on("/status").into_iter().filter(|heard| heard.state() == "started");
        let order: Vec<String> = started.map(|heard| heard.json()["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(order, ["a1", "a2", "b1", "a3"], "{other}");
    }
}

#[test]
fn one_of_two_jobs_can_be_cancelled_and_the_other_goes_on() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = holding(&broker, &listener, 2);
    send(&broker, &listener, &[("a1", ""), ("a2", "")]);
    listener.status("a2", "started");
    broker.publish("diffused/jet1/command/esp32", r#"{"id":"c1","command":"cancel","job":"a1"}"#, &[]);
    listener.status("a1", "cancelled");
    sleep(A_MOMENT);
    assert_eq!(listener.states("a2"), ["accepted", "started"]);
    node.painter.let_go();
    listener.status("a2", "done");
    assert_eq!(node.painter.finished(), 1);
}

#[test]
fn jobs_that_are_at_work_when_the_service_stops_begin_again_and_their_attempts_do_not_count() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = holding(&broker, &listener, 2);
    send(&broker, &listener, &[("a1", ""), ("a2", "")]);
    listener.status("a2", "started");
    let store = node.stop();
    let _node = Node::with(&broker, Painter::default(), "[engine]\njobs = 2", store);
    for id in ["a1", "a2"] {
        listener.status(id, "done");
        assert_eq!(listener.status(id, "started")["attempt"], json!(1));
    }
}
