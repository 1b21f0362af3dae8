//! What any Linux machine tells: memory, disks, how busy it is, and what this process read.

use std::io;
use std::path::Path;

use super::{Board, text};

impl Board {
    /// Bytes of memory that programs can still have without swapping.
    pub fn memory_available(&self) -> Option<u64> {
        bytes(&text(&self.root.join("proc/meminfo"))?, "MemAvailable:")
    }

    /// Bytes of memory that this process holds.
    pub fn memory_resident(&self) -> Option<u64> {
        bytes(&text(&self.root.join("proc/self/status"))?, "VmRSS:")
    }

    /// Programs that ran or wanted to run, on average over the last minute.
    pub fn load_average(&self) -> Option<f64> {
        text(&self.root.join("proc/loadavg"))?.split_whitespace().next()?.parse().ok()
    }

    /// Bytes that were read from the disk for this process; what the file cache had is not among them.
    pub fn read_from_disk(&self) -> Option<u64> {
        let told = text(&self.root.join("proc/self/io"))?;
        told.lines().find_map(|line| line.strip_prefix("read_bytes:"))?.trim().parse().ok()
    }
}

/// The number of bytes behind a key in what the kernel tells of memory, in lines such as `MemTotal:  7802504 kB`.
pub fn bytes(told: &str, key: &str) -> Option<u64> {
    let kibibytes = told.lines().find_map(|line| line.strip_prefix(key))?.trim().strip_suffix(" kB")?;
    kibibytes.parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

/// Bytes for people, such as `2.0 GB`.
pub fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().si().to_string()
}

/// Bytes that the disk of a folder has free for us.
pub fn disk_free(folder: &Path) -> io::Result<u64> {
    let about = rustix::fs::statvfs(folder)?;
    Ok(about.f_bavail.saturating_mul(about.f_frsize))
}
