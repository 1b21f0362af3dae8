//! Exported graphs at work. The only user of `ort`.
//!
//! [`Runtime`] is ONNX Runtime itself, one a process; [`Engine`] the thread that owns its sessions; a [`Folder`] what a
//! model says about itself. The parts of a model ([`Tokenizer`], [`TextEncoder`], [`Unet`], [`Decoder`]) are used by
//! callers on any thread: they send their passes to the engine and wait.

mod accelerator;
mod batch;
mod conditioning;
mod engine;
mod error;
mod folder;
mod library;
mod session;
mod tokenizer;
mod unet;
mod vae;

#[cfg(test)]
mod graphs;
#[cfg(test)]
pub(crate) mod testing;

pub use accelerator::Accelerator;
pub use conditioning::{Embeddings, TextEncoder};
pub use engine::Engine;
pub use error::{LoadError, PassError};
pub use folder::{Defaults, Family, Folder, Guided, TokenizerFacts, VaeFacts};
pub use library::Runtime;
pub use session::Options;
pub use tokenizer::Tokenizer;
pub use unet::{Prompted, Unet};
pub use vae::{Decoder, Planes};

impl Tokenizer {
    /// Reads the tokenizer of a model.
    pub fn load(folder: &Folder) -> Result<Self, LoadError> {
        Self::open(&folder.path.join("tokenizer"), &folder.tokenizer)
    }
}
