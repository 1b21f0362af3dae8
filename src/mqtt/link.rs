//! The connection: one thread that connects, listens, and connects again.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, Instant};

use rumqttc::NetworkOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, ConnectReturnCode, LastWill, Packet};
use rumqttc::v5::{Client, Connection, ConnectionError, Event, MqttOptions, RecvTimeoutError};

use super::Signal;

/// Where the broker is and who we are to it.
#[derive(Clone)]
pub struct Broker {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
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

/// Requests that may be on their way to us unacknowledged.
const RECEIVE_MAXIMUM: u16 = 16;
/// Messages of ours that may be unacknowledged: the courier sends one at a time, a requester a few.
const IN_FLIGHT: u16 = 16;
/// Room for our own packets on their way to the connection's thread.
const CHANNEL: usize = 64;
/// Without a sign of life for so many keep-alives (our own pings are one) the connection hangs in a write.
const HANGS_AFTER: u32 = 4;
/// A connection that lived this long was a good one.
const GOOD: Duration = Duration::from_secs(30);
/// The first wait before connecting again; it doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

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
            client_id: String::new(),
            credentials: None,
            keep_alive: Duration::from_secs(30),
            session_expiry: Duration::from_secs(60),
            max_packet: 64 * 1024 * 1024,
        }
    }

    /// Options of a session that outlives its connections.
    pub fn options(&self) -> MqttOptions {
        let mut options = MqttOptions::new(&self.client_id, &self.host, self.port);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(20);
        options
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

/// Keeps a connection up until `stopping` is set, and tells the courier what happens on it.
///
/// Every connection gets a client object of its own: the library's queue never survives a break, only our outbox does.
pub fn run(broker: &Broker, will: Option<&LastWill>, signals: &SyncSender<Signal>, stopping: &Arc<AtomicBool>) {
    let mut wait = FIRST_WAIT;
    while !stopping.load(Ordering::Relaxed) {
        let mut options = broker.options();
        if let Some(will) = will {
            options.set_last_will(will.clone());
        }
        let (client, mut connection) = Client::new(options, CHANNEL);
        let begun = Instant::now();
        let ended = listen(client, &mut connection, broker.keep_alive * HANGS_AFTER, signals, stopping);
        if signals.send(Signal::Down { denied: ended.denied }).is_err() {
            return;
        }
        wait = if ended.was_up && begun.elapsed() >= GOOD { FIRST_WAIT } else { (wait * 2).min(LONGEST_WAIT) };
        pause(jittered(wait), stopping);
    }
}

/// How a connection ended.
#[derive(Default)]
struct Ended {
    was_up: bool,
    /// What the broker said, if it does not let us in.
    denied: Option<String>,
}

/// Passes on what the connection says until it breaks.
fn listen(
    client: Client,
    connection: &mut Connection,
    patience: Duration,
    signals: &SyncSender<Signal>,
    stopping: &AtomicBool,
) -> Ended {
    let mut ended = Ended::default();
    loop {
        let signal = match connection.recv_timeout(patience) {
            Ok(Ok(Event::Incoming(packet))) => match packet {
                Packet::ConnAck(answer) => {
                    ended.was_up = true;
                    tracing::info!(session_present = answer.session_present, "connected to the broker");
                    Some(Signal::Up { client: client.clone(), max_packet: max_packet(&answer) })
                }
                Packet::Publish(publish) => Some(Signal::Incoming(publish)),
                Packet::PubAck(ack) => Some(Signal::Acknowledged(ack.reason)),
                Packet::SubAck(ack) => Some(Signal::Granted(ack.return_codes)),
                _ => None,
            },
            Ok(Ok(Event::Outgoing(_))) => None,
            Ok(Err(error)) => {
                if !stopping.load(Ordering::Relaxed) {
                    tracing::warn!(%error, "no connection to the broker");
                }
                ended.denied = denied(&error);
                return ended;
            }
            // The library's rule against time-outs is about going on afterwards; this connection is thrown away.
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!("the connection to the broker hangs, it is given up");
                return ended;
            }
            Err(RecvTimeoutError::Disconnected) => return ended,
        };
        if signal.is_some_and(|signal| signals.send(signal).is_err()) {
            return ended;
        }
    }
}

/// The broker's refusal, if that is what went wrong.
fn denied(error: &ConnectionError) -> Option<String> {
    use ConnectReturnCode::{BadClientId, BadUserNamePassword, Banned, ClientIdentifierNotValid, NotAuthorized};
    match error {
        ConnectionError::ConnectionRefused(
            code @ (BadClientId | BadUserNamePassword | Banned | ClientIdentifierNotValid | NotAuthorized),
        ) => Some(format!("{code:?}")),
        _ => None,
    }
}

/// A broker that names no limit takes what the protocol can express.
fn max_packet(answer: &ConnAck) -> usize {
    const PROTOCOL: usize = 268_435_460;
    let limit = answer.properties.as_ref().and_then(|properties| properties.max_packet_size);
    limit.map_or(PROTOCOL, |bytes| bytes as usize)
}

/// Between half and the whole of a wait, so that many nodes do not come back in one moment.
fn jittered(wait: Duration) -> Duration {
    let mut byte = [0];
    let _ = getrandom::fill(&mut byte);
    wait.mul_f64(0.5 + f64::from(byte[0]) / 510.0)
}

fn pause(wait: Duration, stopping: &AtomicBool) {
    let end = Instant::now() + wait;
    while !stopping.load(Ordering::Relaxed) && Instant::now() < end {
        thread::sleep(Duration::from_millis(50));
    }
}

/// What the broker says for us once we are gone.
pub fn last_will(topic: String) -> LastWill {
    LastWill::new(topic, "offline", QoS::AtLeastOnce, true, None)
}
