//! A mosquitto with the shipped access rules, and those who talk to it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Packet, PubAckReason};
use rumqttc::v5::{Client, Event, MqttOptions};
use tempfile::TempDir;

use crate::support::broker::Mosquitto;
use crate::support::program::root;
use crate::support::{PATIENCE, eventually};

/// Sees and says everything; not in the shipped rules.
pub const AUDITOR: &str = "auditor";
/// Everybody's.
pub const PASSWORD: &str = "correct horse";

pub struct Guarded {
    pub broker: Mosquitto,
    _folder: TempDir,
}

impl Guarded {
    /// With the shipped rules as `change` makes them, and an auditor.
    pub fn start(users: &[&str], change: impl Fn(String) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let acl = std::fs::read_to_string(root().join("deploy/mosquitto/acl")).unwrap();
        let acl = format!("{}\nuser {AUDITOR}\ntopic readwrite #\n", change(acl));
        std::fs::write(folder.path().join("acl"), acl).unwrap();
        passwords(&folder.path().join("passwords"), users);
        let place = folder.path().display();
        // Not 0, for no limit: mosquitto 2.0.11 then drops the connection of whoever publishes after a refusal.
        let broker = Mosquitto::with(&format!(
            "allow_anonymous false\npassword_file {place}/passwords\nacl_file {place}/acl\n\
             max_queued_messages 100000"
        ));
        Self { broker, _folder: folder }
    }

    /// Somebody who shows this user name.
    pub fn person(&self, user: &str) -> Person {
        Person::connect(self.broker.port, user)
    }
}

/// A password file for these users and the auditor.
pub fn passwords(file: &Path, users: &[&str]) {
    std::fs::write(file, "").unwrap();
    for user in users.iter().chain([&AUDITOR]) {
        let status = Command::new("mosquitto_passwd").arg("-b").arg(file).args([user, PASSWORD]).status();
        assert!(status.expect("mosquitto_passwd comes with mosquitto").success());
    }
}

/// A connection under a user name.
pub struct Person {
    client: Client,
    events: Receiver<Packet>,
    refused: bool,
}

impl Person {
    /// To a broker on this machine.
    pub fn connect(port: u16, user: &str) -> Self {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).unwrap();
        let mut options = MqttOptions::new(format!("person-{:x}", u64::from_le_bytes(bytes)), "127.0.0.1", port);
        options
            .set_credentials(user, PASSWORD)
            .set_max_packet_size(Some(1 << 20))
            .set_keep_alive(Duration::from_secs(60));
        let (client, mut connection) = Client::new(options, 1000);
        let (sender, events) = sync_channel(10_000);
        std::thread::spawn(move || {
            while let Ok(Ok(event)) = connection.recv() {
                let Event::Incoming(packet) = event else { continue };
                if sender.send(packet).is_err() {
                    return;
                }
            }
        });
        let mut person = Self { client, events, refused: false };
        person.refused = person.wait(|packet| matches!(packet, Packet::ConnAck(_)).then_some(())).is_none();
        person
    }

    /// Whether the broker did not let us in.
    pub fn is_refused(&self) -> bool {
        self.refused
    }

    /// Publishes and says whether the broker claims to have taken it.
    pub fn publish(&self, topic: &str, payload: &str, retain: bool) -> bool {
        self.client.try_publish(topic, QoS::AtLeastOnce, retain, payload.to_owned()).unwrap();
        let reason = self.wait(|packet| match packet {
            Packet::PubAck(ack) => Some(ack.reason),
            _ => None,
        });
        matches!(reason, Some(PubAckReason::Success | PubAckReason::NoMatchingSubscribers))
    }

    pub fn subscribe<'a>(&self, filters: impl IntoIterator<Item = &'a str>) {
        let filters = filters.into_iter().map(|path| Filter::new(path.to_owned(), QoS::AtLeastOnce));
        self.client.try_subscribe_many(filters).unwrap();
        self.wait(|packet| matches!(packet, Packet::SubAck(_)).then_some(())).expect("an answer to the subscription");
    }

    /// The payloads that have come since.
    pub fn heard(&self) -> BTreeSet<String> {
        let published = |packet| match packet {
            Packet::Publish(publish) => Some(String::from_utf8_lossy(&publish.payload).into_owned()),
            _ => None,
        };
        // Whatever was sent before this answer has come.
        self.client.try_subscribe("nothing", QoS::AtLeastOnce).unwrap();
        let mut heard = BTreeSet::new();
        loop {
            match self.events.recv_timeout(PATIENCE).expect("an answer to the subscription") {
                Packet::SubAck(_) => return heard,
                packet => heard.extend(published(packet)),
            }
        }
    }

    fn wait<T>(&self, fits: impl Fn(Packet) -> Option<T>) -> Option<T> {
        while let Ok(packet) = self.events.recv_timeout(PATIENCE) {
            if let Some(found) = fits(packet) {
                return Some(found);
            }
        }
        None
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = self.client.try_disconnect();
    }
}

/// Waits until a message from the auditor has made its way.
pub fn settle(guarded: &Guarded) {
    let (says, hears) = (guarded.person(AUDITOR), guarded.person(AUDITOR));
    hears.subscribe(["settle"]);
    says.publish("settle", "1", false);
    eventually("the broker has delivered everything", || hears.heard().contains("1"));
}
