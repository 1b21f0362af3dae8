//! Files of weights as data: safetensors, the restricted `.pt` reader, and what adapter files mean. Pure over bytes.
//!
//! Everything here eats bytes from strangers: sizes are checked before memory is taken, and nothing in a file is run.

pub mod lora;
pub mod names;
pub mod pickle;

mod card;
#[cfg(test)]
#[path = "../../tests/support/changes.rs"]
pub(crate) mod changes;
mod dtype;
mod embedding;
mod error;
mod hypernetwork;
#[cfg(test)]
mod mutations;
mod safetensors;
mod tensors;
#[cfg(test)]
mod testing;

pub use dtype::Dtype;
pub use embedding::Embedding;
pub use error::WeightsError;
pub use hypernetwork::{Activation, Hypernetwork, Layer, Mlp};
pub use pickle::Value;
pub use safetensors::Safetensors;
pub use tensors::Tensor;
