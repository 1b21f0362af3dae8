//! What the board told when it was looked at last, and what that adds up to over a job.

use std::collections::BTreeMap;
use std::time::Duration;

use super::heat::Heat;
use crate::board::Gpu;

/// A GPU below this load has no need of its fastest clock, so a slower one says nothing.
const BUSY: f64 = 0.5;
/// Slower clocks give work more time, but not without an end.
const MOST_SLOWNESS: f64 = 4.0;

/// What the board told when it was looked at last; what it does not tell is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vitals {
    /// The hottest zone, in degrees Celsius.
    pub celsius: Option<f64>,
    /// Every zone by its name, in degrees Celsius; of several of one name the hottest.
    pub zones: BTreeMap<String, f64>,
    /// What that means for the work.
    pub heat: Heat,
    /// What the board draws, in watts.
    pub watts: Option<f64>,
    /// Bytes of memory that can still be had.
    pub memory: Option<u64>,
    /// Bytes of memory that the process holds.
    pub resident: Option<u64>,
    /// Bytes that are free on the store's disk.
    pub disk: Option<u64>,
    /// How busy the GPU is, 0 to 1.
    pub gpu_load: Option<f64>,
    /// How often the hardware slowed itself down since the board was switched on.
    pub throttle_events: Option<u64>,
    /// What adds up since the service was started.
    pub tally: Tally,
}

/// What adds up from look to look.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Energy, over the time in which power could be read.
    pub joules: f64,
    /// That time.
    pub measured: Duration,
    /// Time that slower clocks took from the work.
    pub lost: Duration,
}

impl Tally {
    /// With some time more in which the board drew so much, on clocks so many times slower than they could be.
    pub fn plus(self, time: Duration, watts: Option<f64>, slowness: f64) -> Self {
        let energy = watts.map_or(0.0, |watts| watts * time.as_secs_f64());
        Self {
            joules: self.joules + energy,
            measured: self.measured + watts.map_or(Duration::ZERO, |_| time),
            lost: self.lost + time.mul_f64(1.0 - 1.0 / slowness.clamp(1.0, MOST_SLOWNESS)),
        }
    }

    /// Energy of something that ran so long and began when the tally was `before`, in joules; nothing if power was not
    /// read meanwhile. The mean of what was read goes for all of it.
    pub fn energy_since(&self, before: &Self, ran: Duration) -> Option<f64> {
        let measured = self.measured.saturating_sub(before.measured).as_secs_f64();
        (measured > 0.0).then(|| (self.joules - before.joules) / measured * ran.as_secs_f64())
    }
}

/// How many times slower than it could be the clock of a GPU is that has work; 1 for one that has none.
pub(super) fn slowness(gpu: &Gpu) -> f64 {
    let ratio = || Some(gpu.most_hertz()? as f64 / gpu.hertz()? as f64);
    let is_busy = gpu.load().is_some_and(|load| load >= BUSY);
    if is_busy { ratio().unwrap_or(1.0).clamp(1.0, MOST_SLOWNESS) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Board;
    use std::fs;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_energy_of_a_job_is_its_mean_power_over_its_time_and_unknown_where_none_was_read() {
        let before = Tally::default().plus(SECOND, Some(100.0), 1.0);
        let after = before.plus(SECOND, Some(10.0), 1.0).plus(SECOND, None, 1.0).plus(SECOND, Some(20.0), 1.0);
        assert_eq!(after.energy_since(&before, 4 * SECOND), Some(60.0));
        assert_eq!(before.plus(SECOND, None, 1.0).energy_since(&before, SECOND), None);
        assert_eq!(before.energy_since(&before, SECOND), None);
    }

    #[test]
    fn a_clock_at_half_its_speed_takes_half_of_the_time_and_never_more_than_three_quarters() {
        let lost = |slowness| Tally::default().plus(4 * SECOND, None, slowness).lost;
        assert_eq!([1.0, 2.0, 4.0, 100.0].map(lost), [0, 2, 3, 3].map(|seconds| seconds * SECOND));
    }

    #[test]
    fn only_the_clock_of_a_gpu_that_works_says_that_it_is_slowed_down() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("sys/class/devfreq/17000000.gpu");
        fs::create_dir_all(folder.join("device/of_node")).unwrap();
        let slowness = |load: &str, hertz: &str| {
            let files =
                [("device/of_node/name", "gpu"), ("device/load", load), ("cur_freq", hertz), ("max_freq", "1200")];
            files.iter().for_each(|(file, text)| fs::write(folder.join(file), text).unwrap());
            slowness(Board::at(root.path()).gpu().unwrap())
        };
        assert_eq!((slowness("1000", "1200"), slowness("1000", "600"), slowness("499", "600")), (1.0, 2.0, 1.0));
        assert_eq!((slowness("1000", "100"), slowness("1000", "0"), slowness("", "600")), (4.0, 1.0, 1.0));
    }
}
