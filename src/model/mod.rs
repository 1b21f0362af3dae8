//! Exported graphs at work. The only user of `ort`.
//!
//! [`Runtime`] is ONNX Runtime itself, one a process; [`Engine`] the thread that owns its sessions; a [`Folder`] what a
//! model says about itself. The parts of a model ([`TextEncoders`], [`Unet`], [`Encoder`], [`Decoder`], and where a
//! folder has them [`DepthNet`], [`SafetyChecker`] and [`Classifier`]) are used by
//! callers on any thread: they send their passes to the engine and wait.

pub mod import;

mod accelerator;
mod adapters;
mod anatomy;
mod batch;
mod blueprint;
mod cache;
mod classifier;
mod conditioning;
mod depth;
mod engine;
mod error;
mod folder;
mod folders;
mod library;
mod manifest;
mod memory;
mod prepared;
mod preprocess;
mod quantised;
mod residency;
mod safety;
mod session;
mod sessions;
mod survey;
mod tokenizer;
mod trial;
mod unet;
mod vae;
mod vocabulary;

#[cfg(test)]
mod edits;
#[cfg(test)]
mod graphs;
#[cfg(test)]
pub(crate) mod testing;

pub use accelerator::{Accelerator, Arena, Choice};
pub use adapters::{Adapters, Body, Content, Entry, EntryId, Scaled, UnetAdapters};
pub use cache::Cache;
pub use classifier::{Classifier, Labelled};
pub use conditioning::{Conditioning, Embeddings, Encoded, Reader, TextAdapters, TextEncoders, Timeline};
pub use depth::DepthNet;
pub use engine::Engine;
pub use error::{LoadError, PassError};
pub use folder::{Autoencoder, Defaults, Extra, Family, Folder, Guided, Layer, TextFacts, UnetFacts, VaeFacts};
pub use folders::{is_model, model_folders};
pub use library::Runtime;
pub use manifest::{Fault, MANIFEST, Manifest, Wrong};
pub use memory::peak_memory;
pub use prepared::{Cut, prepare};
pub use residency::Residency;
pub use safety::SafetyChecker;
pub use session::Options;
pub use survey::{Demand, Fitting, GraphFacts, Space, Survey};
pub use tokenizer::Tokenizer;
pub use trial::Trial;
pub use unet::{Kept, Prompted, Unet};
pub use vae::{Decoder, Encoder, Planes, Posterior};
pub use vocabulary::Vocabulary;
