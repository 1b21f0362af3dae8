//! The closed list of codes: each is in a test and in docs/requests.md.

use std::path::Path;

use diffused::job::Code;
use serde_json::json;

use crate::support::broker::Mosquitto;
use crate::support::fake::Painter;
use crate::support::listener::Listener;
use crate::support::node::{Loading, Node};
use crate::support::program::root;

const REQUEST: &str = "diffused/jet1/request/esp32";

#[test]
fn every_error_code_has_its_line_in_the_documents() {
    let page = std::fs::read_to_string(root().join("docs/requests.md")).unwrap();
    for code in Code::ALL {
        assert!(page.contains(&format!("\n| `{code}` | ")), "{code} has no line");
    }
}

#[test]
fn every_error_code_is_named_by_a_test() {
    let tests = sources();
    assert!(!tests.contains(&["\"no_such", "_code\""].concat()), "the sources hold what nobody wrote");
    let named = |code: &Code| tests.contains(&format!("\"{code}\"")) || tests.contains(&format!("Code::{code:?})"));
    let missing: Vec<&Code> = Code::ALL.iter().filter(|code| !named(code)).collect();
    assert!(missing.is_empty(), "no test names {missing:?}");
}

/// The sources of the tests that ask a node, without the schema, which lists every code.
fn sources() -> String {
    let mut all = String::new();
    gather(&root().join("tests"), &mut all);
    all
}

fn gather(folder: &Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !["contract_schema", "schema", "golden", "support"].contains(&name.as_str()) {
            gather(&path, all);
        } else if name.ends_with(".rs") {
            all.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn a_job_that_fails_says_the_generators_code() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    for code in ["unsafe_content", "out_of_memory", "inference", "internal"] {
        let request = json!({"id": code, "prompt": format!("fail as {code}")});
        broker.publish(REQUEST, request.to_string(), &[]);
        assert_eq!(listener.status(code, "failed")["code"], json!(code));
    }
    let output = json!({"format": "png", "width": 1024, "height": 1024, "max_bytes": 512});
    broker.publish(REQUEST, json!({"id": "small", "prompt": "x", "output": output}).to_string(), &[]);
    assert_eq!(listener.status("small", "failed")["code"], json!("output_too_large"));
}

#[test]
fn a_node_that_loads_its_models_says_so_and_serves_afterwards() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let mut node = Loading::start(broker.port, "");
    listener.first_where("jet1/state", |heard| heard.json()["lifecycle"] == json!("loading"));
    broker.publish(REQUEST, r#"{"id":"early","prompt":"x"}"#, &[]);
    let early = listener.status("early", "rejected");
    assert_eq!((&early["code"], &early["retryable"]), (&json!("not_ready"), &json!(true)));
    node.begin();
    listener.first_where("jet1/availability", |heard| heard.text() == "online");
    broker.publish(REQUEST, r#"{"id":"early","prompt":"x"}"#, &[]);
    listener.status("early", "done");
    node.stop();
}
