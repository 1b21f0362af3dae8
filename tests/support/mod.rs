//! What the tests share: real brokers, an independent listener, a service with a fake generator, the built program.

pub mod broker;
pub mod changes;
pub mod contract;
pub mod fake;
pub mod flat;
pub mod listener;
pub mod mqtt5;
pub mod node;
pub mod orin;
pub mod pixels;
pub mod preload;
pub mod program;
pub mod script;
pub mod shim;

use std::time::{Duration, Instant};

/// Long enough for a busy machine; nothing waits this long unless something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `done` is true.
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "{what} did not happen within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
