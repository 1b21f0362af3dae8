//! Why the store fails, and whether that may pass.

use std::io::ErrorKind;
use std::path::PathBuf;

use rusqlite::ErrorCode;

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
    #[error("the store has format {found}, this version reads up to {known}")]
    Newer {
        /// What the file says.
        found: i64,
        /// What this version knows.
        known: i64,
    },
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
            Self::Damaged(_) | Self::InUse(_) | Self::Newer { .. } => false,
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
