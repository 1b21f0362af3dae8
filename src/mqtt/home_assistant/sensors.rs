//! Entities that only tell: what the node is doing, and how it is.

use serde_json::{Value, json};

use super::entity::Entity;
use crate::mqtt::Topics;
use crate::service::Lifecycle;

/// Seconds after which a figure is worth nothing: `state` comes at least every minute.
const STALE: u64 = 180;

/// Everything that is read from `state`.
pub(super) fn all(topics: &Topics) -> Vec<Entity> {
    let of = |platform, object, name, state: &str, more: Value| {
        let config = json!({"state_topic": topics.state(), "value_template": format!("{{{{ {state} }}}}")});
        Entity::new(platform, object, name, config).and(more)
    };
    let sensor = |object, name, state: &str, more| of("sensor", object, name, state, more);
    let health = |object, name, key: &str, more| {
        sensor(object, name, &format!("value_json.health.{key} | default(none)"), more).diagnostic()
    };
    let lifecycles = Lifecycle::ALL.map(Lifecycle::name);
    let progress = "(100 * value_json.job.step / value_json.job.steps) | round | int \
        if value_json.job is defined and value_json.job.steps else 0";
    let last = "value_json.health.last_ms / 1000 if value_json.health.last_ms is defined else none";
    let counted = || json!({"state_class": "total_increasing"});
    let measured = |unit: &str, class: &str| json!({"unit_of_measurement": unit, "device_class": class, "state_class": "measurement"});
    let problem = json!({
        "device_class": "problem", "json_attributes_topic": topics.state(),
        // Only this: Home Assistant writes every change of an attribute to its disk.
        "json_attributes_template": "{{ {'alerts': value_json.alerts | default([])} | tojson }}",
    });
    vec![
        sensor("state", "State", "value_json.lifecycle", json!({"device_class": "enum", "options": lifecycles})),
        sensor("queue", "Queue", "value_json.queue", json!({"state_class": "measurement"})),
        sensor("progress", "Progress", progress, json!({"unit_of_measurement": "%", "state_class": "measurement"})),
        sensor("duration", "Last duration", last, measured("s", "duration")).diagnostic(),
        health("done", "Jobs done", "jobs_done", counted()),
        health("failed", "Jobs failed", "jobs_failed", counted()),
        health("temperature", "Temperature", "temp_c", measured("°C", "temperature")).with("expire_after", STALE),
        health("power", "Power", "power_w", measured("W", "power")).with("expire_after", STALE),
        health("memory", "Memory available", "mem_available_mb", measured("MiB", "data_size")),
        of("binary_sensor", "problem", "Problem", "'ON' if value_json.alerts else 'OFF'", problem).diagnostic(),
    ]
}
