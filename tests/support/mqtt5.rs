//! A broker that is not mosquitto: the one of the crate `mqtt5`, in this process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use mqtt5::broker::config::{StorageBackend, StorageConfig};
use mqtt5::broker::{BrokerConfig, MqttBroker};
use tokio::runtime::{Builder, Runtime};

/// How long its tasks may take to end.
const FAREWELL: Duration = Duration::from_secs(10);

/// A running broker on a free loopback port, killed when dropped; sessions and messages are kept in memory.
pub struct Mqtt5 {
    pub port: u16,
    config: BrokerConfig,
    runtime: Option<Runtime>,
}

impl Mqtt5 {
    /// Everybody may do everything.
    pub fn start() -> Self {
        Self::run(0, BrokerConfig::default())
    }

    /// With a file of access rules, as `mqtt5` reads them.
    pub fn with_rules(rules: &Path) -> Self {
        let mut config = BrokerConfig::default();
        config.auth_config.acl_file = Some(rules.to_owned());
        Self::run(0, config)
    }

    /// Cuts all connections, and comes back on the same port with nothing in its memory.
    pub fn forget(&mut self) {
        self.kill();
        *self = Self::run(self.port, self.config.clone());
    }

    fn run(port: u16, config: BrokerConfig) -> Self {
        let storage = StorageConfig::default().with_backend(StorageBackend::Memory);
        let config = config.with_bind_address(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).with_storage(storage);
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut broker = runtime.block_on(MqttBroker::with_config(config.clone())).expect("mqtt5 must start");
        let port = broker.local_addr().expect("mqtt5 must listen").port();
        // What comes before it accepts waits in the listener's queue.
        runtime.spawn(async move { broker.run().await.expect("mqtt5 must run") });
        Self { port, config, runtime: Some(runtime) }
    }

    fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(FAREWELL);
        }
    }
}

impl Drop for Mqtt5 {
    fn drop(&mut self) {
        self.kill();
    }
}
