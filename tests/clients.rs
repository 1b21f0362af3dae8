//! Clients that we did not write, each a whole round trip: mosquitto's, Eclipse Paho, MQTT.js.
//!
//! They are the examples of `examples/clients/`, run as people would run them.

mod errand;

use diffused::job::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::broker::Mosquitto;
use crate::support::eventually;
use crate::support::fake::Painter;
use crate::support::listener::{Heard, Listener};
use crate::support::node::Node;
use crate::support::pixels::Pixels;
use errand::{Client, Errand};

const HERE: [Client; 3] = [Client::Shell, Client::Python("5"), Client::Python("3.1.1")];
const IN_NODE: [Client; 2] = [Client::Node("5"), Client::Node("4")];

#[test]
fn every_client_gets_its_picture() {
    gets_a_picture(&HERE);
}

#[test]
fn every_client_gets_its_picture_in_parts() {
    gets_parts(&HERE);
}

#[test]
fn every_client_joins_parts_and_asks_for_what_is_missing() {
    joins_parts(&HERE);
}

#[test]
fn every_client_follows_a_node_that_cuts_the_picture_in_another_way() {
    follows_another_cut(&HERE);
}

#[test]
fn every_client_publishes_its_request_again_until_it_is_accepted() {
    asks_again(&HERE);
}

#[test]
fn every_client_notices_a_damaged_picture_and_a_rejection() {
    notices_faults(&HERE);
}

#[test]
#[ignore = "needs Node.js and npm; tests/clients.sh runs it"]
fn mqtt_js_does_all_of_that() {
    gets_a_picture(&IN_NODE);
    gets_parts(&IN_NODE);
    joins_parts(&IN_NODE);
    follows_another_cut(&IN_NODE);
    asks_again(&IN_NODE);
    notices_faults(&IN_NODE);
}

