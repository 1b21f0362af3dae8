//! Stores of older programs, opened and served by this one; and one of a newer program, which is refused.

mod golden;

use std::path::Path;

use diffused::job::hex;
use diffused::service::store::FORMAT;
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::support::broker::Mosquitto;
use crate::support::fake::Painter;
use crate::support::listener::{Heard, Listener};
use crate::support::node::Node;
use crate::support::pixels::Pixels;
use crate::support::program::{complaint, run};

/// The oldest format of which a store was kept.
const OLDEST: i64 = 3;

#[test]
fn a_store_of_each_format_is_served_where_the_older_program_left_it() {
    for format in OLDEST..=FORMAT {
        let broker = Mosquitto::start();
        let listener = Listener::start(&broker);
        let node = Node::with(&broker, Painter::default(), "", left(format));
        what_waited_comes(&listener);
        what_was_to_be_done_is_done(&listener);
        what_was_told_is_told_again_only_on_demand(&broker, &listener);
        assert_eq!(node.painter.begun(), 3, "nothing was made a second time");
    }
}

/// The outbox as it was: what the broker had acknowledged does not come again, and the rest does.
fn what_waited_comes(listener: &Listener) {
    let done = listener.status("half", "done");
    assert_eq!((listener.states("half"), &done["tags"]), (vec!["done".to_owned()], &json!({"room": "hall"})));
    let numbers = |topic: &str| -> Vec<String> {
        let heard = listener.all().into_iter().filter(|heard| heard.topic.contains(topic));
        heard.map(|heard| heard.topic.rsplit('/').next().unwrap().to_owned()).collect()
    };
    assert_eq!(numbers("half/part/"), ["0.1", "0.2", "0.3", "1.0", "1.1", "1.2", "1.3"]);
    assert_eq!(numbers("half/manifest/"), ["1"]);
    let parts: Vec<u8> = (0..4).flat_map(|i| listener.first(&format!("half/part/1.{i}")).payload).collect();
    assert_eq!(done["images"][1]["sha256"], json!(digest(&parts)));
    let done = listener.status("untold", "done");
    assert_eq!(listener.states("untold"), ["accepted", "started", "done"]);
    is_the_picture(&listener.first("untold/image/0"), &done, 30);
    assert_eq!(listener.status("failed", "failed")["code"], json!("inference"));
}

fn what_was_to_be_done_is_done(listener: &Listener) {
    for (id, seed) in [("died", 50), ("waits", 60)] {
        let done = listener.status(id, "done");
        is_the_picture(&listener.first(&format!("{id}/image/0")), &done, seed);
    }
    assert_eq!(listener.first_where("died/status", |heard| heard.json()["attempt"] == json!(2)).state(), "started");
    assert_eq!(
        listener.first_where("jet1/image/status", |heard| heard.state() == "done").json()["id"],
        json!("shortcut")
    );
}

fn what_was_told_is_told_again_only_on_demand(broker: &Mosquitto, listener: &Listener) {
    assert_eq!(listener.on("/told/status"), []);
    broker.publish("diffused/jet1/request/esp32", golden::REQUESTS[0], &[]);
    let again = listener.status("told", "done");
    assert_eq!((&again["replay"], &again["seq"]), (&json!(true), &json!(3)));
    is_the_picture(&listener.first("/told/image/0"), &again, 10);
}

fn is_the_picture(heard: &Heard, done: &Value, seed: u8) {
    assert_eq!(done["images"][0]["sha256"], json!(digest(&heard.payload)));
    assert_eq!(Pixels::of_png(&heard.payload).rgb[0], [seed, 100, 200]);
}

/// Whoever changes the tables without a format of its own makes stores that look like older ones and are not.
#[test]
fn an_old_store_that_was_upgraded_has_the_tables_of_a_new_one() {
    let fresh = tempfile::tempdir().unwrap();
    drop(diffused::service::Store::open(fresh.path(), "boot-1", None).unwrap());
    let expected = tables(fresh.path());
    assert!(expected.len() > 20, "the tables were not found");
    for format in OLDEST..=FORMAT {
        let old = left(format);
        drop(diffused::service::Store::open(old.path(), "boot-1", None).unwrap());
        assert_eq!(tables(old.path()), expected, "format {format}");
        opened(old.path()).execute_batch("ALTER TABLE job ADD COLUMN colour TEXT").unwrap();
        assert_ne!(tables(old.path()), expected, "a column that was slipped in is seen");
    }
}

#[test]
fn a_newer_store_ends_the_service_with_78_and_the_doctor_tells_it() {
    let folder = left(FORMAT);
    let config = folder.path().join("diffused.toml");
    std::fs::write(&config, "[node]\nname = 'jet1'\n[store]\ndir = '.'\n").unwrap();
    opened(folder.path()).pragma_update(None, "user_version", FORMAT + 1).unwrap();
    std::fs::write(folder.path().join("store.format2.sqlite"), "").unwrap();
    let before = std::fs::read(folder.path().join("store.sqlite")).unwrap();
    let config = config.to_str().unwrap();
    let output = run(&["run", "--config", config]);
    let told = complaint(&output);
    assert_eq!(output.status.code(), Some(78), "{told}");
    let formats = [format!("format {}", FORMAT + 1), format!("up to {FORMAT}"), "store.format2.sqlite".to_owned()];
    assert!(formats.iter().all(|part| told.contains(part)), "{told}");
    let told: Value = serde_json::from_slice(&run(&["doctor", "--json", "--config", config]).stdout).unwrap();
    let store = told["findings"].as_array().unwrap().iter().find(|finding| finding["about"] == "store").unwrap();
    assert_eq!(store["level"], "fail");
    assert!(formats.iter().all(|part| store["what"].as_str().unwrap().contains(part)), "{store}");
    assert_eq!(std::fs::read(folder.path().join("store.sqlite")).unwrap(), before);
}

/// A folder as the older program left it when its process died.
fn left(format: i64) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let kept = golden::folder().join(format!("format{format}.sqlite"));
    std::fs::copy(&kept, folder.path().join("store.sqlite"))
        .unwrap_or_else(|error| panic!("{}: {error}", kept.display()));
    std::fs::write(folder.path().join("store.running"), "").unwrap();
    let said: i64 = opened(folder.path()).pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(said, format);
    folder
}

fn opened(folder: &Path) -> Connection {
    Connection::open(folder.join("store.sqlite")).unwrap()
}

/// Tables, indices and triggers, as they were written down.
fn tables(folder: &Path) -> Vec<(String, Option<String>)> {
    let open = opened(folder);
    let mut tables = open.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
    let tables = tables.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    tables.collect::<Result<_, _>>().unwrap()
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
