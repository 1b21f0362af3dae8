//! `diffused doctor`: what is right, and every thing that can be wrong by itself.

use std::fs;

use serde_json::Value;

use crate::support::broker::Mosquitto;
use crate::support::program::{complaint, root, run};

/// A box with the bundled model behind a broker at `url`, with more lines at the end of its configuration.
fn examined(url: &str, more: &str) -> (Option<i32>, Vec<Value>) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("diffused.toml");
    let models = root().join("models").display().to_string();
    let text = format!(
        "[node]\nname = 'jet1'\n[store]\ndir = 'store'\n[mqtt]\nurl = '{url}'\n[models]\ndir = '{models}'\n{more}"
    );
    fs::write(&config, text).unwrap();
    let output = run(&["doctor", "--json", "--config", config.to_str().unwrap()]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", complaint(&output)));
    (output.status.code(), told["findings"].as_array().unwrap().clone())
}

fn about<'a>(findings: &'a [Value], about: &str) -> Vec<&'a Value> {
    findings.iter().filter(|finding| finding["about"] == about).collect()
}

/// The findings that say that something does not work.
fn broken(findings: &[Value]) -> Vec<&Value> {
    let broken: Vec<&Value> = findings.iter().filter(|finding| finding["level"] == "fail").collect();
    assert!(broken.iter().all(|finding| finding["fix"].is_string()), "{broken:?}");
    broken
}

#[test]
fn a_box_that_is_well_has_a_line_about_everything_and_a_table_for_people() {
    let broker = Mosquitto::start();
    let (code, findings) = examined(&broker.url(), "");
    assert_eq!((code, broken(&findings)), (Some(0), vec![]), "{findings:?}");
    for (thing, text) in [
        ("config", "diffused.toml"),
        ("library", "libonnxruntime"),
        ("accelerator", "cpu computes, 0e0 from the processor"),
        ("model", "shapes: whole, fits"),
        ("broker", "mosquitto version"),
        ("memory", "are free"),
        ("disk", "are free for"),
        ("clock", ""),
        ("board", ""),
        ("heat", ""),
        ("power", ""),
    ] {
        let told = about(&findings, thing);
        assert!(told.iter().any(|finding| finding["what"].as_str().unwrap().contains(text)), "{thing}: {told:?}");
    }
    let table = run(&["doctor", "--config", "/nowhere/diffused.toml"]);
    assert_eq!(table.status.code(), Some(69));
    let text = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(
        text.starts_with("FAIL  config") && text.contains("cannot be read") && text.contains("-> mend it"),
        "{text}"
    );
    assert!(text.contains("\nok    library"), "without a configuration the rest is looked at: {text}");
}

#[test]
fn what_is_broken_is_told_alone() {
    let broker = Mosquitto::start();
    for (url, more, thing, text) in [
        ("mqtt://127.0.0.1:1".to_owned(), String::new(), "broker", "127.0.0.1 port 1"),
        (broker.url(), "[engine]\naccelerator = 'qnn'".to_owned(), "accelerator", "was made without it"),
        (broker.url(), "[engine]\nlibrary = '/nowhere'".to_owned(), "library", "/nowhere"),
        (broker.url(), "[engine]\nmemory = '1 MB'".to_owned(), "model", "largest graph"),
    ] {
        let (code, findings) = examined(&url, &more);
        let broken = broken(&findings);
        assert_eq!((code, broken.len()), (Some(69), 1), "{more}: {findings:?}");
        assert_eq!(broken[0]["about"], thing);
        assert!(broken[0]["what"].as_str().unwrap().contains(text), "{}", broken[0]);
    }
}

#[test]
fn a_broker_that_takes_only_small_packets_is_noticed() {
    let broker = Mosquitto::with("allow_anonymous true\nmax_packet_size 100000");
    let (code, findings) = examined(&broker.url(), "[limits]\nrequest_bytes = 50000");
    assert_eq!(code, Some(0));
    let told = about(&findings, "broker");
    let is_warned = |finding: &&Value| {
        finding["level"] == "warn" && finding["what"].to_string().contains("in parts of less than 100")
    };
    assert!(told.iter().any(is_warned), "{told:?}");
}

#[test]
fn a_name_or_password_that_the_broker_does_not_know_is_told_as_such() {
    let broker = Mosquitto::with("allow_anonymous false");
    let (code, findings) = examined(&broker.url(), "");
    let told = about(&findings, "broker");
    assert_eq!((code, told.len()), (Some(69), 1));
    assert!(told[0]["what"].as_str().unwrap().contains("does not let us in"), "{told:?}");
    assert!(told[0]["fix"].as_str().unwrap().contains("mqtt.username"));
}
