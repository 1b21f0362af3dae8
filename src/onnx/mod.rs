//! Exported graphs as data: what an ONNX file says of itself, and edits of it, without ONNX Runtime.
//!
//! A [`Skeleton`] is a graph whose weights stay in their files. It tells what it declares, is edited by the functions of
//! [`edit`], and becomes a model again that ONNX Runtime loads from memory. [`Modules`] knows which of its weights is
//! which parameter of the torch module that was exported.

mod activations;
pub mod edit;
mod element;
mod facts;
mod messages;
mod modules;
mod skeleton;

pub use activations::Activations;
pub use element::Element;
pub use modules::{Layout, Modules, Quantised, Weight};
pub use skeleton::{Initializer, Malformed, Place, Skeleton};
