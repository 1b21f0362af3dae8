//! One function a table of the file.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use super::reader::{Reader, Section};
use super::{Log, LogFormat, Models};
use crate::http::Listen;
use crate::job::{Limits, Output};
use crate::mqtt::{Pool, Topics};
use crate::service::{Rate, Thermal};

pub(super) fn node(reader: &mut Reader) -> (String, Option<Topics>, bool) {
    let mut section = reader.section("node");
    let base = section.text("base").unwrap_or_else(|| "diffused".to_owned());
    let name = section.text("name").unwrap_or_else(host_name);
    let shortcut = section.flag("shortcut", true);
    let topics = Topics::new(&base, &name).map_err(|error| section.fault("", error.to_string())).ok();
    section.finish(&[]);
    (name, topics, shortcut)
}

/// The host's name as a node's: lower case, cut at the first dot, anything else a dash.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_lowercase();
    let short = name.split('.').next().unwrap_or_default();
    let plain: String = short.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(32).collect();
    if plain.is_empty() || plain == "pool" { "diffused".to_owned() } else { plain }
}

pub(super) fn image(reader: &mut Reader) -> (Map<String, Value>, bool) {
    let mut section = reader.section("image");
    let retain = section.flag("retain", true);
    let mut output = section.rest();
    for (key, value) in
        [("format", Value::from("jpeg")), ("quality", Value::from(90)), ("max_bytes", Value::from(120_000))]
    {
        output.entry(key).or_insert(value);
    }
    if let Err(rejection) = Output::from_fields(output.clone()) {
        section.fault("", rejection.message);
    }
    section.finish(&[]);
    (output, retain)
}

pub(super) fn models(reader: &mut Reader) -> Models {
    let mut section = reader.section("models");
    let models = Models {
        dir: section.path("dir").unwrap_or_else(|| PathBuf::from("/var/lib/diffused/models")),
        default: section.text("default"),
        adapters: section.path("adapters").unwrap_or_else(|| PathBuf::from("/var/lib/diffused/adapters")),
    };
    section.finish(&[]);
    models
}

/// How many may come at once.
pub(super) struct Crowd {
    pub(super) queue: u64,
    pub(super) per_client: u64,
    pub(super) rate: Option<Rate>,
    pub(super) job_time: Duration,
}

pub(super) fn limits(reader: &mut Reader) -> (Limits, Crowd) {
    let mut section = reader.section("limits");
    let limits = Limits {
        request_bytes: section.number("request_bytes", 1_000_000, 256..=100_000_000),
        prompt_chars: section.number("prompt_chars", 4000, 1..=4000),
        pixels: section.number("pixels", 1_048_576, 64..=67_108_864),
        steps: section.number("steps", 150, 1..=150),
        count: section.number("count", 4, 1..=16),
    };
    let rate = section.text("rate").and_then(|text| {
        let rate = Rate::parse(&text);
        if rate.is_none() {
            section.fault("rate", format!("must be a number of requests a time such as 60/min, got {text:?}"));
        }
        rate
    });
    let crowd = Crowd {
        queue: section.number("queue", 16, 1..=100_000),
        per_client: section.number("per_client", 4, 1..=100_000),
        rate,
        job_time: section.duration("job_time", Duration::from_secs(3600), Duration::from_secs(1)),
    };
    section.finish(&[]);
    (limits, crowd)
}

pub(super) fn pools(reader: &mut Reader) -> Vec<Pool> {
    let mut section = reader.section("pool");
    let names = section.texts("names");
    let pools = names.iter().filter_map(|name| match Pool::try_from(name.as_str()) {
        Ok(pool) => Some(pool),
        Err(error) => {
            section.fault("names", error.to_string());
            None
        }
    });
    let pools = pools.collect();
    section.finish(&[]);
    pools
}

pub(super) fn defaults(reader: &mut Reader) -> Map<String, Value> {
    let mut section: Section<'_> = reader.section("defaults");
    let defaults = section.rest();
    if defaults.get("output").is_some_and(|output| !output.is_object()) {
        section.fault("output", "must be a table".to_owned());
    }
    for key in ["prompt", "id", "seed", "v", "tags", "not_after"] {
        if defaults.contains_key(key) {
            section.fault(key, "belongs to a request and has no default".to_owned());
        }
    }
    section.finish(&[]);
    defaults
}

pub(super) fn store(reader: &mut Reader) -> (PathBuf, Duration, Option<u64>) {
    let mut section = reader.section("store");
    let dir = section.path("dir").unwrap_or_else(|| PathBuf::from("/var/lib/diffused/store"));
    let keep = section.duration("keep", Duration::from_secs(24 * 3600), Duration::from_secs(60));
    let max_bytes = section.bytes("max_bytes").or(Some(1 << 30));
    section.finish(&[]);
    (dir, keep, max_bytes)
}

pub(super) fn thermal(reader: &mut Reader) -> Thermal {
    let mut section = reader.section("thermal");
    let [slow, pause, resume] = ["slow", "pause", "resume"].map(|key| section.fraction(key));
    let thermal = Thermal::new(slow, pause, resume).unwrap_or_else(|error| {
        section.fault(error.key(), error.to_string());
        Thermal::default()
    });
    section.finish(&[]);
    thermal
}

pub(super) fn http(reader: &mut Reader) -> Option<Listen> {
    let mut section = reader.section("http");
    let allow_remote = section.flag("allow_remote", false);
    let listen = Listen::new(&section.text("listen").unwrap_or_default(), allow_remote);
    let listen = listen.unwrap_or_else(|error| {
        section.fault("listen", error.to_string());
        None
    });
    section.finish(&[]);
    listen
}

pub(super) fn log(reader: &mut Reader) -> Log {
    let mut section = reader.section("log");
    let level = section.choice("level", &["info", "error", "warn", "debug", "trace"]);
    let format = match section.choice("format", &["journald", "text", "json"]).as_str() {
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        _ => LogFormat::Journald,
    };
    let log = Log { level, format, prompts: section.flag("prompts", false) };
    section.finish(&[]);
    log
}
