//! What brokers make of two shared subscriptions with one name, as the nodes of a pool have them: a plain client, nothing
//! of ours.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Packet};
use rumqttc::v5::{Client, Event, MqttOptions};

use crate::support::PATIENCE;
use crate::support::broker::Mosquitto;
use crate::support::mqtt5::Mqtt5;

/// Messages to each of the two topics.
const EACH: usize = 20;
/// Without a message for so long there comes no more.
const SILENCE: Duration = Duration::from_secs(3);

/// How many of the messages come to a group of two members, each with these two subscriptions.
fn come(port: u16, filters: [&str; 2]) -> usize {
    let (sink, heard) = channel();
    let _members = ["m1", "m2"].map(|id| join(port, id, &filters, sink.clone()));
    let sender = join(port, "sender", &["to/nobody"], sink);
    let mut sent = BTreeSet::new();
    for message in (0..EACH).flat_map(|index| [format!("a/{index}"), format!("b/{index}")]) {
        sender.publish(&message, QoS::AtLeastOnce, false, "").unwrap();
        sent.insert(message);
    }
    let came = messages(&heard, sent.len());
    assert!(came.is_subset(&sent));
    came.len()
}

/// A connection that is subscribed; what comes goes to `sink`.
fn join(port: u16, id: &str, filters: &[&str], sink: Sender<String>) -> Client {
    let (client, mut connection) = Client::new(MqttOptions::new(id, "127.0.0.1", port), 64);
    client.subscribe_many(filters.iter().map(|path| Filter::new(*path, QoS::AtLeastOnce))).unwrap();
    let (granted, grants) = channel();
    thread::spawn(move || {
        for event in connection.iter() {
            match event {
                Ok(Event::Incoming(Packet::SubAck(_))) => drop(granted.send(())),
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    let _ = sink.send(String::from_utf8_lossy(&publish.topic).into_owned());
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
    });
    grants.recv_timeout(PATIENCE).expect("the broker must answer a subscription");
    client
}

fn messages(heard: &Receiver<String>, most: usize) -> BTreeSet<String> {
    let mut came = BTreeSet::new();
    while came.len() < most {
        let Ok(message) = heard.recv_timeout(SILENCE) else { break };
        came.insert(message);
    }
    came
}

const ONE_NAME: [&str; 2] = ["$share/pool/a/+", "$share/pool/b/+"];

#[test]
fn mosquitto_and_mqtt5_keep_two_shared_subscriptions_of_one_name_apart() {
    assert_eq!(come(Mosquitto::start().port, ONE_NAME), 2 * EACH);
    assert_eq!(come(Mqtt5::start().port, ONE_NAME), 2 * EACH);
}

/// The control, and why the broker of `diffused demo` is not for pools.
#[cfg(feature = "demo")]
#[test]
fn rumqttd_loses_messages_to_two_shared_subscriptions_of_one_name_but_not_of_two() {
    let start = || diffused::mqtt::broker::start().unwrap().port();
    assert!(come(start(), ONE_NAME) < 2 * EACH, "pools might work on it now: see docs/fleet.md");
    assert_eq!(come(start(), ["$share/one/a/+", "$share/two/b/+"]), 2 * EACH);
}
