//! One function a table of the file.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use super::reader::{Reader, Section};
use super::{Engine, Log, Models};
use crate::job::{Limits, Output};
use crate::model::Accelerator;
use crate::mqtt::{Broker, Topics};

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

pub(super) fn broker(reader: &mut Reader, node: &str) -> Broker {
    let mut section = reader.section("mqtt");
    let url = section.text("url").unwrap_or_else(|| "mqtt://127.0.0.1:1883".to_owned());
    let allowed = section.flag("allow_plaintext", false);
    let (host, port) = match address(&url, allowed, "add allow_plaintext = true to [mqtt]") {
        Ok(address) => address,
        Err(message) => {
            section.fault("url", message);
            Default::default()
        }
    };
    let password = section.secret("password_file");
    let credentials = match (section.text("username"), password) {
        (Some(name), password) => Some((name, password.unwrap_or_default())),
        (None, Some(_)) => {
            section.fault("password_file", "needs a username beside it".to_owned());
            None
        }
        (None, None) => None,
    };
    let broker = Broker {
        host,
        port,
        client_id: section.text("client_id").unwrap_or_else(|| format!("diffused-{node}")),
        credentials,
        keep_alive: section.duration("keep_alive", Duration::from_secs(30), Duration::from_secs(5)),
        session_expiry: section.duration("session_expiry", Duration::from_secs(24 * 3600), Duration::ZERO),
        max_packet: section.number("max_packet", 1_048_576, 1024..=268_435_455),
    };
    section.finish(&["tls", "reply_prefixes"]);
    broker
}

/// Host and port of an `mqtt://` URL; plain text beyond this machine needs to be allowed, `how` says in which way.
pub fn address(url: &str, allow_plaintext: bool, how: &str) -> Result<(String, u16), String> {
    const EXAMPLE: &str = "must be a URL such as mqtt://127.0.0.1:1883";
    if url.contains('@') {
        // Not repeated: what stands before the @ may be a password.
        return Err(format!("{EXAMPLE}, without a user name or password"));
    }
    let rest = match url.split_once("://") {
        Some(("mqtt" | "tcp", rest)) => rest.trim_end_matches('/'),
        Some(("mqtts" | "ws" | "wss", _)) => {
            return Err(format!("only mqtt:// is supported by this version, got {url:?}"));
        }
        _ => return Err(format!("{EXAMPLE}, got {url:?}")),
    };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().map_err(|_| format!("the port must be a number up to 65535, got {port:?}"))?)
        }
        _ => (rest, 1883),
    };
    if host.is_empty() || host.contains(['/', '?']) {
        return Err(format!("{EXAMPLE}, got {url:?}"));
    }
    let address: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    let local = host == "localhost" || address.is_some_and(|address| address.is_loopback());
    if !local && !allow_plaintext {
        return Err(format!("{host} is not this machine and mqtt:// is not encrypted; to allow that {how}"));
    }
    Ok((host.to_owned(), port))
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

pub(super) fn engine(reader: &mut Reader) -> Engine {
    let mut section = reader.section("engine");
    let name = section.text("accelerator").unwrap_or_else(|| "cpu".to_owned());
    let accelerator = Accelerator::find(&name).unwrap_or_else(|| {
        section.fault("accelerator", format!("must be cpu, cuda or tensorrt, got {name:?}"));
        Accelerator::Cpu
    });
    let threads = section.number("threads", 0, 0..=1024);
    let engine = Engine {
        library: section.path("library"),
        accelerator,
        threads: (threads > 0).then_some(threads),
        safety: section.flag("safety", true),
        memory: section.bytes("memory"),
    };
    section.finish(&["cache", "require"]);
    engine
}

pub(super) fn limits(reader: &mut Reader) -> (Limits, u64, u64, Duration) {
    let mut section = reader.section("limits");
    let limits = Limits {
        request_bytes: section.number("request_bytes", 1_000_000, 256..=100_000_000),
        prompt_chars: section.number("prompt_chars", 4000, 1..=4000),
        pixels: section.number("pixels", 1_048_576, 64..=67_108_864),
        steps: section.number("steps", 150, 1..=150),
        count: section.number("count", 4, 1..=16),
    };
    let queue = section.number("queue", 16, 1..=100_000);
    let per_client = section.number("per_client", 4, 1..=100_000);
    let job_time = section.duration("job_time", Duration::from_secs(3600), Duration::from_secs(1));
    section.finish(&["rate"]);
    (limits, queue, per_client, job_time)
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

pub(super) fn store(reader: &mut Reader) -> (PathBuf, Duration) {
    let mut section = reader.section("store");
    let dir = section.path("dir").unwrap_or_else(|| PathBuf::from("/var/lib/diffused/store"));
    let keep = section.duration("keep", Duration::from_secs(24 * 3600), Duration::from_secs(60));
    section.finish(&["max_bytes"]);
    (dir, keep)
}

pub(super) fn log(reader: &mut Reader) -> Log {
    let mut section = reader.section("log");
    let level = section.choice("level", &["info", "error", "warn", "debug", "trace"]);
    let format = section.choice("format", &["text", "json"]);
    let log = Log { level, json: format == "json", prompts: section.flag("prompts", false) };
    section.finish(&[]);
    log
}
