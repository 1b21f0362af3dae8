//! A model folder: what its JSON files say about the graphs in it.

mod files;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use self::files::{Diffused, ModelIndex, TextEncoder, TokenizerConfig, Unet, Vae};
use super::error::LoadError;
use crate::diffusion::{Sampler, SchedulerConfig, sampler};
use crate::job::units::{GuidanceScale, Size, Steps};

/// Everything that the folder's JSON files say and this version needs. One that exists can be worked with, as far as
/// these files tell.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// What kind of model it is.
    pub family: Family,
    /// The noise schedule it was trained with.
    pub scheduler: SchedulerConfig,
    /// How text becomes token ids.
    pub tokenizer: TokenizerFacts,
    /// How latents become pixels.
    pub vae: VaeFacts,
    /// Channels of the latents.
    pub channels: usize,
    /// Sides of a picture must be multiples of this, in pixels: the U-Net halves its latents so often.
    pub multiple: u32,
    /// What is used where a request says nothing.
    pub defaults: Defaults,
}

/// A kind of model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Stable Diffusion v1: OpenAI's CLIP text encoder.
    Sd1,
    /// Stable Diffusion v2: OpenCLIP's text encoder.
    Sd2,
}

impl Family {
    /// Its name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sd1 => "sd1",
            Self::Sd2 => "sd2",
        }
    }
}

/// How text becomes token ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizerFacts {
    /// The token that fills the rest of the text.
    pub pad: String,
    /// Ids of a text, begin, end and padding included.
    pub length: usize,
}

/// How latents become pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VaeFacts {
    /// The sampler's latents are the autoencoder's times this.
    pub scaling_factor: f32,
    /// Added to the autoencoder's latents.
    pub shift_factor: f32,
    /// Pixels a side for each latent.
    pub downscale: u32,
}

/// What is used where a request says nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Defaults {
    /// Denoising steps.
    pub steps: Steps,
    /// Scale of classifier-free guidance.
    pub guidance_scale: GuidanceScale,
    /// Whether it is guided at all.
    pub guidance: Guided,
    /// The sampling algorithm.
    pub sampler: &'static Sampler,
    /// The size it was made for.
    pub size: Size,
}

/// How a model takes guidance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Guided {
    /// Classifier-free guidance: two passes a step.
    #[default]
    Cfg,
    /// None: the model was distilled to do without.
    None,
}

impl Guided {
    /// Its name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cfg => "cfg",
            Self::None => "none",
        }
    }
}

impl Folder {
    /// Reads the folder's JSON files; every fault names the file, what was expected and what came.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let at = |name: &str| path.join(name);
        let index: ModelIndex = read(&at("model_index.json"), ModelIndex::check)?;
        let text: TextEncoder = read(&at("text_encoder/config.json"), TextEncoder::check)?;
        let unet: Unet = read(&at("unet/config.json"), |unet: &Unet| unet.check(&text))?;
        let vae: Vae = read(&at("vae_decoder/config.json"), |vae: &Vae| vae.check(&unet))?;
        let scheduler = scheduler(&at("scheduler/scheduler_config.json"))?;
        let defaults = defaults(&at("diffused.json"), &scheduler, &unet, &vae)?;
        tracing::debug!(folder = %path.display(), class = index.class_name, "model folder read");
        Ok(Self {
            path: path.to_owned(),
            family: text.family(),
            scheduler,
            tokenizer: tokenizer(&at("tokenizer/tokenizer_config.json"), &text)?,
            vae: vae.facts(),
            channels: unet.in_channels,
            multiple: vae.facts().downscale * unet.downscale(),
            defaults,
        })
    }
}

/// Reads a JSON file and looks whether it can be served.
fn read<T: DeserializeOwned>(file: &Path, check: impl Fn(&T) -> Result<(), String>) -> Result<T, LoadError> {
    let value = json(file)?;
    check(&value).map_err(|reason| LoadError::folder(file, reason))?;
    Ok(value)
}

/// Reads a JSON file.
fn json<T: DeserializeOwned>(file: &Path) -> Result<T, LoadError> {
    serde_json::from_str(&text(file)?).map_err(|error| LoadError::folder(file, error.to_string()))
}

fn text(file: &Path) -> Result<String, LoadError> {
    std::fs::read_to_string(file).map_err(|error| {
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => "the file is missing".to_owned(),
            _ => error.to_string(),
        };
        LoadError::folder(file, reason)
    })
}

fn scheduler(file: &Path) -> Result<SchedulerConfig, LoadError> {
    SchedulerConfig::parse(&text(file)?).map_err(|error| LoadError::folder(file, error.to_string()))
}

fn tokenizer(file: &Path, text: &TextEncoder) -> Result<TokenizerFacts, LoadError> {
    let config: TokenizerConfig = read(file, TokenizerConfig::check)?;
    Ok(TokenizerFacts { pad: config.pad(), length: text.max_position_embeddings })
}

/// `diffused.json`, which may be absent, over what the other files tell.
fn defaults(file: &Path, scheduler: &SchedulerConfig, unet: &Unet, vae: &Vae) -> Result<Defaults, LoadError> {
    let own: Diffused = if file.exists() { read(file, Diffused::check)? } else { Diffused::default() };
    let fault = |reason: String| LoadError::folder(file, reason);
    let (width, height) = unet.size();
    let side = |own: Option<i64>, latents: u32| own.unwrap_or(i64::from(latents) * i64::from(vae.facts().downscale));
    Ok(Defaults {
        steps: Steps::try_from(own.steps.unwrap_or(20)).map_err(|error| fault(error.message))?,
        guidance_scale: GuidanceScale::try_from(own.guidance_scale.unwrap_or(own.usual_scale()))
            .map_err(|error| fault(error.message))?,
        guidance: own.guidance,
        sampler: own.sampler(scheduler).map_err(fault)?,
        size: Size::new(side(own.width, width), side(own.height, height)).map_err(|error| fault(error.message))?,
    })
}

impl Diffused {
    /// Its own sampler, else the one that the scheduler configuration names.
    fn sampler(&self, scheduler: &SchedulerConfig) -> Result<&'static Sampler, String> {
        let names = || sampler::SAMPLERS.iter().map(|sampler| sampler.name).collect::<Vec<_>>().join(", ");
        if let Some(name) = &self.sampler {
            return sampler::find(name).ok_or_else(|| format!("sampler must be one of {}, got {name}", names()));
        }
        let class = scheduler.class_name.as_deref().unwrap_or("DDIMScheduler");
        sampler::of_class(class).ok_or_else(|| {
            format!("the scheduler {class} has no counterpart here, this file must name a sampler out of {}", names())
        })
    }
}

#[cfg(test)]
mod tests;
