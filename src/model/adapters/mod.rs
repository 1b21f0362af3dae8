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
use super::blueprint::{Blueprint, Weight};
use super::error::LoadError;
use super::folder::Folder;
use super::prepared::Prepared;
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

/// What the sessions of a U-Net are made of.
pub(super) struct UnetPlan {
    /// The whole graph.
    pub(super) full: Blueprint,
    /// The layers that run in every step, if the U-Net was cut in two.
    pub(super) shallow: Option<Blueprint>,
    /// The names of the inputs for the hypernetworks' strengths, of both.
    pub(super) strengths: Vec<String>,
}

impl UnetAdapters<'_> {
    /// What the sessions are made of; with a timestep for every entry if passes are to be joined.
    pub(super) fn plan(&self, folder: &Folder, own_times: bool) -> Result<UnetPlan, LoadError> {
        let file = folder.graph("unet");
        let prepared = Prepared::of(&file)?;
        if self.loras.is_empty() && self.hypernetworks.is_empty() {
            let full = prepared.as_ref().map_or(&file, |prepared| &prepared.full);
            let as_exported = |file: &PathBuf| Blueprint { own_times, ..Blueprint::as_exported(file) };
            let shallow = prepared.as_ref().map(|prepared| as_exported(&prepared.shallow));
            return Ok(UnetPlan { full: as_exported(full), shallow, strengths: Vec::new() });
        }
        let mut graph = Anatomy::read(&file)?;
        if own_times {
            graph.own_times();
        }
        let weights = changed(&mut graph, Part::Unet, self.loras)?;
        let nets: Vec<edit::Net> = self.hypernetworks.iter().map(|network| net::net(network)).collect();
        let strengths = match nets.is_empty() {
            true => Vec::new(),
            false => edit::hypernetworks(&mut graph.skeleton, &graph.modules, &nets)
                .map_err(|unfit| graph.fault(unfit.to_string()))?,
        };
        let Some(prepared) = prepared else {
            let full = Blueprint::changed(graph.file, &mut graph.skeleton, weights);
            return Ok(UnetPlan { full, shallow: None, strengths });
        };
        let mut halves = prepared.halves(&graph)?;
        let is_shallow = |weight: &&Weight| halves.shallow.initializer(&weight.name).is_some();
        let some: Vec<Weight> = weights.iter().filter(is_shallow).cloned().collect();
        let shallow = Some(Blueprint::changed(prepared.shallow, &mut halves.shallow, some));
        Ok(UnetPlan { full: Blueprint::changed(prepared.full, &mut halves.full, weights), shallow, strengths })
    }
}
