//! What a request is held against: plain data, filled when the appliance starts.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::units::{GuidanceScale, Size, Steps};
use crate::diffusion::Sampler;

/// The operator's limits and defaults, and the facts of the loaded models.
#[derive(Clone)]
pub struct Rules {
    /// What no request may exceed.
    pub limits: Limits,
    /// Values of fields that a request leaves out, as request JSON.
    pub defaults: Map<String, Value>,
    /// Output of requests that came through the `prompt` topic, as the request's `output`.
    pub shortcut_output: Map<String, Value>,
    /// The models that can be asked for, the default one first; never empty.
    pub models: Vec<ModelFacts>,
}

impl Rules {
    /// The rules for requests that were accepted before and have every default written out.
    pub fn for_stored(&self) -> Self {
        let limits = Limits { request_bytes: usize::MAX, ..self.limits.clone() };
        Self { limits, defaults: Map::new(), shortcut_output: Map::new(), models: self.models.clone() }
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

/// Counts the tokens of a text as a model's tokenizer sees them, without the begin and end tokens.
pub type CountTokens = Arc<dyn Fn(&str) -> usize + Send + Sync>;

/// What a request must know of a model.
#[derive(Clone)]
pub struct ModelFacts {
    /// Its name in the model store.
    pub name: String,
    /// Its family, such as `sd1`.
    pub family: &'static str,
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
    /// Tokens of a prompt that it reads; more are cut off.
    pub tokens: usize,
    /// Its tokenizer.
    pub count_tokens: CountTokens,
}
