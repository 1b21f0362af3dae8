//! A model whose graphs are loaded.

use std::sync::Arc;

use super::Source;
use crate::diffusion::{self, Schedule};
use crate::job::units::Size;
use crate::job::{Mode, ModelFacts};
use crate::model::{
    Classifier, Decoder, DepthNet, Encoder, Engine, Extra, Folder, LoadError, SafetyChecker, TextEncoders, Unet,
};

/// A model whose graphs are loaded.
pub(super) struct Loaded {
    pub(super) name: String,
    pub(super) folder: Folder,
    pub(super) texts: TextEncoders,
    pub(super) unet: Unet,
    pub(super) decoder: Decoder,
    /// For init images.
    pub(super) encoder: Option<Encoder>,
    /// For depth maps out of init images.
    pub(super) depth: Option<DepthNet>,
    /// Looks at every picture before it is shown.
    pub(super) safety: Option<SafetyChecker>,
    /// Knows which way a label lies.
    pub(super) classifier: Option<Classifier>,
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
            texts: TextEncoders::load(engine, &folder)?,
            decoder: Decoder::load(engine, &folder)?,
            encoder: Encoder::load(engine, &folder)?,
            depth: DepthNet::load(engine, &folder)?,
            safety: if source.safety { SafetyChecker::load(engine, &folder)? } else { None },
            classifier: Classifier::load(engine, &folder)?,
            fixed_size: fixed_size(&unet, &folder)?,
            unet,
            folder,
        };
        loaded.own_size()?;
        if loaded.folder.unet.extra == Extra::Inpaint && loaded.encoder.is_none() {
            return Err(fault(&loaded.folder, "vae_encoder/model.onnx", "an inpainting model must have it".to_owned()));
        }
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

    /// The shape of a picture's latents, [channels, height, width].
    pub(super) fn latent_shape(&self, size: Size) -> [usize; 3] {
        let side = |pixels: u32| (pixels / self.folder.vae.downscale) as usize;
        [self.folder.channels, side(size.height()), side(size.width())]
    }

    /// How many pictures of that size are made together.
    pub(super) fn at_once(&self, size: Size) -> u8 {
        let [_, height, width] = self.latent_shape(size);
        u8::try_from(self.unet.pictures_at_once(height * width)).unwrap_or(u8::MAX)
    }

    /// What it can start from. Inpainting models encode a picture even where nothing is masked.
    fn modes(&self) -> Vec<Mode> {
        let (extra, encodes) = (self.folder.unet.extra, self.encoder.is_some());
        let all = [
            (Mode::Text, extra == Extra::None || extra == Extra::Inpaint && encodes),
            (Mode::Image, encodes),
            (Mode::Inpaint, encodes),
            (Mode::Depth, extra == Extra::Depth),
        ];
        all.into_iter().filter_map(|(mode, able)| able.then_some(mode)).collect()
    }

    pub(super) fn facts(&self) -> ModelFacts {
        let defaults = &self.folder.defaults;
        let tokenizer = Arc::clone(self.texts.tokenizer());
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
            scheduler: self.folder.scheduler.clone(),
            modes: self.modes(),
            encodes_at_random: self.encoder.as_ref().is_some_and(Encoder::samples_itself),
            estimates_depth: self.depth.is_some(),
            labels: self.classifier.as_ref().map_or_else(Vec::new, |classifier| classifier.labels().to_vec()),
            tokens: self.texts.tokenizer().room(),
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
