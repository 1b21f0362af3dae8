//! Latents to pixels.

use std::path::Path;

use super::Planes;
use super::half::Half;
use super::tiles::{Scale, Tiles};
use crate::diffusion::{self, LatentRgb, Latents};
use crate::job::Watch;
use crate::model::engine::Engine;
use crate::model::error::{LoadError, PassError};
use crate::model::folder::{Folder, VaeFacts};

/// The decoder of a model's autoencoder.
pub struct Decoder {
    half: Half,
    facts: VaeFacts,
}

impl Decoder {
    /// Loads `vae_decoder/model.onnx`.
    pub fn load(engine: &Engine, folder: &Folder) -> Result<Self, LoadError> {
        Self::open(engine, &folder.graph("vae_decoder"), folder.channels, folder.vae)
    }

    /// Loads `taesd_decoder/model.onnx`, a small and fast decoder for previews, if the folder has one.
    pub fn load_tiny(engine: &Engine, folder: &Folder) -> Result<Option<Self>, LoadError> {
        let Some(facts) = folder.taesd.filter(|_| folder.has("taesd_decoder")) else { return Ok(None) };
        Self::open(engine, &folder.graph("taesd_decoder"), folder.channels, facts).map(Some)
    }

    fn open(engine: &Engine, file: &Path, channels: usize, facts: VaeFacts) -> Result<Self, LoadError> {
        let scale = Scale { input: 1, output: facts.downscale as usize };
        let (inputs, outputs) = (["latent_sample", "latent"], ["sample", "images"]);
        let half = Half::load(engine, file, &inputs, &outputs, channels, Tiles::new(facts, scale))?;
        Ok(Self { half, facts })
    }

    /// The pictures of a sampler's final latents.
    pub fn decode(&self, latents: &Latents, watch: &dyn Watch) -> Result<Planes, PassError> {
        let VaeFacts { scaling_factor, shift_factor, .. } = self.facts;
        self.half.run(&latents.mapv(|value| value / scaling_factor + shift_factor), watch)
    }

    /// Coefficients for previews of latents of so many channels, fitted to one pass of this decoder.
    pub fn preview(&self, channels: usize, watch: &dyn Watch) -> Result<LatentRgb, PassError> {
        let [height, width] = self.half.fixed_sides().unwrap_or([16, 16]);
        let latents = diffusion::probe(channels, height, width);
        let planes = self.decode(&latents, watch)?;
        LatentRgb::fit(&latents, planes.view())
            .ok_or_else(|| PassError::Failed("the decoder's pictures do not depend on its latents".to_owned()))
    }
}
