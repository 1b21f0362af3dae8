//! The JSON Schemas and the AsyncAPI document: current, and one with the parser and with what goes out.

mod cases;
mod door;

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use self::cases::{Case, cases, places};
use self::door::{Door, everything, parse, parse_command};
use crate::contract_schema::topics::TOPICS;
use crate::contract_schema::{documents, schemas, text};
use crate::support::contract::{faults, faults_of_json};
use crate::support::listener::Heard;
use crate::support::program::root;

#[test]
fn the_documents_are_current() {
    for (name, document) in documents() {
        let file = root().join("docs/contract").join(&name);
        let found = fs::read_to_string(&file).unwrap_or_default();
        assert!(found == text(&document), "{name} is not current, renew it with: cargo run --example contract");
    }
}

#[test]
fn nothing_else_lies_beside_the_documents() {
    let known: BTreeSet<String> = documents().into_iter().map(|(name, _)| name).collect();
    for entry in fs::read_dir(root().join("docs/contract")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&name) || name == "README.md", "{name} is left over");
    }
}

#[test]
fn every_schema_is_one() {
    for (name, schema) in schemas() {
        assert!(jsonschema::meta::is_valid(&schema), "{name}");
    }
    assert!(!jsonschema::meta::is_valid(&json!({"$schema": schemas()[0].1["$schema"], "type": "integr"})));
}

#[test]
fn the_schema_takes_what_the_parser_takes_and_nothing_else() {
    agree(&schema("request"), &everything(), &parse, 700);
}

#[test]
fn the_schema_of_commands_takes_what_their_parser_takes_and_nothing_else() {
    for word in ["cancel", "get", "list", "repeat"] {
        let base = json!({"id": "c1", "command": word, "job": "a1", "k": 0, "parts": [[3, 5], 9], "what": "jobs", "after": "a0", "limit": 8});
        let shape = shape_of(&schema("command"), "command", word);
        let known = shape["properties"].as_object().unwrap();
        let base: Value =
            base.as_object().unwrap().clone().into_iter().filter(|(key, _)| known.contains_key(key)).collect();
        agree(&shape, &base, &parse_command, 15);
    }
}

/// A parser with other bounds must be seen: the comparison is not blind.
#[test]
fn a_bound_that_differs_is_noticed() {
    let mut schema = schema("request");
    assert_eq!(differences(&schema, &everything(), &parse).0, Vec::<String>::new());
    schema["properties"]["steps"]["maximum"] = json!(151);
    schema["properties"]["variation"]["properties"]["strength"]["minimum"] = json!(-1);
    schema["properties"]["output"]["properties"]["colour"] = json!({"type": "string"});
    schema["properties"]["schedule"]["enum"].as_array_mut().unwrap().push(json!("later"));
    let (found, _) = differences(&schema, &everything(), &parse);
    for place in ["/steps", "/variation/strength", "/output/colour", "/schedule"] {
        assert!(found.iter().any(|fault| fault.starts_with(place)), "{place} in {found:?}");
    }
}

/// Every word that stands in the sources of the request is tried at every place where a field can be.
#[test]
fn every_field_that_the_parser_knows_is_in_the_schema() {
    let unknown = unlisted(&schema("request"));
    assert!(unknown.is_empty(), "the parser knows fields that the schema does not: {unknown:?}");
    let mut less = schema("request");
    less["properties"].as_object_mut().unwrap().shift_remove("eta");
    less["properties"]["restart"]["properties"].as_object_mut().unwrap().shift_remove("repeats");
    assert_eq!(unlisted(&less), ["/eta", "/restart/repeats"], "planted gaps must be found");
}

