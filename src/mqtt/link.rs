//! The connection: one thread that connects, listens, and connects again.

mod fault;
mod gate;
mod numbers;
mod probe;
mod waits;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, Instant};

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, LastWill, LastWillProperties, Packet};
use rumqttc::v5::{Client, Connection, ConnectionError, Event, MqttOptions, RecvTimeoutError};
use rumqttc::{NetworkOptions, Outgoing};

pub use self::gate::Gate;
use self::numbers::Numbers;
pub use self::probe::{Probe, ProbeError, Retention};
use self::waits::{Outcome, Waits, chance};
use super::{Signal, Transport};

/// Where the broker is and who we are to it.
#[derive(Clone)]
pub struct Broker {
    /// Host name or address; an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How bytes get there.
    pub transport: Transport,
    /// Our name; the broker keeps our session under it.
    pub client_id: String,
    /// User name and password.
    pub credentials: Option<(String, String)>,
    /// Silence after which the connection is tested.
    pub keep_alive: Duration,
    /// How long the broker keeps our session while we are away.
    pub session_expiry: Duration,
    /// Largest packet that we take, in bytes.
    pub max_packet: u32,
}

/// Topics of one subscription: brokers in the cloud take no more.
pub(super) const FILTERS: usize = 8;
/// Requests that may be on their way to us unacknowledged.
const RECEIVE_MAXIMUM: u16 = 16;
/// Packet identifiers for messages of ours: twice as many as the courier has on their way, as subscriptions use some.
const IN_FLIGHT: u16 = 32;
/// Room for our own packets on their way to the connection's thread.
const CHANNEL: usize = 64;
/// Without a sign of life for so many keep-alives (our own pings are one) the connection hangs in a write.
const HANGS_AFTER: u32 = 4;
/// Bytes a second of the slowest line on which a connection is kept.
const SLOWEST: u32 = 16_384;

impl fmt::Debug for Broker {
    /// Without the password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Broker").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Broker {
    /// What a requester sets beside its address and name: it takes large pictures, and the broker remembers it for a minute.
    pub fn for_requester() -> Self {
        Self {
            host: String::new(),
            port: 0,
            transport: Transport::default(),
            client_id: String::new(),
            credentials: None,
            keep_alive: Duration::from_secs(30),
            session_expiry: Duration::from_secs(60),
            max_packet: 64 * 1024 * 1024,
        }
    }

    /// Bytes that the kernel takes from us before it has sent them.
    ///
    /// A ping waits behind them, and the library gives the connection up if it is not answered within a keep-alive. It
    /// sends none while the kernel takes no more, so a packet may take longer than that. Linux doubles the number.
    fn send_buffer(&self) -> u32 {
        u32::try_from(self.keep_alive.as_secs()).unwrap_or(u32::MAX).clamp(4, 60) * (SLOWEST / 4)
    }

    /// Options of a session that outlives its connections.
    pub fn options(&self) -> MqttOptions {
        let (address, transport) = self.transport.address(&self.host, self.port);
        let mut options = MqttOptions::new(&self.client_id, address, self.port);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(20);
        network.set_tcp_send_buffer_size(self.send_buffer());
        options
            .set_transport(transport)
            .set_network_options(network)
            .set_connection_timeout(20)
            .set_keep_alive(self.keep_alive)
            .set_clean_start(false)
            .set_session_expiry_interval(Some(u32::try_from(self.session_expiry.as_secs()).unwrap_or(u32::MAX)))
            .set_max_packet_size(Some(self.max_packet))
            .set_receive_maximum(Some(RECEIVE_MAXIMUM))
            .set_outgoing_inflight_upper_limit(IN_FLIGHT)
            .set_manual_acks(true);
        if let Some((name, password)) = &self.credentials {
            options.set_credentials(name, password);
        }
        options
    }
}

/// How long a closed gate leaves for what is being said: a connection ends earlier with its DISCONNECT.
const GOODBYE: Duration = Duration::from_secs(1);

/// Keeps a connection up until `stopping` is set, except while `gate` is closed, and tells the courier what happens on it.
///
/// Every connection gets a client object of its own: the library's queue never survives a break, only our outbox does.
pub fn run(broker: &Broker, will: Option<&LastWill>, signals: &SyncSender<Signal>, stopping: &AtomicBool, gate: &Gate) {
    let mut waits = Waits::new();
    let stop = || stopping.load(Ordering::Relaxed);
    loop {
        pause(|| !stop() && !gate.is_open());
        if stop() {
            return;
        }
        let mut options = broker.options();
        if let Some(will) = will {
            options.set_last_will(will.clone());
        }
        let (client, mut connection) = Client::new(options, CHANNEL);
        let patience = broker.keep_alive * HANGS_AFTER;
        let mut ear = Ear { client, patience, signals, stopping, gate, numbers: Numbers::default() };
        let ended = ear.listen(&mut connection);
        drop(connection);
        let outcome = ended.outcome();
        if ended.taken {
            tracing::error!(client_id = broker.client_id, "another connection has taken our name over, we keep away");
        }
        if (ended.taken && signals.send(Signal::Taken).is_err())
            || signals.send(Signal::Down { denied: ended.denied, too_large: ended.too_large }).is_err()
        {
            return;
        }
        let end = Instant::now() + waits.next(outcome, chance());
        pause(|| !stop() && Instant::now() < end);
    }
}

