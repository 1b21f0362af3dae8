//! `vae_decoder/config.json`: how latents become pixels.

use serde::Deserialize;

use super::unet::Sides;
use super::{Autoencoder, VaeFacts};

#[derive(Default, Deserialize)]
pub(super) struct Vae {
    #[serde(rename = "_class_name", default)]
    class_name: String,
    latent_channels: Option<usize>,
    block_out_channels: Option<Vec<usize>>,
    /// Absent in the files of the first models, which have the class's default.
    scaling_factor: Option<f32>,
    shift_factor: Option<f32>,
    sample_size: Option<Sides>,
    // Only understood well enough to be refused.
    latents_mean: Option<serde_json::Value>,
    latents_std: Option<serde_json::Value>,
}

impl Vae {
    /// The first models' autoencoder, which diffusers' pipelines for folders without configurations have built in.
    pub(super) fn of_the_first_models() -> Self {
        Self { block_out_channels: Some(vec![128, 256, 512, 512]), ..Self::default() }
    }

    /// TAESD as its class has it.
    pub(super) fn tiny() -> Self {
        Self { class_name: "AutoencoderTiny".to_owned(), ..Self::default() }
    }

    pub(super) fn check(&self, channels: usize) -> Result<(), String> {
        let latent_channels = self.latent_channels.unwrap_or(4);
        if latent_channels != channels {
            return Err(format!(
                "latent_channels must be the out_channels of the U-Net, {channels}, got {latent_channels}"
            ));
        }
        if self.latents_mean.is_some() || self.latents_std.is_some() {
            return Err("latents_mean and latents_std must be null, latents by channel are not served".to_owned());
        }
        if !self.scaling_factor().is_normal() {
            return Err(format!("scaling_factor must be a number other than 0, got {}", self.scaling_factor()));
        }
        match self.blocks() {
            1..=8 => Ok(()),
            other => Err(format!("block_out_channels must list 1 to 8 blocks, got {other}")),
        }
    }

    pub(super) fn facts(&self) -> VaeFacts {
        let (width, height) = self.sample_size.map_or((0, 0), Sides::size);
        VaeFacts {
            kind: self.kind(),
            scaling_factor: self.scaling_factor(),
            shift_factor: self.shift_factor.unwrap_or(0.0),
            // Every block but the first halves the sides.
            downscale: 1 << (self.blocks() - 1),
            tile: width.max(height).max(512),
        }
    }

    fn kind(&self) -> Autoencoder {
        if self.class_name == "AutoencoderTiny" { Autoencoder::Tiny } else { Autoencoder::Gaussian }
    }

    /// The default is that of the class.
    fn scaling_factor(&self) -> f32 {
        self.scaling_factor.unwrap_or(match self.kind() {
            Autoencoder::Gaussian => 0.18215,
            Autoencoder::Tiny => 1.0,
        })
    }

    fn blocks(&self) -> usize {
        match (&self.block_out_channels, self.kind()) {
            (Some(blocks), _) => blocks.len(),
            (None, Autoencoder::Tiny) => 4,
            // Every file has it; the class's default, one block, would be no autoencoder.
            (None, Autoencoder::Gaussian) => 0,
        }
    }
}
