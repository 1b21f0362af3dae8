//! The folder that the file lies in, and the small files beside it.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::StoreError;

/// What people asked for is nobody else's business.
const OWN_FOLDER: u32 = 0o700;
const OWN_FILE: u32 = 0o600;

/// Makes a folder and those around it that are missing. A new name is on the disk only once its folder was synced;
/// SQLite does that for its files, nobody does it for the folder that they are in.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    let around = folder.parent().filter(|around| !around.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_new = !folder.is_dir();
    if is_new {
        make(around)?;
        DirBuilder::new().recursive(true).mode(OWN_FOLDER).create(folder)?;
    }
    // The last start may have made it and died. A folder that others made around it need not be open to us.
    let synced = File::open(around).and_then(|around| around.sync_all());
    if is_new { synced } else { Ok(()) }
}

/// Makes a file that only its owner can read, or makes it so. SQLite gives its log the rights of the file itself.
pub(super) fn own(file: &Path) -> io::Result<File> {
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(OWN_FILE).open(file)?;
    if opened.metadata()?.permissions().mode() & !OWN_FILE & 0o777 != 0 {
        // One that another user owns, such as a copy that was put back by hand, stays as it is.
        let _ = opened.set_permissions(Permissions::from_mode(OWN_FILE));
    }
    Ok(opened)
}

/// How long a folder is waited for: a process that is just ending, or a child that it is just starting, still holds it.
const LEAVES: Duration = Duration::from_secs(1);

/// Takes the folder for this process, as long as the file is held.
pub(super) fn lock(folder: &Path) -> Result<File, StoreError> {
    let lock = own(&folder.join("store.lock"))?;
    let end = Instant::now() + LEAVES;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if Instant::now() < end => thread::sleep(LEAVES / 50),
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
}
