//! The embedded broker of `diffused demo`: loopback only, a free port, nothing kept on disk.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};

/// The largest picture of a demo fits.
const MAX_PAYLOAD: usize = 16 * 1024 * 1024;
/// How long the broker may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// The broker could not be started.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// No port, or no thread.
    #[error("the embedded broker cannot listen: {0}")]
    Listen(#[from] std::io::Error),
    /// It does not answer.
    #[error("the embedded broker does not answer on {0}")]
    Silent(SocketAddr),
}

/// Starts the broker on a free loopback port and returns its address. It runs until the process ends.
pub fn start() -> Result<SocketAddr, BrokerError> {
    let listen = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    thread::Builder::new().name("broker".to_owned()).spawn(move || {
        if let Err(error) = Broker::new(config(listen)).start() {
            tracing::error!(%error, "the embedded broker ended");
        }
    })?;
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect(listen).is_err() {
        if Instant::now() >= end {
            return Err(BrokerError::Silent(listen));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(listen)
}

fn config(listen: SocketAddr) -> Config {
    let connections = ConnectionSettings {
        connection_timeout_ms: 10_000,
        max_payload_size: MAX_PAYLOAD,
        max_inflight_count: 100,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    // Both protocol versions on one port would need two listeners; devices of a demo speak version 5 to us and
    // mosquitto's clients are told to.
    let server = ServerSettings { name: "v5".to_owned(), listen, tls: None, next_connection_delay_ms: 1, connections };
    Config {
        id: 0,
        router: RouterConfig {
            max_connections: 100,
            max_outgoing_packet_count: 200,
            max_segment_size: 64 * 1024 * 1024,
            max_segment_count: 4,
            ..RouterConfig::default()
        },
        v4: None,
        v5: Some(HashMap::from([("1".to_owned(), server)])),
        ws: None,
        cluster: None,
        console: None,
        bridge: None,
        prometheus: None,
        metrics: None,
    }
}
