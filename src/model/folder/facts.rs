//! What is known of a model once its folder was read.

use crate::diffusion::Sampler;
use crate::job::units::{ClipSkip, GuidanceScale, Size, Steps};

/// A kind of model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Stable Diffusion v1: OpenAI's CLIP text encoder.
    Sd1,
    /// Stable Diffusion v2: OpenCLIP's text encoder.
    Sd2,
    /// Stable Diffusion XL: both, a pooled text and the picture's size.
    Sdxl,
}

impl Family {
    /// Its name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sd1 => "sd1",
            Self::Sd2 => "sd2",
            Self::Sdxl => "sdxl",
        }
    }
}

/// A tokenizer and the encoder that reads its ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFacts {
    /// Folder of the encoder's graph.
    pub encoder: &'static str,
    /// Folder of the tokenizer's files.
    pub tokenizer: &'static str,
    /// Which of the encoder's states are read.
    pub layer: Layer,
    /// Whether the encoder's pooled output is read too.
    pub pooled: bool,
    /// The token that fills the rest of the text.
    pub pad: String,
    /// Ids of a text, begin, end and padding included.
    pub length: usize,
    /// Width of the encoder's states.
    pub width: usize,
}

/// Which states of a text encoder the U-Net was trained with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The last ones, normalised. (An exported v2 encoder has no layer beyond the one that counts.)
    Last,
    /// Those before the last layer, as they are.
    Penultimate,
}

/// What a U-Net is given besides latents and timestep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnetFacts {
    /// The channels that join the latents.
    pub extra: Extra,
    /// Width of the text.
    pub context: usize,
    /// Width of the embedded guidance scale, if it takes that.
    pub guidance: Option<usize>,
    /// Width of the pooled text, if it takes that; then it takes the picture's size too.
    pub pooled: Option<usize>,
}

/// The channels that join the latents in the U-Net's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// None.
    None,
    /// The mask, and the latents of the picture without what is masked.
    Inpaint,
    /// The depth map.
    Depth,
}

impl Extra {
    /// How many they are, with latents of so many channels.
    pub fn channels(self, latents: usize) -> usize {
        match self {
            Self::None => 0,
            Self::Inpaint => 1 + latents,
            Self::Depth => 1,
        }
    }
}

/// How latents become pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VaeFacts {
    /// Its kind.
    pub kind: Autoencoder,
    /// The sampler's latents are the autoencoder's times this.
    pub scaling_factor: f32,
    /// Added to the autoencoder's latents.
    pub shift_factor: f32,
    /// Pixels a side for each latent.
    pub downscale: u32,
    /// Pictures with a side more than half as long again as this, in pixels, go through the autoencoder in tiles of this
    /// side. It may be changed before the graphs are loaded; as read it is so large that no picture of the model's own size
    /// is cut.
    pub tile: u32,
}

/// A kind of autoencoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Autoencoder {
    /// Its encoder gives a normal distribution for each latent (diffusers' `AutoencoderKL`).
    Gaussian,
    /// TAESD, small and fast: its encoder gives the latents (diffusers' `AutoencoderTiny`).
    Tiny,
}

/// What is used where a request says nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Defaults {
    /// Denoising steps.
    pub steps: Steps,
    /// Scale of guidance.
    pub guidance_scale: GuidanceScale,
    /// Whether it is guided at all, and how.
    pub guidance: Guided,
    /// The sampling algorithm.
    pub sampler: &'static Sampler,
    /// The size it was made for.
    pub size: Size,
    /// Layers of the text encoder that are left out.
    pub clip_skip: ClipSkip,
}

/// How a model takes guidance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Guided {
    /// Classifier-free guidance: two passes a step.
    Cfg,
    /// The scale is an input of the U-Net: one pass a step.
    Embedded,
    /// None: the model was distilled to do without.
    None,
}

impl Guided {
    /// Its name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cfg => "cfg",
            Self::Embedded => "embedded",
            Self::None => "none",
        }
    }
}