#[test]
fn what_a_node_must_not_say_is_noticed() {
    let done = json!({"state": "done", "id": "a1", "node": "jet1", "seq": 3, "v": 1, "queue_ms": 1, "run_ms": 2, "images": [{
        "k": 0, "seed": 1, "format": "png", "width": 8, "height": 8, "bytes": 9, "sha256": "0".repeat(64), "part_bytes": 0, "parts": 0}]});
    let status = |change: &dyn Fn(&mut Value)| {
        let mut status = done.clone();
        change(&mut status);
        faults_of_json("status", status.to_string().as_bytes())
    };
    assert_eq!(status(&|_| ()), Vec::<String>::new());
    assert!(!status(&|it| it["seq"] = json!("3")).is_empty(), "a number as a text");
    assert!(!status(&|it| it["sequence"] = json!(3)).is_empty(), "an unknown key");
    assert!(!status(&|it| it["images"][0]["hash"] = json!("x")).is_empty(), "an unknown key of a picture");
    assert!(!status(&|it| it["state"] = json!("finished")).is_empty(), "an unknown state");
    assert!(!status(&|it| it["time"] = Value::Null).is_empty(), "null for unknown");
    assert!(!status(&|it| drop(it.as_object_mut().unwrap().shift_remove("v"))).is_empty(), "a missing key");
    assert!(
        !status(&|it| it["v"] = it.as_object_mut().unwrap().shift_remove("v").unwrap()).is_empty(),
        "another order"
    );
    assert!(!status(&|it| it["tags"] = json!({"a": "b"})).iter().any(|it| it.contains("bytes")));
    let long = json!({"state": "rejected", "id": "a1", "node": "jet1", "seq": 1, "v": 1, "code": "malformed", "message": "x", "field": "x".repeat(640), "retryable": false});
    assert!(faults_of_json("status", long.to_string().as_bytes())[0].contains("bytes"));
    assert!(!faults_of_json("status", format!("{done:#}").as_bytes()).is_empty(), "blanks");
}

#[test]
fn a_message_that_comes_otherwise_than_the_contract_says_is_noticed() {
    let good = Heard {
        topic: "diffused/jet1/availability".to_owned(),
        retained: false,
        qos: 1,
        correlation: String::new(),
        content_type: "text/plain".to_owned(),
        user_properties: String::new(),
        payload: b"online".to_vec(),
    };
    assert_eq!(faults(&good), Vec::<String>::new());
    assert!(!faults(&Heard { qos: 0, ..good.clone() }).is_empty());
    assert!(!faults(&Heard { content_type: String::new(), ..good.clone() }).is_empty());
    assert!(!faults(&Heard { payload: b"up".to_vec(), ..good.clone() }).is_empty());
    assert!(!faults(&Heard { topic: "diffused/jet1/reply/esp32/a1/picture".to_owned(), ..good }).is_empty());
}

/// The contract's table of topics is the document's.
#[test]
fn the_readme_of_the_contract_names_every_topic() {
    let readme = fs::read_to_string(root().join("docs/contract/README.md")).unwrap();
    for topic in TOPICS {
        let address = topic.address.replace('{', "<").replace('}', ">");
        assert!(readme.contains(&format!("`{address}`")), "{address} is not in docs/contract/README.md");
    }
}

fn schema(name: &str) -> Value {
    schemas().into_iter().find(|(known, _)| *known == name).unwrap().1
}

fn shape_of(schema: &Value, key: &str, word: &str) -> Value {
    let shapes = schema["oneOf"].as_array().unwrap();
    shapes.iter().find(|shape| shape["properties"][key]["const"] == *word).unwrap().clone()
}

fn agree(schema: &Value, base: &Value, door: &dyn Fn(&[u8]) -> Door, least: usize) {
    let (faults, tried) = differences(schema, base, door);
    assert!(faults.is_empty(), "schema and parser differ:\n{}", faults.join("\n"));
    assert!(tried >= least, "only {tried} values were tried");
}

/// Where schema and parser differ, and how many values were tried, or left out because the field is not built yet.
fn differences(schema: &Value, base: &Value, door: &dyn Fn(&[u8]) -> Door) -> (Vec<String>, usize) {
    let validator = jsonschema::validator_for(schema).unwrap();
    let mut tried = 0;
    let mut faults = Vec::new();
    for Case { place, document } in cases(schema, base) {
        let (by_schema, by_parser) = (validator.is_valid(&document), door(document.to_string().as_bytes()));
        let differ = match &by_parser {
            Door::Taken => !by_schema,
            Door::Refused(_) => by_schema,
            Door::Later => false,
        };
        tried += 1;
        if differ && !door::only_the_parser_knows(&place, &document) {
            let value = document.pointer(&place).map(Value::to_string).unwrap_or_default();
            let value: String = value.chars().take(60).collect();
            let why = if let Door::Refused(why) = &by_parser { why } else { "takes it" };
            faults.push(format!("{place} {value}: the schema says {by_schema}, the parser: {why}"));
        }
    }
    (faults, tried)
}

/// Fields that the parser knows at a place where the schema does not.
fn unlisted(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for place in places(schema, &everything()) {
        for word in door::words().iter().filter(|word| !place.fields.contains(*word)) {
            let mut document = everything();
            document.pointer_mut(&place.pointer).unwrap()[word] = json!([[]]);
            if !door::is_unknown_field(document.to_string().as_bytes()) {
                found.push(format!("{}/{word}", place.pointer));
            }
        }
    }
    found
}
