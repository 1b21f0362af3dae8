//! A model whose graphs are loaded.

use std::sync::Arc;

use super::Source;
use crate::diffusion::{self, Schedule};
use crate::job::ModelFacts;
use crate::job::units::Size;
use crate::model::{Decoder, Engine, Folder, LoadError, TextEncoder, Tokenizer, Unet};

/// A model whose graphs are loaded.
pub(super) struct Loaded {
    pub(super) name: String,
    pub(super) folder: Folder,
    pub(super) tokenizer: Arc<Tokenizer>,
    pub(super) text_encoder: TextEncoder,
    pub(super) unet: Unet,
    pub(super) decoder: Decoder,
    /// Set when the U-Net was exported for one size only.
    fixed_size: Option<Size>,
}

impl Loaded {
    pub(super) fn load(engine: &Engine, source: &Source) -> Result<Self, LoadError> {
        let folder = Folder::open(&source.folder)?;
        runnable(&folder)?;
        let unet = Unet::load(engine, &folder)?;
        let loaded = Self {
            name: source.name.clone(),
            tokenizer: Arc::new(Tokenizer::load(&folder)?),
            text_encoder: TextEncoder::load(engine, &folder)?,
            decoder: Decoder::load(engine, &folder)?,
            fixed_size: fixed_size(&unet, &folder)?,
            unet,
            folder,
        };
        loaded.own_size()?;
        tracing::info!(model = source.name, family = loaded.folder.family.name(), "model loaded");
        Ok(loaded)
    }

    /// A model must be able to make the size that it names as its own.
    fn own_size(&self) -> Result<(), LoadError> {
        let (size, multiple) = (self.folder.defaults.size, self.folder.multiple);
        let fits = size.width().is_multiple_of(multiple) && size.height().is_multiple_of(multiple);
        if fits || self.fixed_size.is_some() {
            return Ok(());
        }
        let reason = format!("width and height must be multiples of {multiple} for this U-Net, got {size}");
        Err(fault(&self.folder, "diffused.json", reason))
    }

    pub(super) fn facts(&self) -> ModelFacts {
        let defaults = &self.folder.defaults;
        let tokenizer = Arc::clone(&self.tokenizer);
        ModelFacts {
            name: self.name.clone(),
            family: self.folder.family.name(),
            size: self.fixed_size.unwrap_or(defaults.size),
            fixed_size: self.fixed_size.is_some(),
            // A graph for one size only proves that it can have it.
            multiple: if self.fixed_size.is_some() { 1 } else { self.folder.multiple },
            steps: defaults.steps,
            guidance_scale: defaults.guidance_scale,
            guidance: defaults.guidance.name(),
            sampler: defaults.sampler,
            tokens: self.tokenizer.room(),
            count_tokens: Arc::new(move |text| tokenizer.count(text)),
        }
    }
}

/// A scheduler configuration may be readable and yet give no run; better to learn it now than from a request.
fn runnable(folder: &Folder) -> Result<(), LoadError> {
    let defaults = &folder.defaults;
    diffusion::levels(&folder.scheduler, defaults.sampler, Schedule::Model, usize::from(defaults.steps.get()))
        .map(drop)
        .map_err(|error| fault(folder, "scheduler/scheduler_config.json", error.to_string()))
}

fn fixed_size(unet: &Unet, folder: &Folder) -> Result<Option<Size>, LoadError> {
    let Some((width, height)) = unet.fixed_size() else { return Ok(None) };
    let pixels = |latents: usize| (latents as i64).saturating_mul(i64::from(folder.vae.downscale));
    Size::new(pixels(width), pixels(height)).map(Some).map_err(|error| fault(folder, "unet/model.onnx", error.message))
}

fn fault(folder: &Folder, file: &str, reason: String) -> LoadError {
    LoadError::Folder { file: folder.path.join(file), reason }
}
