//! What the broker keeps for everybody: `info`, `state`, `defaults`.

use diffused::diffusion::{SAMPLERS, Schedule};
use diffused::job::{AdapterKind, Mode, Stage};
use diffused::service::Lifecycle;
use serde_json::{Value, json};

use super::build::{Row, count, document, flag, list, names, node, object, text, with};
use super::reports::time;
use super::request::{self, formats};

/// What a node is and can do.
pub fn info() -> Value {
    let adapters = AdapterKind::ALL.map(|kind| (kind.name(), count(), "")).to_vec();
    let image = vec![
        ("format", names(formats()), ""),
        ("retain", flag(), ""),
        ("max_bytes", count(), "the picture is always one packet"),
    ];
    let rows = vec![
        ("v", json!({"const": 1}), "version of the contract"),
        ("contract", json!({"const": "1.0"}), ""),
        ("node", node(), ""),
        ("version", text(), "of the program"),
        ("time", time(), "absent while the clock is unset"),
        ("pools", list(text()), "that the node works for"),
        ("accelerator", text(), ""),
        ("device", text(), "the board, as it names itself; absent if unknown"),
        ("models", list(model()), "the default one first"),
        ("samplers", list(names(SAMPLERS.iter().map(|it| it.name))), ""),
        ("schedules", list(names(Schedule::ALL.iter().map(|it| it.name()))), ""),
        ("formats", list(names(formats())), ""),
        ("adapters", object(&AdapterKind::ALL.map(AdapterKind::name), adapters), "how many there are of each kind"),
        ("image", object(&["format", "retain", "max_bytes"], image), "what the image topic carries"),
        ("limits", limits(), "what no request may exceed"),
        ("features", list(text()), "what this node can do beyond the least"),
    ];
    let optional = ["time", "device"];
    let required: Vec<&str> = rows.iter().map(|row| row.0).filter(|name| !optional.contains(name)).collect();
    document("info", "What a node is and can do", object(&required, rows.clone()))
}

/// What a node is doing.
pub fn state() -> Value {
    let steps = vec![("stage", names(Stage::ALL.map(Stage::name)), ""), ("step", count(), ""), ("steps", count(), "")];
    let number = || json!({"type": "number"});
    let health = vec![
        ("temp_c", number(), "of the hottest zone; absent if unknown, as are the next three"),
        ("power_w", number(), "of the board"),
        ("mem_available_mb", count(), "that programs can still have, in units of 2^20 bytes"),
        ("disk_free_mb", count(), "on the store's disk, in units of 2^20 bytes"),
        ("jobs_done", count(), "since the store was made"),
        ("jobs_failed", count(), "since the store was made"),
        ("ignored", count(), "messages since the start that nobody could be answered about; absent if there were none"),
        ("last_ms", count(), "how long the last job ran"),
    ];
    let rows = vec![
        ("v", json!({"const": 1}), "version of the contract"),
        ("lifecycle", names(Lifecycle::ALL.map(Lifecycle::name)), ""),
        ("accepting", flag(), "whether requests are taken"),
        ("node", node(), ""),
        ("time", time(), "absent while the clock is unset"),
        ("boot", count(), "starts since the store was made"),
        ("queue", count(), "jobs that wait or run"),
        ("queue_limit", count(), "jobs that fit"),
        ("eta_ms", count(), "until a new job would begin"),
        ("job", object(&["stage", "step", "steps"], steps), "absent when idle"),
        ("model", text(), "the default one"),
        ("alerts", list(text()), "what an operator should look at"),
        ("health", object(&["jobs_done", "jobs_failed"], health), ""),
    ];
    let optional = ["time", "job"];
    let required: Vec<&str> = rows.iter().map(|row| row.0).filter(|name| !optional.contains(name)).collect();
    document("state", "What a node is doing", object(&required, rows.clone()))
}

/// The defaults of `prompt`.
pub fn defaults() -> Value {
    let head = vec![("v", json!({"const": 1}), ""), ("node", node(), ""), ("time", time(), "")];
    let fields = request::defaults_set()["properties"].clone();
    let mut schema = object(&["v", "node"], head);
    if let Some(properties) = schema["properties"].as_object_mut() {
        let fields = fields.as_object().cloned().unwrap_or_default();
        properties.extend(fields);
    }
    document("defaults", "What a request through the prompt topic gets where it says nothing", schema)
}

fn model() -> Value {
    let rows: Vec<Row> = vec![
        ("name", text(), "as requests call it"),
        ("family", text(), "such as sd1"),
        ("default", flag(), ""),
        ("width", count(), "pixels it was made for"),
        ("height", count(), "pixels it was made for"),
        ("steps", count(), "its default"),
        ("guidance", names(["cfg", "embedded", "none"]), ""),
        ("modes", list(names(Mode::ALL.map(Mode::name))), "what it can start from"),
        (
            "precision",
            text(),
            "what most of its U-Net's weights are stored in, such as fp16 or int8; absent if unknown",
        ),
        ("labels", list(text()), "of its classifier, the first 64"),
        ("encodes_at_random", json!({"const": true}), "no seed gives the same picture of an init image again"),
        ("placements", placements(), "of each graph on an accelerator: how many nodes run on which of its providers"),
    ];
    let required: Vec<&str> = rows.iter().map(|row| row.0).take(8).collect();
    object(&required, rows.clone())
}

fn placements() -> Value {
    let nodes = json!({"type": "object", "additionalProperties": with(count(), json!({"minimum": 1}))});
    json!({"type": "object", "additionalProperties": nodes})
}

fn limits() -> Value {
    const NAMES: [&str; 8] =
        ["request_bytes", "packet_bytes", "pixels", "steps", "count", "prompt_chars", "queue", "per_client"];
    let rows = NAMES.map(|name| (name, with(count(), json!({"minimum": 1})), "")).to_vec();
    object(&NAMES, rows)
}
