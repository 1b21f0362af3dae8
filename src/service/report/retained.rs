//! The retained `info` and `state`.

use serde_json::{Map, Value, json};

use super::Reporter;
use super::line::{Line, millis, time};
use crate::diffusion::{SAMPLERS, Schedule};
use crate::job::{AdapterKind, ModelFacts, Rules};
use crate::picture::Format;
use crate::service::activity::Activity;

/// Contract that these shapes follow.
const CONTRACT: &str = "1.0";

/// More labels than this are not listed, since `info` must stay small.
const MOST_LABELS: usize = 64;

/// What `info` tells besides the rules.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// The configured accelerator.
    pub accelerator: String,
    /// Jobs that the queue holds.
    pub queue: u64,
    /// Open jobs that a client may have.
    pub per_client: u64,
    /// Largest packet that this node takes.
    pub packet_bytes: usize,
    /// What the `image` topic carries.
    pub image: Value,
}

impl Reporter {
    /// The retained `info`: what this node is and can do.
    pub fn info(&self, rules: &Rules, facts: &NodeFacts) -> String {
        let models: Vec<Value> =
            rules.models.iter().enumerate().map(|(index, model)| told_of(model, index == 0)).collect();
        let limits = json!({
            "request_bytes": rules.limits.request_bytes, "packet_bytes": facts.packet_bytes, "pixels": rules.limits.pixels,
            "steps": rules.limits.steps, "count": rules.limits.count, "prompt_chars": rules.limits.prompt_chars,
            "queue": facts.queue, "per_client": facts.per_client,
        });
        Line::new("v", 1)
            .put("contract", CONTRACT)
            .put("node", &self.node)
            .put("version", env!("CARGO_PKG_VERSION"))
            .maybe("time", time())
            .put("pools", Vec::<String>::new())
            .put("accelerator", &facts.accelerator)
            .put("models", models)
            .put("samplers", SAMPLERS.iter().map(|sampler| sampler.name).collect::<Vec<_>>())
            .put("schedules", Schedule::ALL.iter().map(|schedule| schedule.name()).collect::<Vec<_>>())
            .put("formats", Format::ALL.iter().map(|format| format.name()).collect::<Vec<_>>())
            .put("adapters", adapters(rules))
            .put("image", &facts.image)
            .put("limits", limits)
            .put("features", Vec::<String>::new())
            .done()
    }

    /// The retained `state`. Names no client, id or prompt.
    pub fn state(&self, activity: &Activity) -> String {
        let now = activity.snapshot();
        let body = Line::new("v", 1)
            .put("lifecycle", now.lifecycle.name())
            .put("accepting", now.lifecycle.accepting())
            .put("node", &self.node)
            .maybe("time", time())
            .put("boot", now.boot)
            .put("queue", now.queue)
            .put("queue_limit", now.queue_limit)
            .put("eta_ms", millis(now.eta));
        let body = match now.progress {
            Some(at) => body.put("job", json!({"stage": at.stage.name(), "step": at.step, "steps": at.steps})),
            None => body,
        };
        let mut health = Map::new();
        health.insert("jobs_done".to_owned(), json!(now.jobs_done));
        health.insert("jobs_failed".to_owned(), json!(now.jobs_failed));
        if let Some(last) = now.last {
            health.insert("last_ms".to_owned(), json!(millis(last)));
        }
        body.put("model", &now.model).put("alerts", now.alerts).put("health", health).done()
    }
}

/// How many adapters of each kind the store has, whether they fit or not.
fn adapters(rules: &Rules) -> Map<String, Value> {
    let all = rules.models.first().map_or(&[][..], |model| &model.adapters);
    let count = |kind| all.iter().filter(|adapter| adapter.kind == kind).count();
    AdapterKind::ALL.into_iter().map(|kind| (kind.name().to_owned(), json!(count(kind)))).collect()
}

/// What requesters should know of a model.
fn told_of(model: &ModelFacts, default: bool) -> Value {
    let modes: Vec<&str> = model.modes.iter().map(|mode| mode.name()).collect();
    let mut told = json!({
        "name": model.name, "family": model.family, "default": default, "width": model.size.width(),
        "height": model.size.height(), "steps": model.steps.get(), "guidance": model.guidance, "modes": modes,
    });
    if let Value::Object(fields) = &mut told {
        if !model.labels.is_empty() {
            fields.insert("labels".to_owned(), json!(&model.labels[..model.labels.len().min(MOST_LABELS)]));
        }
        if model.encodes_at_random {
            fields.insert("encodes_at_random".to_owned(), json!(true));
        }
    }
    told
}
