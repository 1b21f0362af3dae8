//! The metrics: what they count, what they are called, and whether the document, the rules and the dashboard know it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::exposition::{Family, faults, parse};
use super::{REQUEST, Station};
use crate::support::eventually;
use crate::support::fake::Painter;
use crate::support::orin::Orin;
use crate::support::program::root;

/// Who reads the metrics besides people.
const READERS: [&str; 2] = ["deploy/prometheus/diffused.rules.yml", "deploy/grafana/diffused.json"];

type Families = BTreeMap<String, Family>;

fn metrics(node: &Station) -> Families {
    let answer = node.get("/metrics");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    parse(&answer.text()).unwrap()
}

fn value(families: &Families, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let family = families.iter().find(|(family, _)| name.starts_with(family.as_str()))?.1;
    family.samples.get(&(name.to_owned(), labels)).copied()
}

/// A node that has seen every kind of request and job.
fn seasoned(orin: &Orin) -> Station {
    orin.write("proc/self/status", "Name:\tdiffused\nVmRSS:\t     100 kB");
    let node = Station::on(orin, Painter::default(), "");
    node.picture("done", "x");
    node.ask("done", "x");
    node.ask("fails", "fail");
    node.listener.status("fails", "failed");
    node.broker.publish(
        REQUEST,
        json!({"id": "late", "prompt": "x", "not_after": "2020-01-01T00:00:00Z"}).to_string(),
        &[],
    );
    node.broker.publish(REQUEST, json!({"id": "refused", "prompt": "x", "steps": 151}).to_string(), &[]);
    node.listener.status("refused", "rejected");
    node
}

#[test]
fn jobs_requests_and_the_board_are_counted() {
    let orin = Orin::new();
    orin.heat_of(1, "61500");
    let node = seasoned(&orin);
    let count = |name: &str, labels: &[(&str, &str)]| value(&metrics(&node), name, labels);
    eventually("everything is counted", || {
        count("diffused_jobs_total", &[("state", "failed")]) == Some(1.0)
            && count("diffused_requests_total", &[("result", "duplicate")]) == Some(1.0)
    });
    let all = metrics(&node);
    for (name, labels, expected) in [
        ("diffused_jobs_total", &[("state", "done")][..], 1.0),
        ("diffused_jobs_total", &[("state", "cancelled")], 0.0),
        ("diffused_job_failures_total", &[("code", "inference")], 1.0),
        ("diffused_rejections_total", &[("code", "invalid_field")], 1.0),
        ("diffused_images_total", &[("model", "flat")], 1.0),
        ("diffused_job_duration_seconds_count", &[], 1.0),
        ("diffused_job_stage_duration_seconds_count", &[("stage", "denoise")], 1.0),
        ("diffused_job_stage_duration_seconds_count", &[("stage", "publish")], 1.0),
        ("diffused_denoise_step_duration_seconds_count", &[("model", "flat")], 4.0),
        ("diffused_queue_depth", &[], 0.0),
        ("diffused_queue_capacity", &[], 16.0),
        ("diffused_ready", &[], 1.0),
        ("diffused_mqtt_connected", &[], 1.0),
        ("diffused_mqtt_connects_total", &[], 1.0),
        ("diffused_mqtt_disconnects_total", &[], 0.0),
        ("diffused_boot_count_total", &[], 1.0),
        ("diffused_lifecycle", &[("state", "ready")], 1.0),
        ("diffused_lifecycle", &[("state", "paused")], 0.0),
        ("diffused_alert", &[("alert", "too_hot")], 0.0),
        ("diffused_temperature_celsius", &[("zone", "gpu-thermal")], 61.5),
        ("diffused_temperature_celsius", &[("zone", "cpu-thermal")], 50.0),
        ("diffused_power_watts", &[], 6.4),
        ("diffused_memory_available_bytes", &[], 2_365_440.0 * 1024.0),
        ("process_resident_memory_bytes", &[], 102_400.0),
        ("diffused_throttle_events_total", &[], 0.0),
        ("diffused_store_capacity_bytes", &[], 1_073_741_824.0),
    ] {
        assert_eq!(value(&all, name, labels), Some(expected), "{name} {labels:?}");
    }
    for (name, least) in
        [("diffused_store_bytes", 4096.0), ("diffused_disk_free_bytes", 1.0), ("diffused_up_time_seconds", 0.0)]
    {
        assert!(value(&all, name, &[]).unwrap() > least, "{name}");
    }
    let text = node.get("/metrics").text();
    assert!(!text.contains("esp32") && !text.contains("fails"), "names of clients and jobs have no end");
}

