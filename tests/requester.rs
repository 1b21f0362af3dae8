//! The requester against nodes that do what a test tells them, and against the real service.

use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use diffused::job::units::{Client, JobId};
use diffused::mqtt::requester::{Answer, AskError, Patience, Target, Update};
use diffused::mqtt::{Broker, Pool, Requester, Topics};
use serde_json::{Value, json};

use crate::support::PATIENCE;
use crate::support::broker::Mosquitto;
use crate::support::fake::Painter;
use crate::support::listener::Listener;
use crate::support::node::Node;
use crate::support::program::{complaint, diffused, run};
use crate::support::script::{PART, Script};

const REQUEST: &str = r#"{"id":"a1","prompt":"a star"}"#;

/// Twelve parts that differ.
fn picture() -> Vec<u8> {
    (0..12 * PART).map(|byte| (byte / 7 % 251) as u8).collect()
}

/// A requester called cam that waits for seconds where others wait for ten.
fn requester(broker: &Mosquitto, target: impl Into<Target>) -> Requester {
    let broker = Broker {
        host: "127.0.0.1".to_owned(),
        port: broker.port,
        client_id: "diffused-cam".to_owned(),
        ..Broker::for_requester()
    };
    let patience = Patience {
        accepted: Duration::from_secs(2),
        silence: Duration::from_millis(600),
        again: Duration::from_secs(1),
        offline: Duration::from_secs(1),
    };
    Requester { patience, ..Requester::new(broker, target, Client::try_from("cam").unwrap()) }
}

fn jet1() -> Target {
    Topics::new("diffused", "jet1").unwrap().into()
}

fn studio() -> Target {
    Target::pool("diffused", Pool::try_from("studio").unwrap()).unwrap()
}

/// Asks while `play` plays the node, and brings the answer and what was told.
fn asked(requester: &Requester, request: &str, play: impl FnOnce()) -> (Result<Answer, AskError>, Vec<Update>) {
    let (id, mut told) = (JobId::try_from("a1").unwrap(), Vec::new());
    let answer = thread::scope(|scope| {
        let ask = scope.spawn(|| {
            requester.ask(&id, request, PATIENCE, &AtomicBool::new(false), |update| told.push(update.clone()))
        });
        play();
        ask.join().unwrap()
    });
    (answer, told)
}

#[test]
fn shuffled_lost_damaged_and_doubled_parts_make_the_picture_in_the_end() {
    let broker = Mosquitto::start();
    let listener = Listener::of_players(&broker);
    let jet1 = Script { broker: &broker, listener: &listener, node: "jet1" };
    let bytes = picture();
    let (answer, told) = asked(&requester(&broker, self::jet1()), REQUEST, || {
        jet1.hears("jet1/request/cam", 1);
        jet1.accepts("a1");
        [11, 3].into_iter().for_each(|i| jet1.part("a1", &bytes, i));
        jet1.manifest("a1", &bytes);
        [2, 2, 0, 10, 9, 1, 3, 6, 8].into_iter().for_each(|i| jet1.part("a1", &bytes, i));
        jet1.says("a1", "part/0.5", &bytes[..PART - 1]);
        jet1.says("a1", "part/0.7", [1; PART]);
        jet1.finishes("a1", &bytes, PART);
        let lost = json!({"command": "get", "job": "a1", "k": 0, "parts": [[4, 5]]});
        assert_eq!(jet1.hears_command(1), lost);
        [5, 4].into_iter().for_each(|i| jet1.part("a1", &bytes, i));
        // Only the SHA-256 tells that part 7 is damaged, but not which part it is.
        let all = json!({"command": "get", "job": "a1", "k": 0, "parts": [[0, 11]]});
        assert_eq!(jet1.hears_command(2), all);
        (0..12).for_each(|i| jet1.part("a1", &bytes, i));
    });
    assert!(answer.unwrap().pictures == [bytes]);
    assert!(told.contains(&Update::Parts { k: 0, have: 12, of: 12 }));
    let states = told.iter().filter(|update| matches!(update, Update::Status(_)));
    assert_eq!(states.count(), 2);
}

