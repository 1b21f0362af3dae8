//! The names of weights: diffusers' parameters and what they are called in the original layout of Stable Diffusion.
//!
//! Graphs are exported from diffusers and keep its names. Checkpoints in one file, and LoRAs of SDXL, keep those of the
//! original code (LDM, later sgm), which counts the layers of all blocks through. The names go one way, from a name
//! that the graph has to the original one, so an unknown name in a file can never be mistaken for a known one.
//! Source: `loaders/single_file_utils.py` of diffusers 0.35, which goes the other way.

mod blocks;
mod checkpoint;
#[cfg(test)]
mod golden;
mod text;
mod unet;
mod vae;

pub use blocks::Blocks;
pub use checkpoint::{Checkpoint, Source, averaged, in_folder};
pub use unet::original as original_unet;

/// The part of a model that a weight belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The U-Net.
    Unet,
    /// A text encoder, counted from 0; the second one is SDXL's OpenCLIP.
    Text(usize),
    /// The autoencoder, both halves.
    Vae,
}
