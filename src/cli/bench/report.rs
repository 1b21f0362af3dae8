//! What was measured, as JSON and as a table.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Args;
use super::measure::Measured;
use super::statistics::{Summary, rounded};
use super::stopwatch::Run;
use crate::job::Stage;
use crate::model::peak_memory;

/// Everything in one object; what could not be measured is left out.
pub(super) fn report(args: &Args, measured: &Measured) -> Value {
    let load = if measured.from_cache { "warm_ms" } else { "cold_ms" };
    let mut report = Map::new();
    report.extend(what(args, measured));
    let mut put = |name: &str, value: Option<Value>| {
        report.extend(value.map(|value| (name.to_owned(), value)));
    };
    put("load_average", measured.load_average.map(|load| json!(load)));
    put("load_ms", Some(json!(ms(measured.load))));
    put("load", Some(json!({load: ms(measured.load)})));
    put("load_read_bytes", measured.read.map(|bytes| json!(bytes)));
    put("first_pass_ms", measured.first_pass.map(|passed| json!(ms(passed))));
    if !measured.runs.is_empty() {
        let pictures = measured.runs.len() as f64 * f64::from(measured.recipe.count.get());
        let seconds = measured.whole.as_secs_f64() / pictures;
        put("request", summary(measured.runs.iter().map(|run| run.total)));
        put("step", summary(measured.runs.iter().flat_map(|run| run.steps.clone())));
        put("time", Some(time(&measured.runs)));
        put("stages", Some(stages(&measured.runs)));
        put("passes", Some(passes(&measured.runs)));
        put("pictures_per_hour", Some(json!(rounded(3600.0 / seconds))));
        put("power_watts", measured.watts.map(|watts| json!(rounded(watts))));
        put("energy_joules", measured.watts.map(|watts| json!(rounded(watts * seconds))));
    }
    put("peak_memory_bytes", peak_memory().map(|bytes| json!(bytes)));
    report.into()
}

