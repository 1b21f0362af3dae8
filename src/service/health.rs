//! Whether a request that came now would be taken, and if not, why.

use super::activity::Snapshot;
use super::lifecycle::{Alert, Lifecycle, Mode, Phase};

impl Snapshot {
    /// Everything that keeps a request from being taken now, by names of the contract where it has them; nothing if it
    /// would be taken.
    pub fn obstacles(&self) -> Vec<&'static str> {
        let phase = match self.phase {
            Phase::Starting => Some(Lifecycle::Starting.name()),
            Phase::Loading => Some(Lifecycle::Loading.name()),
            Phase::Stopping => Some(Lifecycle::Stopping.name()),
            Phase::Working => None,
        };
        let mode = Some(self.mode.name()).filter(|_| self.mode != Mode::Open);
        // Another node of our name is an obstacle only while we leave the name to it.
        let alerts = [Alert::Storage, Alert::DuplicateNode, Alert::SubscriptionRefused, Alert::TooHot];
        let alerts = alerts.into_iter().filter(|alert| self.has(*alert));
        let alerts = alerts.filter(|alert| self.away || *alert != Alert::DuplicateNode).map(Alert::name);
        let broker = (!self.online).then_some("broker_unreachable");
        let queue = (self.queue >= self.queue_limit).then_some("queue_full");
        phase.into_iter().chain(mode).chain(alerts).chain(broker).chain(queue).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{Activity, Heat};

    fn ready() -> Snapshot {
        let activity = Activity::new(1, 4, "sd15");
        activity.change(|now| (now.phase, now.online) = (Phase::Working, true));
        activity.snapshot()
    }

    #[test]
    fn every_obstacle_has_its_name_and_a_node_that_takes_requests_has_none() {
        assert_eq!(ready().obstacles(), [""; 0]);
        let with = |change: fn(&mut Snapshot)| {
            let mut now = ready();
            change(&mut now);
            now.obstacles()
        };
        assert_eq!(with(|now| now.phase = Phase::Loading), ["loading"]);
        assert_eq!(with(|now| now.phase = Phase::Stopping), ["stopping"]);
        assert_eq!(with(|now| now.mode = Mode::Paused), ["paused"]);
        assert_eq!(with(|now| now.mode = Mode::Draining), ["draining"]);
        assert_eq!(with(|now| now.online = false), ["broker_unreachable"]);
        assert_eq!(with(|now| now.queue = 4), ["queue_full"]);
        assert_eq!(with(|now| now.alert(Alert::TooHot, true)), ["too_hot"]);
        let trouble = |now: &mut Snapshot| {
            now.alert(Alert::Storage, true);
            (now.away, now.online) = (true, false);
        };
        assert_eq!(with(trouble), ["storage", "broker_unreachable"]);
    }

    #[test]
    fn what_an_operator_should_look_at_but_stops_nothing_is_no_obstacle() {
        let mut now = ready();
        for alert in [Alert::Throttled, Alert::PublishRefused, Alert::DuplicateNode] {
            now.alert(alert, true);
        }
        assert_eq!(now.obstacles(), [""; 0]);
        now.away = true;
        assert_eq!(now.obstacles(), ["duplicate_node"]);
    }

    #[test]
    fn a_node_that_accepts_by_its_lifecycle_is_ready_but_for_its_broker_and_its_queue() {
        for phase in [Phase::Starting, Phase::Loading, Phase::Working, Phase::Stopping] {
            for mode in [Mode::Open, Mode::Paused, Mode::Draining] {
                for heat in [Heat::Cool, Heat::Slow, Heat::Hot] {
                    let mut now = ready();
                    (now.phase, now.mode, now.vitals.heat) = (phase, mode, heat);
                    now.alert(Alert::TooHot, heat == Heat::Hot);
                    assert_eq!(now.obstacles().is_empty(), now.lifecycle().accepting(), "{phase:?} {mode:?} {heat:?}");
                }
            }
        }
    }
}
