//! How hot a board may become: from where on work slows down, where it stops, and where it goes on.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::board::Zone;

/// Work stops so many degrees below a zone's trip point, slows down so many, and goes on so many below where it stopped.
const PAUSE_BELOW: f64 = 4.0;
const SLOW_BELOW: f64 = 11.0;
const RESUME_BELOW: f64 = 7.0;
/// Temperatures that may be set, in degrees Celsius.
const SETTABLE: RangeInclusive<f64> = 30.0..=150.0;
/// No rest is longer than this: a requester waits, and the watchdog too.
const LONGEST_REST: Duration = Duration::from_secs(10);

/// How hot it is, as far as the work is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Heat {
    /// The work goes at full speed.
    #[default]
    Cool,
    /// The work rests as long as it lasts.
    Slow,
    /// As slow, and no new work is taken or begun.
    Hot,
}

impl Heat {
    /// How long to rest after so much work.
    pub fn rest(self, worked: Duration) -> Duration {
        match self {
            Self::Cool => Duration::ZERO,
            Self::Slow | Self::Hot => worked.min(LONGEST_REST),
        }
    }
}

/// What an operator sets, in degrees Celsius and for all zones. What is not set follows from each zone's own trip point,
/// and a zone without one does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Thermal {
    slow: Option<f64>,
    pause: Option<f64>,
    resume: Option<f64>,
}

/// Temperatures that make no sense together.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ThermalError {
    /// No board works there, or none gets so hot.
    #[error("must be between {} and {} degrees Celsius, got {got}", SETTABLE.start(), SETTABLE.end())]
    Range {
        /// Which one: `slow`, `pause` or `resume`.
        key: &'static str,
        /// What it is.
        got: f64,
    },
    /// Work would stop before it slows down.
    #[error("must not be above thermal.pause = {pause}, got {slow}")]
    SlowAbovePause {
        /// `thermal.slow`.
        slow: f64,
        /// `thermal.pause`.
        pause: f64,
    },
    /// Work would go on where it stops.
    #[error("must be below thermal.pause = {pause}, got {resume}")]
    ResumeNotBelowPause {
        /// `thermal.resume`.
        resume: f64,
        /// `thermal.pause`.
        pause: f64,
    },
    /// Where work stops is left to the board, so nobody knows whether that is above.
    #[error("needs thermal.pause beside it")]
    ResumeAlone,
}

impl ThermalError {
    /// The setting at fault.
    pub fn key(self) -> &'static str {
        match self {
            Self::Range { key, .. } => key,
            Self::SlowAbovePause { .. } => "slow",
            Self::ResumeNotBelowPause { .. } | Self::ResumeAlone => "resume",
        }
    }
}

impl Thermal {
    /// `slow` is at most `pause`, and `resume` below it.
    pub fn new(slow: Option<f64>, pause: Option<f64>, resume: Option<f64>) -> Result<Self, ThermalError> {
        for (key, value) in [("slow", slow), ("pause", pause), ("resume", resume)] {
            if let Some(got) = value.filter(|value| !SETTABLE.contains(value)) {
                return Err(ThermalError::Range { key, got });
            }
        }
        match (slow, pause, resume) {
            (Some(slow), Some(pause), _) if slow > pause => Err(ThermalError::SlowAbovePause { slow, pause }),
            (_, Some(pause), Some(resume)) if resume >= pause => {
                Err(ThermalError::ResumeNotBelowPause { resume, pause })
            }
            (_, None, Some(_)) => Err(ThermalError::ResumeAlone),
            _ => Ok(Self { slow, pause, resume }),
        }
    }

    /// What a temperature means, in degrees Celsius, in a zone with this trip point that was cool before.
    pub fn judge(&self, trip: Option<f64>, celsius: f64) -> Heat {
        self.limits(trip).judge(Heat::Cool, celsius)
    }

    /// The limits of a zone with this trip point.
    fn limits(&self, trip: Option<f64>) -> Limits {
        let pause = self.pause.or(trip.map(|trip| trip - PAUSE_BELOW));
        let slow = self.slow.or(trip.map(|trip| trip - SLOW_BELOW));
        Limits {
            // A pause that was set may lie below where this board would slow down.
            slow: slow.map(|slow| pause.map_or(slow, |pause| slow.min(pause))),
            pause,
            resume: self.resume.or(pause.map(|pause| pause - RESUME_BELOW)),
        }
    }
}

/// The limits of a zone, in degrees Celsius; without them it may be as hot as it likes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Limits {
    slow: Option<f64>,
    pause: Option<f64>,
    resume: Option<f64>,
}

