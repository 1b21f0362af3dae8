//! A Jetson Orin's sysfs and procfs in a folder; shared by the unit tests of `src/board` and `tests/heat.rs`.

use std::fmt::Display;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

/// The zones of a Jetson Orin.
const ZONES: [&str; 5] = ["cpu-thermal", "gpu-thermal", "cv0-thermal", "soc0-thermal", "tj-thermal"];
const HWMON: &str = "sys/class/hwmon";
const GPU: &str = "sys/class/devfreq/17000000.gpu";

/// The tree: 50 degrees everywhere, 6.4 W, an idle GPU.
pub(crate) struct Orin(TempDir);

impl Orin {
    /// With the trip points of the real one: slower at 99 degrees, off at 104.5.
    pub(crate) fn new() -> Self {
        let orin = Self::without_trips();
        for zone in 0..ZONES.len() {
            orin.trips(zone, &[("active", 51_000), ("passive", 99_000), ("critical", 104_500)]);
        }
        orin
    }

    /// A kernel that tells no trip points.
    pub(crate) fn without_trips() -> Self {
        let orin = Self(tempfile::tempdir().unwrap());
        for (n, name) in ZONES.iter().enumerate() {
            orin.write(&format!("sys/class/thermal/thermal_zone{n}/type"), name);
        }
        orin.write("sys/class/thermal/cooling_device0/type", "pwm-fan");
        orin.heat(50.0);
        orin.rail(&format!("{HWMON}/hwmon1"), 1, "VDD_IN", 5000, 1280);
        orin.rail(&format!("{HWMON}/hwmon1"), 2, "VDD_CPU_GPU_CV", 5000, 400);
        orin.rail(&format!("{HWMON}/hwmon1"), 3, "VDD_SOC", 5000, 300);
        orin.write(&format!("{HWMON}/hwmon1/in7_label"), "sum of shunt voltages");
        orin.write(&format!("{HWMON}/hwmon2/name"), "soctherm_oc");
        (1..=3).for_each(|n| orin.events(n, 0));
        orin.write("sys/class/devfreq/15340000.vic/device/of_node/name", "vic\0");
        orin.write(&format!("{GPU}/device/of_node/name"), "gpu\0");
        orin.write(&format!("{GPU}/available_frequencies"), "306000000 612000000 1224000000");
        orin.write(&format!("{GPU}/max_freq"), 612_000_000);
        orin.gpu(0, 306_000_000);
        orin.write("proc/device-tree/model", "NVIDIA Jetson Orin Nano Developer Kit\0");
        orin.write("proc/meminfo", "MemTotal:        7802504 kB\nMemAvailable:    2365440 kB");
        orin.write(
            "etc/nv_tegra_release",
            "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64",
        );
        orin.write("etc/nvpmodel.conf", "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=1 NAME=15W >");
        orin.write("var/lib/nvpmodel/status", "pmode:0001");
        orin
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    /// All zones are so hot now, in degrees Celsius.
    pub(crate) fn heat(&self, celsius: f64) {
        (0..ZONES.len()).for_each(|zone| self.heat_of(zone, format!("{}", (celsius * 1000.0) as i64)));
    }

    /// What one zone reads now.
    pub(crate) fn heat_of(&self, zone: usize, temp: impl Display) {
        self.write(&format!("sys/class/thermal/thermal_zone{zone}/temp"), temp);
    }

    pub(crate) fn trips(&self, zone: usize, points: &[(&str, i64)]) {
        for (n, (kind, temp)) in points.iter().enumerate() {
            self.write(&format!("sys/class/thermal/thermal_zone{zone}/trip_point_{n}_type"), kind);
            self.write(&format!("sys/class/thermal/thermal_zone{zone}/trip_point_{n}_temp"), temp);
        }
    }

    /// A channel of an INA3221.
    pub(crate) fn rail(&self, chip: &str, channel: u32, label: &str, millivolts: i64, milliamperes: i64) {
        self.write(&format!("{chip}/name"), "ina3221");
        self.write(&format!("{chip}/in{channel}_label"), label);
        self.write(&format!("{chip}/in{channel}_input"), millivolts);
        self.write(&format!("{chip}/curr{channel}_input"), milliamperes);
    }

    /// How often the hardware slowed itself down over one of its over-currents.
    pub(crate) fn events(&self, number: u32, count: u64) {
        self.write(&format!("{HWMON}/hwmon2/oc{number}_event_cnt"), count);
    }

    /// How busy the GPU is, of a thousand, and its clock in hertz.
    pub(crate) fn gpu(&self, load: u32, hertz: u64) {
        self.write(&format!("{GPU}/device/load"), load);
        self.write(&format!("{GPU}/cur_freq"), hertz);
    }

    /// Writes a file as the kernel shows it: never half of it.
    pub(crate) fn write(&self, file: &str, text: impl Display) {
        let path = self.root().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let draft = self.root().join("draft");
        fs::write(&draft, format!("{text}\n")).unwrap();
        fs::rename(draft, path).unwrap();
    }

    /// Takes a file or folder away.
    pub(crate) fn remove(&self, path: &str) {
        let path = self.root().join(path);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
}
