//! Looks at the board again and again, and tells the others what that means for the work.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::heat::{Gauge, Heat, Thermal};
use super::vitals::{Vitals, slowness};
use super::{Activity, Alert, Bell, Notice, Notify, Pulse};
use crate::board::{Board, disk_free};

/// How often the board is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How often `state` is told again while nothing but the board's figures changes.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// So long after the last event the hardware counts as slowed down.
const THROTTLED_FOR: Duration = Duration::from_secs(60);

/// Looks at the board.
pub struct Sampler {
    board: Board,
    gauges: Vec<Gauge>,
    /// The folder whose disk is watched.
    store: PathBuf,
    hears: Hears,
    looked: Option<Instant>,
    told: Option<Instant>,
    throttling: Throttling,
}

/// Who is to know.
pub struct Hears {
    /// What goes on.
    pub activity: Arc<Activity>,
    /// The watchdog's patience grows with slower clocks.
    pub pulse: Arc<Pulse>,
    /// Wakes the worker when it is cool again.
    pub bell: Arc<Bell>,
    /// Tells the transport.
    pub notify: Notify,
}

impl Sampler {
    /// Looks at `board`, and at the disk of the folder `store`.
    pub fn new(board: Board, thermal: Thermal, store: &Path, hears: Hears) -> Self {
        let gauges = board.zones().iter().map(|zone| Gauge::new(zone, thermal)).collect();
        let throttling = Throttling::default();
        Self { board, gauges, store: store.to_owned(), hears, looked: None, told: None, throttling }
    }

    /// Looks if it is time to. Meant to be called often.
    pub fn tick(&mut self) {
        let now = Instant::now();
        if self.looked.is_none_or(|looked| now - looked >= EVERY) {
            self.look(now);
        }
    }

    fn look(&mut self, now: Instant) {
        let passed = self.looked.replace(now).map_or(Duration::ZERO, |looked| now - looked);
        let before = self.hears.activity.snapshot();
        let slowness = self.board.gpu().map_or(1.0, slowness);
        let vitals = self.vitals();
        let is_throttled = self.throttling.goes_on(now, vitals.throttle_events);
        let heat = vitals.heat;
        log(before.vitals.heat, &vitals);
        self.hears.activity.change(|now| {
            now.vitals = Vitals { tally: now.vitals.tally.plus(passed, vitals.watts, slowness), ..vitals };
            now.alert(Alert::TooHot, heat == Heat::Hot);
            now.alert(Alert::Throttled, is_throttled);
        });
        self.hears.pulse.stretch(slowness);
        if before.vitals.heat == Heat::Hot && heat != Heat::Hot {
            self.hears.bell.ring();
        }
        let is_news = before.vitals.heat != heat || before.has(Alert::Throttled) != is_throttled;
        if is_news || self.told.is_none_or(|told| now - told >= TELL_EVERY) {
            self.told = Some(now);
            (self.hears.notify)(Notice::State);
        }
    }

    fn vitals(&mut self) -> Vitals {
        let (mut zones, mut heat) = (BTreeMap::new(), Heat::default());
        for gauge in &mut self.gauges {
            let Some((celsius, felt)) = gauge.feel() else { continue };
            let hottest = zones.entry(gauge.name().to_owned()).or_insert(celsius);
            *hottest = celsius.max(*hottest);
            heat = heat.max(felt);
        }
        Vitals {
            celsius: zones.values().copied().reduce(f64::max),
            zones,
            heat,
            watts: self.board.watts(),
            memory: self.board.memory_available(),
            resident: self.board.memory_resident(),
            disk: disk_free(&self.store).ok(),
            gpu_load: self.board.gpu().and_then(|gpu| gpu.load()),
            throttle_events: self.board.throttle_events(),
            ..Vitals::default()
        }
    }
}

/// One line where something begins or ends.
fn log(before: Heat, now: &Vitals) {
    let celsius = now.celsius;
    match (before, now.heat) {
        (before, now) if before == now => {}
        (_, Heat::Hot) => tracing::warn!(celsius, "too hot: no job is taken or begun until it is cooler"),
        (Heat::Hot, _) => tracing::warn!(celsius, "cool enough: the work goes on"),
        (_, Heat::Slow) => tracing::info!(celsius, "hot: the work rests as long as it lasts"),
        (_, Heat::Cool) => tracing::info!(celsius, "cool again: the work goes at full speed"),
    }
}

/// Whether the hardware slows itself down, by its counter of such events.
#[derive(Default)]
struct Throttling {
    events: Option<u64>,
    last: Option<Instant>,
}

impl Throttling {
    fn goes_on(&mut self, now: Instant, events: Option<u64>) -> bool {
        let before = self.events;
        self.events = events.or(before);
        let is_over = |last: &mut Instant| now - *last >= THROTTLED_FOR;
        self.last.take_if(is_over);
        if before.zip(events).is_some_and(|(before, events)| events > before) && self.last.replace(now).is_none() {
            tracing::warn!(events, "the hardware slows itself down, such as over too much current");
        }
        self.last.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hardware_counts_as_slowed_down_for_a_minute_after_each_rise_and_not_for_what_was_before() {
        let begun = Instant::now();
        let mut throttling = Throttling::default();
        let mut at = |seconds: u64, events| throttling.goes_on(begun + Duration::from_secs(seconds), events);
        let course = [
            (0, Some(7), false),
            (1, Some(7), false),
            (2, Some(8), true),
            (50, Some(9), true),
            (100, None, true),
            (111, Some(9), false),
            (112, Some(0), false),
            (113, Some(1), true),
        ];
        for (seconds, events, wanted) in course {
            assert_eq!(at(seconds, events), wanted, "after {seconds} s");
        }
    }
}
