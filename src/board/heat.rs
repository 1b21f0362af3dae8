//! Thermal zones: places on the board whose temperature the kernel knows.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::{entries, name, number, text};

/// Temperatures that a board can have, in degrees Celsius. A zone that is switched off reads -256.
const POSSIBLE: RangeInclusive<f64> = -55.0..=200.0;
/// Trip points that concern the work, in degrees Celsius. Some firmware has points at 0, or where a fan is to begin.
const TRIPS: RangeInclusive<f64> = 60.0..=150.0;
/// More trip points than any zone has.
const MOST_TRIPS: u32 = 32;

/// A thermal zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    folder: PathBuf,
    name: String,
    trip: Option<f64>,
}

impl Zone {
    /// Its name, such as `gpu-thermal`. Numbers of zones change from kernel to kernel, names do not.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the kernel holds it down by slower clocks, or, if it tells no such point, where it switches the board off;
    /// in degrees Celsius.
    pub fn trip(&self) -> Option<f64> {
        self.trip
    }

    /// How hot it is, in degrees Celsius. Zones of parts that are switched off cannot be read.
    pub fn celsius(&self) -> Option<f64> {
        Some(celsius(&self.folder.join("temp"))?).filter(|celsius| POSSIBLE.contains(celsius))
    }
}

/// The zones in the kernel's folder.
pub(super) fn zones(folder: &Path) -> Vec<Zone> {
    let zones = entries(folder).into_iter().filter(|path| name(path).starts_with("thermal_zone"));
    zones.filter_map(zone).collect()
}

fn zone(folder: PathBuf) -> Option<Zone> {
    let name = text(&folder.join("type"))?;
    // The power chip of older Jetsons only knows that it is below 120 degrees, and then says 100.
    if name.starts_with("PMIC") {
        return None;
    }
    let trip = trip(&folder);
    Some(Zone { folder, name, trip })
}

/// Of several passive points the highest is the one at which the zone is really held; of critical ones the lowest ends
/// everything.
fn trip(zone: &Path) -> Option<f64> {
    let points: Vec<(String, f64)> = (0..MOST_TRIPS)
        .map_while(|n| Some((n, text(&zone.join(format!("trip_point_{n}_type")))?)))
        .filter_map(|(n, kind)| Some((kind, celsius(&zone.join(format!("trip_point_{n}_temp")))?)))
        .filter(|(_, at)| TRIPS.contains(at))
        .collect();
    let of = |kind: &'static str| points.iter().filter(move |point| point.0 == kind).map(|point| point.1);
    of("passive").reduce(f64::max).or_else(|| of("critical").reduce(f64::min))
}

fn celsius(file: &Path) -> Option<f64> {
    Some(number(file)? as f64 / 1000.0)
}
