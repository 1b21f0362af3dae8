//! What can be wrong with a LoRA.

use crate::weights::Dtype;

/// Why a LoRA cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LoraError {
    /// Nothing in the file is a LoRA's.
    #[error("the file is no LoRA: it changes nothing with its {keys} keys, the first is `{first}`")]
    Foreign {
        /// Number of keys.
        keys: usize,
        /// The first key, or nothing.
        first: String,
    },
    /// An algorithm that is known and not supported.
    #[error("{algorithm} is not supported, the file has `{key}`")]
    Unsupported {
        /// What it is called.
        algorithm: &'static str,
        /// The key that tells.
        key: String,
    },
    /// A tensor is missing beside the others of a module.
    #[error("`{module}` lacks {missing}")]
    Incomplete {
        /// The module's name in the file.
        module: String,
        /// What is missing.
        missing: &'static str,
    },
    /// Two keys say the same thing.
    #[error("`{key}` stands beside another key with the same meaning")]
    Twice {
        /// The second of the two.
        key: String,
    },
    /// A tensor's shape contradicts those beside it.
    #[error("`{key}` has shape {found:?}, expected {expected}")]
    Shape {
        /// The tensor's key.
        key: String,
        /// Its shape.
        found: Vec<usize>,
        /// What would have fitted.
        expected: String,
    },
    /// A tensor that changes weights is not of floating point numbers.
    #[error("`{key}` must hold floating point numbers, got {dtype}")]
    NotFloat {
        /// The tensor's key.
        key: String,
        /// What it holds.
        dtype: Dtype,
    },
    /// The LoRA is for another model.
    #[error("`{module}` changes a weight of shape {change:?}, the model's has {weight:?}")]
    Mismatch {
        /// The module's name in the file.
        module: String,
        /// The shape that the LoRA expects.
        change: Vec<usize>,
        /// The shape of the model's weight.
        weight: Vec<usize>,
    },
    /// PEFT's settings in the file's metadata cannot be read.
    #[error("the file's `lora_adapter_metadata` is not the JSON object expected: {0}")]
    Settings(String),
}
