//! The retained `info` and `state`.

use serde_json::{Map, Value, json};

use super::line::{Line, millis, time};
use super::{Reporter, tenths};
use crate::diffusion::{SAMPLERS, Schedule};
use crate::job::{AdapterKind, ModelFacts, Rules};
use crate::picture::Format;
use crate::service::{Activity, Snapshot};

/// Contract that these shapes follow.
const CONTRACT: &str = "1.0";

/// Bytes of `info` that models may take: all of it must stay below 8 KiB.
const MODELS: usize = 5 * 1024;

/// More labels than this are not listed, since `info` must stay small.
const MOST_LABELS: usize = 64;

/// What `info` tells besides the rules.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// The pools that the node works for.
    pub pools: Vec<String>,
    /// The configured accelerator.
    pub accelerator: String,
    /// The board, as it names itself.
    pub device: Option<String>,
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
        let models = told_models(rules);
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
            .put("pools", &facts.pools)
            .put("accelerator", &facts.accelerator)
            .maybe("device", facts.device.as_ref())
            .put("models", models)
            .put("samplers", SAMPLERS.iter().map(|sampler| sampler.name).collect::<Vec<_>>())
            .put("schedules", Schedule::ALL.iter().map(|schedule| schedule.name()).collect::<Vec<_>>())
            .put("formats", Format::ALL.iter().map(|format| format.name()).collect::<Vec<_>>())
            .put("adapters", adapters(rules))
            .put("image", &facts.image)
            .put("limits", limits)
            .put("features", ["parts", "preview", "upload"])
            .done()
    }

    /// The retained `defaults` of the `prompt` topic.
    pub fn defaults(&self, defaults: &Map<String, Value>) -> String {
        let body = Line::new("v", 1).put("node", &self.node).maybe("time", time());
        defaults.iter().fold(body, |body, (key, value)| body.put(key, value)).done()
    }

    /// The retained `state`. Names no client, id or prompt.
    pub fn state(&self, activity: &Activity) -> String {
        let now = activity.snapshot();
        let body = Line::new("v", 1)
            .put("lifecycle", now.lifecycle().name())
            .put("accepting", now.lifecycle().accepting())
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
        let alerts: Vec<&str> = now.alerts.iter().map(|alert| alert.name()).collect();
        body.put("model", &now.model).put("alerts", alerts).put("health", health(&now)).done()
    }
}

