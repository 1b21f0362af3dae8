//! What the machine tells of this process: what was read from the disk, and how busy all is.

use std::fs;

/// Bytes that were read from the disk for this process; what the file cache had is not among them.
pub(super) fn read_from_disk() -> Option<u64> {
    of_io(&fs::read_to_string("/proc/self/io").ok()?)
}

/// Programs that ran or wanted to run, on average over the last minute.
pub(super) fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

fn of_io(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("read_bytes:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_cache_had_does_not_count_as_read() {
        assert_eq!(of_io("rchar: 5000\nread_bytes: 4096\nwrite_bytes: 1\n"), Some(4096));
        assert_eq!(of_io("rchar: 5000\n"), None);
    }
}
