//! What the board tells of itself in sysfs and procfs: heat, power, the GPU's clock, memory, and what board it is.
//!
//! All of it is read below a root: `/` in life, a folder in tests. What is not there is `None` or left out and never an
//! error, and so is a value that cannot be true. The layout is Linux's; the names of rails and GPUs are those of
//! NVIDIA's Jetson boards.

mod clock;
mod gpu;
mod heat;
mod identity;
mod machine;
mod nodes;
mod power;

use std::fs;
use std::path::{Path, PathBuf};

pub use self::clock::Timekeepers;
pub use self::gpu::Gpu;
pub use self::heat::Zone;
pub use self::identity::Identity;
pub use self::machine::{bytes, disk_free, size};
pub use self::nodes::Node;
pub use self::power::Rail;

/// A board, by the tree in which it tells of itself.
///
/// What it has is looked for once; what that reads now is asked each time.
#[derive(Clone, Debug)]
pub struct Board {
    root: PathBuf,
    zones: Vec<Zone>,
    rails: Vec<Rail>,
    gpu: Option<Gpu>,
    /// Files that count how often the hardware slowed itself down.
    counters: Vec<PathBuf>,
}

impl Board {
    /// This machine.
    pub fn here() -> Self {
        Self::at(Path::new("/"))
    }

    /// The board that tells of itself below `root`.
    pub fn at(root: &Path) -> Self {
        let hwmon = root.join("sys/class/hwmon");
        Self {
            root: root.to_owned(),
            zones: heat::zones(&root.join("sys/class/thermal")),
            rails: power::rails(&hwmon),
            gpu: Gpu::below(&root.join("sys/class/devfreq")),
            counters: power::counters(&hwmon),
        }
    }

    /// Its thermal zones, in the kernel's order; those that cannot be read right now are among them.
    pub fn zones(&self) -> &[Zone] {
        &self.zones
    }

    /// Its power rails: one for the whole board where it has that, else all that it has.
    pub fn rails(&self) -> &[Rail] {
        &self.rails
    }

    /// Its GPU, if that is one whose clock the kernel tells.
    pub fn gpu(&self) -> Option<&Gpu> {
        self.gpu.as_ref()
    }

    /// What it draws now, in watts; nothing if a rail cannot be read.
    pub fn watts(&self) -> Option<f64> {
        if self.rails.is_empty() { None } else { self.rails.iter().map(Rail::watts).sum() }
    }

    /// How often the hardware slowed itself down since it was switched on, such as over too much current; nothing if a
    /// counter cannot be read, whose return would look like new events.
    pub fn throttle_events(&self) -> Option<u64> {
        let counts = self.counters.iter().map(|file| u64::try_from(number(file)?).ok());
        if self.counters.is_empty() { None } else { counts.sum() }
    }

    /// What board it is.
    pub fn identity(&self) -> Identity {
        Identity::below(&self.root)
    }
}

/// The text of a file, without what ends it: a new line, or a zero byte in a device tree.
fn text(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    Some(text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned())
}

/// The whole number in a file; the kernel writes no others.
fn number(file: &Path) -> Option<i64> {
    text(file)?.parse().ok()
}

/// What lies in a folder, in the order of the numbers at the ends of the names.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).into_iter().flatten().flatten().map(|it| it.path()).collect();
    entries.sort_by_cached_key(|path| {
        let name = name(path);
        let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit()).to_owned();
        (digits.parse::<u64>().unwrap_or(u64::MAX), name)
    });
    entries
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
#[path = "../../tests/support/orin.rs"]
mod orin;

#[cfg(test)]
mod tests;