/// How board and jobs are; what is unknown is left out.
fn health(now: &Snapshot) -> Map<String, Value> {
    let figure = |value: f64| json!(tenths(value));
    let mebibytes = |bytes: u64| json!(bytes >> 20);
    let vitals = &now.vitals;
    let all = [
        ("temp_c", vitals.celsius.map(figure)),
        ("power_w", vitals.watts.map(figure)),
        ("mem_available_mb", vitals.memory.map(mebibytes)),
        ("disk_free_mb", vitals.disk.map(mebibytes)),
        ("jobs_done", Some(json!(now.jobs_done))),
        ("jobs_failed", Some(json!(now.jobs_failed))),
        ("ignored", Some(json!(now.ignored)).filter(|_| now.ignored > 0)),
        ("last_ms", now.last.map(|last| json!(millis(last)))),
    ];
    all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// How many adapters of each kind the store has, whether they fit or not.
fn adapters(rules: &Rules) -> Map<String, Value> {
    let all = rules.models.first().map_or(&[][..], |model| &model.adapters);
    let count = |kind| all.iter().filter(|adapter| adapter.kind == kind).count();
    AdapterKind::ALL.into_iter().map(|kind| (kind.name().to_owned(), json!(count(kind)))).collect()
}

/// The models, as many as there is room for: without their labels if there are many, and the first ones only if there
/// are very many. The rest can be listed.
fn told_models(rules: &Rules) -> Vec<Value> {
    let bytes = |models: &[Value]| models.iter().map(|model| model.to_string().len() + 1).sum::<usize>();
    let mut models: Vec<Value> =
        rules.models.iter().enumerate().map(|(index, model)| told_of(model, index == 0)).collect();
    if bytes(&models) > MODELS {
        models.iter_mut().filter_map(Value::as_object_mut).for_each(|model| drop(model.shift_remove("labels")));
    }
    while bytes(&models) > MODELS {
        models.pop();
    }
    models
}

/// What requesters should know of a model.
fn told_of(model: &ModelFacts, default: bool) -> Value {
    let modes: Vec<&str> = model.modes.iter().map(|mode| mode.name()).collect();
    let mut told = json!({
        "name": model.name, "family": model.family, "default": default, "width": model.size.width(),
        "height": model.size.height(), "steps": model.steps.get(), "guidance": model.guidance, "modes": modes,
    });
    if let Value::Object(fields) = &mut told {
        if let Some(precision) = model.precision {
            fields.insert("precision".to_owned(), json!(precision));
        }
        if !model.labels.is_empty() {
            fields.insert("labels".to_owned(), json!(&model.labels[..model.labels.len().min(MOST_LABELS)]));
        }
        if model.encodes_at_random {
            fields.insert("encodes_at_random".to_owned(), json!(true));
        }
        if !model.placements.is_empty() {
            let nodes =
                |graph: &[(String, usize)]| graph.iter().map(|(on, nodes)| (on.clone(), json!(nodes))).collect();
            let graphs = model.placements.iter().map(|(name, graph)| (name.clone(), Value::Object(nodes(graph))));
            fields.insert("placements".to_owned(), Value::Object(graphs.collect()));
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Limits, Mode, Progress, Stage};
    use crate::service::{Alert, Heat, Phase, Vitals};
    use std::time::Duration;

    #[test]
    fn state_stays_small_whatever_the_board_tells() {
        let activity = Activity::new(u64::from(u32::MAX), 100_000, &"m".repeat(64));
        activity.change(|now| {
            now.phase = Phase::Working;
            now.progress = Some(Progress { stage: Stage::Denoise, step: 150, steps: 150, k: 3 });
            now.vitals = Vitals {
                celsius: Some(104.96),
                heat: Heat::Hot,
                watts: Some(1234.56),
                memory: Some(1 << 50),
                disk: Some(1 << 60),
                ..Vitals::default()
            };
            (now.queue, now.jobs_done, now.jobs_failed) = (100_000, 1 << 40, 1 << 40);
            (now.ignored, now.last) = (1 << 40, Some(Duration::from_secs(1 << 30)));
            Alert::ALL.into_iter().for_each(|alert| now.alert(alert, true));
        });
        let state = Reporter::new(&"n".repeat(32)).state(&activity);
        assert!(state.len() <= 768, "{} bytes: {state}", state.len());
        let state: Value = serde_json::from_str(&state).unwrap();
        assert_eq!((&state["health"]["temp_c"], &state["health"]["power_w"]), (&json!(105.0), &json!(1234.6)));
        assert_eq!((&state["lifecycle"], &state["accepting"]), (&json!("degraded"), &json!(false)));
    }

    #[test]
    fn info_stays_small_whatever_a_node_has() {
        let labels: Vec<String> = (0..80).map(|n| format!("a label of some length, number {n}")).collect();
        let model = |n: usize| ModelFacts {
            name: format!("model-{n}-{}", "x".repeat(40)),
            labels: labels.clone(),
            ..ModelFacts::flat(&[Mode::Text, Mode::Image, Mode::Inpaint, Mode::Depth])
        };
        let limits = Limits { request_bytes: 1, prompt_chars: 1, pixels: 1, steps: 1, count: 1 };
        let facts = NodeFacts {
            pools: vec!["p".repeat(32); 8],
            accelerator: "tensorrt".to_owned(),
            device: Some("NVIDIA Jetson AGX Orin Developer Kit".to_owned()),
            queue: 1,
            per_client: 1,
            packet_bytes: 1,
            image: json!({}),
        };
        for (count, told) in [(1, 1), (60, 20)] {
            let rules = Rules::bare(limits.clone(), (0..count).map(model).collect());
            let info = Reporter::new(&"n".repeat(32)).info(&rules, &facts);
            assert!(info.len() <= 8192, "{} bytes", info.len());
            let info: Value = serde_json::from_str(&info).unwrap();
            assert!(info["models"].as_array().unwrap().len() >= told, "{info}");
            assert_eq!(info["models"][0]["default"], json!(true));
            assert_eq!(info["models"][0]["precision"], json!("fp16"));
        }
    }
}
