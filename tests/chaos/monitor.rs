//! Watches the availability of the node from outside.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use super::wire::{Heard, Wire};

/// A watcher that connects again at once whenever the broker comes back.
pub struct Monitor {
    online: Arc<Mutex<Vec<i64>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Monitor {
    pub fn start(port: u16) -> Self {
        let (online, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (sink, flag) = (Arc::clone(&online), Arc::clone(&stop));
        let thread = Some(thread::spawn(move || watch(port, &sink, &flag)));
        Self { online, stop, thread }
    }

    /// When the node was first known to be online at or after `time`, in microseconds since 1970.
    pub fn online_after(&self, time: i64) -> Option<i64> {
        self.online.lock().unwrap().iter().copied().find(|seen| *seen >= time)
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn watch(port: u16, online: &Mutex<Vec<i64>>, stop: &AtomicBool) {
    let filters = ["diffused/jet1/availability", "diffused/jet1/info"].map(str::to_owned);
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut wire) = Wire::open(port, "monitor", true, &filters) else {
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        // What the broker kept may be older than the node's death: it counts only beside an `info` as young.
        let (mut kept_online, mut info) = (false, 0);
        while let (false, Ok(heard)) = (stop.load(Ordering::Relaxed), wire.hear(Duration::from_millis(50))) {
            for heard in heard {
                match (heard.topic.ends_with("/info"), heard.payload.as_slice()) {
                    (true, _) => info = written(&heard).unwrap_or(info),
                    (false, b"online") if !heard.retained => online.lock().unwrap().push(super::now()),
                    (false, word) => kept_online = word == b"online",
                }
            }
            if kept_online && info > 0 {
                online.lock().unwrap().push(info);
                kept_online = false;
            }
        }
    }
}

/// When an `info` was written.
fn written(heard: &Heard) -> Option<i64> {
    let info: Value = serde_json::from_slice(&heard.payload).ok()?;
    let time = humantime::parse_rfc3339(info.get("time")?.as_str()?).ok()?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_micros()).ok()
}
