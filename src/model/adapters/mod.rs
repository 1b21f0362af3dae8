//! What changes a model: textual inversions, LoRAs and hypernetworks. No exported file is ever written.
//!
//! | adapter | how it gets in |
//! |---|---|
//! | textual inversion | rows behind the token table, which a session is given in the table's place |
//! | LoRA and its kin | merged into the weights they change, which a session is given in place of the exported ones |
//! | hypernetwork | nodes in the U-Net's graph, before the keys and values; the strength is an input |

mod fit;
mod merge;
mod net;
mod store;
#[cfg(test)]
mod tests;
pub(super) mod text;

use std::path::PathBuf;
use std::sync::Arc;

pub use self::fit::Body;
pub use self::store::{Adapters, Content, Entry, EntryId};

use self::merge::changed;
use super::anatomy::Anatomy;
use super::blueprint::Blueprint;
use super::error::LoadError;
use super::folder::Folder;
use crate::onnx::edit;
use crate::weights::Hypernetwork;
use crate::weights::lora::Lora;
use crate::weights::names::Part;

/// A LoRA and how much it counts.
#[derive(Clone, Debug)]
pub struct Scaled {
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// What is in it.
    pub lora: Arc<Lora>,
    /// How much it counts; 0 is not at all.
    pub scale: f32,
}

/// What a U-Net is loaded with.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnetAdapters<'a> {
    /// Changes of its weights.
    pub loras: &'a [Scaled],
    /// Networks before its keys and values, in the order in which they are applied.
    pub hypernetworks: &'a [Arc<Hypernetwork>],
}

impl UnetAdapters<'_> {
    /// What the session is made of, and the names of the inputs for the hypernetworks' strengths.
    pub(super) fn blueprint(&self, folder: &Folder) -> Result<(Blueprint, Vec<String>), LoadError> {
        let file = folder.graph("unet");
        if self.loras.is_empty() && self.hypernetworks.is_empty() {
            return Ok((Blueprint::as_exported(&file), Vec::new()));
        }
        let mut graph = Anatomy::read(&file)?;
        let weights = changed(&mut graph, Part::Unet, self.loras)?;
        let nets: Vec<edit::Net> = self.hypernetworks.iter().map(|network| net::net(network)).collect();
        let inputs = match nets.is_empty() {
            true => Vec::new(),
            false => edit::hypernetworks(&mut graph.skeleton, &graph.modules, &nets)
                .map_err(|unfit| graph.fault(unfit.to_string()))?,
        };
        Ok((Blueprint::changed(graph.file, &mut graph.skeleton, weights), inputs))
    }
}