/// How a connection ended.
#[derive(Default)]
struct Ended {
    up_since: Option<Instant>,
    /// Another connection has our name.
    taken: bool,
    /// What the broker said, if it does not let us in.
    denied: Option<String>,
    /// It found our last message too large.
    too_large: bool,
}

impl Ended {
    fn outcome(&self) -> Outcome {
        match self.up_since {
            _ if self.taken => Outcome::Taken,
            Some(up) => Outcome::Lived(up.elapsed()),
            None => Outcome::Failed,
        }
    }
}

/// Passes on what one connection says.
struct Ear<'a> {
    client: Client,
    patience: Duration,
    signals: &'a SyncSender<Signal>,
    stopping: &'a AtomicBool,
    gate: &'a Gate,
    numbers: Numbers,
}

impl Ear<'_> {
    /// Listens until the connection breaks, or the gate was closed and what was said before is through.
    fn listen(&mut self, connection: &mut Connection) -> Ended {
        let mut ended = Ended::default();
        let mut closed: Option<Instant> = None;
        loop {
            if !self.gate.is_open() {
                closed.get_or_insert_with(Instant::now);
            }
            let left = closed.map(|since| GOODBYE.saturating_sub(since.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                tracing::info!("the connection to the broker is closed for now");
                return ended;
            }
            let event = match connection.recv_timeout(left.unwrap_or(self.patience)) {
                Ok(Ok(event)) => event,
                Ok(Err(error)) => {
                    self.broken(&error, &mut ended);
                    return ended;
                }
                // The library's rule against time-outs is about going on afterwards; this connection is thrown away.
                Err(RecvTimeoutError::Timeout) if closed.is_some() => continue,
                Err(RecvTimeoutError::Timeout) => {
                    tracing::warn!("the connection to the broker hangs, it is given up");
                    return ended;
                }
                Err(RecvTimeoutError::Disconnected) => return ended,
            };
            if matches!(event, Event::Incoming(Packet::ConnAck(_))) {
                ended.up_since = Some(Instant::now());
            }
            if self.signal(event).is_some_and(|signal| self.signals.send(signal).is_err()) {
                return ended;
            }
        }
    }

    fn signal(&mut self, event: Event) -> Option<Signal> {
        match event {
            Event::Incoming(Packet::ConnAck(answer)) => {
                let session_present = answer.session_present;
                tracing::info!(session_present, "connected to the broker");
                Some(Signal::Up { client: self.client.clone(), max_packet: max_packet(&answer), session_present })
            }
            Event::Incoming(Packet::Publish(publish)) => Some(Signal::Incoming(publish)),
            Event::Incoming(Packet::PubAck(ack)) => {
                let number = self.numbers.acknowledged(ack.pkid)?;
                Some(Signal::Acknowledged { number, reason: ack.reason })
            }
            Event::Incoming(Packet::SubAck(ack)) => Some(Signal::Granted(ack.return_codes)),
            Event::Outgoing(Outgoing::Publish(packet)) => {
                self.numbers.sent(packet);
                None
            }
            Event::Incoming(_) | Event::Outgoing(_) => None,
        }
    }

    fn broken(&self, error: &ConnectionError, ended: &mut Ended) {
        ended.taken = fault::taken(error);
        ended.denied = fault::denied(error);
        ended.too_large = ended.up_since.is_some() && fault::too_large(error);
        if !self.stopping.load(Ordering::Relaxed) && self.gate.is_open() {
            tracing::warn!(error = fault::sentence(error), "no connection to the broker");
        }
    }
}

/// A broker that names no limit takes what the protocol can express.
fn max_packet(answer: &ConnAck) -> usize {
    const PROTOCOL: usize = 268_435_460;
    let limit = answer.properties.as_ref().and_then(|properties| properties.max_packet_size);
    limit.map_or(PROTOCOL, |bytes| bytes as usize)
}

/// Waits while `holds`.
fn pause(holds: impl Fn() -> bool) {
    while holds() {
        thread::sleep(Duration::from_millis(50));
    }
}

/// What the broker says for us once we are gone.
pub fn last_will(topic: String) -> LastWill {
    let properties = LastWillProperties {
        delay_interval: None,
        payload_format_indicator: Some(1),
        message_expiry_interval: None,
        content_type: Some("text/plain".to_owned()),
        response_topic: None,
        correlation_data: None,
        user_properties: Vec::new(),
    };
    LastWill::new(topic, "offline", QoS::AtLeastOnce, true, Some(properties))
}