#[test]
fn a_node_that_is_silent_and_then_full_gets_the_same_request_until_it_accepts() {
    let broker = Mosquitto::start();
    let listener = Listener::of_players(&broker);
    let jet1 = Script { broker: &broker, listener: &listener, node: "jet1" };
    let (answer, _) = asked(&requester(&broker, self::jet1()), REQUEST, || {
        assert_eq!(jet1.hears("jet1/request/cam", 2).text(), REQUEST);
        let full = json!({"code": "queue_full", "message": "the queue is full with 16 jobs", "retryable": true,
            "retry_after_ms": 1000});
        let begun = Instant::now();
        jet1.status("rejected", "a1", 1, full);
        assert_eq!(jet1.hears("jet1/request/cam", 3).text(), REQUEST);
        assert!(begun.elapsed() >= Duration::from_secs(1));
        jet1.accepts("a1");
        jet1.says("a1", "image/0", b"a star");
        jet1.finishes("a1", b"a star", 0);
    });
    assert_eq!(answer.unwrap().pictures, [b"a star"]);
}

#[test]
fn a_node_that_does_not_push_is_asked_for_its_parts() {
    let broker = Mosquitto::start();
    let listener = Listener::of_players(&broker);
    let jet1 = Script { broker: &broker, listener: &listener, node: "jet1" };
    let (bytes, request) = (picture(), r#"{"id":"a1","prompt":"a star","output":{"push":false}}"#);
    let (answer, _) = asked(&requester(&broker, self::jet1()), request, || {
        jet1.hears("jet1/request/cam", 1);
        jet1.accepts("a1");
        jet1.manifest("a1", &bytes);
        jet1.finishes("a1", &bytes, PART);
        assert_eq!(jet1.hears_command(1)["parts"], json!([[0, 11]]));
        (0..12).for_each(|i| jet1.part("a1", &bytes, i));
    });
    assert!(answer.unwrap().pictures == [bytes]);
}

#[test]
fn of_two_nodes_of_a_pool_that_do_the_job_the_first_done_is_kept() {
    let broker = Mosquitto::start();
    let listener = Listener::of_players(&broker);
    let script = |node| Script { broker: &broker, listener: &listener, node };
    let (jet1, jet2) = (script("jet1"), script("jet2"));
    let (answer, _) = asked(&requester(&broker, studio()), REQUEST, || {
        jet1.hears("pool/studio/request/cam", 2);
        jet1.accepts("a1");
        jet2.accepts("a1");
        jet1.says("a1", "image/0", b"of jet1");
        jet2.finishes("a1", b"of jet2", 0);
        jet1.finishes("a1", b"of jet1", 0);
        assert_eq!(jet2.hears_command(1), json!({"command": "get", "job": "a1", "k": 0}));
        jet2.says("a1", "image/0", b"of jet2");
    });
    let answer = answer.unwrap();
    assert_eq!((answer.done["node"].as_str(), answer.pictures), (Some("jet2"), vec![b"of jet2".to_vec()]));
}

#[test]
fn a_pool_is_asked_again_when_the_node_that_accepted_stays_away() {
    let broker = Mosquitto::start();
    let listener = Listener::of_players(&broker);
    let script = |node| Script { broker: &broker, listener: &listener, node };
    let (jet1, jet2) = (script("jet1"), script("jet2"));
    let (answer, _) = asked(&requester(&broker, studio()), REQUEST, || {
        jet1.hears("pool/studio/request/cam", 1);
        // The last will of a node whose acceptance was its last word.
        broker.publish("diffused/jet1/availability", "offline", &["-r"]);
        jet1.accepts("a1");
        assert_eq!(jet2.hears("pool/studio/request/cam", 2).text(), REQUEST);
        jet2.accepts("a1");
        jet2.says("a1", "image/0", b"a star");
        jet2.finishes("a1", b"a star", 0);
    });
    assert_eq!(answer.unwrap().done["node"], "jet2");
}

#[test]
fn the_real_service_brings_whole_pictures_and_answers_commands() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::default(), &listener);
    let requester = requester(&broker, jet1());
    let request = r#"{"id":"a1","prompt":"a star","count":2,"output":{"format":"png"}}"#;
    let (answer, told) = asked(&requester, request, || {});
    assert!(answer.unwrap().pictures.iter().all(|png| png.starts_with(b"\x89PNG")));
    let states: Vec<&Value> = told
        .iter()
        .filter_map(|update| if let Update::Status(status) = update { status.get("state") } else { None })
        .collect();
    assert_eq!(states, ["accepted", "started", "done"]);
    // The same request again brings the stored pictures.
    assert_eq!(asked(&requester, request, || {}).0.unwrap().pictures.len(), 2);
    assert_eq!(node.painter.finished(), 1);
    let command = json!({"command": "cancel", "job": "a9"});
    let answer = requester.command(&command, PATIENCE, &AtomicBool::new(false)).unwrap();
    assert_eq!((&answer["ok"], &answer["code"]), (&json!(false), &json!("not_found")));
}

