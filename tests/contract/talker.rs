//! One connection for many messages, in each version of the protocol.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS as Qos5;
use rumqttc::v5::mqttbytes::v5::Packet as Packet5;
use rumqttc::{Event, MqttOptions, Packet, QoS, v5};

use super::row::Row;
use crate::support::broker::Mosquitto;

/// Larger than anything that is sent here.
const PACKET: usize = 4_000_000;
/// Messages that may wait to be written.
const WAITING: usize = 64;

/// A publisher; what it was told to send is on its way in that order.
pub enum Talker {
    V311(rumqttc::Client, Receiver<()>, usize),
    V5(v5::Client, Receiver<()>, usize),
}

impl Talker {
    pub fn v311(broker: &Mosquitto) -> Self {
        let mut options = MqttOptions::new("talker-311", "127.0.0.1", broker.port);
        options.set_max_packet_size(PACKET, PACKET).set_keep_alive(Duration::from_secs(30));
        let (client, mut connection) = rumqttc::Client::new(options, WAITING);
        let (acknowledged, acknowledgements) = channel();
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_))) => drop(acknowledged.send(())),
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        });
        Self::V311(client, acknowledgements, 0)
    }

    pub fn v5(broker: &Mosquitto) -> Self {
        let mut options = v5::MqttOptions::new("talker-5", "127.0.0.1", broker.port);
        options.set_max_packet_size(Some(PACKET as u32)).set_keep_alive(Duration::from_secs(30));
        let (client, mut connection) = v5::Client::new(options, WAITING);
        let (acknowledged, acknowledgements) = channel();
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(v5::Event::Incoming(Packet5::PubAck(_) | Packet5::PubComp(_))) => drop(acknowledged.send(())),
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        });
        Self::V5(client, acknowledgements, 0)
    }

    /// Sends a row's message for `client`; false if the row needs what this version lacks.
    pub fn say(&mut self, row: &Row, client: &str) -> bool {
        if matches!(self, Self::V311(..)) && row.properties.is_some() {
            return false;
        }
        if let Some((name, file)) = &row.upload {
            self.publish(&format!("diffused/jet1/upload/{client}/{name}"), file, 1);
        }
        let topic = format!("diffused/jet1/{}/{client}", row.door.name());
        let payload = row.payload.clone();
        match self {
            Self::V311(sender, _, sent) => {
                sender.publish(topic, qos(row.qos), row.retained, payload).unwrap();
                *sent += usize::from(row.qos > 0);
            }
            Self::V5(sender, _, sent) => {
                let mut properties = row.properties.clone().unwrap_or_default();
                if let Some(response) = &mut properties.response_topic {
                    *response = response.replace("CLIENT", client);
                }
                sender.publish_with_properties(topic, qos5(row.qos), row.retained, payload, properties).unwrap();
                *sent += usize::from(row.qos > 0);
            }
        }
        true
    }

    /// Sends a message without properties.
    pub fn publish(&mut self, topic: &str, payload: &[u8], level: u8) {
        match self {
            Self::V311(sender, _, sent) => {
                sender.publish(topic, qos(level), false, payload).unwrap();
                *sent += usize::from(level > 0);
            }
            Self::V5(sender, _, sent) => {
                sender.publish(topic, qos5(level), false, payload.to_vec()).unwrap();
                *sent += usize::from(level > 0);
            }
        }
    }

    /// Waits until the broker has everything.
    pub fn finish(&mut self) {
        let (Self::V311(_, acknowledgements, sent) | Self::V5(_, acknowledgements, sent)) = self;
        for n in 0..std::mem::take(sent) {
            let acknowledged = acknowledgements.recv_timeout(crate::support::PATIENCE);
            assert!(acknowledged.is_ok(), "the connection ended after {n} messages");
        }
    }
}

fn qos(level: u8) -> QoS {
    rumqttc::qos(level).unwrap()
}

fn qos5(level: u8) -> Qos5 {
    rumqttc::v5::mqttbytes::qos(level).unwrap()
}
