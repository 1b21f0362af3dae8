//! Is the machine's clock right? Certificates and deadlines go by it.

use std::time::{Duration, SystemTime};

use super::finding::Finding;
use crate::board::Timekeepers;

const ABOUT: &str = "clock";
/// The first version of this program was younger than that: 2026-01-01.
const YOUNGEST: Duration = Duration::from_secs(1_767_225_600);
/// Who sets the clock does so several times an hour; a clock that is left alone drifts some seconds a day.
const LEFT_ALONE: Duration = Duration::from_secs(24 * 3600);
/// Two clocks may differ by that before one of them is held to be wrong.
const APART: Duration = Duration::from_secs(60);
const FIX: &str = "let the system set it: sudo timedatectl set-ntp true; boards without a battery begin in 1970";

/// There is no time client of our own: what others have left on the machine has to tell.
pub(super) fn finding(now: SystemTime, told: &Timekeepers) -> Finding {
    let youngest = SystemTime::UNIX_EPOCH + YOUNGEST;
    if now < youngest {
        let what = "it is older than this program: certificates and deadlines cannot be checked";
        return Finding::fail(ABOUT, what, FIX);
    }
    // One that is older than this program was never set and says nothing.
    match (told.set, told.battery.filter(|battery| *battery >= youngest)) {
        (Some(set), _) => set_by_network(now, set),
        (None, _) if told.is_chrony_there => {
            Finding::ok(ABOUT, "chrony keeps it; chronyc tracking tells how far it is off")
        }
        (None, Some(battery)) => beside_battery(now, battery),
        (None, None) => Finding::ok(ABOUT, "plausible; nothing on this machine tells how far it is off"),
    }
}

fn set_by_network(now: SystemTime, set: SystemTime) -> Finding {
    match now.duration_since(set) {
        Ok(ago) if ago <= LEFT_ALONE => Finding::ok(ABOUT, format!("the network set it {} ago", shown(ago))),
        Ok(ago) => Finding::warn(
            ABOUT,
            format!("the network set it {} ago and not since: it drifts some seconds a day", shown(ago)),
            "see why no time server answers: timedatectl timesync-status",
        ),
        Err(ahead) => Finding::warn(
            ABOUT,
            format!("somebody has put it back by at least {} since the network set it", shown(ahead.duration())),
            FIX,
        ),
    }
}

fn beside_battery(now: SystemTime, battery: SystemTime) -> Finding {
    let (apart, side) = match now.duration_since(battery) {
        Ok(apart) => (apart, "ahead of"),
        Err(error) => (error.duration(), "behind"),
    };
    if apart <= APART {
        return Finding::ok(ABOUT, "the clock with the battery says the same; whether the network sets it is not told");
    }
    let what = format!("it is {} {side} the clock with the battery, and nothing tells which is right", shown(apart));
    Finding::warn(ABOUT, what, FIX)
}

/// Without parts of seconds.
fn shown(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// What is said of a clock by whom set it at a time, and by a clock with a battery.
    fn said(now: u64, set: Option<u64>, battery: Option<u64>) -> (Level, String) {
        let told = Timekeepers { set: set.map(at), is_chrony_there: false, battery: battery.map(at) };
        let finding = finding(at(now), &told);
        (finding.level, finding.what)
    }

    #[test]
    fn a_clock_that_the_network_sets_is_right_until_it_was_left_alone_or_put_back() {
        assert_eq!(said(NOW, Some(NOW - 125), Some(12)), (Level::Ok, "the network set it 2m 5s ago".to_owned()));
        let (level, what) = said(NOW, Some(NOW - 3 * 86_400), Some(NOW));
        assert!(level == Level::Warn && what.starts_with("the network set it 3days ago and not since"), "{what}");
        let (level, what) = said(NOW, Some(NOW + 3600), None);
        assert!(level == Level::Warn && what.starts_with("somebody has put it back by at least 1h"), "{what}");
    }

    #[test]
    fn without_the_network_the_battery_tells_and_without_that_nothing() {
        for battery in [NOW - 60, NOW + 60] {
            assert_eq!(said(NOW, None, Some(battery)).0, Level::Ok);
        }
        let ahead = said(NOW, None, Some(NOW - 300));
        assert!(ahead.0 == Level::Warn && ahead.1.starts_with("it is 5m ahead of the clock"), "{ahead:?}");
        let behind = said(NOW, None, Some(NOW + 7200));
        assert!(behind.0 == Level::Warn && behind.1.starts_with("it is 2h behind the clock"), "{behind:?}");
        let silent = (Level::Ok, "plausible; nothing on this machine tells how far it is off".to_owned());
        assert_eq!(said(NOW, None, None), silent);
        assert_eq!(said(NOW, None, Some(946_684_800)), silent, "a clock that begins in 2000 was never set");
        let kept = Timekeepers { is_chrony_there: true, ..Timekeepers::default() };
        assert!(finding(at(NOW), &kept).what.starts_with("chrony keeps it"));
    }

    #[test]
    fn a_clock_from_before_this_program_is_wrong_whoever_set_it() {
        assert_eq!(said(YOUNGEST.as_secs() - 1, Some(1), Some(1)).0, Level::Fail);
        assert_eq!(said(YOUNGEST.as_secs(), None, None).0, Level::Ok);
    }
}