fn gets_a_picture(clients: &[Client]) {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    for client in clients {
        let ended = Errand::new(&broker, *client, r#"{"format":"png"}"#).wait();
        assert!(ended.output.status.success(), "{client:?}: {}", ended.complaint());
        let said = String::from_utf8_lossy(&ended.output.stdout).into_owned();
        let seed: u64 = said.trim().rsplit(' ').next().unwrap().parse().unwrap();
        let pixels = Pixels::of_png(&ended.file().unwrap());
        assert_eq!((pixels.width, pixels.rgb[0]), (64, [(seed % 256) as u8, 100, 200]), "{client:?}: {said}");
    }
}

/// Parts that the node sends by itself, and parts that it wants to be asked for.
fn gets_parts(clients: &[Client]) {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    for client in clients {
        for push in [true, false] {
            let output = json!({"format": "rgb565", "width": 50, "height": 40, "part_bytes": 1024, "push": push});
            let ended = Errand::new(&broker, *client, &output.to_string()).wait();
            assert!(ended.output.status.success(), "{client:?}: {}", ended.complaint());
            let file = ended.file().unwrap();
            assert_eq!(file.len(), 50 * 40 * 2, "{client:?}");
            assert!(file.chunks(2).all(|pixel| pixel == &file[..2]), "{client:?}: the picture has one colour");
        }
    }
}

/// The test plays the node, so that parts come in a bad order, twice, and not at all.
fn joins_parts(clients: &[Client]) {
    let ((broker, listener), file) = (stage(), picture());
    for client in clients {
        let errand = Errand::new(&broker, *client, r#"{"format":"mono","part_bytes":1000}"#);
        let reply = reply_to(&request(&listener, *client, 0), *client);
        reply.accepted(&broker);
        [4, 1, 1, 0].into_iter().for_each(|i| reply.part(&broker, &file, 1000, i));
        reply.done(&broker, &file, 1000);
        let command = listener.first(&format!("command/{}", client.name())).json();
        let asked = (&command["command"], &command["job"], &command["k"], &command["parts"]);
        assert_eq!(asked, (&json!("get"), &json!(reply.id), &json!(0), &json!([2, 3])), "{client:?}");
        [3, 2].into_iter().for_each(|i| reply.part(&broker, &file, 1000, i));
        let ended = errand.wait();
        assert!(ended.output.status.success(), "{client:?}: {}", ended.complaint());
        assert_eq!(ended.file(), Some(file.clone()), "{client:?}");
    }
}

/// The broker takes less than before: what is asked for comes in smaller parts, and says nothing of it.
fn follows_another_cut(clients: &[Client]) {
    let ((broker, listener), file) = (stage(), picture());
    for client in clients {
        let errand = Errand::new(&broker, *client, r#"{"format":"mono","part_bytes":1000}"#);
        let reply = reply_to(&request(&listener, *client, 0), *client);
        let command = format!("command/{}", client.name());
        let asked = |index: usize| {
            eventually(&format!("command {index} of {client:?}"), || listener.on(&command).len() > index);
            listener.on(&command)[index].json()["parts"].clone()
        };
        reply.accepted(&broker);
        [0, 1].into_iter().for_each(|i| reply.part(&broker, &file, 1000, i));
        reply.done(&broker, &file, 1000);
        assert_eq!(asked(0), json!([2, 3, 4]), "{client:?}");
        [2, 3, 4].into_iter().for_each(|i| reply.part(&broker, &file, 700, i));
        assert_eq!(asked(1), Value::Null, "{client:?}: all parts, with their manifest");
        reply.say(&broker, "manifest/0", json!({"k": 0, "bytes": 4321, "part_bytes": 700, "parts": 7}).to_string());
        (0..7).for_each(|i| reply.part(&broker, &file, 700, i));
        let ended = errand.wait();
        assert!(ended.output.status.success(), "{client:?}: {}", ended.complaint());
        assert_eq!(ended.file(), Some(file.clone()), "{client:?}");
    }
}

/// Silence first, then no room: the third request is taken.
fn asks_again(clients: &[Client]) {
    let ((broker, listener), file) = (stage(), picture());
    let errands: Vec<Errand> = clients.iter().map(|client| Errand::new(&broker, *client, "{}")).collect();
    for (client, errand) in clients.iter().zip(errands) {
        let (first, second) = (request(&listener, *client, 0), request(&listener, *client, 1));
        assert_eq!(first.payload, second.payload, "{client:?} must repeat itself");
        let reply = reply_to(&second, *client);
        let full = json!({"code": "queue_full", "message": "full", "retryable": true, "retry_after_ms": 1000});
        reply.status(&broker, "rejected", full);
        assert_eq!(request(&listener, *client, 2).payload, first.payload, "{client:?}");
        reply.accepted(&broker);
        reply.say(&broker, "image/0", &file);
        reply.done(&broker, &file, 0);
        let ended = errand.wait();
        assert!(ended.output.status.success(), "{client:?}: {}", ended.complaint());
        assert_eq!(ended.file(), Some(file.clone()), "{client:?}");
    }
}

fn notices_faults(clients: &[Client]) {
    let ((broker, listener), file) = (stage(), picture());
    for client in clients {
        let errand = Errand::new(&broker, *client, "{}");
        let reply = reply_to(&request(&listener, *client, 0), *client);
        let mut damaged = file.clone();
        damaged[700] ^= 1;
        reply.say(&broker, "image/0", damaged);
        reply.done(&broker, &file, 0);
        let ended = errand.wait();
        assert_eq!((ended.output.status.code(), ended.file()), (Some(76), None), "{client:?}");

        let errand = Errand::new(&broker, *client, "{}");
        let reply = reply_to(&request(&listener, *client, 1), *client);
        let message = "steps must be between 1 and 150, got 400";
        let wrong = json!({"code": "invalid_field", "message": message, "field": "steps", "retryable": false});
        reply.status(&broker, "rejected", wrong);
        let ended = errand.wait();
        assert_eq!((ended.output.status.code(), ended.file()), (Some(65), None), "{client:?}");
        assert!(ended.complaint().contains(message), "{client:?}: {}", ended.complaint());
    }
}

/// A broker with nobody behind it but the test.
fn stage() -> (Mosquitto, Listener) {
    let broker = Mosquitto::start();
    let listener = Listener::of_players(&broker);
    (broker, listener)
}

/// Some bytes that are not all alike.
fn picture() -> Vec<u8> {
    (0..4321_u32).map(|index| (index * index / 7) as u8).collect()
}

/// The request that a client has published as its `index`th.
fn request(listener: &Listener, client: Client, index: usize) -> Heard {
    let end = format!("request/{}", client.name());
    eventually(&format!("request {index} of {client:?}"), || listener.on(&end).len() > index);
    listener.on(&end)[index].clone()
}

/// Where the answers to a request go.
fn reply_to(request: &Heard, client: Client) -> Reply {
    let id = request.json()["id"].as_str().unwrap().to_owned();
    Reply { topic: format!("diffused/jet1/reply/{}/{id}", client.name()), id }
}

struct Reply {
    topic: String,
    id: String,
}

impl Reply {
    fn say(&self, broker: &Mosquitto, what: &str, payload: impl AsRef<[u8]>) {
        broker.publish(&format!("{}/{what}", self.topic), payload, &[]);
    }

    fn status(&self, broker: &Mosquitto, state: &str, more: Value) {
        let mut status = json!({"state": state, "id": self.id, "node": "jet1", "seq": 1, "v": 1});
        status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.say(broker, "status", status.to_string());
    }

    fn accepted(&self, broker: &Mosquitto) {
        self.status(broker, "accepted", json!({"position": 0, "model": "flat", "seed": 7, "tokens": 2, "chunks": 1}));
    }

    fn done(&self, broker: &Mosquitto, file: &[u8], part_bytes: usize) {
        let parts = if part_bytes == 0 { 0 } else { file.len().div_ceil(part_bytes) };
        let image = json!({
            "k": 0, "seed": 7, "format": "mono", "width": 8, "height": 8, "bytes": file.len(),
            "sha256": hex(&Sha256::digest(file)), "part_bytes": part_bytes, "parts": parts,
        });
        self.status(broker, "done", json!({"queue_ms": 1, "run_ms": 2, "images": [image]}));
    }

    fn part(&self, broker: &Mosquitto, file: &[u8], part_bytes: usize, i: usize) {
        let start = i * part_bytes;
        self.say(broker, &format!("part/0.{i}"), &file[start..file.len().min(start + part_bytes)]);
    }
}
