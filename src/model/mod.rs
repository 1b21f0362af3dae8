//! Exported graphs at work. The only user of `ort`.
//!
//! [`Runtime`] is ONNX Runtime itself, one a process; [`Engine`] the thread that owns its sessions; a [`Folder`] what a
//! model says about itself. The parts of a model ([`TextEncoders`], [`Unet`], [`Encoder`], [`Decoder`], and where a
//! folder has them [`DepthNet`], [`SafetyChecker`] and [`Classifier`]) are used by
//! callers on any thread: they send their passes to the engine and wait.

mod accelerator;
mod batch;
mod classifier;
mod conditioning;
mod depth;
mod engine;
mod error;
mod folder;
mod library;
mod preprocess;
mod safety;
mod session;
mod tokenizer;
mod unet;
mod vae;

#[cfg(test)]
mod graphs;
#[cfg(test)]
pub(crate) mod testing;

pub use accelerator::Accelerator;
pub use classifier::{Classifier, Labelled};
pub use conditioning::{Conditioning, Embeddings, Encoded, TextEncoders};
pub use depth::DepthNet;
pub use engine::Engine;
pub use error::{LoadError, PassError};
pub use folder::{Autoencoder, Defaults, Extra, Family, Folder, Guided, Layer, TextFacts, UnetFacts, VaeFacts};
pub use library::Runtime;
pub use safety::SafetyChecker;
pub use session::Options;
pub use tokenizer::Tokenizer;
pub use unet::{Prompted, Unet};
pub use vae::{Decoder, Encoder, Planes, Posterior};
