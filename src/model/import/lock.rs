//! One import of a name at a time, also among processes.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::ImportError;

/// The right to make the folder of a name. It ends with the value, and also with the process however that ends.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes the right to make `name` in `models`; `None` if another import has it.
    pub(super) fn take(models: &Path, name: &str) -> Result<Option<Self>, ImportError> {
        let path = models.join(format!(".{name}.lock"));
        loop {
            let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
            let file = opened.map_err(|error| ImportError::disk(&path, &error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(ImportError::disk(&path, &error)),
            }
            // Who had the lock removes the file at the end: a lock on a file that is gone keeps nobody out.
            if is_at(&file, &path) {
                return Ok(Some(Self { path, _file: file }));
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // An empty file that stays is in nobody's way.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether `path` still leads to this file.
fn is_at(file: &File, path: &Path) -> bool {
    let place = |about: fs::Metadata| (about.dev(), about.ino());
    matches!((file.metadata().map(place), fs::metadata(path).map(place)), (Ok(own), Ok(there)) if own == there)
}
