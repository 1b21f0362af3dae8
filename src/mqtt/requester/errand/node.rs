//! What is known of one node that spoke about our job, and what to ask it for.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::{Value, json};

use crate::job::units::JobId;
use crate::mqtt::Topics;
use crate::mqtt::requester::album::{Album, Wanted};
use crate::mqtt::requester::talk::Patience;

/// Statuses of one job that are remembered, so that each is told once.
const STATUSES: usize = 64;
/// The contract's limit on the runs of parts in one `get`.
const RUNS: usize = 64;
/// Parts that are asked for at a time where the node does not send them by itself.
const BATCH: u32 = 32;
/// Fruitless rounds after which whole pictures are asked for instead of parts.
const DULL: u32 = 2;

/// A node that spoke about our job.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) topics: Topics,
    /// It has our job.
    pub(super) accepted: bool,
    /// Since when it is offline.
    pub(super) away: Option<Instant>,
    pub(super) album: Album,
    /// When it last said something about our job.
    pub(super) heard: Instant,
    told: BTreeSet<(u64, String)>,
    asked: Asked,
}

/// The last time that missing pictures or parts were asked for.
#[derive(Debug, Default)]
struct Asked {
    at: Option<Instant>,
    /// Units missing at that time, and how many of them were asked for.
    missing: u64,
    wanted: u64,
    /// Rounds in a row that brought nothing.
    dull: u32,
    /// The next round asks for whole pictures.
    whole: bool,
}

impl Node {
    pub(super) fn new(topics: Topics, most: usize, now: Instant) -> Self {
        let (album, asked) = (Album::new(most), Asked::default());
        Self { topics, accepted: false, away: None, album, heard: now, told: BTreeSet::new(), asked }
    }

    /// Whether this status was not seen before.
    pub(super) fn is_news(&mut self, status: &Value) -> bool {
        let seq = status.get("seq").and_then(Value::as_u64).unwrap_or(0);
        let state = status.get("state").and_then(Value::as_str).unwrap_or("").to_owned();
        self.told.len() < STATUSES && self.told.insert((seq, state))
    }

    /// It has the job no more, or is not reckoned with.
    pub(super) fn forget(&mut self, most: usize) {
        self.accepted = false;
        self.album = Album::new(most);
        self.told.clear();
        self.asked = Asked::default();
    }

    /// The `get` commands to send now, without their ids. `pulls`: the node sends no parts by itself.
    pub(super) fn gets(&mut self, job: &JobId, pulls: bool, patience: &Patience, now: Instant) -> Vec<Value> {
        let mut missing = self.album.missing();
        let left = units(&missing);
        if left == 0 || !self.is_time(left, pulls, patience, now) {
            return Vec::new();
        }
        let in_vain = self.asked.at.is_some() && left >= self.asked.missing && !self.is_deaf();
        self.asked.dull = if in_vain { self.asked.dull + 1 } else { 0 };
        // Perhaps the node cuts the picture in another way by now; its manifest will tell.
        if self.asked.dull >= DULL || self.asked.whole {
            missing.iter_mut().for_each(|wanted| wanted.parts.clear());
        } else if pulls {
            missing.truncate(1);
            missing.iter_mut().for_each(|wanted| wanted.parts = first(&wanted.parts, BATCH));
        }
        missing.iter_mut().for_each(|wanted| wanted.parts.truncate(RUNS));
        self.asked =
            Asked { at: Some(now), missing: left, wanted: units(&missing), dull: self.asked.dull, whole: false };
        missing.iter().map(|wanted| get(job, wanted)).collect()
    }

    /// It has no such parts: it cuts the picture in another way, or not at all.
    pub(super) fn has_other_parts(&mut self) {
        self.asked = Asked { at: None, whole: true, ..Asked::default() };
    }

    /// Whether it was asked often enough in vain: then the request itself has to be repeated.
    pub(super) fn is_deaf(&self) -> bool {
        self.asked.dull >= 2 * DULL
    }

    fn is_time(&self, left: u64, pulls: bool, patience: &Patience, now: Instant) -> bool {
        let batch_came = self.asked.missing.saturating_sub(left) >= self.asked.wanted;
        let quiet = now >= self.heard + patience.silence;
        match self.asked.at {
            None => pulls || quiet,
            Some(_) if pulls && batch_came => true,
            Some(at) => quiet && now >= at + patience.again,
        }
    }
}

/// Parts count one each, a picture that comes whole counts as one.
fn units(wanted: &[Wanted]) -> u64 {
    let of = |wanted: &Wanted| wanted.parts.iter().map(|(from, to)| u64::from(to - from) + 1).sum::<u64>().max(1);
    wanted.iter().map(of).sum()
}

/// The first `most` parts of some runs.
fn first(runs: &[(u32, u32)], most: u32) -> Vec<(u32, u32)> {
    let mut left = most;
    let take = |&(from, to): &(u32, u32)| {
        let parts = left.min(to - from + 1);
        left -= parts;
        (parts > 0).then(|| (from, from + parts - 1))
    };
    runs.iter().map_while(take).collect()
}

fn get(job: &JobId, wanted: &Wanted) -> Value {
    let run = |&(from, to): &(u32, u32)| if from == to { json!(from) } else { json!([from, to]) };
    let parts: Vec<Value> = wanted.parts.iter().map(run).collect();
    match parts.is_empty() {
        true => json!({"command": "get", "job": job.as_str(), "k": wanted.k}),
        false => json!({"command": "get", "job": job.as_str(), "k": wanted.k, "parts": parts}),
    }
}
