//! What the system tells of memory.

use std::fs;

/// Half of the machine's memory, in bytes; 4 GiB where the machine does not say.
pub(super) fn half() -> u64 {
    const UNKNOWN: u64 = 8 << 30;
    machine().unwrap_or(UNKNOWN) / 2
}

/// The machine's memory, in bytes; nothing where it does not say.
pub(super) fn machine() -> Option<u64> {
    of_machine("MemTotal:")
}

/// Bytes that the machine can still give; nothing where the system does not say.
pub(super) fn available() -> Option<u64> {
    of_machine("MemAvailable:")
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

fn bytes(told: &str, key: &str) -> Option<u64> {
    let kibibytes = told.lines().find_map(|line| line.strip_prefix(key))?.trim().strip_suffix(" kB")?;
    kibibytes.parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_told_in_bytes_and_not_mistaken_for_what_is_held_now() {
        let told = "VmPeak:\t  900 kB\nVmHWM:\t     512 kB\nVmRSS:\t     100 kB\n";
        assert_eq!(bytes(told, "VmHWM:"), Some(512 << 10));
        assert_eq!(bytes("VmRSS:\t 100 kB\n", "VmHWM:"), None);
    }

    #[test]
    fn the_machine_says_how_much_memory_it_has() {
        assert!(half() > 1 << 28);
    }
}
