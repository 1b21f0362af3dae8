//! Brokers that take little, slow and torn lines, refusals, names that are taken.
//!
//! The tests here are the short form. The full form are the ignored tests of `full`:
//! `cargo test --test it -- links::full --ignored --test-threads 1 --nocapture`;
//! `docs/reliability-links.md` shows what they said.

mod full;
mod peer;
mod refused;
mod room;
mod size;
mod slow;
mod torn;

use std::time::Duration;

use self::peer::Peer;
use crate::support::fake::Painter;
use crate::support::node::Node;
use crate::support::shim::{Shim, Weather};

/// A node behind a line of its own.
struct Behind {
    node: Node,
    shim: Shim,
}

impl Behind {
    /// Called `name`, with more lines in its table `[mqtt]`; returns once it is online.
    fn online(name: &str, port: u16, weather: Weather, lines: &str, peer: &Peer) -> Self {
        let shim = Shim::start(port, weather);
        let mqtt = format!("[mqtt]\nurl = 'mqtt://127.0.0.1:{}'\n{lines}", shim.port);
        let painter = Painter { noise: true, ..Painter::default() };
        let limits = "[limits]\nper_client = 64\ncount = 16\npixels = 8388608";
        let node = Node::described(name, &mqtt, painter, limits, tempfile::tempdir().unwrap());
        peer.hears_word(name, "online", 1);
        Self { node, shim }
    }

    /// On a line without a fault.
    fn fair(name: &str, port: u16, peer: &Peer) -> Self {
        Self::online(name, port, Weather::default(), "", peer)
    }
}

/// Long enough for everything of one moment to be said.
fn a_moment() {
    std::thread::sleep(Duration::from_millis(300));
}
