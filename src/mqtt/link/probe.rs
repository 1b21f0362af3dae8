//! A short visit to the broker that asks what it can do and whether it lets us in; nothing is published.

use std::time::{Duration, Instant};

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, ConnAckProperties, Filter, Packet, SubscribeReasonCode};
use rumqttc::v5::{Client, Connection, Event, MqttOptions};

use super::{Broker, fault, max_packet};

/// Where brokers tell of themselves.
const ABOUT: &str = "$SYS/broker/version";
/// How long the broker may take for what is asked next.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait for what a broker need not tell.
const MOMENT: Duration = Duration::from_millis(700);
/// Room for our own packets.
const CHANNEL: usize = 8;

/// What a broker says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Its name and version, if it tells them.
    pub name: Option<String>,
    /// Largest packet that it takes, in bytes.
    pub max_packet: usize,
    /// Whether it keeps retained messages.
    pub retains: bool,
    /// Whether several clients can share a subscription.
    pub shares: bool,
    /// Highest quality of service.
    pub most_qos: u8,
    /// Topics that it does not let us subscribe to.
    pub refused: Vec<String>,
}

/// Why nothing could be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The broker does not let us in.
    #[error("the broker does not let us in: {0}")]
    Denied(String),
    /// There is no connection, or it broke.
    #[error("{0}")]
    Broken(String),
    /// Nothing came.
    #[error("the broker does not answer")]
    Silent,
}

impl Broker {
    /// Visits the broker under a name beside our own, so that a service that is at work keeps its connection, and tries to
    /// subscribe to `topics`.
    pub fn probe(&self, topics: &[String]) -> Result<Probe, ProbeError> {
        let visitor =
            Self { client_id: format!("{}-doctor", self.client_id), session_expiry: Duration::ZERO, ..self.clone() };
        let mut options: MqttOptions = visitor.options();
        options.set_clean_start(true);
        let (client, mut connection) = Client::new(options, CHANNEL);
        let answer = next(&mut connection, PATIENCE, |packet| match packet {
            Packet::ConnAck(answer) => Some(answer),
            _ => None,
        })?;
        let wanted = topics.iter().map(|topic| Filter::new(topic.clone(), QoS::AtLeastOnce));
        let unsent = |error: rumqttc::v5::ClientError| ProbeError::Broken(error.to_string());
        client.try_subscribe_many(wanted).map_err(unsent)?;
        let codes = next(&mut connection, PATIENCE, |packet| match packet {
            Packet::SubAck(answer) => Some(answer.return_codes),
            _ => None,
        })?;
        client.try_subscribe(ABOUT, QoS::AtMostOnce).map_err(unsent)?;
        let name = next(&mut connection, MOMENT, |packet| match packet {
            Packet::Publish(publish) if publish.topic == ABOUT => Some(publish.payload),
            _ => None,
        });
        let _ = client.try_disconnect();
        let _ = next(&mut connection, MOMENT, |_| None::<()>);
        let granted = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
        let refused = topics.iter().zip(&codes).filter(|(_, code)| !granted(code)).map(|(topic, _)| topic.clone());
        let name = name.ok().map(|name| String::from_utf8_lossy(&name).into_owned());
        Ok(Probe::of(&answer, name, refused.collect()))
    }
}

impl Probe {
    /// What a broker does not say it can.
    fn of(answer: &ConnAck, name: Option<String>, refused: Vec<String>) -> Self {
        let told = |of: fn(&ConnAckProperties) -> Option<u8>| answer.properties.as_ref().and_then(of);
        Self {
            name,
            max_packet: max_packet(answer),
            retains: told(|told| told.retain_available) != Some(0),
            shares: told(|told| told.shared_subscription_available) != Some(0),
            most_qos: told(|told| told.max_qos).unwrap_or(2),
            refused,
        }
    }
}

/// The first packet that is wanted.
fn next<T>(
    connection: &mut Connection,
    patience: Duration,
    wanted: impl Fn(Packet) -> Option<T>,
) -> Result<T, ProbeError> {
    let end = Instant::now() + patience;
    loop {
        match connection.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(Ok(Event::Incoming(packet))) => {
                if let Some(found) = wanted(packet) {
                    return Ok(found);
                }
            }
            Ok(Ok(Event::Outgoing(_))) => {}
            Ok(Err(error)) => {
                return Err(match fault::denied(&error) {
                    Some(reason) => ProbeError::Denied(reason),
                    None => ProbeError::Broken(fault::sentence(&error)),
                });
            }
            Err(_) => return Err(ProbeError::Silent),
        }
    }
}
