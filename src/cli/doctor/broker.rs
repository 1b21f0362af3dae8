//! The broker: can it be reached, does it let us in, and does it do what is needed?

use super::finding::Finding;
use crate::board::size;
use crate::config::Config;
use crate::http::is_loopback;
use crate::job::units::Client;
use crate::mqtt::{HomeAssistant, Probe, ProbeError, Retention};
use crate::service::desk::fresh_id;

const ABOUT: &str = "broker";
/// Smaller packets than that cut most pictures into parts.
const SMALL_PACKET: usize = 256 * 1024;

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let broker = &config.broker;
    let place = format!("{} port {}", broker.host, broker.port);
    match broker.probe(&heard(config), &own_reply(config)) {
        Ok(probe) => answered(&place, &probe, config),
        Err(error) => vec![Finding::fail(ABOUT, format!("{place}: {error}"), fix(&error))],
    }
}

/// Everything that the service subscribes to.
fn heard(config: &Config) -> Vec<String> {
    let (topics, pools) = (&config.topics, &config.pools);
    let orders = pools.iter().flat_map(|pool| topics.pool_orders(pool));
    let requests = pools.iter().flat_map(|pool| topics.pool_requests_beside(pool));
    let status = config.home_assistant.iter().map(HomeAssistant::status);
    let own = topics.doors(config.shortcut).into_iter().chain([topics.state()]);
    own.chain(orders).chain(requests).chain(status).collect()
}

/// A topic of a reply to the node itself: the access rules of `deploy/` let it write there as a node and read there as the
/// requester that every user is. The user of a certificate is not known here; by those rules it is the node's name.
fn own_reply(config: &Config) -> String {
    let user = config.broker.credentials.as_ref().map(|(name, _)| name.as_str());
    let names = [user, Some(&config.node)].into_iter().flatten();
    let client = names.filter_map(|name| Client::try_from(name).ok()).next().unwrap_or_else(Client::shortcut);
    config.topics.reply(&client, fresh_id().as_str(), "answer")
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
    let keeps = if probe.retention == Retention::Kept { ", keeps retained messages" } else { "" };
    let first = Finding::ok(ABOUT, format!("{place}: {name}, packets up to {packets}{keeps}"));
    let more = [privacy(config), room(probe), retention(probe), quality(probe), sharing(probe, config), rights(probe)];
    [Some(first)].into_iter().chain(more).chain([memory(name)]).flatten().collect()
}

fn privacy(config: &Config) -> Option<Finding> {
    let is_private = config.broker.transport.tls.is_some() || is_loopback(&config.broker.host);
    let what = "pictures, prompts and the password go over the network unencrypted";
    (!is_private).then(|| Finding::warn(ABOUT, what, "use mqtts:// (docs/security.md)"))
}

fn room(probe: &Probe) -> Option<Finding> {
    let what = format!("larger pictures go in parts of less than {}", size(probe.max_packet as u64));
    let fix = "raise the broker's packet limit (mosquitto: max_packet_size), or ask for smaller pictures";
    (probe.max_packet < SMALL_PACKET).then(|| Finding::warn(ABOUT, what, fix))
}

/// Who keeps no retained messages has to refuse a last will that is one (MQTT 5, 3.2.2.3.5).
fn retention(probe: &Probe) -> Option<Finding> {
    match &probe.retention {
        Retention::Untried if !probe.retains => Some(Finding::fail(
            ABOUT,
            "it keeps no retained messages, and takes no connection with a last will that is one, such as the service's",
            "allow retained messages (mosquitto: retain_available true)",
        )),
        Retention::Untried | Retention::Kept => None,
        Retention::Refused(reason) => Some(Finding::fail(
            ABOUT,
            format!("it does not let us publish answers: {reason}"),
            "give the node's user its topics (deploy/mosquitto/acl, deploy/emqx/acl.conf)",
        )),
        Retention::Lost => Some(Finding::warn(
            ABOUT,
            "a retained message did not come back: who comes later may not learn availability, info and state",
            "let every user read the replies to its own name (deploy/mosquitto/acl), or see why the broker forgets",
        )),
    }
}

fn quality(probe: &Probe) -> Option<Finding> {
    let fix = "take a broker with QoS 1: nothing is certain without";
    (probe.most_qos == 0).then(|| Finding::fail(ABOUT, "it knows only QoS 0", fix))
}

fn sharing(probe: &Probe, config: &Config) -> Option<Finding> {
    let fix = "pools need them: take another broker, or leave pool.names empty";
    let lacks = !probe.shares && !config.pools.is_empty();
    lacks.then(|| Finding::fail(ABOUT, "it has no shared subscriptions", fix))
}

fn rights(probe: &Probe) -> Option<Finding> {
    let what = format!("it does not let us subscribe to {}", probe.refused.join(", "));
    let fix = "give the node's user these topics (deploy/mosquitto/acl, deploy/emqx/acl.conf)";
    (!probe.refused.is_empty()).then(|| Finding::fail(ABOUT, what, fix))
}

/// What one broker is known for.
fn memory(name: &str) -> Option<Finding> {
    let what = "mosquitto forgets what it has taken since its last autosave when it is killed";
    let fix = "set persistence true and a short autosave_interval (deploy/mosquitto/mosquitto.conf); requesters repeat what was not accepted";
    let known = Finding { fix: Some(fix.to_owned()), ..Finding::ok(ABOUT, what) };
    name.starts_with("mosquitto version").then_some(known)
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
        let well = Probe {
            name: None,
            max_packet: 2_000_000,
            retains: true,
            retention: Retention::Kept,
            shares: true,
            most_qos: 2,
            refused: Vec::new(),
        };
        let good = "a broker that does not tell its name, packets up to 2.0 MB, keeps retained messages";
        assert_eq!(levels(&well, ""), [(Level::Ok, format!("box port 1883: {good}"))]);
        let alone = Probe { shares: false, ..well.clone() };
        assert_eq!(levels(&alone, "").len(), 1, "who has no pool needs no shared subscription");
        assert_eq!(levels(&alone, "[pool]\nnames = ['studio']")[1].0, Level::Fail);
        for ill in [
            Probe { retains: false, retention: Retention::Untried, ..well.clone() },
            Probe { retention: Retention::Refused("NotAuthorized".to_owned()), ..well.clone() },
            Probe { most_qos: 0, ..well.clone() },
            Probe { refused: vec!["diffused/jet1/request/+".to_owned()], ..well.clone() },
        ] {
            assert_eq!(levels(&ill, "")[1].0, Level::Fail, "{ill:?}");
        }
        assert_eq!(levels(&Probe { max_packet: 100_000, ..well.clone() }, "")[1].0, Level::Warn);
        assert_eq!(levels(&Probe { retention: Retention::Lost, ..well.clone() }, "")[1].0, Level::Warn);
        let open = "[mqtt]\nurl = 'mqtt://broker.lan'\nallow_plaintext = true";
        assert_eq!(levels(&well, open)[1].0, Level::Warn);
    }
}
