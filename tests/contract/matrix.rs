//! Every row, over MQTT 5 and 3.1.1: its code, its field, and a node that goes on.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::row::{DONE, Door, Row};
use super::talker::Talker;
use super::{bytes, fields, messages, orders, pictures};
use crate::support::broker::Mosquitto;
use crate::support::eventually;
use crate::support::fake::Painter;
use crate::support::listener::{Heard, Listener};
use crate::support::node::Node;

fn rows() -> Vec<Row> {
    [bytes::rows(), fields::rows(), pictures::rows(), messages::rows(), orders::rows()].into_iter().flatten().collect()
}

/// Rows under way at a time.
const CHUNK: usize = 40;

#[test]
fn every_bad_message_gets_its_code_and_field_over_mqtt_5() {
    hold(Talker::v5);
}

#[test]
fn every_bad_message_gets_its_code_and_field_over_mqtt_3_1_1() {
    hold(Talker::v311);
}

/// Sends every row as a client of its own and holds what comes back against it.
fn hold(connect: fn(&Mosquitto) -> Talker) {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = node(&broker, &listener);
    let mut talker = connect(&broker);
    let rows = rows();
    let bad = rows.iter().filter(|row| row.code != DONE).count();
    assert!(bad >= 220, "only {bad} rows are bad");
    let (mut faults, mut served) = (Vec::new(), 0);
    for (n, chunk) in rows.chunks(CHUNK).enumerate() {
        let named = |k: usize| format!("c{}", n * CHUNK + k);
        let said: Vec<bool> = chunk.iter().enumerate().map(|(k, row)| talker.say(row, &named(k))).collect();
        talker.finish();
        let mut heard = HashMap::new();
        let all_but = |heard: &HashMap<String, Value>| {
            let open = (0..chunk.len()).filter(|k| said[*k] && !heard.contains_key(&named(*k)));
            open.map(|k| chunk[k].what.clone()).collect::<Vec<_>>()
        };
        eventually(
            &format!("an answer to each of {:?}", chunk.iter().map(|row| &row.what).collect::<Vec<_>>()),
            || {
                heard = outcomes(&listener);
                all_but(&heard).is_empty()
            },
        );
        let heard = |k: usize| &heard[&named(k)];
        faults.extend((0..chunk.len()).filter(|k| said[*k]).filter_map(|k| fault(&chunk[k], heard(k))));
        served += (0..chunk.len()).filter(|k| said[*k] && heard(*k)["state"] == json!("done")).count();
    }
    assert!(faults.is_empty(), "{} of {} rows:\n{}", faults.len(), rows.len(), faults.join("\n"));
    assert_eq!(node.painter.finished(), served, "nothing is made for those that are refused");
    assert_eq!(listener.on("jet1/availability").len(), 1, "the connection was never lost");
    talker.publish("diffused/jet1/request/esp32", br#"{"id":"good","prompt":"x"}"#, 1);
    listener.status("good", "done");
}

/// With room for everybody, and answers to one foreign place.
fn node(broker: &Mosquitto, listener: &Listener) -> Node {
    let mqtt = format!("[mqtt]\nurl = '{}'\nreply_prefixes = ['diffused/answers']", broker.url());
    let node =
        Node::described("jet1", &mqtt, Painter::default(), "[limits]\nqueue = 1000", tempfile::tempdir().unwrap());
    listener.first_where("jet1/availability", |heard| heard.text() == "online");
    node
}

/// The last word to each client so far.
fn outcomes(listener: &Listener) -> HashMap<String, Value> {
    let last = |heard: &Heard| {
        let mut levels = heard.topic.strip_prefix("diffused/jet1/reply/")?.split('/');
        let (client, what) = (levels.next()?.to_owned(), levels.nth(1)?);
        let is_last =
            what == "answer" || what == "status" && !["accepted", "started"].contains(&heard.state().as_str());
        is_last.then(|| (client, heard.json()))
    };
    listener.all().iter().filter_map(last).collect()
}

fn fault(row: &Row, heard: &Value) -> Option<String> {
    let text = |key: &str| heard.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
    let state = if row.door == Door::Request { text("state") } else { heard["ok"].to_string() };
    let code = if state == "done" { DONE.to_owned() } else { text("code") };
    let expected_state = match (row.door, row.code) {
        (Door::Request, code @ (DONE | "expired")) => code,
        (Door::Request, _) => "rejected",
        _ => "false",
    };
    let fits =
        (code.as_str(), text("field").as_str(), state.as_str()) == (row.code, row.field.as_str(), expected_state);
    let fits = fits && text("message").len() <= 160;
    (!fits).then(|| format!("{}: expected {} {}, got {heard}", row.what.escape_debug(), row.code, row.field))
}

#[test]
fn what_names_no_client_is_ignored() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = node(&broker, &listener);
    let mut talker = Talker::v5(&broker);
    let names = ["status", "shortcut", "pool", "ü", "a b", "%2e", &"c".repeat(65), "$SYS", "a\u{202e}b", ""];
    for name in names {
        // `command/shortcut` is for the jobs of `prompt`.
        let doors =
            [Door::Request, Door::Admin, Door::Command].into_iter().take(if name == "shortcut" { 2 } else { 3 });
        for door in doors {
            talker.publish(&format!("diffused/jet1/{}/{name}", door.name()), br#"{"command":"clear","prompt":"x"}"#, 1);
        }
        talker.publish(&format!("diffused/jet1/upload/{name}/cat"), b"x", 1);
        talker.publish(&format!("diffused/jet1/upload/esp32/{name} "), b"x", 1);
    }
    talker.publish("diffused/jet1/request/esp32", b"", 1);
    talker.publish("diffused/jet1/request/esp32", br#"{"id":"good","prompt":"x"}"#, 1);
    listener.status("good", "done");
    let replies: Vec<String> = listener.all().into_iter().map(|heard| heard.topic).collect();
    let foreign = |topic: &&String| topic.contains("/reply/") && !topic.contains("/reply/esp32/good/");
    assert_eq!(replies.iter().find(foreign), None);
    assert_eq!(node.painter.begun(), 1);
}

/// What cannot be the defaults of a bare prompt.
const NO_DEFAULTS: &[&str] = &[
    "",
    "{",
    "[]",
    "7",
    "null",
    "cats",
    "\u{feff}{}",
    r#"{"steps":8,"steps":9}"#,
    r#"{"steps":8} x"#,
    r#"{"steps":0}"#,
    r#"{"steps":"8"}"#,
    r#"{"stepz":8}"#,
    r#"{"cfg_scale":8}"#,
    r#"{"prompt":"x"}"#,
    r#"{"id":"a"}"#,
    r#"{"v":1}"#,
    r#"{"tags":{}}"#,
    r#"{"not_after":"2026-01-02T03:04:05Z"}"#,
    r#"{"init_image":{"upload":"a"}}"#,
    r#"{"mask":{"upload":"a"}}"#,
    r#"{"depth":"estimate"}"#,
    r#"{"output":{"format":"bmp"}}"#,
    r#"{"model":"../x"}"#,
    r#"{"sampler":"magic"}"#,
    r#"{"schedule":"magic"}"#,
    r#"{"width":60}"#,
    r#"{"width":8192,"height":8192}"#,
    r#"{"loras":[{"name":"none"}]}"#,
    r#"{"clip_skip":3}"#,
    r#"{"steps":8,"eta":2}"#,
    r#"{"eta":1e999}"#,
    r#"{"negative_prompt":"a\u0000"}"#,
    r#"{"negative_prompt":"narrow"}"#,
];

#[test]
fn defaults_that_no_prompt_could_have_change_nothing() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = node(&broker, &listener);
    let settings = |heard: &Heard| {
        let Value::Object(mut all) = heard.json() else { panic!("no object") };
        ["time", "steps"].iter().for_each(|key| drop(all.remove(*key)));
        Value::Object(all)
    };
    let before = settings(&listener.first("jet1/defaults"));
    let mut talker = Talker::v5(&broker);
    for wrong in NO_DEFAULTS {
        talker.publish("diffused/jet1/defaults/set", wrong.as_bytes(), 1);
    }
    talker.publish("diffused/jet1/defaults/set", "[".repeat(10_000).as_bytes(), 1);
    talker.publish("diffused/jet1/defaults/set", br#"{"steps":7}"#, 1);
    let after = listener.first_where("jet1/defaults", |heard| heard.json()["steps"] == json!(7));
    assert_eq!(settings(&after), before);
    assert!(listener.on("jet1/defaults").iter().all(|heard| [json!(4), json!(7)].contains(&heard.json()["steps"])));
}
