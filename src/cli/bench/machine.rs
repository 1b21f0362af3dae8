//! What the machine tells of this process: memory and what was read from the disk.

use std::fs;

/// The most memory that this process ever held, in bytes; absent where the system does not tell.
pub(super) fn peak_memory() -> Option<u64> {
    of_status(&fs::read_to_string("/proc/self/status").ok()?)
}

/// Bytes that were read from the disk for this process; what the file cache had is not among them.
pub(super) fn read_from_disk() -> Option<u64> {
    of_io(&fs::read_to_string("/proc/self/io").ok()?)
}

/// Programs that ran or wanted to run, on average over the last minute.
pub(super) fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

fn of_status(text: &str) -> Option<u64> {
    let kibibytes: u64 =
        text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

fn of_io(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("read_bytes:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_told_in_bytes_and_not_mistaken_for_what_is_held_now() {
        assert_eq!(of_status("VmPeak:\t  900 kB\nVmHWM:\t     512 kB\nVmRSS:\t     100 kB\n"), Some(512 << 10));
        assert_eq!(of_status("VmRSS:\t 100 kB\n"), None);
    }

    #[test]
    fn what_the_file_cache_had_does_not_count_as_read() {
        assert_eq!(of_io("rchar: 5000\nread_bytes: 4096\nwrite_bytes: 1\n"), Some(4096));
        assert_eq!(of_io("rchar: 5000\n"), None);
    }
}
