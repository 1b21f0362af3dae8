//! Brokers of different make, as the tests of pools need them.

use std::path::Path;

use crate::support::broker::{Mosquitto, publish};
use crate::support::mqtt5::Mqtt5;

/// A running broker.
pub trait Make: Sized {
    /// Access rules in its own words: everything is allowed, but nobody may publish where requests are handed back.
    const NO_HANDBACK: &str;

    /// Lets everybody do everything.
    fn start() -> Self;

    fn with_rules(rules: &Path) -> Self;

    fn port(&self) -> u16;

    /// Cuts all connections, and comes back on the same port with nothing in its memory.
    fn forget(&mut self);

    fn publish(&self, topic: &str, payload: impl AsRef<[u8]>) {
        publish(self.port(), topic, payload, &[]);
    }
}

impl Make for Mosquitto {
    const NO_HANDBACK: &str = "topic read #\ntopic write ready\ntopic write diffused/+/+\n\
        topic write diffused/+/request/+\ntopic write diffused/pool/+/request/+\ntopic write diffused/+/reply/#\n";

    fn start() -> Self {
        Self::start()
    }

    fn with_rules(rules: &Path) -> Self {
        Self::with(&format!("allow_anonymous true\nacl_file {}", rules.display()))
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn forget(&mut self) {
        self.stop();
        self.wipe();
        self.start_again();
    }
}

impl Make for Mqtt5 {
    const NO_HANDBACK: &str = "user * topic # permission readwrite\nuser * topic $share/# permission read\n\
        user * topic diffused/pool/studio/handback/+/+ permission read\n";

    fn start() -> Self {
        Self::start()
    }

    fn with_rules(rules: &Path) -> Self {
        Self::with_rules(rules)
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn forget(&mut self) {
        self.forget();
    }
}
