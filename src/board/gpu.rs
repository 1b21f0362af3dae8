//! The GPU of a Jetson, whose clock the kernel's devfreq governs.

use std::path::{Path, PathBuf};

use super::{entries, number, text};

/// Names of GPUs in the device tree: Xavier, TX2, Orin, and newer kernels for any.
const GPUS: [&str; 4] = ["gv11b", "gp10b", "ga10b", "gpu"];

/// A GPU.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpu {
    folder: PathBuf,
}

impl Gpu {
    /// The GPU among the kernel's devices of variable clock.
    pub(super) fn below(folder: &Path) -> Option<Self> {
        let is_gpu = |device: &PathBuf| {
            text(&device.join("device/of_node/name")).is_some_and(|name| GPUS.contains(&name.as_str()))
        };
        entries(folder).into_iter().find(is_gpu).map(|folder| Self { folder })
    }

    /// How busy it is, 0 to 1.
    pub fn load(&self) -> Option<f64> {
        let per_mille = number(&self.folder.join("device/load"))?;
        (0..=1000).contains(&per_mille).then(|| per_mille as f64 / 1000.0)
    }

    /// Its clock now, in hertz.
    pub fn hertz(&self) -> Option<u64> {
        positive(number(&self.folder.join("cur_freq"))?)
    }

    /// The fastest clock that it can have, in hertz. `max_freq` is what the power mode allows, and newer kernels lower
    /// that when it is hot; so it counts only where no list of clocks is told.
    pub fn most_hertz(&self) -> Option<u64> {
        let listed = text(&self.folder.join("available_frequencies")).unwrap_or_default();
        let fastest = listed.split_whitespace().filter_map(|clock| clock.parse().ok()).max();
        positive(fastest.or_else(|| number(&self.folder.join("max_freq")))?)
    }
}

fn positive(number: i64) -> Option<u64> {
    u64::try_from(number).ok().filter(|number| *number > 0)
}