#[test]
fn the_real_service_brings_parts_whether_it_pushes_them_or_not() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::default(), &listener);
    let requester = requester(&broker, jet1());
    // 64 by 64 pixels of 2 bytes in parts of whole rows of 128 bytes.
    for push in [true, false] {
        let output = json!({"format": "rgb565", "part_bytes": 1000, "push": push});
        let id = if push { "a1" } else { "a2" };
        let request = json!({"id": id, "prompt": "a star", "seed": 7, "output": output}).to_string();
        let mut parts = 0;
        let told = |update: &Update| parts += u32::from(matches!(update, Update::Parts { of: 10, .. }));
        let (id, stop) = (JobId::try_from(id).unwrap(), AtomicBool::new(false));
        let answer = requester.ask(&id, &request, PATIENCE, &stop, told).unwrap();
        assert_eq!((answer.pictures[0].len(), parts), (64 * 64 * 2, 10), "push {push}");
        assert_eq!(answer.done["images"][0]["part_bytes"], 896);
    }
    assert_eq!(node.painter.finished(), 2);
    let jobs = requester.command(&json!({"command": "list", "what": "jobs"}), PATIENCE, &AtomicBool::new(false));
    assert_eq!(jobs.unwrap()["jobs"].as_array().unwrap().len(), 2);
}

#[test]
fn send_asks_one_node_or_one_pool_and_is_told_when_it_may_not() {
    let both = run(&["send", "a star", "-o", "a.png", "--node", "jet1", "--pool", "studio"]);
    let none = run(&["send", "a star", "-o", "a.png"]);
    assert_eq!((both.status.code(), none.status.code()), (Some(64), Some(64)));
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("acl");
    std::fs::write(&rules, "topic read #\ntopic write diffused/jet1/request/cam\n").unwrap();
    let broker = Mosquitto::with(&format!("allow_anonymous true\nacl_file {}", rules.display()));
    let file = folder.path().join("a.png");
    let send = |whom: [&str; 2]| {
        let url = broker.url();
        let base = ["send", "a star", "--broker", &url, "--client", "cam", "--timeout", "3", "-o"];
        run(&[&base[..], &[file.to_str().unwrap()], &whom[..]].concat())
    };
    let denied = send(["--pool", "studio"]);
    assert_eq!(denied.status.code(), Some(77), "{}", complaint(&denied));
    // The control: where it may publish, it only waits in vain.
    assert_eq!(send(["--node", "jet1"]).status.code(), Some(75));
}

#[test]
fn send_joins_parts_from_a_pool_and_writes_previews() {
    let broker = Mosquitto::start();
    let listener = Listener::of_players(&broker);
    let jet2 = Script { broker: &broker, listener: &listener, node: "jet2" };
    let (bytes, folder) = (picture(), tempfile::tempdir().unwrap());
    let (file, preview) = (folder.path().join("a.raw"), folder.path().join("preview.jpg"));
    let url = broker.url();
    let arguments = ["send", "a star", "--broker", &url, "--client", "cam", "--pool", "studio", "--json"];
    let mut command = diffused(&arguments);
    command.arg("-o").arg(&file).arg("--preview").arg(&preview);
    let output = thread::scope(|scope| {
        let sent = scope.spawn(|| command.output().unwrap());
        let request = jet2.hears("pool/studio/request/cam", 1).json();
        assert_eq!(request["preview"], json!({"every": 1, "size": 256}));
        let id = request["id"].as_str().unwrap();
        jet2.accepts(id);
        jet2.says(id, "preview", b"the picture so far");
        jet2.manifest(id, &bytes);
        (0..12).rev().for_each(|i| jet2.part(id, &bytes, i));
        jet2.finishes(id, &bytes, PART);
        sent.join().unwrap()
    });
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(std::fs::read(&file).unwrap() == bytes);
    assert_eq!(std::fs::read(&preview).unwrap(), b"the picture so far");
    let done: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&done["node"], &done["images"][0]["parts"]), (&json!("jet2"), &json!(12)));
}
