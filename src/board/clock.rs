//! What tells whether the machine's clock is right.

use std::fs;
use std::time::{Duration, SystemTime};

use super::{Board, entries, name, number, text};

/// systemd-timesyncd touches it whenever the answer of a server has set the clock.
const SET: &str = "run/systemd/timesync/synchronized";
/// There while chrony runs. How far the clock is off it tells only to who asks.
const CHRONY: &str = "run/chrony/chronyd.pid";

/// What tells whether the clock is right; all of it absent on a machine to which nobody tells the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timekeepers {
    /// When the network set the clock last, by that clock.
    pub set: Option<SystemTime>,
    /// Whether chrony keeps it.
    pub is_chrony_there: bool,
    /// What the clock with a battery says, in whole seconds. One that was never set begins in 1970 or 2000.
    pub battery: Option<SystemTime>,
}

impl Board {
    /// What tells whether its clock is right.
    pub fn timekeepers(&self) -> Timekeepers {
        Timekeepers {
            set: fs::metadata(self.root.join(SET)).and_then(|about| about.modified()).ok(),
            is_chrony_there: self.root.join(CHRONY).exists(),
            battery: self.battery_clock(),
        }
    }

    /// The first of its clocks: that is the one with the battery, and the one that the kernel sets.
    fn battery_clock(&self) -> Option<SystemTime> {
        // Beside another system it may run in local time, which nobody here knows.
        let is_local = text(&self.root.join("etc/adjtime")).is_some_and(|told| told.lines().nth(2) == Some("LOCAL"));
        let mut clocks = entries(&self.root.join("sys/class/rtc")).into_iter();
        let first = clocks.find(|clock| !is_local && name(clock).starts_with("rtc"))?;
        let seconds = u64::try_from(number(&first.join("since_epoch"))?).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }
}
