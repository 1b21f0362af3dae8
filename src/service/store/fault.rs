//! Why the store fails, and whether that may pass.

use std::io::ErrorKind;
use std::path::PathBuf;

use rusqlite::ErrorCode;

use crate::board::size;

/// The number of `EIO`, for which the standard library has no name.
const EIO: i32 = 5;

/// The store cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says no.
    #[error("the store failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The folder or the file cannot be made.
    #[error("the store cannot be opened: {0}")]
    Io(#[from] std::io::Error),
    /// It was closed after a fault and could not be opened again yet.
    #[error("the store is closed after a fault")]
    Closed,
    /// What it holds is not what was written, and the disk reads it without a fault.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// Another process works with it.
    #[error("the store in {} belongs to another process that is running", .0.display())]
    InUse(PathBuf),
    /// A newer version wrote it.
    #[error(
        "the store has format {found}, which only a newer version of diffused reads (this one reads up to {known}): \
         install that version again, or go back to {}; docs/install.md says how",
        .copy.as_ref().map_or("an empty store".to_owned(), |copy| format!("its copy {}", copy.display()))
    )]
    Newer {
        /// What the file says.
        found: i64,
        /// What this version knows.
        known: i64,
        /// The newest copy beside it that this version reads.
        copy: Option<PathBuf>,
    },
    /// It has tables, but does not say its format.
    #[error("the store's file is of another program: it has tables, but says nothing of their format")]
    Unmarked,
    /// An older version wrote it, and it cannot be brought to this version's format.
    #[error("the store cannot be brought from format {found} to format {known}, and stays as it was: {why}")]
    Upgrade {
        /// What the file says.
        found: i64,
        /// What this version writes.
        known: i64,
        /// What went wrong.
        why: String,
    },
    /// It must be copied, and there is no room.
    #[error("{} of the disk are needed for a while, and {} are free", size(*needed), size(*free))]
    Cramped {
        /// Bytes that must be free.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// A step from one format to the next would lose something.
    #[error("a step is wrong: {0}")]
    Lossy(String),
}

impl StoreError {
    /// Whether only room is missing: then [`relieve`](super::Store::relieve) may help.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code() == Some(ErrorCode::DiskFull),
            Self::Io(error) => [ErrorKind::StorageFull, ErrorKind::QuotaExceeded].contains(&error.kind()),
            _ => false,
        }
    }

    /// Whether the fault lies with the disk and may pass: then [`heal`](super::Store::heal) until it works.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Closed => true,
            Self::Sqlite(error) => error.sqlite_error_code().is_some_and(|code| {
                matches!(
                    code,
                    ErrorCode::DiskFull
                        | ErrorCode::SystemIoFailure
                        | ErrorCode::ReadOnly
                        | ErrorCode::CannotOpen
                        | ErrorCode::DatabaseBusy
                        // SQLite says this of a disk that fails to read, too; `heal` finds out.
                        | ErrorCode::DatabaseCorrupt
                )
            }),
            Self::Io(error) => {
                let kinds = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::ReadOnlyFilesystem];
                kinds.contains(&error.kind()) || error.raw_os_error() == Some(EIO)
            }
            Self::Damaged(_)
            | Self::InUse(_)
            | Self::Newer { .. }
            | Self::Unmarked
            | Self::Upgrade { .. }
            | Self::Cramped { .. }
            | Self::Lossy(_) => false,
        }
    }

    /// Whether SQLite finds the file malformed.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) => true,
            Self::Sqlite(error) => error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt),
            _ => false,
        }
    }
}
