//! A short visit to the broker that asks what it can do and whether it lets us in. All that is published is a message that
//! the broker is to keep for a moment.

use std::time::{Duration, Instant};

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnAckProperties, Filter, Packet, PubAckReason, PublishProperties, SubscribeReasonCode,
};
use rumqttc::v5::{Client, ClientError, Connection, Event, MqttOptions};

use super::{Broker, FILTERS, fault, max_packet};

/// Where brokers tell of themselves.
const ABOUT: &str = "$SYS/broker/version";
/// How long the broker may take for what is asked next.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait for what a broker need not tell.
const MOMENT: Duration = Duration::from_millis(700);
/// How long a kept message may take to come back.
const KEPT: Duration = Duration::from_secs(3);
/// Should the visit end half-way, the broker forgets what it was to keep after so many seconds.
const FORGOTTEN: u32 = 60;
/// Room for our own packets.
const CHANNEL: usize = 8;

/// What a broker says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Its name and version, if it tells them.
    pub name: Option<String>,
    /// Largest packet that it takes, in bytes.
    pub max_packet: usize,
    /// Whether it says that it keeps retained messages.
    pub retains: bool,
    /// Whether it really does.
    pub retention: Retention,
    /// Whether several clients can share a subscription.
    pub shares: bool,
    /// Highest quality of service.
    pub most_qos: u8,
    /// Topics that it does not let us subscribe to.
    pub refused: Vec<String>,
}

/// What became of a message that the broker was to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retention {
    /// It was not sent: the broker says itself that it keeps none, or that it acknowledges none.
    Untried,
    /// It came back to who subscribed after it, and was taken away again.
    Kept,
    /// The broker did not take it, and says why.
    Refused(String),
    /// The broker took it, and it did not come back.
    Lost,
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
    /// Visits the broker under a name beside our own, so that a service that is at work keeps its connection; tries to
    /// subscribe to `topics`, and to have a message kept at `kept`, a topic that nobody else uses.
    pub fn probe(&self, topics: &[String], kept: &str) -> Result<Probe, ProbeError> {
        let (mut visit, answer) = self.visit()?;
        let refused = visit.refused(topics)?;
        let mut probe = Probe::of(&answer, refused);
        if probe.retains && probe.most_qos > 0 {
            probe.retention = visit.retention(kept)?;
        }
        // Last, for many brokers never answer this.
        probe.name = visit.name()?;
        visit.end();
        Ok(probe)
    }

    fn visit(&self) -> Result<(Visit, ConnAck), ProbeError> {
        let visitor =
            Self { client_id: format!("{}-doctor", self.client_id), session_expiry: Duration::ZERO, ..self.clone() };
        let mut options: MqttOptions = visitor.options();
        options.set_clean_start(true);
        let (client, connection) = Client::new(options, CHANNEL);
        let mut visit = Visit { client, connection };
        let answer = visit.next(PATIENCE, |packet| match packet {
            Packet::ConnAck(answer) => Some(answer),
            _ => None,
        })?;
        Ok((visit, answer))
    }
}

impl Probe {
    /// What a broker does not say it can.
    fn of(answer: &ConnAck, refused: Vec<String>) -> Self {
        let told = |of: fn(&ConnAckProperties) -> Option<u8>| answer.properties.as_ref().and_then(of);
        Self {
            name: None,
            max_packet: max_packet(answer),
            retains: told(|told| told.retain_available) != Some(0),
            retention: Retention::Untried,
            shares: told(|told| told.shared_subscription_available) != Some(0),
            most_qos: told(|told| told.max_qos).unwrap_or(2),
            refused,
        }
    }
}

/// A connection on which one thing is asked after another.
struct Visit {
    client: Client,
    connection: Connection,
}

impl Visit {
    /// Those of the topics to which the broker does not let us subscribe.
    fn refused(&mut self, topics: &[String]) -> Result<Vec<String>, ProbeError> {
        let mut codes = Vec::new();
        for some in topics.chunks(FILTERS) {
            let wanted = some.iter().map(|topic| Filter::new(topic.clone(), QoS::AtLeastOnce));
            self.client.try_subscribe_many(wanted)?;
            codes.extend(self.next(PATIENCE, |packet| match packet {
                Packet::SubAck(answer) => Some(answer.return_codes),
                _ => None,
            })?);
        }
        let granted = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
        let refused = topics.iter().zip(&codes).filter(|(_, code)| !granted(code));
        Ok(refused.map(|(topic, _)| topic.clone()).collect())
    }

    fn name(&mut self) -> Result<Option<String>, ProbeError> {
        self.client.try_subscribe(ABOUT, QoS::AtMostOnce)?;
        let name = self.next(MOMENT, |packet| match packet {
            Packet::Publish(publish) if publish.topic == ABOUT => Some(publish.payload),
            _ => None,
        });
        Ok(name.ok().map(|name| String::from_utf8_lossy(&name).into_owned()))
    }

    /// Has a message kept at `topic`, subscribes as who comes later does, and takes it away again.
    fn retention(&mut self, topic: &str) -> Result<Retention, ProbeError> {
        match self.keep(topic, "{}")? {
            PubAckReason::Success | PubAckReason::NoMatchingSubscribers => {}
            reason => return Ok(Retention::Refused(format!("{reason:?}"))),
        }
        self.client.try_subscribe(topic, QoS::AtMostOnce)?;
        let back = self.next(KEPT, |packet| match packet {
            Packet::Publish(publish) if publish.topic == topic => Some(publish.retain),
            _ => None,
        });
        self.keep(topic, "")?;
        match back {
            Ok(true) => Ok(Retention::Kept),
            Ok(false) | Err(ProbeError::Silent) => Ok(Retention::Lost),
            Err(error) => Err(error),
        }
    }

    /// Publishes what is to be kept; an empty payload takes it away.
    fn keep(&mut self, topic: &str, payload: &'static str) -> Result<PubAckReason, ProbeError> {
        let properties = PublishProperties { message_expiry_interval: Some(FORGOTTEN), ..PublishProperties::default() };
        self.client.try_publish_with_properties(topic, QoS::AtLeastOnce, true, payload, properties)?;
        self.next(PATIENCE, |packet| match packet {
            Packet::PubAck(answer) => Some(answer.reason),
            _ => None,
        })
    }

    fn end(mut self) {
        let _ = self.client.try_disconnect();
        let _ = self.next(MOMENT, |_| None::<()>);
    }

    /// The first packet that is wanted.
    fn next<T>(&mut self, patience: Duration, wanted: impl Fn(Packet) -> Option<T>) -> Result<T, ProbeError> {
        let end = Instant::now() + patience;
        loop {
            match self.connection.recv_timeout(end.saturating_duration_since(Instant::now())) {
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
}

impl From<ClientError> for ProbeError {
    fn from(error: ClientError) -> Self {
        Self::Broken(error.to_string())
    }
}
