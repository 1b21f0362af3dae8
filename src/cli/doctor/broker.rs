//! The broker: can it be reached, does it let us in, and does it do what is needed?

use super::finding::Finding;
use crate::board::size;
use crate::config::{Config, is_loopback};
use crate::mqtt::{Probe, ProbeError};

const ABOUT: &str = "broker";
/// Smaller packets than that cut most pictures into parts.
const SMALL_PACKET: usize = 256 * 1024;

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let (broker, topics) = (&config.broker, &config.topics);
    let place = format!("{} port {}", broker.host, broker.port);
    let shared = config.pools.iter().flat_map(|pool| topics.pool_requests(pool));
    let wanted: Vec<String> = topics.doors(config.shortcut).into_iter().chain(shared).collect();
    match broker.probe(&wanted) {
        Ok(probe) => answered(&place, &probe, config),
        Err(error) => vec![Finding::fail(ABOUT, format!("{place}: {error}"), fix(&error))],
    }
}

fn fix(error: &ProbeError) -> &'static str {
    match error {
        ProbeError::Denied(_) => "check mqtt.username, mqtt.password_file and the broker's list of users",
        ProbeError::Broken(_) => "check mqtt.url, [mqtt.tls] and that the broker is running (docs/security.md)",
        ProbeError::Silent => "check mqtt.url: does the port speak MQTT 5, with or without encryption as the URL says?",
    }
}

fn answered(place: &str, probe: &Probe, config: &Config) -> Vec<Finding> {
    let name = probe.name.as_deref().unwrap_or("a broker that does not tell its name");
    let packets = size(probe.max_packet as u64);
    let mut findings = vec![Finding::ok(ABOUT, format!("{place}: {name}, packets up to {packets}"))];
    if config.broker.transport.tls.is_none() && !is_loopback(&config.broker.host) {
        let fix = "use mqtts:// (docs/security.md)";
        findings.push(Finding::warn(ABOUT, "pictures, prompts and the password go over the network unencrypted", fix));
    }
    if probe.max_packet < SMALL_PACKET {
        let fix = "raise the broker's packet limit (mosquitto: max_packet_size), or ask for smaller pictures";
        findings.push(Finding::warn(ABOUT, format!("larger pictures go in parts of less than {packets}"), fix));
    }
    if !probe.retains {
        let fix = "allow retained messages: availability, info and state are told to those who come later by them";
        findings.push(Finding::fail(ABOUT, "it keeps no retained messages", fix));
    }
    if probe.most_qos == 0 {
        findings.push(Finding::fail(
            ABOUT,
            "it knows only QoS 0",
            "take a broker with QoS 1: nothing is certain without",
        ));
    }
    if !probe.shares && !config.pools.is_empty() {
        findings.push(Finding::fail(
            ABOUT,
            "it has no shared subscriptions",
            "pools need them: take another broker, or leave pool.names empty",
        ));
    }
    if !probe.refused.is_empty() {
        let refused = probe.refused.join(", ");
        let fix = "give the node's user these topics (deploy/mosquitto/acl, deploy/emqx/acl.conf)";
        findings.push(Finding::fail(ABOUT, format!("it does not let us subscribe to {refused}"), fix));
    }
    if name.starts_with("mosquitto version") {
        let what = "mosquitto forgets what it has taken since its last autosave when it is killed";
        let fix = "set persistence true and a short autosave_interval (deploy/mosquitto/mosquitto.conf); requesters repeat what was not accepted";
        findings.push(Finding { fix: Some(fix.to_owned()), ..Finding::ok(ABOUT, what) });
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::finding::Level;
    use super::*;

    fn levels(probe: &Probe, lines: &str) -> Vec<(Level, String)> {
        let config = Config::parse(lines, Path::new("a.toml")).unwrap();
        answered("box port 1883", probe, &config).into_iter().map(|finding| (finding.level, finding.what)).collect()
    }

    #[test]
    fn what_a_broker_cannot_do_is_told_only_where_it_is_needed() {
        let well =
            Probe { name: None, max_packet: 2_000_000, retains: true, shares: true, most_qos: 2, refused: Vec::new() };
        let good = "a broker that does not tell its name, packets up to 2.0 MB";
        assert_eq!(levels(&well, ""), [(Level::Ok, format!("box port 1883: {good}"))]);
        let alone = Probe { shares: false, ..well.clone() };
        assert_eq!(levels(&alone, "").len(), 1, "who has no pool needs no shared subscription");
        assert_eq!(levels(&alone, "[pool]\nnames = ['studio']")[1].0, Level::Fail);
        for ill in [
            Probe { retains: false, ..well.clone() },
            Probe { most_qos: 0, ..well.clone() },
            Probe { refused: vec!["diffused/jet1/request/+".to_owned()], ..well.clone() },
        ] {
            assert_eq!(levels(&ill, "")[1].0, Level::Fail, "{ill:?}");
        }
        assert_eq!(levels(&Probe { max_packet: 100_000, ..well.clone() }, "")[1].0, Level::Warn);
        let open = "[mqtt]\nurl = 'mqtt://broker.lan'\nallow_plaintext = true";
        assert_eq!(levels(&well, open)[1].0, Level::Warn);
    }
}
