//! A Jetson's tree read back, whole, in parts, and broken.

use std::time::{Duration, SystemTime};

use super::orin::Orin;
use super::*;

/// Names and temperatures of the zones that can be read.
fn heat(orin: &Orin) -> Vec<(String, f64)> {
    let zones = Board::at(orin.root()).zones().to_vec();
    zones.iter().filter_map(|zone| Some((zone.name().to_owned(), zone.celsius()?))).collect()
}

fn first_trip(orin: &Orin) -> Option<f64> {
    Board::at(orin.root()).zones()[0].trip()
}

#[test]
fn a_jetson_orin_tells_everything() {
    let orin = Orin::new();
    orin.gpu(750, 612_000_000);
    orin.events(1, 3);
    orin.events(3, 4);
    let board = Board::at(orin.root());
    assert_eq!(heat(&orin).len(), 5);
    assert_eq!(heat(&orin)[4], ("tj-thermal".to_owned(), 50.0));
    assert!(board.zones().iter().all(|zone| zone.trip() == Some(99.0)));
    assert_eq!((board.watts(), board.throttle_events()), (Some(6.4), Some(7)));
    let gpu = board.gpu().unwrap();
    assert_eq!((gpu.load(), gpu.hertz(), gpu.most_hertz()), (Some(0.75), Some(612_000_000), Some(1_224_000_000)));
    assert_eq!(board.memory_available(), Some(2_365_440 << 10));
    let identity = Identity {
        model: Some("NVIDIA Jetson Orin Nano Developer Kit".to_owned()),
        release: Some("36.4.3".to_owned()),
        power_mode: Some("15W".to_owned()),
    };
    assert_eq!(board.identity(), identity);
}

#[test]
fn an_empty_tree_tells_nothing_and_fails_nowhere() {
    let empty = tempfile::tempdir().unwrap();
    for root in [empty.path(), Path::new("/nowhere/at/all")] {
        let board = Board::at(root);
        assert!(board.zones().is_empty() && board.rails().is_empty() && board.gpu().is_none());
        assert_eq!((board.watts(), board.throttle_events(), board.memory_available()), (None, None, None));
        assert_eq!((board.load_average(), board.read_from_disk()), (None, None));
        assert_eq!(board.identity(), Identity::default());
        assert_eq!(board.timekeepers(), Timekeepers::default());
    }
}

#[test]
fn zones_that_read_nonsense_or_nothing_are_left_out() {
    let orin = Orin::new();
    orin.heat_of(0, "nan");
    orin.heat_of(1, -256_000);
    orin.heat_of(2, "");
    orin.remove("sys/class/thermal/thermal_zone3/temp");
    assert_eq!(heat(&orin), [("tj-thermal".to_owned(), 50.0)]);
    // What cannot be read now is still a zone: it may be readable later.
    assert_eq!(Board::at(orin.root()).zones().len(), 5);
}

#[test]
fn a_power_chip_that_always_says_a_hundred_degrees_is_no_zone() {
    let orin = Orin::new();
    orin.write("sys/class/thermal/thermal_zone0/type", "PMIC-Die");
    orin.heat_of(0, 100_000);
    assert!(heat(&orin).iter().all(|(_, celsius)| *celsius == 50.0));
}

#[test]
fn zones_stand_in_the_order_of_their_numbers() {
    let orin = Orin::new();
    orin.write("sys/class/thermal/thermal_zone10/type", "tboard");
    orin.heat_of(10, 40_000);
    assert_eq!(heat(&orin).last().unwrap().0, "tboard");
}

#[test]
fn a_zone_is_held_at_its_highest_passive_point_or_ends_at_its_lowest_critical_one() {
    let orin = Orin::without_trips();
    assert_eq!(first_trip(&orin), None);
    orin.trips(0, &[("active", 65_000), ("hot", 70_000)]);
    assert_eq!(first_trip(&orin), None);
    orin.trips(0, &[("critical", 105_000), ("critical", 103_000)]);
    assert_eq!(first_trip(&orin), Some(103.0));
    orin.trips(0, &[("critical", 105_000), ("passive", 75_000), ("passive", 85_000)]);
    assert_eq!(first_trip(&orin), Some(85.0));
    orin.trips(0, &[("passive", 0), ("passive", -274_000), ("critical", 105_000)]);
    assert_eq!(first_trip(&orin), Some(105.0), "a point at nought degrees is switched off");
}

