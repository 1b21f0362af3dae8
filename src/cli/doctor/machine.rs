//! Memory, disk, clock, heat, power and the nodes of a GPU.

use std::path::Path;
use std::time::SystemTime;

use super::finding::Finding;
use super::{clock, drop_in};
use crate::board::{self, Board, Node, size};
use crate::config::Config;
use crate::service::{Heat, Thermal};

/// Less free memory than the smallest model needs beside its system.
const LITTLE_MEMORY: u64 = 1 << 30;
/// Results and graphs of the cache want room.
const LITTLE_DISK: u64 = 1 << 30;

pub(super) fn findings(board: &Board, config: Option<&Config>) -> Vec<Finding> {
    let mut findings = vec![identity(board), memory(board)];
    findings.extend(config.map(|config| disk(&config.store)));
    findings.push(clock::finding(SystemTime::now(), &board.timekeepers()));
    findings.push(heat(board, config.map(|config| config.thermal).unwrap_or_default()));
    findings.push(power(board));
    findings.extend(gpu(&board.gpu_nodes()));
    findings
}

fn identity(board: &Board) -> Finding {
    let identity = board.identity();
    let told = [
        identity.model,
        identity.release.map(|release| format!("Linux for Tegra {release}")),
        identity.power_mode.map(|mode| format!("power mode {mode}")),
    ];
    let told: Vec<String> = told.into_iter().flatten().collect();
    let what = if told.is_empty() { std::env::consts::ARCH.to_owned() } else { told.join(", ") };
    Finding::ok("board", what)
}

fn memory(board: &Board) -> Finding {
    match board.memory_available() {
        None => Finding::warn("memory", "the system does not tell how much is free", "mount /proc for the service"),
        Some(free) if free < LITTLE_MEMORY => Finding::warn(
            "memory",
            format!("{} are free", size(free)),
            "stop what else runs, such as a desktop: sudo systemctl set-default multi-user.target",
        ),
        Some(free) => Finding::ok("memory", format!("{} are free", size(free))),
    }
}

/// The folder may not be there yet; its disk is that of the nearest one that is.
fn disk(store: &Path) -> Finding {
    let there = store.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    match board::disk_free(there) {
        Err(error) => Finding::fail("disk", format!("{}: {error}", there.display()), "mount the disk of the store"),
        Ok(free) if free < LITTLE_DISK => Finding::warn(
            "disk",
            format!("{} are free for {}", size(free), store.display()),
            "free some, or set store.max_bytes so that old results go first",
        ),
        Ok(free) => Finding::ok("disk", format!("{} are free for {}", size(free), store.display())),
    }
}

/// By the zone that matters most, which need not be the hottest: each has limits of its own.
fn heat(board: &Board, thermal: Thermal) -> Finding {
    let read = |zone: &board::Zone| {
        let celsius = zone.celsius()?;
        Some((thermal.judge(zone.trip(), celsius), celsius, zone.name().to_owned()))
    };
    let worst = board.zones().iter().filter_map(read).max_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let Some((heat, celsius, name)) = worst else { return Finding::ok("heat", "the board tells no temperature") };
    let what = format!("{name} has {celsius:.0} °C");
    match heat {
        Heat::Cool => Finding::ok("heat", what),
        Heat::Slow => Finding::warn("heat", what, "more air: the work rests between its steps from here on"),
        Heat::Hot => Finding::warn("heat", what, "more air: no new work is taken from here on"),
    }
}

fn power(board: &Board) -> Finding {
    let watts = board.watts().map_or("the board tells no power".to_owned(), |watts| format!("{watts:.1} W"));
    match board.throttle_events() {
        Some(events) if events > 0 => Finding::warn(
            "power",
            format!("{watts}; slowed down {events} times since it was switched on"),
            "a stronger supply or a lower power mode (sudo nvpmodel -q)",
        ),
        _ => Finding::ok("power", watts),
    }
}

/// Whether this user, who may be another than the service's, can open the nodes.
fn gpu(nodes: &[Node]) -> Option<Finding> {
    if nodes.is_empty() {
        return None;
    }
    let shut: Vec<&Node> = nodes.iter().filter(|node| !opens(node)).collect();
    let Some(first) = shut.first() else {
        return Some(Finding::ok("gpu", format!("{} device nodes, all can be opened", nodes.len())));
    };
    let group = first.group.as_deref().unwrap_or("root");
    Some(Finding::warn(
        "gpu",
        format!(
            "{} of {} device nodes cannot be opened, such as {} of group {group}",
            shut.len(),
            nodes.len(),
            first.path.display()
        ),
        format!("for the service: sudo diffused doctor --write-drop-in writes {}", drop_in::PATH),
    ))
}

fn opens(node: &Node) -> bool {
    std::fs::OpenOptions::new().read(true).write(true).open(&node.path).is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_zone_at_its_limit_goes_before_a_hotter_one_that_is_not() {
        let root = tempfile::tempdir().unwrap();
        let zone = |number: u32, name: &str, trip: u32, celsius: u32| {
            let folder = root.path().join(format!("sys/class/thermal/thermal_zone{number}"));
            fs::create_dir_all(&folder).unwrap();
            let at = |degrees: u32| (degrees * 1000).to_string();
            let files = [("type", name.to_owned()), ("temp", at(celsius)), ("trip_point_0_type", "passive".to_owned())];
            files.iter().for_each(|(file, text)| fs::write(folder.join(file), text).unwrap());
            fs::write(folder.join("trip_point_0_temp"), at(trip)).unwrap();
        };
        let said = || {
            let finding = heat(&Board::at(root.path()), Thermal::default());
            (finding.level, finding.what)
        };
        assert_eq!(said(), (Level::Ok, "the board tells no temperature".to_owned()));
        zone(0, "cpu-thermal", 99, 80);
        zone(1, "tboard", 70, 60);
        assert_eq!(said(), (Level::Warn, "tboard has 60 °C".to_owned()));
        zone(1, "tboard", 70, 50);
        assert_eq!(said(), (Level::Ok, "cpu-thermal has 80 °C".to_owned()));
    }
}
