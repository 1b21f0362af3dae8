//! Faults of the floors below, as the requester is told of them.

use std::fmt::Display;

use crate::diffusion::Halt;
use crate::job::{Code, Failure};
use crate::model::{LoadError, PassError};

/// A run that ended early.
pub(super) fn halted(Halt(error): Halt) -> Failure {
    match error.downcast::<PassError>() {
        Ok(error) => failure(*error),
        Err(error) => Failure::new(Code::Internal, error.to_string()),
    }
}

/// A pass of a graph that gave nothing.
pub(super) fn failure(error: PassError) -> Failure {
    match error {
        PassError::Stopped(stop) => Failure::stopped(stop),
        PassError::OutOfMemory(_) => Failure::new(Code::OutOfMemory, error.to_string()),
        PassError::Failed(_) => Failure::new(Code::Inference, error.to_string()),
    }
}

/// Graphs with adapters that cannot be loaded.
pub(super) fn load(error: LoadError) -> Failure {
    let code = match &error {
        LoadError::Adapter { .. } => Code::AdapterMismatch,
        LoadError::Folder { reason, .. } if PassError::is_about_memory(reason) => Code::OutOfMemory,
        _ => Code::Inference,
    };
    Failure::new(code, error.to_string())
}

/// What cannot happen, and did.
pub(super) fn internal(error: impl Display) -> Failure {
    Failure::new(Code::Internal, error.to_string())
}