#[test]
fn jobs_that_end_without_being_worked_on_are_counted_once_each() {
    let node = Station::new(Painter::holding(), "");
    let ended = |state| value(&metrics(&node), "diffused_jobs_total", &[("state", state)]).unwrap();
    node.ask("runs", "x");
    node.listener.status("runs", "started");
    node.ask("waits", "x");
    let soon = json!({"id": "late", "prompt": "x", "deadline_ms": 1000});
    node.broker.publish(REQUEST, soon.to_string(), &[]);
    node.listener.status("late", "expired");
    let cancel = json!({"id": "c1", "command": "cancel", "job": "*"});
    node.broker.publish("diffused/jet1/command/esp32", cancel.to_string(), &[]);
    node.listener.status("runs", "cancelled");
    eventually("all is counted", || ended("cancelled") == 2.0);
    assert_eq!((ended("expired"), ended("done"), ended("failed")), (1.0, 0.0, 0.0));
}

/// Name, kind and labels of each row of the document.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let page = fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, kind, labels, _, ""] = cells[..] else { return None };
        let name = name.strip_prefix('`')?.strip_suffix('`')?.to_owned();
        let labels = labels.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Some((name, (kind.to_owned(), labels)))
    });
    rows.collect()
}

#[test]
fn the_document_and_the_program_name_the_same_metrics() {
    let node = seasoned(&Orin::new());
    let is_counted = || value(&metrics(&node), "diffused_job_failures_total", &[("code", "inference")]).is_some();
    eventually("everything is counted", is_counted);
    let all = metrics(&node);
    assert_eq!(faults(&all), [""; 0]);
    let labels = |family: &Family| {
        let keys = family.samples.keys().flat_map(|(_, labels)| labels.keys().cloned());
        keys.filter(|key| key != "le").collect::<BTreeSet<String>>()
    };
    let told: BTreeMap<_, _> =
        all.iter().map(|(name, family)| (name.clone(), (family.kind.clone(), labels(family)))).collect();
    assert!(told.len() > 30);
    assert_eq!(told, documented());
    for (name, family) in &all {
        assert!(!family.samples.is_empty(), "{name} has no sample though everything has happened");
    }
}

/// Every name of a metric in a text, without what histograms add.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("diffused_") || word.starts_with("process_"));
    let bare = |word: &str| {
        let ends = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
        ends.filter(|bare| bare.ends_with("_seconds")).unwrap_or(word).to_owned()
    };
    ours.map(bare).collect()
}

#[test]
fn rules_and_dashboard_name_only_metrics_that_there_are() {
    let known = documented();
    for reader in READERS {
        let names = named(&fs::read_to_string(root().join(reader)).unwrap());
        assert!(names.len() > 8, "{reader} names {names:?}");
        let unknown: Vec<_> = names.iter().filter(|name| !known.contains_key(*name)).collect();
        assert!(unknown.is_empty(), "{reader}: {unknown:?}");
    }
    let planted = named("rate(diffused_job_duration_seconds_bucket[5m]) / diffused_typo_total");
    assert!(planted.contains("diffused_job_duration_seconds") && !known.contains_key("diffused_typo_total"));
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(root().join(READERS[1])).unwrap()).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 6);
}

/// Whether promtool is content; nothing, and a word about it, where there is none.
fn promtool(arguments: &[&str], input: &str) -> Option<(bool, String)> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), input).unwrap();
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(fs::File::open(file.path()).unwrap());
    match command.output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
        }
        Err(error) => {
            println!("skipped, there is no promtool: {error}");
            None
        }
    }
}

/// What the dashboard asks, as rules: JSON is YAML.
fn of_dashboard() -> Value {
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(root().join(READERS[1])).unwrap()).unwrap();
    let targets = dashboard["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let rules = targets.enumerate().map(|(n, target)| json!({"record": format!("panel:{n}"), "expr": target["expr"]}));
    json!({"groups": [{"name": "dashboard", "rules": rules.collect::<Vec<_>>()}]})
}

#[test]
fn prometheus_own_tool_takes_the_metrics_and_the_rules() {
    let node = seasoned(&Orin::new());
    let text = node.get("/metrics").text();
    let Some((is_content, said)) = promtool(&["check", "metrics"], &text) else { return };
    assert!(is_content && said.is_empty(), "{said}");
    let (is_content, said) =
        promtool(&["check", "metrics"], &format!("{text}diffused_without_help_total 1\n")).unwrap();
    assert!(!is_content, "{said}");
    let rules = root().join("deploy/prometheus");
    let file = |name: &str| rules.join(name).display().to_string();
    let (is_content, said) = promtool(&["check", "rules", "--lint-fatal", &file("diffused.rules.yml")], "").unwrap();
    assert!(is_content, "{said}");
    let questions = tempfile::NamedTempFile::with_suffix(".yml").unwrap();
    fs::write(questions.path(), of_dashboard().to_string()).unwrap();
    let (is_content, said) = promtool(&["check", "rules", questions.path().to_str().unwrap()], "").unwrap();
    assert!(is_content, "{said}");
    let (is_content, said) = promtool(&["test", "rules", &file("diffused.test.yml")], "").unwrap();
    assert!(is_content, "{said}");
}