#[test]
fn the_rail_of_the_whole_board_is_not_added_to_its_parts() {
    let orin = Orin::new();
    let labels: Vec<String> = Board::at(orin.root()).rails().iter().map(|rail| rail.label().to_owned()).collect();
    assert_eq!(labels, ["VDD_IN"]);
}

#[test]
fn a_board_without_such_a_rail_is_the_sum_of_all_that_are_connected() {
    let orin = Orin::new();
    orin.remove("sys/class/hwmon/hwmon1");
    orin.rail("sys/class/hwmon/hwmon3", 1, "VDD_GPU_SOC", 20_000, 300);
    orin.rail("sys/class/hwmon/hwmon3", 2, "VDD_CPU_CV", 20_000, 100);
    orin.rail("sys/class/hwmon/hwmon4", 1, "NC", 20_000, 100);
    orin.rail("sys/class/hwmon/hwmon4", 2, "VIN_SYS_5V0", 5000, 400);
    orin.write("sys/class/hwmon/hwmon5/name", "ina226");
    orin.write("sys/class/hwmon/hwmon5/power1_input", 2_500_000);
    let board = Board::at(orin.root());
    assert_eq!(board.watts(), Some(12.5));
    assert_eq!(board.rails()[3].label(), "ina226");
    orin.remove("sys/class/hwmon/hwmon3/curr1_input");
    assert_eq!(board.watts(), None, "a part is not the whole");
    assert_eq!(Board::at(orin.root()).watts(), Some(6.5), "what could never be read is no rail");
}

#[test]
fn a_machine_that_measures_only_heat_has_no_power() {
    let orin = Orin::new();
    orin.remove("sys/class/hwmon");
    orin.write("sys/class/hwmon/hwmon0/name", "coretemp");
    orin.write("sys/class/hwmon/hwmon0/in1_label", "Core 0");
    orin.write("sys/class/hwmon/hwmon0/in1_input", 1000);
    orin.write("sys/class/hwmon/hwmon0/curr1_input", 1000);
    let board = Board::at(orin.root());
    assert_eq!((board.watts(), board.throttle_events()), (None, None));
}

#[test]
fn a_counter_that_cannot_be_read_for_a_moment_makes_no_events() {
    let orin = Orin::new();
    (1..=3).for_each(|n| orin.events(n, 5));
    let board = Board::at(orin.root());
    assert_eq!(board.throttle_events(), Some(15));
    orin.write("sys/class/hwmon/hwmon2/oc2_event_cnt", "");
    assert_eq!(board.throttle_events(), None);
    assert_eq!(Board::at(orin.root()).throttle_events(), Some(10), "what could never be read is no counter");
}

#[test]
fn a_gpu_without_a_list_of_clocks_is_as_fast_as_its_mode_allows() {
    let orin = Orin::new();
    orin.remove("sys/class/devfreq/17000000.gpu/available_frequencies");
    orin.gpu(1001, 0);
    let board = Board::at(orin.root());
    let gpu = board.gpu().unwrap();
    assert_eq!((gpu.load(), gpu.hertz(), gpu.most_hertz()), (None, None, Some(612_000_000)));
    orin.remove("sys/class/devfreq/17000000.gpu");
    assert!(Board::at(orin.root()).gpu().is_none(), "the video decoder is no GPU");
}

#[test]
fn a_mode_without_a_name_is_told_by_its_number_and_a_strange_release_not_at_all() {
    let orin = Orin::new();
    orin.write("var/lib/nvpmodel/status", "pmode:0007");
    orin.write("etc/nv_tegra_release", "some other text");
    let identity = Board::at(orin.root()).identity();
    assert_eq!((identity.power_mode.as_deref(), identity.release), (Some("7"), None));
}

