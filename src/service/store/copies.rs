//! Copies of the file as it was before it was brought to a newer format: `store.format2.sqlite` beside it.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, MAIN_DB};

use super::{CLOCK_IS_SET_AFTER, StoreError, folder};

/// How long one is kept: it holds prompts and pictures that the store itself forgets sooner.
const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);

/// Copies the file page by page; on the disk when this returns. Half a copy of an earlier start goes first.
pub(super) fn make(connection: &Connection, place: &Path, format: i64) -> Result<PathBuf, StoreError> {
    let copy = place.join(format!("store.format{format}.sqlite"));
    remove(&copy)?;
    drop(folder::own(&copy)?);
    connection.backup(MAIN_DB, &copy, None)?;
    // SQLite syncs the file and takes its journal away; that both names are as they are is ours to see to.
    File::open(place)?.sync_all()?;
    Ok(copy)
}

/// The copy of the newest format up to this one.
pub(super) fn newest(place: &Path, known: i64) -> Option<PathBuf> {
    let copies = list(place).unwrap_or_default().into_iter();
    copies.filter(|(format, _)| *format <= known).max().map(|(_, copy)| copy)
}

/// Takes away the copies that are old enough.
pub(super) fn sweep(place: &Path, now: SystemTime) -> io::Result<()> {
    let set = SystemTime::UNIX_EPOCH + CLOCK_IS_SET_AFTER;
    for (_, copy) in list(place)? {
        let made = fs::metadata(&copy)?.modified()?;
        if made < set && now >= set {
            // Made before the clock was set: its time begins now.
            File::options().write(true).open(&copy)?.set_modified(now)?;
        } else if now.duration_since(made).is_ok_and(|age| age > KEEP) {
            remove(&copy)?;
            tracing::info!(copy = %copy.display(), "the copy of an older version's store is gone");
        }
    }
    Ok(())
}

/// Takes all of them away; false if there was none.
pub(super) fn remove_all(place: &Path) -> io::Result<bool> {
    let copies = list(place)?;
    copies.iter().try_for_each(|(_, copy)| remove(copy))?;
    Ok(!copies.is_empty())
}

/// The copies with their formats.
fn list(place: &Path) -> io::Result<Vec<(i64, PathBuf)>> {
    let mut copies = Vec::new();
    for entry in fs::read_dir(place)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let format = name.strip_prefix("store.format").and_then(|rest| rest.strip_suffix(".sqlite"));
        copies.extend(format.and_then(|format| format.parse().ok()).map(|format| (format, path.clone())));
    }
    Ok(copies)
}

/// With what SQLite may have left beside it.
fn remove(copy: &Path) -> io::Result<()> {
    for end in ["-journal", "-wal", "-shm", ""] {
        let mut name = copy.as_os_str().to_owned();
        name.push(end);
        match fs::remove_file(PathBuf::from(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
