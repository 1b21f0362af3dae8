//! What the system tells of memory.

use std::fs;
use std::path::Path;

use crate::board::bytes;

/// Half of the machine's memory, in bytes; 4 GiB where the machine does not say.
pub(super) fn half() -> u64 {
    const UNKNOWN: u64 = 8 << 30;
    machine().unwrap_or(UNKNOWN) / 2
}

/// The machine's memory, in bytes; nothing where it does not say.
pub(super) fn machine() -> Option<u64> {
    of_machine("MemTotal:")
}

/// Bytes that the machine can still give, and the service's or container's limit leaves; nothing where the system does
/// not say.
pub(super) fn available() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let left = left_to_groups(Path::new("/sys/fs/cgroup"), &groups);
    of_machine("MemAvailable:").into_iter().chain(left).min()
}

/// Bytes that the process takes for itself now; 0 where the system does not say.
pub(super) fn resident() -> u64 {
    of_process("RssAnon:").unwrap_or(0)
}

/// The most memory that this process ever held, in bytes; absent where the system does not tell.
pub fn peak_memory() -> Option<u64> {
    of_process("VmHWM:")
}

fn of_machine(key: &str) -> Option<u64> {
    bytes(&fs::read_to_string("/proc/meminfo").ok()?, key)
}

fn of_process(key: &str) -> Option<u64> {
    bytes(&fs::read_to_string("/proc/self/status").ok()?, key)
}

/// The files of a control group: its limit, what it uses, and what in `memory.stat` stands before the names of counts.
type Files = [&'static str; 3];

/// Bytes that the limits of a process's control groups leave, `told` as in `/proc/self/cgroup`; nothing without limits.
fn left_to_groups(root: &Path, told: &str) -> Option<u64> {
    const FIRST: Files = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_"];
    const SECOND: Files = ["memory.max", "memory.current", ""];
    let groups = told.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
        // Version 2 has one hierarchy for all controllers; in version 1 memory has its own.
        match controllers {
            "" => Some((root.to_owned(), path, SECOND)),
            _ => controllers.split(',').any(|it| it == "memory").then(|| (root.join("memory"), path, FIRST)),
        }
    });
    // The limits of all groups around it hold too.
    let left = groups.flat_map(|(root, path, files)| {
        let left = |group| left_to(&root.join(group), files);
        Path::new(path).ancestors().filter_map(left).collect::<Vec<_>>()
    });
    left.min()
}

/// Bytes that one group's limit leaves. Pages of files are given back when others need them, as `MemAvailable` has it.
fn left_to(group: &Path, [limit, used, prefix]: Files) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(group.join(name)).ok();
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let (limit, used, counts) = (number(&read(limit)?)?, number(&read(used)?)?, read("memory.stat")?);
    let count = |name: &str| counts.lines().find_map(|line| number(line.strip_prefix(prefix)?.strip_prefix(name)?));
    let files: u64 = ["active_file ", "inactive_file "].into_iter().filter_map(count).sum();
    Some(limit.saturating_sub(used.saturating_sub(files)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_a_service_counts_in_both_versions_of_control_groups_and_so_do_those_around_it() {
        let root = tempfile::tempdir().unwrap();
        let group = |path: &str, files: [(&str, &str); 3]| {
            let folder = root.path().join(path);
            fs::create_dir_all(&folder).unwrap();
            files.iter().for_each(|(name, text)| fs::write(folder.join(name), format!("{text}\n")).unwrap());
        };
        let second = |limit, used, stat| [("memory.max", limit), ("memory.current", used), ("memory.stat", stat)];
        group("system.slice", second("1000", "900", "anon 100\nactive_file 20\ninactive_file 30"));
        group("system.slice/diffused.service", second("max", "700", "inactive_file 0"));
        let first = [
            ("limit_in_bytes", "500"),
            ("usage_in_bytes", "450"),
            ("stat", "inactive_file 1\ntotal_inactive_file 30\ntotal_active_file 10"),
        ]
        .map(|(name, text)| (format!("memory.{name}"), text));
        let first: Vec<(&str, &str)> = first.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        group("memory/docker/1", first.try_into().unwrap());
        let left = |told: &str| left_to_groups(root.path(), told);
        assert_eq!(left("0::/system.slice/diffused.service\n"), Some(150));
        assert_eq!(left("9:name=systemd:/x\n4:memory:/docker/1\n0::/\n"), Some(90));
        assert_eq!(left("4:cpu,memory:/docker/1\n0::/system.slice\n"), Some(90));
        // The controls: no limit, another group, another system.
        assert_eq!((left("0::/user.slice\n"), left("2:cpu:/docker/1\n"), left("")), (None, None, None));
    }

    #[test]
    fn the_machine_says_how_much_memory_it_has() {
        assert!(half() > 1 << 28);
    }
}
