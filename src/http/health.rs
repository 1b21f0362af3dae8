//! `/livez` and `/readyz`: for those who restart, and for those who send work.

use serde_json::json;

use super::response::{Response, Status};
use crate::service::{Pulse, Snapshot};

/// Whether the process makes progress: the judgement that feeds systemd's watchdog.
pub(super) fn live(pulse: &Pulse) -> Response {
    let stall = pulse.stall();
    let reasons: Vec<&str> = stall.map(|stall| stall.name()).into_iter().collect();
    Response::json(status(stall.is_none()), &json!({"live": stall.is_none(), "reasons": reasons}))
}

/// Whether a request that came now would be taken.
pub(super) fn ready(now: &Snapshot) -> Response {
    let reasons = now.obstacles();
    let body = json!({"ready": reasons.is_empty(), "lifecycle": now.lifecycle().name(), "reasons": reasons});
    Response::json(status(reasons.is_empty()), &body)
}

fn status(is_well: bool) -> Status {
    if is_well { Status::Ok } else { Status::Unavailable }
}
