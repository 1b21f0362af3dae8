//! `/metrics`: every number by a name that is an interface; `docs/metrics.md` lists them all.

mod board;
mod service;
mod work;

use std::time::Duration;

use super::exposition::Exposition;
use crate::service::{Figures, Snapshot};

/// Prometheus' text format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the numbers are taken from.
pub(super) struct Facts<'a> {
    /// The configured accelerator.
    pub(super) accelerator: &'a str,
    /// How long the process has been running.
    pub(super) up: Duration,
    pub(super) now: &'a Snapshot,
    pub(super) figures: &'a Figures,
    /// What the store told; nothing while it cannot be read.
    pub(super) stored: Option<Stored>,
    /// Bytes that the store may have.
    pub(super) store_bytes: Option<u64>,
}

/// What the store tells of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    /// Bytes that it holds.
    pub(super) bytes: u64,
    /// Messages that wait to be delivered.
    pub(super) mail: u64,
}

/// Every family, also those of which nothing is known yet.
pub(super) fn write(facts: &Facts<'_>) -> String {
    let mut text = Exposition::default();
    service::write(&mut text, facts);
    work::write(&mut text, facts.now, facts.figures);
    board::write(&mut text, facts);
    text.text()
}
