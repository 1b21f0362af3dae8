//! Whether the work still moves: the watchdog is fed by progress, never by a clock alone.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A first pass may build engines or page weights in.
const FIRST: Duration = Duration::from_secs(15 * 60);
const AT_LEAST: Duration = Duration::from_secs(120);

/// Beats with every pass of a graph while there is work.
pub struct Pulse {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When the work last moved; nothing while there is none.
    moved: Option<Instant>,
    /// The longest that it stood still and moved again.
    longest: Option<Duration>,
}

impl Pulse {
    /// At rest.
    pub fn new() -> Self {
        Self { state: Mutex::default() }
    }

    /// Work begins.
    pub fn begin(&self) {
        self.lock().moved = Some(Instant::now());
    }

    /// Work moved.
    pub fn beat(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        if let Some(before) = state.moved.replace(now) {
            state.longest = state.longest.max(Some(now - before));
        }
    }

    /// Work ended.
    pub fn rest(&self) {
        self.lock().moved = None;
    }

    /// False once the work has stood still for too long: 15 minutes before the first beat of all, then ten times the
    /// longest pass, and never less than two minutes.
    pub fn is_alive(&self) -> bool {
        let state = self.lock();
        let allowed = state.longest.map_or(FIRST, |longest| (longest * 10).max(AT_LEAST));
        state.moved.is_none_or(|moved| moved.elapsed() < allowed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stood_still_for(pulse: &Pulse, time: Duration) {
        pulse.lock().moved = Instant::now().checked_sub(time);
    }

    #[test]
    fn the_first_pass_has_a_quarter_of_an_hour_and_later_ones_two_minutes() {
        let pulse = Pulse::new();
        pulse.begin();
        stood_still_for(&pulse, Duration::from_secs(14 * 60));
        assert!(pulse.is_alive());
        stood_still_for(&pulse, Duration::from_secs(16 * 60));
        assert!(!pulse.is_alive());
        pulse.begin();
        pulse.beat();
        stood_still_for(&pulse, Duration::from_secs(121));
        assert!(!pulse.is_alive());
    }

    #[test]
    fn slow_passes_are_given_ten_times_their_time_and_rest_is_no_stall() {
        let pulse = Pulse::new();
        stood_still_for(&pulse, Duration::from_secs(30));
        pulse.beat();
        stood_still_for(&pulse, Duration::from_secs(290));
        assert!(pulse.is_alive());
        stood_still_for(&pulse, Duration::from_secs(310));
        assert!(!pulse.is_alive());
        pulse.rest();
        assert!(pulse.is_alive());
    }
}
