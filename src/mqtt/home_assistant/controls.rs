//! Entities that somebody looks at or turns: the picture, the prompt, the settings.
//!
//! Templates are Jinja as Home Assistant renders it. A key may be absent where the contract says so, and a template
//! that fails fills its log, so that every such key has a default.

use serde_json::{Value, json};

use super::choices::Choices;
use super::entity::Entity;
use crate::job::command::Admin;
use crate::job::units::{Client, GuidanceScale, Seed};
use crate::mqtt::Topics;
use crate::picture::Format;
use crate::service::store::State;

/// The longest text that Home Assistant takes for an entity, in characters.
const TEXT: usize = 255;

/// The newest picture, where a browser can show its format, and what becomes of the jobs of `prompt`.
pub(super) fn picture(topics: &Topics, format: Format) -> Vec<Entity> {
    let shown = !format.is_raw() && format != Format::Qoi;
    let picture = || {
        let config = json!({"image_topic": topics.shortcut_picture(), "content_type": format.content_type()});
        Entity::new("image", "image", "Picture", config)
    };
    let ends = [State::Done, State::Failed, State::Cancelled, State::Expired].map(State::name);
    let kinds: Vec<&str> = ["accepted", "started", "rejected"].into_iter().chain(ends).collect();
    // Nothing comes of a status that only says again what was said before.
    let event = "{% if not value_json.replay | default(false) %}{{ {'event_type': value_json.state, \
        'job': value_json.id, 'code': value_json.code | default(none)} | tojson }}{% endif %}";
    let config = json!({"state_topic": topics.shortcut_status(), "event_types": kinds, "value_template": event});
    shown.then(picture).into_iter().chain([Entity::new("event", "job", "Job", config)]).collect()
}

/// The prompt and what is done with its jobs. The prompt is not read back: it would have to be retained.
pub(super) fn prompt(topics: &Topics) -> Vec<Entity> {
    let button = |object, name, command: Value, icon| {
        let topic = topics.command(&Client::shortcut());
        let config = json!({"command_topic": topic, "payload_press": command.to_string(), "icon": icon});
        Entity::new("button", object, name, config)
    };
    let config = json!({
        "command_topic": topics.prompt(), "min": 1, "max": TEXT, "mode": "text", "icon": "mdi:creation",
    });
    vec![
        Entity::new("text", "prompt", "Prompt", config),
        button("generate", "Generate again", json!({"command": "repeat"}), "mdi:image-refresh"),
        button("cancel", "Cancel", json!({"command": "cancel", "job": "*"}), "mdi:cancel"),
    ]
}

/// The defaults of `prompt`, each set by a part of them.
pub(super) fn settings(topics: &Topics, choices: &Choices) -> Vec<Entity> {
    let entity = |platform, object, name, state: &str, part: &str, more: Value| {
        let config = json!({
            "state_topic": topics.defaults(), "value_template": format!("{{{{ {state} }}}}"),
            "command_topic": topics.defaults_set(), "command_template": format!("{{{{ {{{part}}} | tojson }}}}"),
        });
        Entity::new(platform, object, name, config).and(more).setting()
    };
    let number = |low: f64, high: f64, step: f64| json!({"min": low, "max": high, "step": step, "mode": "box"});
    let steps = number(1.0, f64::from(choices.steps), 1.0);
    let scale = number(*GuidanceScale::RANGE.start(), *GuidanceScale::RANGE.end(), 0.1);
    let seed = number(-1.0, Seed::MOST.get() as f64, 1.0);
    let negative = format!("(value_json.negative_prompt | default(''))[:{TEXT}]");
    vec![
        entity("text", "negative", "Negative prompt", &negative, "'negative_prompt': value", json!({"max": TEXT})),
        entity("select", "model", "Model", &read("model"), MODEL, json!({"options": choices.models})),
        entity(
            "select",
            "sampler",
            "Sampler",
            &read("sampler"),
            "'sampler': value",
            json!({"options": choices.samplers}),
        ),
        entity("select", "size", "Size", SIZE, SIZE_PART, json!({"options": choices.sizes})),
        entity("number", "steps", "Steps", &read("steps"), "'steps': value | int", steps),
        entity("number", "guidance", "Guidance", &read("guidance_scale"), "'guidance_scale': value | float", scale),
        entity("number", "seed", "Seed (-1 is random)", "value_json.seed | default(-1)", "'seed': value | int", seed),
    ]
}

/// What was set for one model seldom fits another: with the model, its own defaults come back.
const MODEL: &str =
    "'model': value, 'steps': none, 'guidance_scale': none, 'sampler': none, 'width': none, 'height': none";
const SIZE: &str = "'%dx%d' | format(value_json.width, value_json.height) if value_json.width is defined else none";
const SIZE_PART: &str = "'width': value.split('x')[0] | int, 'height': value.split('x')[1] | int";

/// A key of JSON that may be absent.
fn read(key: &str) -> String {
    format!("value_json.{key} | default(none)")
}

/// Whether the node takes requests.
pub(super) fn switch(topics: &Topics, client: &Client) -> Entity {
    let order = |order: Admin| json!({"command": order.name()}).to_string();
    let config = json!({
        "state_topic": topics.state(), "value_template": "{{ 'ON' if value_json.accepting else 'OFF' }}",
        "state_on": "ON", "state_off": "OFF", "command_topic": topics.admin(client),
        "payload_on": order(Admin::Resume), "payload_off": order(Admin::Pause), "icon": "mdi:inbox-arrow-down",
    });
    Entity::new("switch", "accept", "Accept jobs", config).setting()
}
