//! What goes on: state, alerts, the job at work, and the figures.

use super::html::escaped;
use super::words;
use crate::board::size;
use crate::job::Progress;
use crate::service::{Alert, Heat, Snapshot};

pub(super) fn html(now: &Snapshot) -> String {
    [state(now), alerts(now), now.progress.map_or_else(String::new, work), figures(now)].concat()
}

fn state(now: &Snapshot) -> String {
    let lifecycle = now.lifecycle();
    let name = lifecycle.name();
    format!("<p class=\"state\"><b class=\"{name}\">{name}</b> {}</p>\n", words::of_lifecycle(lifecycle))
}

fn alerts(now: &Snapshot) -> String {
    let alerts = now.alerts.iter().copied().map(words::of_alert);
    let broker = (!now.online && !now.has(Alert::DuplicateNode)).then_some("The broker cannot be reached.");
    let full = (now.queue >= now.queue_limit).then_some("The queue is full.");
    let rests = now.vitals.heat == Heat::Slow;
    let rests = rests.then_some("It is hot: the work rests between its steps.");
    let items = alerts.chain(broker).chain(full).chain(rests).map(|text| format!("<li>{text}</li>"));
    let items: String = items.collect();
    if items.is_empty() { items } else { format!("<ul class=\"alerts\">{items}</ul>\n") }
}

fn work(at: Progress) -> String {
    let picture = if at.k > 0 { format!(" picture {},", at.k + 1) } else { String::new() };
    let (step, steps) = (at.step.min(at.steps), at.steps);
    format!(
        "<section class=\"work\"><h2>At work</h2><p>{},{picture} step {step} of {steps}</p>\
         <progress max=\"{}\" value=\"{step}\">{step} of {steps}</progress></section>\n",
        words::of_stage(at.stage),
        steps.max(1),
    )
}

fn figures(now: &Snapshot) -> String {
    let vitals = &now.vitals;
    let waits = format!("{} of {}", now.queue, now.queue_limit);
    let eta = (now.queue > 0 && now.may_begin() && !now.eta.is_zero()).then(|| words::of_duration(now.eta));
    let load = vitals.gpu_load.map(|load| format!("{:.0} %", load * 100.0));
    let main = [
        ("Queue", Some(waits)),
        ("Next may begin in", eta),
        ("Last job took", now.last.map(words::of_duration)),
        ("Jobs done", Some(now.jobs_done.to_string())),
        ("Jobs failed", Some(now.jobs_failed.to_string())),
        ("Model", Some(now.model.clone()).filter(|model| !model.is_empty())),
        ("Power", vitals.watts.map(|watts| format!("{watts:.1} W"))),
        ("GPU", load),
        ("Memory left", vitals.memory.map(size)),
        ("Disk left", vitals.disk.map(size)),
    ];
    let main = main.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let heat = vitals.zones.iter().map(|(zone, celsius)| (zone.clone(), format!("{celsius:.0} °C")));
    let tile =
        |(name, value): (String, String)| format!("<div><dt>{}</dt><dd>{}</dd></div>", escaped(&name), escaped(&value));
    let heat: String = heat.map(tile).collect();
    let heat = if heat.is_empty() { heat } else { format!("<h2>Temperatures</h2>\n<dl class=\"heat\">{heat}</dl>\n") };
    format!("<dl>{}</dl>\n{heat}", main.map(tile).collect::<String>())
}
