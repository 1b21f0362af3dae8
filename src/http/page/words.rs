//! What the names of the contract mean, in words for people.

use std::time::{Duration, SystemTime};

use crate::job::Stage;
use crate::service::{Alert, Lifecycle};

pub(super) fn of_lifecycle(lifecycle: Lifecycle) -> &'static str {
    match lifecycle {
        Lifecycle::Starting => "It is starting.",
        Lifecycle::Loading => "It loads its models and takes requests once they are there.",
        Lifecycle::Ready => "It waits for requests.",
        Lifecycle::Busy => "It is making pictures and takes more requests.",
        Lifecycle::Paused => "An administrator has paused it: it takes no requests and begins no job.",
        Lifecycle::Draining => "An administrator lets it finish its queue: it takes no more requests.",
        Lifecycle::Degraded => "Something keeps it from taking work.",
        Lifecycle::Stopping => "It is being stopped.",
    }
}

/// What an operator should look at.
pub(super) fn of_alert(alert: Alert) -> &'static str {
    match alert {
        Alert::Storage => "The store cannot be written: look at its disk.",
        Alert::DuplicateNode => "Another node works under the same name.",
        Alert::SubscriptionRefused => "The broker refuses some of the node's topics: look at its access rules.",
        Alert::PublishRefused => "The broker has refused a message of the node: look at its access rules.",
        Alert::TooHot => "The board is too hot: no job is taken or begun until it is cooler.",
        Alert::Throttled => "The hardware slows itself down, such as over a weak power supply.",
    }
}

pub(super) fn of_stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Load => "Loading",
        Stage::Text => "Reading the prompt",
        Stage::Encode => "Reading the picture",
        Stage::Denoise => "Denoising",
        Stage::Decode => "Decoding",
        Stage::Publish => "Handing over",
    }
}

/// A time as long as people need it: `350 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min`.
pub(super) fn of_duration(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        1..10 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A moment, such as `2026-01-02 03:04 UTC`.
pub(super) fn of_moment(time: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(time).to_string();
    let (date, clock) = text.split_once('T').unwrap_or_default();
    format!("{date} {} UTC", clock.get(..5).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_exact_as_people_need_them() {
        let told = [0, 350, 4_200, 59_999, 200_000, 7_500_000].map(Duration::from_millis).map(of_duration);
        assert_eq!(told, ["0 ms", "350 ms", "4.2 s", "59 s", "3 min 20 s", "2 h 5 min"]);
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045);
        assert_eq!(of_moment(moment), "2026-01-02 03:04 UTC");
    }
}
