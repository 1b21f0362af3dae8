//! Why an import came to nothing.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::error::LoadError;
use crate::onnx::Malformed;
use crate::weights::WeightsError;

/// Why an import came to nothing. The new folder does not exist then.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// What was asked for cannot be: a name that is taken, a template that does not exist.
    #[error("{0}")]
    Asked(String),
    /// The checkpoint and the template do not go together, or one of them is broken.
    #[error("{}: {reason}", file.display())]
    Unfit {
        /// The file or folder.
        file: PathBuf,
        /// What was expected and what came.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {reason}", file.display())]
    Disk {
        /// The file or folder.
        file: PathBuf,
        /// Why.
        reason: String,
    },
}

impl ImportError {
    pub(super) fn unfit(file: &Path, reason: impl fmt::Display) -> Self {
        Self::Unfit { file: file.to_owned(), reason: reason.to_string() }
    }

    pub(super) fn disk(file: &Path, error: &io::Error) -> Self {
        Self::Disk { file: file.to_owned(), reason: error.to_string() }
    }

    /// A fault in a file of weights, which may be that it cannot be read.
    pub(super) fn weights(file: &Path, error: WeightsError) -> Self {
        match error {
            WeightsError::Io(error) => Self::disk(file, &error),
            other => Self::unfit(file, other),
        }
    }

    pub(super) fn graph(file: &Path, error: &Malformed) -> Self {
        Self::unfit(file, error)
    }
}

impl From<LoadError> for ImportError {
    /// The folder that is made is at fault: the disk is.
    fn from(error: LoadError) -> Self {
        let (file, reason) = match error {
            LoadError::Folder { file, reason } => (file, reason),
            other => (PathBuf::new(), other.to_string()),
        };
        Self::Disk { file, reason }
    }
}
