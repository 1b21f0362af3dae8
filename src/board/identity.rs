//! What board it is.

use std::path::Path;

use super::text;

/// What board it is, and how it was set up; all of it absent on a machine without a device tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// As the device tree has it, such as `NVIDIA Jetson Orin Nano Developer Kit`.
    pub model: Option<String>,
    /// The release of NVIDIA's Linux for Tegra, such as `36.4.3`.
    pub release: Option<String>,
    /// The power mode, such as `15W`, or its number if its name is not told.
    pub power_mode: Option<String>,
}

impl Identity {
    pub(super) fn below(root: &Path) -> Self {
        let read = |file: &str| text(&root.join(file));
        Self {
            model: read("proc/device-tree/model").filter(|model| !model.is_empty()),
            release: read("etc/nv_tegra_release").and_then(|line| release(&line)),
            power_mode: read("var/lib/nvpmodel/status")
                .and_then(|status| power_mode(&status, &read("etc/nvpmodel.conf").unwrap_or_default())),
        }
    }
}

/// From a line such as `# R36 (release), REVISION: 4.3, GCID: 38968081, ...`.
fn release(line: &str) -> Option<String> {
    let (major, rest) = line.strip_prefix("# R")?.split_once(' ')?;
    let minor = rest.split_once("REVISION: ")?.1.split(',').next()?;
    Some(format!("{major}.{minor}"))
}

/// From `pmode:0001` or `pmode:0001 fmode:quiet`, and the lines of modes in the configuration, such as `< POWER_MODEL ID=1 NAME=15W >`.
fn power_mode(status: &str, configuration: &str) -> Option<String> {
    let number: u32 = status.strip_prefix("pmode:")?.split_whitespace().next()?.parse().ok()?;
    let named = configuration.lines().filter(|line| line.contains("POWER_MODEL")).find_map(|line| {
        let word = |key: &str| line.split_whitespace().find_map(|word| word.strip_prefix(key));
        word("NAME=").filter(|_| word("ID=").and_then(|id| id.parse().ok()) == Some(number))
    });
    Some(named.map_or_else(|| number.to_string(), str::to_owned))
}