impl Limits {
    /// What a temperature means after what was meant before: once it is too hot it must become a good deal cooler.
    fn judge(&self, before: Heat, celsius: f64) -> Heat {
        let reaches = |limit: Option<f64>| limit.is_some_and(|limit| celsius >= limit);
        let end = if before == Heat::Hot { self.resume } else { self.pause };
        match (reaches(end), reaches(self.slow)) {
            (true, _) => Heat::Hot,
            (false, true) => Heat::Slow,
            (false, false) => Heat::Cool,
        }
    }
}

/// A zone with its limits and how it was when it was looked at last.
#[derive(Clone, Debug)]
pub(super) struct Gauge {
    zone: Zone,
    limits: Limits,
    heat: Heat,
}

impl Gauge {
    pub(super) fn new(zone: &Zone, thermal: Thermal) -> Self {
        Self { zone: zone.clone(), limits: thermal.limits(zone.trip()), heat: Heat::Cool }
    }

    /// Its name, as the board has it.
    pub(super) fn name(&self) -> &str {
        self.zone.name()
    }

    /// Its temperature in degrees Celsius, and what that means. A zone that cannot be read belongs to a part that is
    /// switched off, and what was felt there is forgotten.
    pub(super) fn feel(&mut self) -> Option<(f64, Heat)> {
        let celsius = self.zone.celsius();
        self.heat = celsius.map_or(Heat::Cool, |celsius| self.limits.judge(self.heat, celsius));
        celsius.map(|celsius| (celsius, self.heat))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a course of temperatures means, one after another.
    fn course(thermal: Thermal, trip: Option<f64>, degrees: &[f64]) -> Vec<Heat> {
        let limits = thermal.limits(trip);
        let judged = degrees.iter().scan(Heat::Cool, |heat, celsius| {
            *heat = limits.judge(*heat, *celsius);
            Some(*heat)
        });
        judged.collect()
    }

    #[test]
    fn a_board_that_tells_its_trip_point_slows_down_stops_and_goes_on_where_it_slowed_down() {
        use Heat::{Cool, Hot, Slow};
        let degrees = [60.0, 87.9, 88.0, 94.9, 95.0, 105.0, 94.0, 88.0, 87.9, 94.9];
        let wanted = [Cool, Cool, Slow, Slow, Hot, Hot, Hot, Hot, Cool, Slow];
        assert_eq!(course(Thermal::default(), Some(99.0), &degrees), wanted);
    }

    #[test]
    fn without_trip_points_and_settings_nothing_is_ever_too_hot() {
        assert_eq!(course(Thermal::default(), None, &[60.0, 105.0, 150.0]), [Heat::Cool; 3]);
    }

    #[test]
    fn what_is_set_goes_before_what_the_board_tells() {
        use Heat::{Cool, Hot, Slow};
        let set = |slow, pause, resume| Thermal::new(slow, pause, resume).unwrap();
        let degrees = [59.0, 60.0, 70.0, 65.0, 59.0];
        for trip in [None, Some(99.0)] {
            let thermal = set(Some(60.0), Some(70.0), Some(61.0));
            assert_eq!(course(thermal, trip, &degrees), [Cool, Slow, Hot, Hot, Cool]);
        }
        // Seven degrees below where it stops, unless something else is set.
        assert_eq!(course(set(None, Some(70.0), None), None, &[69.0, 70.0, 63.0, 62.9]), [Cool, Hot, Hot, Cool]);
        assert_eq!(course(set(Some(60.0), None, None), None, &[59.0, 150.0]), [Cool, Slow]);
        assert_eq!(course(set(None, Some(70.0), None), Some(99.0), &[69.0, 70.0, 62.9]), [Cool, Hot, Cool]);
    }

    #[test]
    fn temperatures_that_make_no_sense_together_are_refused() {
        let fault = |slow, pause, resume| {
            let error = Thermal::new(slow, pause, resume).unwrap_err();
            format!("{}: {error}", error.key())
        };
        assert_eq!(fault(None, Some(20.0), None), "pause: must be between 30 and 150 degrees Celsius, got 20");
        assert!(fault(Some(f64::NAN), None, None).starts_with("slow: must be between"));
        assert_eq!(fault(Some(91.0), Some(90.0), None), "slow: must not be above thermal.pause = 90, got 91");
        assert_eq!(fault(None, Some(90.0), Some(90.0)), "resume: must be below thermal.pause = 90, got 90");
        assert_eq!(fault(None, None, Some(80.0)), "resume: needs thermal.pause beside it");
        assert!(Thermal::new(Some(90.0), Some(90.0), Some(89.5)).is_ok());
    }

    #[test]
    fn rest_is_as_long_as_work_and_never_very_long() {
        let worked = Duration::from_secs(3);
        assert_eq!(Heat::Cool.rest(worked), Duration::ZERO);
        assert_eq!((Heat::Slow.rest(worked), Heat::Hot.rest(worked)), (worked, worked));
        assert_eq!(Heat::Slow.rest(Duration::from_secs(600)), LONGEST_REST);
    }
}
