//! What a store must hold after a fault, and whether it does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diffused::service::Store;
use serde_json::{Map, Value};

use super::calls::carry_on;
use super::dump::{broken_rules, dump};

/// Calls whose loss costs only a repetition: the broker gets a message twice.
const RELAXED: [&str; 1] = ["delivered"];
/// Calls of several transactions, each for tables of its own: old uploads go before old jobs go.
const STEPWISE: [&str; 1] = ["forget"];

/// What was in the store after each call of a run without a fault.
pub struct History {
    calls: Vec<(String, Arc<str>)>,
}

/// How far a run had come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    /// Calls that had returned.
    pub acknowledged: usize,
    /// Whether the next one had begun.
    pub begun: bool,
}

impl History {
    /// From the marks of a run that came to its end.
    pub fn read<'a>(marks: impl Iterator<Item = &'a str>) -> Self {
        let acknowledged = marks.filter_map(|line| line.strip_prefix("ACK "));
        let calls = acknowledged.map(|line| {
            let mut words = line.trim_end().splitn(3, ' ').skip(1).map(str::to_owned);
            (words.next().unwrap(), words.next().unwrap().into())
        });
        Self { calls: calls.collect() }
    }

    /// Number of calls by kind.
    pub fn kinds(&self) -> BTreeMap<String, u64> {
        let mut kinds = BTreeMap::new();
        self.calls.iter().for_each(|(kind, _)| *kinds.entry(kind.clone()).or_default() += 1);
        kinds
    }

    /// The kind of a call.
    pub fn kind(&self, call: usize) -> &str {
        self.calls.get(call).map_or("end", |(kind, _)| kind)
    }

    /// What a store may hold at a moment: all that was acknowledged, and of the call under way all or nothing.
    pub fn allowed(&self, moment: Moment) -> Allowed {
        let last = moment.acknowledged.saturating_sub(1);
        let mut oldest = last;
        while oldest > 0 && (RELAXED.contains(&self.kind(oldest)) || self.calls[oldest].1 == self.calls[oldest - 1].1) {
            oldest -= 1;
        }
        let newest = if moment.begun { moment.acknowledged } else { last }.min(self.calls.len() - 1);
        let dumps = (oldest..=newest).map(|call| Arc::clone(&self.calls[call].1)).collect();
        Allowed { dumps, stepwise: moment.begun && STEPWISE.contains(&self.kind(newest)) }
    }
}

/// What a store may hold.
pub struct Allowed {
    /// One of these, the newest last.
    dumps: Vec<Arc<str>>,
    /// Also some tables from the last but one and the others from the last.
    stepwise: bool,
}

impl Allowed {
    fn has(&self, found: &str) -> bool {
        self.dumps.iter().any(|dump| **dump == *found) || self.stepwise && self.is_between(found)
    }

    fn is_between(&self, found: &str) -> bool {
        let [.., before, after] = self.dumps.as_slice() else { return false };
        let (found, before, after) = (tables(found), tables(before), tables(after));
        found.iter().all(|(table, rows)| before.get(table) == Some(rows) || after.get(table) == Some(rows))
    }

    /// The tables that are not as they should be at the latest, each with its rows and their hash.
    fn difference(&self, found: &str) -> String {
        let (found, expected) = (tables(found), tables(self.dumps.last().map_or("", |newest| &**newest)));
        let wrong = expected.iter().filter(|(table, rows)| found.get(*table) != Some(rows));
        let wrong: Vec<String> = wrong
            .map(|(table, rows)| format!("{table} has {} instead of {rows}", found.get(table).unwrap_or(&Value::Null)))
            .collect();
        wrong.join(", ")
    }
}

fn tables(dump: &str) -> Map<String, Value> {
    serde_json::from_str(dump).unwrap_or_default()
}

impl Moment {
    /// After another mark.
    pub fn after(self, mark: &str) -> Self {
        match mark.split(' ').next() {
            Some("ACK") => Self { acknowledged: self.acknowledged + 1, begun: false },
            _ => Self { begun: true, ..self },
        }
    }
}

/// Opens the store in a folder and compares it with what it may hold; says how long the opening took, or what is wrong.
///
/// `deeply` also checks the rules of what is in it, and that it still does its work.
pub fn examine(folder: &Path, allowed: &Allowed, deeply: bool) -> Result<Duration, String> {
    let file = folder.join("store.sqlite");
    let begun = Instant::now();
    let store = Store::open(folder, "boot-1", None).map_err(|error| format!("it does not open: {error}"))?;
    let took = begun.elapsed();
    let found = dump(&file).map_err(|error| format!("it cannot be read: {error}"))?;
    if !allowed.has(&found) {
        return Err(allowed.difference(&found));
    }
    if deeply {
        let broken = broken_rules(&file).map_err(|error| format!("it cannot be read: {error}"))?;
        if !broken.is_empty() {
            return Err(broken.join("; "));
        }
        carry_on(&store).map_err(|error| format!("it cannot go on: {error}"))?;
        drop(store);
        let broken = broken_rules(&file).map_err(|error| format!("it cannot be read: {error}"))?;
        if !broken.is_empty() {
            return Err(format!("after going on: {}", broken.join("; ")));
        }
    }
    Ok(took)
}
