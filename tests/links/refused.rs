//! A broker that says no: to a message, to a subscription, to a name.

use std::time::{Duration, Instant};

use rumqttc::v5::mqttbytes::v5::PublishProperties;
use serde_json::json;

use super::peer::{Peer, job, read};
use super::size::broker;
use super::{Behind, a_moment};
use crate::support::broker::Mosquitto;
use crate::support::shim::Way;

/// Whether `state` told of this alert at some time.
fn told_of(peer: &Peer, alert: &str) -> bool {
    let has = |state: &serde_json::Value| state["alerts"].as_array().is_some_and(|all| all.contains(&json!(alert)));
    peer.on("jet1/state").iter().any(|state| has(&read(state)))
}

#[test]
fn a_client_to_whom_nothing_may_be_said_does_not_hold_up_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("acl");
    std::fs::write(&rules, "topic deny diffused/+/reply/walled/#\ntopic readwrite #\n").unwrap();
    let mosquitto = Mosquitto::with(&format!("allow_anonymous true\nacl_file {}", rules.display()));
    let peer = Peer::start(mosquitto.port);
    let node = Behind::fair("jet1", mosquitto.port, &peer);
    assert!(!told_of(&peer, "publish_refused"));
    let request = r#"{"id":"w1","prompt":"x","steps":1,"output":{"part_bytes":2048}}"#;
    peer.say("diffused/jet1/request/walled", request, PublishProperties::default());
    peer.ask("jet1", "a1", &json!({"prompt": "x", "steps": 1}));
    let begun = Instant::now();
    peer.outcome(&job("jet1", "a1"));
    peer.pictures(&job("jet1", "a1")).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    crate::support::eventually("the alert", || told_of(&peer, "publish_refused"));
    crate::support::eventually("both were made", || node.node.painter.finished() == 2);
    assert!(peer.on("walled/w1/status").is_empty());
    assert_eq!(node.shim.connections(), 1);
}

#[test]
fn a_subscription_that_is_refused_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roles.json");
    let rule = json!({"acltype": "subscribePattern", "topic": "diffused/jet1/admin/#", "priority": 1, "allow": false});
    let roles = json!({
        "defaultACLAccess":
            {"publishClientSend": true, "publishClientReceive": true, "subscribe": true, "unsubscribe": true},
        "clients": [], "groups": [{"groupname": "all", "roles": [{"rolename": "some"}]}],
        "roles": [{"rolename": "some", "acls": [rule]}], "anonymousGroup": "all"
    });
    std::fs::write(&file, roles.to_string()).unwrap();
    let Some(plugin) = dynamic_security() else {
        panic!("mosquitto's plugin for dynamic security is not installed, it comes with the package mosquitto")
    };
    let lines = format!("allow_anonymous true\nplugin {plugin}\nplugin_opt_config_file {}", file.display());
    let mosquitto = Mosquitto::with(&lines);
    let peer = Peer::start(mosquitto.port);
    let _node = Behind::fair("jet1", mosquitto.port, &peer);
    crate::support::eventually("the alert", || told_of(&peer, "subscription_refused"));
    peer.ask("jet1", "a1", &json!({"prompt": "x", "steps": 1}));
    peer.outcome(&job("jet1", "a1"));
}

fn dynamic_security() -> Option<String> {
    let found = std::fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let found = found.chain(["/usr/lib".into()]).map(|folder| folder.join("mosquitto_dynamic_security.so"));
    found.filter(|path| path.exists()).map(|path| path.display().to_string()).next()
}

#[test]
fn a_broker_that_lost_everything_gets_requests_again_and_the_newest_picture_too() {
    let mut mosquitto = broker(0);
    let peer = Peer::start(mosquitto.port);
    let node = Behind::fair("jet1", mosquitto.port, &peer);
    for prompt in ["older", "newer"] {
        let count = node.node.painter.finished();
        peer.say("diffused/jet1/prompt", prompt, PublishProperties::default());
        crate::support::eventually("it is painted", || node.node.painter.finished() > count);
        a_moment();
    }
    let newest = peer.on("jet1/image").last().unwrap().payload.clone();
    assert_ne!(peer.on("jet1/image")[0].payload, newest);
    drop(peer);
    a_moment();
    mosquitto.stop();
    mosquitto.wipe();
    mosquitto.start_again();
    crate::support::eventually("the node is back", || node.shim.connections() == 2);
    a_moment();
    let peer = Peer::start(mosquitto.port);
    for topic in ["info", "state", "defaults", "image", "availability", "image/status"] {
        let kept = peer.first(&format!("diffused/jet1/{topic}"), |_| true);
        assert!(topic != "image" || kept.payload == newest, "another picture than the newest");
        assert!(kept.retain || topic == "state", "{topic} is not kept");
    }
    peer.ask("jet1", "a1", &json!({"prompt": "x", "steps": 1}));
    peer.outcome(&job("jet1", "a1"));
    peer.pictures(&job("jet1", "a1")).unwrap();
}

#[test]
fn a_node_whose_name_is_taken_leaves_it_and_one_that_was_only_cut_off_comes_back() {
    let mosquitto = broker(0);
    let peer = Peer::start(mosquitto.port);
    let elder = Behind::fair("jet1", mosquitto.port, &peer);
    a_moment();
    elder.shim.cut_after(Way::Up, 0);
    peer.ask("jet1", "a1", &json!({"prompt": "x", "steps": 1}));
    peer.outcome(&job("jet1", "a1"));
    peer.hears_word("jet1", "online", 2);
    a_moment();
    assert_eq!((elder.shim.cuts(), elder.shim.connections()), (1, 2));
    let younger = Behind::fair("jet1", mosquitto.port, &peer);
    peer.hears_word("jet1", "online", 3);
    // A broker that does not tell the elder why lets it come back once, to see that the name is another's now.
    std::thread::sleep(Duration::from_secs(7));
    let connections = || (elder.shim.connections(), younger.shim.connections());
    let settled = connections();
    assert!([(2, 1), (3, 2)].contains(&settled), "two nodes of one name throw each other out: {settled:?}");
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(connections(), settled);
    assert_eq!(peer.on("jet1/availability").last().unwrap().payload, "online");
    peer.ask("jet1", "a2", &json!({"prompt": "x", "steps": 1}));
    peer.outcome(&job("jet1", "a2"));
    assert_eq!((elder.node.painter.finished(), younger.node.painter.finished()), (1, 1));
}
