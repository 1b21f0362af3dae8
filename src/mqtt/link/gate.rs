//! Whether the link may be connected at all.

use std::sync::atomic::{AtomicBool, Ordering};

/// Open to begin with. While it is closed the link drops its connection and makes no other.
///
/// Close it, say goodbye and send DISCONNECT: the link looks at the gate after every event of the connection, and
/// then lets it live for a second more. Without anything said, the next ping is an event, at most a keep-alive later.
#[derive(Debug)]
pub struct Gate(AtomicBool);

impl Default for Gate {
    fn default() -> Self {
        Self(AtomicBool::new(true))
    }
}

impl Gate {
    /// No connection from now on.
    pub fn close(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Connect again.
    pub fn open(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the link may be connected.
    pub fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
