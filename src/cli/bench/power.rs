//! Electric power, where the board measures it (Linux hwmon: INA3221 on Jetson boards).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How often the rails are read.
const EVERY: Duration = Duration::from_millis(100);

/// Names of the rail that feeds the whole board; where one is there, the others are parts of it.
const WHOLE: [&str; 3] = ["VDD_IN", "POM_5V_IN", "5V_IN"];

/// The rails of a board that measures itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Board {
    rails: Vec<Rail>,
}

/// A rail: the folder of its chip and its number there.
#[derive(Clone, Debug, PartialEq)]
struct Rail {
    chip: PathBuf,
    number: u8,
    label: String,
}

impl Board {
    /// What this machine has, if anything.
    pub(super) fn here() -> Option<Self> {
        Self::below(Path::new("/sys/class/hwmon"))
    }

    fn below(folder: &Path) -> Option<Self> {
        let chips = fs::read_dir(folder).ok()?.flatten().map(|chip| chip.path());
        let measuring = chips.filter(|chip| text(&chip.join("name")).is_some_and(|name| name == "ina3221"));
        let all: Vec<Rail> =
            measuring.flat_map(|chip| (1..=3).filter_map(move |number| Rail::of(&chip, number))).collect();
        let whole: Vec<Rail> = all.iter().filter(|rail| WHOLE.contains(&rail.label.as_str())).cloned().collect();
        let rails = if whole.is_empty() { all } else { whole };
        (!rails.is_empty()).then_some(Self { rails })
    }

    /// What it draws now, in watts; nothing if a rail cannot be read.
    fn watts(&self) -> Option<f64> {
        self.rails.iter().map(Rail::watts).sum()
    }

    /// Does `work`, and says what the board drew meanwhile, on average in watts.
    pub(super) fn during<T>(&self, work: impl FnOnce() -> T) -> (T, Option<f64>) {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let meter = scope.spawn(|| {
                let mut read = Vec::new();
                // At least once, also if the work is over before this thread begins.
                loop {
                    read.extend(self.watts());
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    thread::sleep(EVERY);
                }
                (!read.is_empty()).then(|| read.iter().sum::<f64>() / read.len() as f64)
            });
            let done = work();
            over.store(true, Ordering::Relaxed);
            (done, meter.join().ok().flatten())
        })
    }
}

impl Rail {
    /// Channels without a label are not connected.
    fn of(chip: &Path, number: u8) -> Option<Self> {
        let label = text(&chip.join(format!("in{number}_label")))?;
        let rail = Self { chip: chip.to_owned(), number, label };
        rail.watts().map(|_| rail)
    }

    /// The chip tells millivolts and milliamperes.
    fn watts(&self) -> Option<f64> {
        let read = |what: &str| text(&self.chip.join(format!("{what}{}_input", self.number)))?.parse::<f64>().ok();
        Some(read("in")? * read("curr")? / 1e6)
    }
}

fn text(file: &Path) -> Option<String> {
    Some(fs::read_to_string(file).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chip(folder: &Path, name: &str, rails: &[(&str, u32, u32)]) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("name"), format!("{name}\n")).unwrap();
        for (k, (label, millivolts, milliamperes)) in rails.iter().enumerate() {
            let write =
                |file: String, text: &dyn std::fmt::Display| fs::write(folder.join(file), format!("{text}\n")).unwrap();
            write(format!("in{}_label", k + 1), label);
            write(format!("in{}_input", k + 1), millivolts);
            write(format!("curr{}_input", k + 1), milliamperes);
        }
    }

    #[test]
    fn the_rail_of_the_whole_board_is_not_added_to_its_parts() {
        let folder = tempfile::tempdir().unwrap();
        let rails = [("VDD_IN", 5000, 2000), ("VDD_CPU_GPU_CV", 5000, 800), ("VDD_SOC", 5000, 400)];
        chip(&folder.path().join("hwmon3"), "ina3221", &rails);
        assert_eq!(Board::below(folder.path()).unwrap().watts(), Some(10.0));
    }

    #[test]
    fn a_board_without_such_a_rail_is_the_sum_of_all() {
        let folder = tempfile::tempdir().unwrap();
        chip(&folder.path().join("hwmon1"), "ina3221", &[("VDD_GPU_SOC", 20000, 300), ("VDD_CPU_CV", 20000, 100)]);
        chip(&folder.path().join("hwmon2"), "ina3221", &[("VIN_SYS_5V0", 5000, 400)]);
        assert_eq!(Board::below(folder.path()).unwrap().watts(), Some(10.0));
    }

    #[test]
    fn a_machine_that_measures_only_heat_has_no_power() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Board::below(folder.path()), None);
        chip(&folder.path().join("hwmon0"), "coretemp", &[("Core 0", 1000, 1000)]);
        chip(&folder.path().join("hwmon1"), "ina3221", &[]);
        assert_eq!(Board::below(folder.path()), None);
    }

    #[test]
    fn the_mean_is_over_the_work() {
        let folder = tempfile::tempdir().unwrap();
        chip(&folder.path().join("hwmon0"), "ina3221", &[("VDD_IN", 5000, 3000)]);
        assert_eq!(Board::below(folder.path()).unwrap().during(|| 7), (7, Some(15.0)));
    }
}
