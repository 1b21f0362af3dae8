//! A supervisor that does with `WATCHDOG=1` what systemd does with it.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use super::node::Node;

/// Kills a node that does not say `WATCHDOG=1` in time, and starts it again.
pub struct Supervisor {
    pub node: Node,
    socket: UnixDatagram,
    limit: Duration,
    /// When the node said something last; nothing before it is ready.
    fed: Option<Instant>,
    /// How often it was killed for its silence.
    pub kills: usize,
}

impl Supervisor {
    /// Starts the node; `limit` is systemd's `WatchdogSec`.
    pub fn start(node: Node, folder: &Path, limit: Duration) -> Self {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut node =
            node.with("NOTIFY_SOCKET", path.to_str().unwrap()).with("WATCHDOG_USEC", &limit.as_micros().to_string());
        node.spawn();
        Self { node, socket, limit, fed: None, kills: 0 }
    }

    /// Looks after the node once; to be called often.
    pub fn look(&mut self) {
        let mut message = [0; 4096];
        loop {
            match self.socket.recv(&mut message) {
                Ok(length) => {
                    let text = String::from_utf8_lossy(&message[..length]);
                    if text.lines().any(|line| line == "READY=1" || line == "WATCHDOG=1") {
                        self.fed = Some(Instant::now());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("the notify socket: {error}"),
            }
        }
        let starved = self.fed.is_some_and(|fed| fed.elapsed() > self.limit);
        if starved || self.node.has_ended() {
            self.kills += usize::from(starved);
            self.node.kill();
            self.fed = None;
            self.node.spawn();
        }
    }
}
