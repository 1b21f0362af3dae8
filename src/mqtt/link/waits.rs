//! How long to wait before connecting again.

use std::time::Duration;

/// The longest wait after the first break, and how it grows with every failure: slowly enough that after an outage of a
/// few seconds a node is back within five.
const FIRST: Duration = Duration::from_secs(2);
const GROWTH: f64 = 1.5;
const LONGEST: Duration = Duration::from_secs(60);
/// A connection that lived this long was a good one; a broker that breaks down under its fleet does so earlier.
const GOOD: Duration = Duration::from_secs(5);
/// Whoever took our session over would be thrown out by us, and we by him, for ever.
const TAKEN: Duration = Duration::from_secs(300);

/// How a connection ended, as far as the next one is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was up for so long.
    Lived(Duration),
    /// It never stood.
    Failed,
    /// Another connection has our name.
    Taken,
}

/// Waits anywhere between nothing and a bound ("full jitter"), so that a fleet that lost its broker in one moment does
/// not come back in one moment. The bound grows up to a minute: 500 nodes are then spread over a minute.
#[derive(Debug)]
pub(super) struct Waits {
    bound: Duration,
}

impl Waits {
    pub(super) fn new() -> Self {
        Self { bound: FIRST }
    }

    /// The wait after a connection that ended like this; `chance` is between 0 and 1.
    pub(super) fn next(&mut self, outcome: Outcome, chance: f64) -> Duration {
        if outcome == Outcome::Taken {
            self.bound = FIRST;
            return TAKEN.mul_f64(1.0 + chance / 2.0);
        }
        if matches!(outcome, Outcome::Lived(time) if time >= GOOD) {
            self.bound = FIRST;
        }
        let wait = self.bound.mul_f64(chance);
        self.bound = self.bound.mul_f64(GROWTH).min(LONGEST);
        wait
    }
}

/// Between 0 and 1.
pub(super) fn chance() -> f64 {
    let mut bytes = [0; 4];
    let _ = getrandom::fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_grows_up_to_a_minute_and_a_good_connection_begins_anew() {
        let mut waits = Waits::new();
        let bounds: Vec<u64> = (0..10).map(|_| waits.next(Outcome::Failed, 1.0).as_secs()).collect();
        assert_eq!(bounds, [2, 3, 4, 6, 10, 15, 22, 34, 51, 60]);
        assert_eq!(waits.next(Outcome::Lived(Duration::from_secs(3)), 1.0).as_secs(), 60);
        assert_eq!(waits.next(Outcome::Lived(Duration::from_secs(6)), 1.0).as_secs(), 2);
        assert_eq!(waits.next(Outcome::Failed, 0.0), Duration::ZERO);
    }

    #[test]
    fn a_node_whose_name_is_taken_keeps_away_for_five_minutes_or_more() {
        let mut waits = Waits::new();
        assert_eq!(waits.next(Outcome::Taken, 0.0).as_secs(), 300);
        assert_eq!(waits.next(Outcome::Taken, 1.0).as_secs(), 450);
        assert_eq!(waits.next(Outcome::Failed, 1.0).as_secs(), 2);
    }

    /// When 500 nodes that lost the broker at 0 knock at it, if it is back after `outage` seconds and a try costs nothing.
    fn knocks(outage: f64) -> Vec<f64> {
        let mut state = 1_u32;
        let mut chance = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state) / f64::from(u32::MAX)
        };
        let knock = |_| {
            let (mut waits, mut now) = (Waits::new(), 0.0);
            let mut outcome = Outcome::Lived(Duration::from_secs(3600));
            loop {
                now += waits.next(outcome, chance()).as_secs_f64();
                if now >= outage {
                    return now;
                }
                outcome = Outcome::Failed;
            }
        };
        (0..500).map(knock).collect()
    }

    #[test]
    fn after_a_short_outage_a_node_is_back_within_five_seconds() {
        for outage in [0.1, 0.5, 1.0, 1.5, 2.0] {
            let mut knocks = knocks(outage);
            knocks.sort_by(f64::total_cmp);
            assert!(knocks[494] - outage < 5.0, "{outage} s: {:.1} s", knocks[494] - outage);
        }
    }

    fn most_in_a_second(knocks: &[f64]) -> usize {
        let last = knocks.iter().fold(0.0_f64, |last, at| last.max(*at));
        (0..=last as usize).map(|second| knocks.iter().filter(|at| **at as usize == second).count()).max().unwrap_or(0)
    }

    #[test]
    fn five_hundred_nodes_do_not_come_back_in_one_moment() {
        for (outage, most, latest) in [(0.0, 320, 3.0), (10.0, 110, 60.0), (120.0, 50, 200.0)] {
            let knocks = knocks(outage);
            let last = knocks.iter().fold(0.0_f64, |last, at| last.max(*at));
            assert!(most_in_a_second(&knocks) <= most, "{outage} s: {} in a second", most_in_a_second(&knocks));
            assert!(last <= outage + latest, "{outage} s: the last after {last} s");
        }
        // Half of a fixed wait, as many clients do it, would not do.
        assert_eq!(most_in_a_second(&[0.5; 500]), 500);
    }
}
