//! What a request is held against: plain data, filled when the appliance starts.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::adapters::AdapterFacts;
use super::outcome::{Code, Rejection};
use super::units::{ClipSkip, GuidanceScale, Size, Steps};
use crate::diffusion::{Sampler, SchedulerConfig};
use crate::prompt::Prompt;

/// The operator's limits and defaults, and the facts of the loaded models.
#[derive(Clone)]
pub struct Rules {
    /// What no request may exceed.
    pub limits: Limits,
    /// Values of fields that a request leaves out, as request JSON.
    pub defaults: Map<String, Value>,
    /// Output of requests that came through the `prompt` topic, as the request's `output`.
    pub shortcut_output: Map<String, Value>,
    /// Values of fields that a request through the `prompt` topic leaves out, before the operator's.
    pub shortcut_defaults: Map<String, Value>,
    /// The models that can be asked for, the default one first; empty only while they are being loaded.
    pub models: Vec<ModelFacts>,
}

impl Rules {
    /// With no defaults but the models' own.
    pub fn bare(limits: Limits, models: Vec<ModelFacts>) -> Self {
        Self { limits, defaults: Map::new(), shortcut_output: Map::new(), shortcut_defaults: Map::new(), models }
    }

    /// The model of that name.
    pub fn model(&self, name: &str) -> Option<&ModelFacts> {
        self.models.iter().find(|model| model.name == name)
    }

    /// The rules for requests that were accepted before and have every default written out.
    pub fn for_stored(&self) -> Self {
        Self::bare(Limits { request_bytes: usize::MAX, ..self.limits.clone() }, self.models.clone())
    }
}

/// What no request may exceed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request.
    pub request_bytes: usize,
    /// Characters of a prompt.
    pub prompt_chars: usize,
    /// Pixels of a picture.
    pub pixels: u64,
    /// Denoising steps.
    pub steps: u16,
    /// Pictures a request.
    pub count: u8,
}

impl Limits {
    /// Whatever the contract allows.
    pub const WIDEST: Self =
        Self { request_bytes: usize::MAX, prompt_chars: 4000, pixels: 1 << 26, steps: 150, count: 16 };
}

/// How a model's tokenizer reads a prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Tokens of all conditions together, without begin, end and padding, where they are most.
    pub tokens: usize,
    /// Chunks of 75 tokens of the longest condition.
    pub chunks: usize,
    /// Tokens of all conditions together that the model's graphs do not take.
    pub lost: usize,
    /// The embeddings of the store that are named in it, also those that do not fit the model.
    pub embeddings: BTreeSet<String>,
}

/// Reads a prompt, over so many steps, with a model's tokenizer.
pub type Read = Arc<dyn Fn(&Prompt, Steps) -> Reading + Send + Sync>;

/// What a request must know of a model.
#[derive(Clone)]
pub struct ModelFacts {
    /// Its name in the model store.
    pub name: String,
    /// Its family, such as `sd1`.
    pub family: &'static str,
    /// What most of its U-Net's weights are stored in, such as `int8`, if that can be told.
    pub precision: Option<&'static str>,
    /// The size it was made for.
    pub size: Size,
    /// Set when the graphs are fixed to that size.
    pub fixed_size: bool,
    /// Both sides of its pictures are multiples of this many pixels.
    pub multiple: u32,
    /// Default number of steps.
    pub steps: Steps,
    /// Default guidance scale.
    pub guidance_scale: GuidanceScale,
    /// How it is guided: `cfg`, `embedded` or `none`.
    pub guidance: &'static str,
    /// Default sampler.
    pub sampler: &'static Sampler,
    /// The noise schedule it was trained with, which not every run fits.
    pub scheduler: SchedulerConfig,
    /// What it can start from.
    pub modes: Vec<Mode>,
    /// Whether its encoder draws its own random numbers, so that no seed gives the same picture of an init image again.
    pub encodes_at_random: bool,
    /// Of its graphs on an accelerator: how many nodes run on what, by the library's names.
    pub placements: Vec<(String, Vec<(String, usize)>)>,
    /// Whether it has a depth net for init images.
    pub estimates_depth: bool,
    /// What its classifier knows; empty if it has none.
    pub labels: Vec<String>,
    /// Whether its U-Net was cut in two, so that steps can do without the deep layers.
    pub reuses: bool,
    /// Its tokenizer.
    pub read: Read,
    /// Layers of its text encoder that are left out if nothing is said.
    pub clip_skip: ClipSkip,
    /// Layers that can be left out.
    pub most_clip_skip: ClipSkip,
    /// The adapters of the store, each held against this model.
    pub adapters: Vec<AdapterFacts>,
}

impl ModelFacts {
    /// Fails, for the sake of `field`, if the model cannot start from that.
    pub(super) fn can(&self, mode: Mode, field: &str) -> Result<(), Rejection> {
        if self.modes.contains(&mode) {
            return Ok(());
        }
        let able = self.modes.iter().map(|mode| mode.name()).collect::<Vec<_>>().join(", ");
        let message = format!("this model's modes are {able}, {} is none of them", mode.name());
        Err(Rejection::of_field(Code::UnsupportedMode, field, message))
    }
}

/// What a model can start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing but noise.
    Text,
    /// An init image.
    Image,
    /// An init image of which a part stays.
    Inpaint,
    /// A depth map.
    Depth,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Text, Self::Image, Self::Inpaint, Self::Depth];

    /// Its name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
            Self::Inpaint => "inpaint",
            Self::Depth => "depth",
        }
    }
}

#[cfg(test)]
impl ModelFacts {
    /// A model for tests that need no graphs.
    pub(crate) fn flat(modes: &[Mode]) -> Self {
        Self {
            name: "flat".to_owned(),
            family: "sd1",
            precision: Some("fp16"),
            size: Size::new(64, 64).unwrap(),
            fixed_size: false,
            multiple: 8,
            steps: Steps::try_from(4).unwrap(),
            guidance_scale: 5.0.try_into().unwrap(),
            guidance: "cfg",
            sampler: crate::diffusion::sampler::find("ddim").unwrap(),
            scheduler: SchedulerConfig::parse("{}").unwrap(),
            modes: modes.to_vec(),
            encodes_at_random: false,
            placements: Vec::new(),
            estimates_depth: modes.contains(&Mode::Depth),
            labels: vec!["red".to_owned(), "blue".to_owned()],
            reuses: true,
            read: Arc::new(|prompt, _| Reading { tokens: prompt.text().len(), chunks: 1, ..Reading::default() }),
            clip_skip: ClipSkip::NONE,
            most_clip_skip: ClipSkip::at_most(1),
            adapters: Vec::new(),
        }
    }
}
