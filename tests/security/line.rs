//! A connection as the service makes it, watched.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use diffused::config::{Config, Fault};
use diffused::mqtt::{Broker, Gate, Signal, link};
use rumqttc::v5::Client;

/// What the configuration's table `[mqtt]` with these lines says of the broker.
pub fn broker(folder: &Path, lines: &str) -> Broker {
    Config::parse(&format!("[mqtt]\n{lines}"), &folder.join("diffused.toml")).unwrap().broker
}

/// What is wrong with these lines of `[mqtt]`.
pub fn faults(folder: &Path, lines: &str) -> Vec<String> {
    let error = Config::parse(&format!("[mqtt]\n{lines}"), &folder.join("diffused.toml")).unwrap_err();
    error.faults.iter().map(Fault::to_string).collect()
}

pub struct Line {
    pub gate: Arc<Gate>,
    signals: Receiver<Signal>,
    stopping: Arc<AtomicBool>,
    client: Option<Client>,
}

impl Line {
    pub fn start(broker: Broker) -> Self {
        let (sender, signals) = sync_channel(256);
        let (stopping, gate) = (Arc::new(AtomicBool::new(false)), Arc::new(Gate::default()));
        let (stop, open) = (Arc::clone(&stopping), Arc::clone(&gate));
        std::thread::spawn(move || link::run(&broker, None, &sender, &stop, &open));
        Self { gate, signals, stopping, client: None }
    }

    /// The next signal that comes in time.
    pub fn next(&mut self, time: Duration) -> Option<Signal> {
        let signal = self.signals.recv_timeout(time).ok();
        if let Some(Signal::Up { client, .. }) = &signal {
            self.client = Some(client.clone());
        }
        signal
    }

    /// The first signal that fits, if it comes in time.
    pub fn wait<T>(&mut self, time: Duration, fits: impl Fn(Signal) -> Option<T>) -> Option<T> {
        let end = Instant::now() + time;
        loop {
            let signal = self.next(end.saturating_duration_since(Instant::now()))?;
            if let Some(found) = fits(signal) {
                return Some(found);
            }
        }
    }

    /// The handle of a connection that comes up in time, and whether the broker knew us.
    pub fn up(&mut self, time: Duration) -> Option<(Client, bool)> {
        self.wait(time, |signal| match signal {
            Signal::Up { client, session_present, .. } => Some((client, session_present)),
            _ => None,
        })
    }

    /// Whether a try to connect, or the connection, ends in time without another coming up.
    pub fn down(&mut self, time: Duration) -> bool {
        self.wait(time, |signal| match signal {
            Signal::Down { .. } => Some(true),
            Signal::Up { .. } => Some(false),
            _ => None,
        })
        .unwrap_or(false)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(client) = &self.client {
            let _ = client.try_disconnect();
        }
    }
}
