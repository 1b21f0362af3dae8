//! What goes wrong between a folder on the disk and a graph at work.

use std::path::PathBuf;

use crate::job::Stop;

/// The appliance cannot work with this library, accelerator or model.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no ONNX Runtime.
    #[error(
        "ONNX Runtime was not found in {}: run deploy/onnxruntime.sh or set engine.library",
        places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    NoLibrary {
        /// Where it was looked for.
        places: Vec<PathBuf>,
    },
    /// What was found is not an ONNX Runtime that can be used here.
    #[error("{} {reason}: run deploy/onnxruntime.sh or set engine.library", path.display())]
    BadLibrary {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// ONNX Runtime itself refuses to start.
    #[error("ONNX Runtime does not start: {reason}")]
    Runtime {
        /// Its own sentence.
        reason: String,
    },
    /// A configured accelerator cannot be had.
    #[error("the accelerator {name} cannot be used: {reason}")]
    Accelerator {
        /// Name of the accelerator.
        name: &'static str,
        /// ONNX Runtime's sentence.
        reason: String,
    },
    /// A file of a model folder is missing or says something that this version cannot work with.
    #[error("{}: {reason}", file.display())]
    Folder {
        /// The file.
        file: PathBuf,
        /// What was expected and what came.
        reason: String,
    },
    /// An adapter cannot be read or does not fit.
    #[error("the adapter {name}: {reason}")]
    Adapter {
        /// Its name.
        name: String,
        /// What was expected and what came.
        reason: String,
    },
    /// The engine's thread cannot be started, or is gone.
    #[error("the engine is gone: {reason}")]
    Engine {
        /// Why.
        reason: String,
    },
}

impl LoadError {
    pub(super) fn folder(file: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Folder { file: file.into(), reason: reason.into() }
    }
}

/// A pass of a graph that gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// It was told to stop.
    #[error("the pass was stopped")]
    Stopped(Stop),
    /// The accelerator or the machine has not enough memory for it.
    #[error("not enough memory for a pass: {0}")]
    OutOfMemory(String),
    /// ONNX Runtime refused or failed.
    #[error("a pass failed: {0}")]
    Failed(String),
}

impl PassError {
    /// Sorts ONNX Runtime's sentence; it has no error code for a lack of memory.
    pub(super) fn of_runtime(sentence: String) -> Self {
        let sentence = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
        if Self::is_about_memory(&sentence) { Self::OutOfMemory(sentence) } else { Self::Failed(sentence) }
    }

    /// Whether a sentence of ONNX Runtime tells of a lack of memory.
    pub fn is_about_memory(sentence: &str) -> bool {
        let lower = sentence.to_lowercase();
        let signs = ["bad_alloc", "out of memory", "failed to allocate memory", "available memory"];
        signs.iter().any(|sign| lower.contains(sign))
    }
}