/// What was made, and on what.
fn what(args: &Args, measured: &Measured) -> [(String, Value); 13] {
    let recipe = &measured.recipe;
    [
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("model", json!(recipe.model)),
        ("accelerator", json!(args.loading.accelerator)),
        ("threads", json!(args.loading.threads)),
        ("width", json!(recipe.size.width())),
        ("height", json!(recipe.size.height())),
        ("steps", json!(recipe.steps.get())),
        ("sampler", json!(recipe.sampler.name)),
        ("guidance_scale", json!(recipe.guidance.scale.get())),
        ("count", json!(recipe.count.get())),
        ("jobs", json!(args.jobs)),
        ("warm_up", json!(args.warm_up)),
        ("runs", json!(args.runs)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

/// Means over the requests, so that they add up: graphs and everything else. Also what a step has of everything else.
fn time(runs: &[Run]) -> Value {
    let whole: Duration = runs.iter().map(|run| run.total).sum();
    let graphs: Duration = runs.iter().map(Run::graphs).sum();
    let other = whole.saturating_sub(graphs);
    let share = |part: Duration| rounded(100.0 * part.as_secs_f64() / whole.as_secs_f64().max(f64::MIN_POSITIVE));
    let mean = |sum: Duration| ms(sum / u32::try_from(runs.len()).unwrap_or(u32::MAX).max(1));
    let of_steps = runs.iter().filter_map(|run| run.stages.get(Stage::Denoise.name()));
    let beside: Duration = of_steps.map(|share| share.whole.saturating_sub(share.graphs)).sum();
    let steps: usize = runs.iter().map(|run| run.steps.len()).sum();
    json!({
        "request_ms": mean(whole), "graph_ms": mean(graphs), "other_ms": mean(other),
        "graph_percent": share(graphs), "other_percent": share(other),
        "other_per_step_ms": rounded(beside.as_secs_f64() * 1e3 / steps.max(1) as f64),
    })
}

/// By stage, in the order of a job.
fn stages(runs: &[Run]) -> Value {
    let of_stage = |stage: Stage| {
        let shares = || runs.iter().filter_map(|run| run.stages.get(stage.name()));
        let mut all = summary(shares().map(|share| share.whole))?;
        all["graph_median_ms"] = summary(shares().map(|share| share.graphs))?["median_ms"].take();
        Some((stage.name().to_owned(), all))
    };
    Stage::ALL.into_iter().filter_map(of_stage).collect::<Map<_, _>>().into()
}

/// By graph; of the U-Net also how many requests a pass was for.
fn passes(runs: &[Run]) -> Value {
    let mut all: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for (graph, passes) in runs.iter().flat_map(|run| &run.passes) {
        all.entry(graph).or_default().extend(passes);
    }
    let unet = all.get("unet").map_or(0, Vec::len);
    let summed = all.into_iter().filter_map(|(graph, passes)| Some((graph.to_owned(), summary(passes)?)));
    let mut summed: Map<_, _> = summed.collect();
    if let Some(passes) = summed.get_mut("unet") {
        let callers: usize = runs.iter().map(|run| run.callers).sum();
        passes["requests"] = json!(rounded(callers as f64 / unet as f64));
    }
    summed.into()
}

fn summary(times: impl IntoIterator<Item = Duration>) -> Option<Value> {
    Some(Summary::of(times.into_iter().map(|time| time.as_secs_f64() * 1e3).collect())?.json())
}

fn ms(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1e3)
}

/// Single numbers: what they are called, where the report has them, by what they are multiplied, and their unit then.
const SINGLES: [(&str, &str, f64, &str); 10] = [
    ("load, cold", "/load/cold_ms", 1.0, "ms"),
    ("load, warm", "/load/warm_ms", 1.0, "ms"),
    ("start to first U-Net pass", "/first_pass_ms", 1.0, "ms"),
    ("graphs", "/time/graph_percent", 1.0, "%"),
    ("everything else", "/time/other_percent", 1.0, "%"),
    ("everything else, a step", "/time/other_per_step_ms", 1.0, "ms"),
    ("requests a U-Net pass", "/passes/unet/requests", 1.0, ""),
    ("pictures an hour", "/pictures_per_hour", 1.0, ""),
    ("energy a picture", "/energy_joules", 1.0, "J"),
    ("peak memory", "/peak_memory_bytes", 1.0 / 1_048_576.0, "MiB"),
];

/// The same for people.
pub(super) fn table(report: &Value) -> String {
    let text = |key: &str| report[key].to_string().replace('"', "");
    let [model, width, height, steps] = ["model", "width", "height", "steps"].map(text);
    let [sampler, guidance, count, accelerator] = ["sampler", "guidance_scale", "count", "accelerator"].map(text);
    let jobs = if report["jobs"] == 1 { String::new() } else { format!(", {} jobs at once", report["jobs"]) };
    let mut lines = vec![
        format!(
            "{model} at {width}x{height}, {steps} steps of {sampler}, guidance {guidance}, {count} at a time{jobs}, on {accelerator}"
        ),
        String::new(),
        line("", &format!("{:>12} {:>12} {:>7} {:>12}", "median ms", "p95 ms", "count", "in graphs")),
    ];
    let single = ["request", "step"].into_iter().filter_map(|name| Some((name.to_owned(), report.get(name)?)));
    let within = |prefix: &'static str, name: &str| {
        let rows = report.get(name).and_then(Value::as_object).into_iter().flatten();
        rows.map(move |(name, row)| (format!("{prefix}{name}"), row))
    };
    let rows = single.chain(within("  ", "stages")).chain(within("pass of ", "passes"));
    lines.extend(rows.map(|(name, row)| line(&name, &cells(row))));
    lines.extend(SINGLES.into_iter().filter_map(|(name, path, factor, unit)| {
        let value = report.pointer(path)?.as_f64()?;
        Some(line(name, &format!("{:>12.2} {unit}", value * factor)))
    }));
    lines.join("\n")
}

fn line(name: &str, cells: &str) -> String {
    format!("{name:<26}{cells}").trim_end().to_owned()
}

fn cells(row: &Value) -> String {
    let cell = |key: &str| row[key].as_f64().map_or_else(String::new, |value| format!("{value:.2}"));
    let cells =
        format!("{:>12} {:>12} {:>7} {:>12}", cell("median_ms"), cell("p95_ms"), row["count"], cell("graph_median_ms"));
    cells.trim_end().to_owned()
}
