//! Why a verb failed, as an exit code and a sentence.

use crate::app::AppError;
use crate::config::ConfigError;
use crate::job::{Code, Failure, Rejection};
use crate::model::LoadError;
use crate::service::StoreError;
use crate::service::worker::WorkerError;

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
    /// A file, or the store, cannot be read or written: 74.
    #[error("{0}")]
    Io(String),
    /// No answer in time: 75.
    #[error("{0}")]
    Timeout(String),
    /// The broker denies access: 77.
    #[error("{0}")]
    Denied(String),
    /// The configuration is faulty: 78.
    #[error("{0}")]
    Config(String),
}

impl CliError {
    /// The exit code of arguments that cannot be read.
    pub const USAGE: u8 = 64;

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => Self::USAGE,
            Self::Data(_) => 65,
            Self::Unavailable(_) => 69,
            Self::Internal(_) => 70,
            Self::Io(_) => 74,
            Self::Timeout(_) => 75,
            Self::Denied(_) => 77,
            Self::Config(_) => 78,
        }
    }
}

impl From<Rejection> for CliError {
    fn from(rejection: Rejection) -> Self {
        match rejection.code {
            Code::InvalidImage | Code::ImageTooLarge => Self::Data(rejection.message),
            _ => Self::Usage(rejection.message),
        }
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        Self::Internal(failure.message)
    }
}

impl From<LoadError> for CliError {
    fn from(error: LoadError) -> Self {
        let sentence = error.to_string();
        match error {
            LoadError::Folder { .. } | LoadError::Adapter { .. } => Self::Data(sentence),
            LoadError::NoLibrary { .. }
            | LoadError::BadLibrary { .. }
            | LoadError::Runtime { .. }
            | LoadError::Accelerator { .. } => Self::Unavailable(sentence),
            LoadError::Engine { .. } => Self::Internal(sentence),
        }
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error.to_string())
    }
}

impl From<AppError> for CliError {
    fn from(error: AppError) -> Self {
        let sentence = error.to_string();
        match error {
            // Nor would another start help where an older program stands before a newer store.
            AppError::Config(_) | AppError::Store(StoreError::Newer { .. }) => Self::Config(sentence),
            // The service cannot work: 69, also for a model folder that is at fault.
            AppError::Load(_) | AppError::Serve(_) | AppError::Worker(WorkerError::Inference) => {
                Self::Unavailable(sentence)
            }
            AppError::Store(_) | AppError::Worker(WorkerError::Store(_)) | AppError::Courier(_) => Self::Io(sentence),
            AppError::Thread(_) => Self::Internal(sentence),
        }
    }
}
