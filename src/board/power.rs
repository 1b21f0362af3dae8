//! Power rails and what the hardware does when they are drawn on too much.

use std::path::{Path, PathBuf};

use super::{entries, name, number, text};

/// Names of the rail that feeds the whole board; where one is there, the others are parts of it.
const WHOLE: [&str; 3] = ["VDD_IN", "POM_5V_IN", "5V_IN"];

/// A rail that is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Rail {
    label: String,
    meter: Meter,
}

/// The files that tell its power.
#[derive(Clone, Debug, PartialEq)]
enum Meter {
    /// Millivolts and milliamperes.
    Product { volts: PathBuf, amperes: PathBuf },
    /// Microwatts.
    Power(PathBuf),
}

impl Rail {
    /// Its name, such as `VDD_IN`.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// What it draws now, in watts.
    pub fn watts(&self) -> Option<f64> {
        match &self.meter {
            Meter::Product { volts, amperes } => Some(number(volts)? as f64 * number(amperes)? as f64 / 1e6),
            Meter::Power(file) => Some(number(file)? as f64 / 1e6),
        }
    }

    /// A channel of the chip INA3221. One without a label is not connected; the seventh is a sum of voltages.
    fn of_ina3221(chip: &Path, channel: u32) -> Option<Self> {
        let label = text(&chip.join(format!("in{channel}_label")))?;
        let file = |what: &str| chip.join(format!("{what}{channel}_input"));
        let rail = Self { label, meter: Meter::Product { volts: file("in"), amperes: file("curr") } };
        (rail.label != "NC").then_some(rail)
    }

    /// A channel of any other chip that measures power itself, now or on average.
    fn of_chip(chip: &Path, channel: u32) -> Option<Self> {
        let read = |what: &str| chip.join(format!("power{channel}_{what}"));
        let meter = ["input", "average"].map(read).into_iter().find(|file| file.exists())?;
        let label = text(&read("label")).or_else(|| text(&chip.join("name")))?;
        Some(Self { label, meter: Meter::Power(meter) })
    }
}

/// The rails of the chips in the kernel's folder: that of the whole board, else all.
pub(super) fn rails(folder: &Path) -> Vec<Rail> {
    let rails = entries(folder).into_iter().flat_map(|chip| {
        let is_ina3221 = text(&chip.join("name")).is_some_and(|name| name == "ina3221");
        let rail = if is_ina3221 { Rail::of_ina3221 } else { Rail::of_chip };
        (1..=3).filter_map(|channel| rail(&chip, channel)).collect::<Vec<_>>()
    });
    // What cannot be read from the start is no meter.
    let all: Vec<Rail> = rails.filter(|rail| rail.watts().is_some()).collect();
    let whole: Vec<Rail> = all.iter().filter(|rail| WHOLE.contains(&rail.label.as_str())).cloned().collect();
    if whole.is_empty() { all } else { whole }
}

/// The files of the chips in the kernel's folder that count over-currents, each of which slowed the clocks down.
pub(super) fn counters(folder: &Path) -> Vec<PathBuf> {
    let files = entries(folder).into_iter().flat_map(|chip| entries(&chip));
    let counts = |file: &PathBuf| name(file).starts_with("oc") && name(file).ends_with("_event_cnt");
    // What cannot be read from the start is no counter.
    files.filter(|file| counts(file) && number(file).is_some()).collect()
}
