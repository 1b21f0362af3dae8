//! A model whose graphs are loaded.

use std::sync::Arc;

use super::Source;
use super::preview::Sight;
use super::sets::Sets;
use crate::diffusion::{self, Schedule};
use crate::job::ModelFacts;
use crate::job::units::{ClipSkip, Size};
use crate::model::{
    Adapters, Body, Classifier, Decoder, DepthNet, Encoder, Engine, Extra, Folder, LoadError, Reader, SafetyChecker,
    Tokenizer, Unet,
};

/// Parts of a model that are told of while it is loaded: decoder, encoder, nets that look at pictures, and the rest.
pub const PARTS: usize = 4;

/// A model whose graphs are loaded.
pub(super) struct Loaded {
    pub(super) name: String,
    pub(super) folder: Folder,
    pub(super) engine: Engine,
    /// What adapters change.
    pub(super) body: Body,
    tokenizer: Arc<Tokenizer>,
    pub(super) decoder: Decoder,
    /// For init images.
    pub(super) encoder: Option<Encoder>,
    /// For depth maps out of init images.
    pub(super) depth: Option<DepthNet>,
    /// Looks at every picture before it is shown.
    pub(super) safety: Option<SafetyChecker>,
    /// For previews.
    pub(super) sight: Sight,
    /// Knows which way a label lies.
    pub(super) classifier: Option<Classifier>,
    /// Set when the U-Net was cut in two.
    reuses: bool,
    /// Set when the U-Net was exported for one size only.
    fixed_size: Option<Size>,
    /// Set when the U-Net was exported for one length of texts only.
    most_chunks: Option<usize>,
}

impl Loaded {
    /// Loads a model; what adapters change stays in `sets`. Tells how many of its [`PARTS`] are there.
    pub(super) fn load(
        engine: &Engine,
        source: &Source,
        sets: &Sets,
        adapters: &Adapters,
        told: &dyn Fn(usize),
    ) -> Result<Self, LoadError> {
        let folder = Folder::open(&source.folder)?;
        runnable(&folder)?;
        let decoder = Decoder::load(engine, &folder)?;
        told(1);
        let encoder = Encoder::load(engine, &folder)?;
        told(2);
        let (depth, classifier) = (DepthNet::load(engine, &folder)?, Classifier::load(engine, &folder)?);
        let safety = if source.safety { SafetyChecker::load(engine, &folder)? } else { None };
        told(3);
        let mut loaded = Self {
            name: source.name.clone(),
            engine: engine.clone(),
            body: Body::read(&folder),
            tokenizer: Arc::new(Tokenizer::first(&folder)?),
            decoder,
            encoder,
            depth,
            safety,
            classifier,
            sight: Sight::default(),
            reuses: false,
            fixed_size: None,
            most_chunks: None,
            folder,
        };
        let set = sets.plain(&loaded, adapters)?;
        told(PARTS);
        loaded.reuses = set.unet.reuses();
        loaded.fixed_size = fixed_size(&set.unet, &loaded.folder)?;
        loaded.most_chunks = loaded.most_chunks(&set.unet);
        loaded.own_size()?;
        loaded.own_clip_skip()?;
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

    fn own_clip_skip(&self) -> Result<(), LoadError> {
        let (own, most) = (usize::from(self.folder.defaults.clip_skip.get()), self.body.most_clip_skip());
        if own <= most {
            return Ok(());
        }
        let reason = format!("clip_skip must be at most {most} for this text encoder, got {own}");
        Err(fault(&self.folder, "diffused.json", reason))
    }

    /// The shape of a picture's latents, [channels, height, width].
    pub(super) fn latent_shape(&self, size: Size) -> [usize; 3] {
        let side = |pixels: u32| (pixels / self.folder.vae.downscale) as usize;
        [self.folder.channels, side(size.height()), side(size.width())]
    }

    /// How many chunks of text a U-Net takes, if it takes only so many.
    pub(super) fn most_chunks(&self, unet: &Unet) -> Option<usize> {
        let length = self.folder.texts.first().map_or(1, |facts| facts.length);
        unet.fixed_tokens().map(|tokens| (tokens / length).max(1))
    }

    /// How many pictures of that size are made together.
    pub(super) fn at_once(&self, unet: &Unet, size: Size) -> u8 {
        let [_, height, width] = self.latent_shape(size);
        u8::try_from(unet.pictures_at_once(height * width)).unwrap_or(u8::MAX)
    }

    pub(super) fn facts(&self, adapters: &Adapters) -> ModelFacts {
        let defaults = &self.folder.defaults;
        let reader = Reader::new(Arc::clone(&self.tokenizer), &self.body.vocabulary(adapters), self.most_chunks);
        ModelFacts {
            name: self.name.clone(),
            family: self.folder.family.name(),
            precision: self.body.precision(),
            size: self.fixed_size.unwrap_or(defaults.size),
            fixed_size: self.fixed_size.is_some(),
            // A graph for one size only proves that it can have it.
            multiple: if self.fixed_size.is_some() { 1 } else { self.folder.multiple },
            steps: defaults.steps,
            guidance_scale: defaults.guidance_scale,
            guidance: defaults.guidance.name(),
            sampler: defaults.sampler,
            scheduler: self.folder.scheduler.clone(),
            modes: self.folder.modes(),
            encodes_at_random: self.encoder.as_ref().is_some_and(Encoder::samples_itself),
            placements: self.engine.placements(&self.folder.path),
            estimates_depth: self.depth.is_some(),
            labels: self.classifier.as_ref().map_or_else(Vec::new, |classifier| classifier.labels().to_vec()),
            reuses: self.reuses,
            read: Arc::new(move |prompt, steps| reader.read(prompt, usize::from(steps.get()))),
            clip_skip: defaults.clip_skip,
            most_clip_skip: ClipSkip::at_most(self.body.most_clip_skip()),
            adapters: self.body.facts(adapters),
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
