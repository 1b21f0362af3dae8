//! Why a verb failed, as an exit code and a sentence.

use crate::job::{Code, Failure, Rejection};
use crate::model::LoadError;

/// Why a verb failed. Exit codes follow sysexits.h.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// A flag has a value that cannot be served: 64.
    #[error("{0}")]
    Usage(String),
    /// A model folder cannot work: 65.
    #[error("{0}")]
    Data(String),
    /// ONNX Runtime or the accelerator cannot be had: 69.
    #[error("{0}")]
    Unavailable(String),
    /// The work failed: 70.
    #[error("{0}")]
    Internal(String),
    /// A file cannot be read or written: 74.
    #[error("{0}")]
    Io(String),
}

impl CliError {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 64,
            Self::Data(_) => 65,
            Self::Unavailable(_) => 69,
            Self::Internal(_) => 70,
            Self::Io(_) => 74,
        }
    }
}

impl From<Rejection> for CliError {
    fn from(rejection: Rejection) -> Self {
        Self::Usage(rejection.message)
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        match failure.code {
            Code::SizeNotSupported => Self::Usage(failure.message),
            _ => Self::Internal(failure.message),
        }
    }
}

impl From<LoadError> for CliError {
    fn from(error: LoadError) -> Self {
        let sentence = error.to_string();
        match error {
            LoadError::Folder { .. } => Self::Data(sentence),
            LoadError::NoLibrary { .. }
            | LoadError::BadLibrary { .. }
            | LoadError::Runtime { .. }
            | LoadError::Accelerator { .. } => Self::Unavailable(sentence),
            LoadError::Engine { .. } => Self::Internal(sentence),
        }
    }
}
