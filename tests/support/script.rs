//! A node that does what a test tells it, played with mosquitto's own clients.

use diffused::job::hex;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::broker::Mosquitto;
use super::eventually;
use super::listener::{Heard, Listener};

/// A node whose every word is said by the test.
pub struct Script<'a> {
    pub broker: &'a Mosquitto,
    pub listener: &'a Listener,
    pub node: &'static str,
}

/// Bytes of a part in scripts.
pub const PART: usize = 1000;

impl Script<'_> {
    /// The `number`th message on this topic below `diffused/`, counted from 1, once it is there.
    pub fn hears(&self, topic: &str, number: usize) -> Heard {
        let mut found = None;
        eventually(&format!("message {number} on {topic}"), || {
            found = self.listener.on(&format!("diffused/{topic}")).into_iter().nth(number - 1);
            found.is_some()
        });
        found.unwrap()
    }

    /// The `number`th command of `cam`, without its id.
    pub fn hears_command(&self, number: usize) -> Value {
        let mut command = self.hears(&format!("{}/command/cam", self.node), number).json();
        command.as_object_mut().unwrap().remove("id").unwrap();
        command
    }

    pub fn says(&self, id: &str, what: &str, payload: impl AsRef<[u8]>) {
        self.broker.publish(&format!("diffused/{}/reply/cam/{id}/{what}", self.node), payload, &[]);
    }

    pub fn accepts(&self, id: &str) {
        self.status("accepted", id, 1, json!({"position": 0, "model": "flat", "seed": 7, "tokens": 2, "chunks": 1}));
    }

    /// `done` with one picture, whole if `part_bytes` is 0.
    pub fn finishes(&self, id: &str, picture: &[u8], part_bytes: usize) {
        let image = json!({"k": 0, "seed": 7, "format": "mono", "width": 800, "height": picture.len() / 100,
            "bytes": picture.len(), "sha256": sha256(picture), "part_bytes": part_bytes,
            "parts": picture.len().checked_div(part_bytes).unwrap_or(0)});
        self.status("done", id, 3, json!({"queue_ms": 1, "run_ms": 2, "images": [image]}));
    }

    pub fn status(&self, state: &str, id: &str, seq: u64, more: Value) {
        let status = json!({"state": state, "id": id, "node": self.node, "seq": seq, "v": 1});
        self.says(id, "status", joined(&[status, more]).to_string());
    }

    pub fn manifest(&self, id: &str, picture: &[u8]) {
        let manifest = json!({"k": 0, "format": "mono", "width": 800, "height": picture.len() / 100, "stride": 100,
            "rows": PART / 100, "bytes": picture.len(), "part_bytes": PART, "parts": picture.len() / PART,
            "sha256": sha256(picture), "seed": 7, "id": id, "node": self.node, "seq": 2, "v": 1});
        self.says(id, "manifest/0", manifest.to_string());
    }

    pub fn part(&self, id: &str, picture: &[u8], i: usize) {
        self.says(id, &format!("part/0.{i}"), &picture[i * PART..][..PART]);
    }
}

fn joined(objects: &[Value]) -> Value {
    let pairs = objects.iter().flat_map(|object| object.as_object().unwrap().clone());
    Value::Object(pairs.collect::<Map<_, _>>())
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
