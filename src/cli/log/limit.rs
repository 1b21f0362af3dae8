//! A flood of one kind of line must not fill the journal: the first hundred in ten seconds are written, and then one
//! that says how many were left out.
//!
//! A kind is a place in the source, so there are only so many and this needs only so much memory. Lines about the end of
//! a job are never left out: they have a target of their own, there is one a job, and jobs are limited by themselves.

use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::service::JOB_LOG;

/// How long a kind's lines are counted together.
pub(super) const PERIOD: Duration = Duration::from_secs(10);
/// Lines of a kind that are written in that time.
const MOST: u32 = 100;
/// Characters by which a kind is told.
const SHOWN: usize = 80;

/// How many lines of each kind came lately.
#[derive(Clone, Default)]
pub(super) struct Limit(Arc<Mutex<HashMap<Identifier, Kind>>>);

impl Limit {
    /// Says of each kind how many lines were left out since this was called last.
    pub(super) fn tell(&self) {
        // Collected first: to say it asks the limit itself.
        let flooded: Vec<_> = self.lock().values_mut().filter_map(Kind::left_out).collect();
        for (left_out, like) in flooded {
            tracing::warn!(left_out, like, "lines of one kind were left out of the log, there were too many");
        }
    }

    fn takes(&self, event: &Event<'_>) -> bool {
        let (mut kinds, now) = (self.lock(), Instant::now());
        kinds.entry(event.metadata().callsite()).or_insert_with(|| Kind::new(now)).takes(now, || message(event))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identifier, Kind>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Kind {
    since: Instant,
    written: u32,
    left_out: u64,
    /// What the first one that was left out said.
    example: String,
}

impl Kind {
    fn new(now: Instant) -> Self {
        Self { since: now, written: 0, left_out: 0, example: String::new() }
    }

    fn takes(&mut self, now: Instant, message: impl FnOnce() -> String) -> bool {
        if now.duration_since(self.since) >= PERIOD {
            (self.since, self.written) = (now, 0);
        }
        if self.written < MOST {
            self.written += 1;
            return true;
        }
        if self.left_out == 0 {
            self.example = message();
        }
        self.left_out += 1;
        false
    }

    /// How many were left out since this was asked last, and an example; nothing if there were none.
    fn left_out(&mut self) -> Option<(u64, String)> {
        Some((take(&mut self.left_out), take(&mut self.example))).filter(|(left_out, _)| *left_out > 0)
    }
}

impl<S: Subscriber> Layer<S> for Limit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        event.metadata().target() == JOB_LOG || self.takes(event)
    }
}

/// The beginning of what an event says.
fn message(event: &Event<'_>) -> String {
    let mut message = Message(String::new());
    event.record(&mut message);
    message.0.chars().take(SHOWN).collect()
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

#[cfg(test)]
mod tests;
