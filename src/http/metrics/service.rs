//! What the process is, how it stands, and its broker.

use super::Facts;
use crate::http::exposition::Exposition;
use crate::service::{Alert, Lifecycle};

pub(super) fn write(text: &mut Exposition, facts: &Facts<'_>) {
    let (now, figures) = (facts.now, facts.figures);
    let about = [("version", env!("CARGO_PKG_VERSION")), ("accelerator", facts.accelerator)];
    text.gauge("diffused_build_info", "What is running; always 1.").of_all(&about, 1);
    text.gauge("diffused_up_time_seconds", "Time since the process was started.").is(facts.up.as_secs_f64());
    text.counter("diffused_boot_count_total", "Starts since the store was made.").is(now.boot);
    let mut lifecycle = text.gauge("diffused_lifecycle", "1 for where the service stands, 0 for the others.");
    for state in Lifecycle::ALL {
        lifecycle.of("state", state.name(), u8::from(state == now.lifecycle()));
    }
    let is_ready = now.obstacles().is_empty();
    text.gauge("diffused_ready", "1 if a request would be taken now, as /readyz says.").is(u8::from(is_ready));
    let mut alerts = text.gauge("diffused_alert", "1 while an operator should look at this.");
    for alert in Alert::ALL {
        alerts.of("alert", alert.name(), u8::from(now.has(alert)));
    }
    let connected = u8::from(now.online);
    text.gauge("diffused_mqtt_connected", "1 while the broker is there and hands us what is sent to us.").is(connected);
    text.counter("diffused_mqtt_connects_total", "Connections to the broker that were made.").is(figures.connects);
    text.counter("diffused_mqtt_disconnects_total", "Connections to the broker that ended.").is(figures.disconnects);
    text.gauge("diffused_mqtt_outbox_messages", "Messages that wait to be delivered.")
        .maybe(facts.stored.map(|stored| stored.mail));
}
