//! Pixels to latents.

use ndarray::{Axis, Slice};

use super::half::Half;
use super::tiles::{Scale, Tiles};
use super::{Planes, Posterior};
use crate::diffusion::Latents;
use crate::job::Watch;
use crate::model::engine::Engine;
use crate::model::error::{LoadError, PassError};
use crate::model::folder::{Autoencoder, Folder, VaeFacts};

/// The encoder of a model's autoencoder.
pub struct Encoder {
    half: Half,
    facts: VaeFacts,
    gives: Gives,
}

/// What the graph gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gives {
    /// Mean and logarithm of the variance, one after the other along the channels.
    Parameters,
    /// A sample, drawn in the graph (the legacy converter's and TensorRT's exports).
    Sample,
    /// The latents; there is nothing to draw.
    Latents,
}

/// Channels of a picture: red, green and blue.
const PLANES: usize = 3;

impl Encoder {
    /// Loads `vae_encoder/model.onnx`, if the folder has one.
    pub fn load(engine: &Engine, folder: &Folder) -> Result<Option<Self>, LoadError> {
        let (file, facts) = (folder.graph("vae_encoder"), folder.vae);
        if !folder.has("vae_encoder") {
            return Ok(None);
        }
        let tiles = Tiles::new(facts, Scale { input: facts.downscale as usize, output: 1 });
        let outputs = ["latent_parameters", "latent_sample", "latents", "latent"];
        let half = Half::load(engine, &file, &["sample", "images"], &outputs, PLANES, tiles)?;
        let gives = match (half.output(), facts.kind) {
            ("latent_parameters", _) => Gives::Parameters,
            (_, Autoencoder::Gaussian) => Gives::Sample,
            (_, Autoencoder::Tiny) => Gives::Latents,
        };
        Ok(Some(Self { half, facts, gives }))
    }

    /// Whether the graph draws its samples itself, so that no seed of ours gives the same latents again.
    pub fn samples_itself(&self) -> bool {
        self.gives == Gives::Sample
    }

    /// The latents of pictures, `planes` [batch, 3, height, width] from -1 to 1.
    pub fn encode(&self, planes: &Planes, watch: &dyn Watch) -> Result<Posterior, PassError> {
        let VaeFacts { scaling_factor, shift_factor, .. } = self.facts;
        let output = self.half.run(planes, watch)?;
        let scaled = |latents: Latents| latents.mapv(|value| (value - shift_factor) * scaling_factor);
        if self.gives != Gives::Parameters {
            return Ok(Posterior::Known(scaled(output)));
        }
        let [mean, logvar] = halves(output)?;
        // The limits are those of diffusers' DiagonalGaussianDistribution.
        let std = logvar.mapv(|logvar| (logvar.clamp(-30.0, 20.0) / 2.0).exp() * scaling_factor);
        Ok(Posterior::Gaussian { mean: scaled(mean), std })
    }
}

/// The two halves of the channels.
fn halves(parameters: Latents) -> Result<[Latents; 2], PassError> {
    let channels = parameters.len_of(Axis(1));
    if !channels.is_multiple_of(2) {
        let reason = format!("latent_parameters must have mean and variance of each channel, got {channels} channels");
        return Err(PassError::Failed(reason));
    }
    let half = |from| parameters.slice_axis(Axis(1), Slice::from(from..from + channels / 2)).to_owned();
    Ok([half(0), half(channels / 2)])
}