#[test]
fn a_status_that_tells_the_mode_of_the_fan_too_is_read() {
    let orin = Orin::new();
    orin.write("var/lib/nvpmodel/status", "pmode:0001 fmode:quiet");
    assert_eq!(Board::at(orin.root()).identity().power_mode.as_deref(), Some("15W"));
    orin.write("var/lib/nvpmodel/status", "fmode:fanNull");
    assert_eq!(Board::at(orin.root()).identity().power_mode, None);
}

#[test]
fn what_the_file_cache_had_does_not_count_as_read() {
    let orin = Orin::new();
    orin.write("proc/self/io", "rchar: 5000\nread_bytes: 4096\nwrite_bytes: 1");
    orin.write("proc/loadavg", "0.75 0.50 0.25 1/200 4711");
    let board = Board::at(orin.root());
    assert_eq!((board.read_from_disk(), board.load_average()), (Some(4096), Some(0.75)));
    orin.write("proc/self/io", "rchar: 5000");
    assert_eq!(board.read_from_disk(), None);
}

#[test]
fn memory_is_told_in_bytes_and_not_mistaken_for_another_count() {
    let told = "VmPeak:\t  900 kB\nVmHWM:\t     512 kB\nVmRSS:\t     100 kB\n";
    assert_eq!(bytes(told, "VmHWM:"), Some(512 << 10));
    assert_eq!(bytes("VmRSS:\t 100 kB\n", "VmHWM:"), None);
}

#[test]
fn this_machine_has_memory_and_a_disk() {
    assert!(Board::here().memory_available().is_some_and(|bytes| bytes > 1 << 20));
    let here = tempfile::tempdir().unwrap();
    assert!(disk_free(here.path()).unwrap() > 0);
    assert!(disk_free(Path::new("/nowhere/at/all")).is_err());
}

#[test]
fn a_boards_gpu_has_its_nodes_and_a_screen_alone_is_none() {
    let orin = Orin::new();
    // Nobody may make device nodes in a test, but a link to one is followed.
    let make = |paths: &[&str]| {
        for path in paths.iter().map(|path| orin.root().join("dev").join(path)) {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink("/dev/null", path).unwrap();
        }
    };
    let nodes = || -> Vec<String> {
        let nodes = Board::at(orin.root()).gpu_nodes();
        nodes.iter().map(|node| node.path.to_string_lossy().into_owned()).collect()
    };
    make(&["dri/renderD128", "dri/card0", "tty0"]);
    assert!(nodes().is_empty());
    make(&["nvmap", "nvhost-ctrl-gpu", "nvgpu/igpu0/ctrl"]);
    orin.write("dev/nvidia-notes", "no device");
    let mut got = nodes();
    got.sort();
    assert_eq!(got, ["/dev/dri/renderD128", "/dev/nvgpu/igpu0/ctrl", "/dev/nvhost-ctrl-gpu", "/dev/nvmap"]);
}

#[test]
fn the_first_clock_with_a_battery_is_told_unless_it_runs_in_local_time() {
    let orin = Orin::new();
    let battery = || Board::at(orin.root()).timekeepers().battery;
    let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(battery(), None);
    orin.write("sys/class/rtc/rtc1/since_epoch", 12);
    orin.write("sys/class/rtc/rtc0/since_epoch", 1_800_000_000);
    assert_eq!(battery(), at(1_800_000_000));
    orin.write("etc/adjtime", "0.0 0 0.0\n0\nLOCAL\n");
    assert_eq!(battery(), None);
    orin.write("etc/adjtime", "0.0 0 0.0\n0\nUTC\n");
    orin.write("sys/class/rtc/rtc0/since_epoch", -1);
    assert_eq!(battery(), None);
}

#[test]
fn who_keeps_the_clock_is_told() {
    let orin = Orin::new();
    orin.write("run/systemd/timesync/synchronized", "");
    orin.write("run/chrony/chronyd.pid", "12\n");
    let told = Board::at(orin.root()).timekeepers();
    let age = SystemTime::now().duration_since(told.set.unwrap()).unwrap_or_default();
    assert!(age < Duration::from_secs(60) && told.is_chrony_there, "{told:?}");
}

#[test]
fn bytes_for_people_are_rounded() {
    assert_eq!([0, 999, 2_000_000, 4_294_967_296].map(size), ["0 B", "999 B", "2.0 MB", "4.3 GB"]);
}
