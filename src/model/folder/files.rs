//! The JSON files of a model folder, as far as they matter here. Keys that this version does not know are ignored,
//! except in our own file.

use serde::Deserialize;
use serde_json::Value;

use super::{Family, Guided, VaeFacts};

#[derive(Deserialize)]
pub(super) struct ModelIndex {
    #[serde(rename = "_class_name")]
    pub(super) class_name: String,
}

impl ModelIndex {
    /// Pipelines of the families that are served; the tasks differ only in what the caller does.
    pub(super) fn check(&self) -> Result<(), String> {
        let plain = self.class_name.trim_start_matches("Onnx").trim_start_matches("ORT");
        let known = ["StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline"];
        if known.contains(&plain) {
            return Ok(());
        }
        Err(format!("_class_name must be StableDiffusionPipeline in this version, got {}", self.class_name))
    }
}

#[derive(Deserialize)]
pub(super) struct TextEncoder {
    hidden_size: usize,
    /// Absent in files of the class's default, which is OpenAI's.
    #[serde(default = "quick_gelu")]
    hidden_act: String,
    /// Of CLIP's class.
    #[serde(default = "seventy_seven")]
    pub(super) max_position_embeddings: usize,
}

fn quick_gelu() -> String {
    "quick_gelu".to_owned()
}

fn seventy_seven() -> usize {
    77
}

impl TextEncoder {
    pub(super) fn check(&self) -> Result<(), String> {
        match self.max_position_embeddings {
            3.. => Ok(()),
            few => Err(format!("max_position_embeddings must be at least 3, got {few}")),
        }
    }

    /// OpenAI's encoder has its own activation; OpenCLIP's, which came with v2, the exact one.
    pub(super) fn family(&self) -> Family {
        if self.hidden_act == "quick_gelu" { Family::Sd1 } else { Family::Sd2 }
    }
}

#[derive(Deserialize)]
pub(super) struct Unet {
    pub(super) in_channels: usize,
    out_channels: usize,
    block_out_channels: Vec<usize>,
    sample_size: Option<Sides>,
    cross_attention_dim: Value,
    time_cond_proj_dim: Option<Value>,
    addition_embed_type: Option<Value>,
    class_embed_type: Option<Value>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Sides {
    One(u32),
    /// Height and width.
    Two([u32; 2]),
}

impl Unet {
    pub(super) fn check(&self, text: &TextEncoder) -> Result<(), String> {
        if self.addition_embed_type.is_some() {
            return Err("addition_embed_type must be null, SDXL is not supported by this version".to_owned());
        }
        if self.time_cond_proj_dim.is_some() {
            return Err("time_cond_proj_dim must be null, LCM is not supported by this version".to_owned());
        }
        if let Some(kind) = &self.class_embed_type {
            return Err(format!("class_embed_type must be null, got {kind}"));
        }
        if (self.in_channels, self.out_channels) != (4, 4) {
            let (ins, outs) = (self.in_channels, self.out_channels);
            return Err(format!(
                "in_channels and out_channels must be 4 and 4 in this version (9 is an inpainting and 5 a depth model), \
                 got {ins} and {outs}"
            ));
        }
        if !(1..=8).contains(&self.block_out_channels.len()) {
            return Err(format!("block_out_channels must list 1 to 8 blocks, got {}", self.block_out_channels.len()));
        }
        if self.sides().is_some_and(|(width, height)| width.min(height) == 0) {
            return Err("sample_size must be at least 1, got 0".to_owned());
        }
        if self.cross_attention_dim != text.hidden_size {
            return Err(format!(
                "cross_attention_dim must be the hidden_size of the text encoder, {}, got {}",
                text.hidden_size, self.cross_attention_dim
            ));
        }
        Ok(())
    }

    /// Width and height in latents; 64, the size of the first models, where the file does not say.
    pub(super) fn size(&self) -> (u32, u32) {
        self.sides().unwrap_or((64, 64))
    }

    /// How much smaller its smallest latents are than those it is given.
    pub(super) fn downscale(&self) -> u32 {
        1 << (self.block_out_channels.len() - 1)
    }

    fn sides(&self) -> Option<(u32, u32)> {
        self.sample_size.map(|sides| match sides {
            Sides::One(side) => (side, side),
            Sides::Two([height, width]) => (width, height),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct Vae {
    #[serde(default = "four")]
    latent_channels: usize,
    block_out_channels: Vec<usize>,
    /// Absent in the files of the first models, which have the class's default.
    #[serde(default = "first_scaling_factor")]
    scaling_factor: f32,
    shift_factor: Option<f32>,
}

fn four() -> usize {
    4
}

fn first_scaling_factor() -> f32 {
    0.18215
}

impl Vae {
    pub(super) fn check(&self, unet: &Unet) -> Result<(), String> {
        if self.latent_channels != unet.in_channels {
            let (wanted, got) = (unet.in_channels, self.latent_channels);
            return Err(format!("latent_channels must be the in_channels of the U-Net, {wanted}, got {got}"));
        }
        if !self.scaling_factor.is_normal() {
            return Err(format!("scaling_factor must be a number other than 0, got {}", self.scaling_factor));
        }
        match self.block_out_channels.len() {
            1..=8 => Ok(()),
            other => Err(format!("block_out_channels must list 1 to 8 blocks, got {other}")),
        }
    }

    pub(super) fn facts(&self) -> VaeFacts {
        VaeFacts {
            scaling_factor: self.scaling_factor,
            shift_factor: self.shift_factor.unwrap_or(0.0),
            // Every block but the first halves the sides.
            downscale: 1 << (self.block_out_channels.len() - 1),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct TokenizerConfig {
    #[serde(default = "clip")]
    tokenizer_class: String,
    pad_token: Option<Token>,
}

fn clip() -> String {
    "CLIPTokenizer".to_owned()
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Token {
    Text(String),
    Added { content: String },
}

impl TokenizerConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        match self.tokenizer_class.as_str() {
            "CLIPTokenizer" | "CLIPTokenizerFast" => Ok(()),
            other => Err(format!("tokenizer_class must be CLIPTokenizer, got {other}")),
        }
    }

    /// The end token unless the file says otherwise (v2 pads with `!`).
    pub(super) fn pad(&self) -> String {
        match &self.pad_token {
            Some(Token::Text(text) | Token::Added { content: text }) => text.clone(),
            None => "<|endoftext|>".to_owned(),
        }
    }
}

/// Our own file: what the model's makers recommend.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Diffused {
    pub(super) steps: Option<i64>,
    pub(super) guidance_scale: Option<f64>,
    pub(super) sampler: Option<String>,
    pub(super) width: Option<i64>,
    pub(super) height: Option<i64>,
    pub(super) guidance: Guided,
    clip_skip: i64,
}

impl Diffused {
    pub(super) fn check(&self) -> Result<(), String> {
        match self.clip_skip {
            0 => Ok(()),
            other => Err(format!("clip_skip must be 0 in this version, got {other}")),
        }
    }

    /// The scale where the file does not say: that of the first models, or none at all.
    pub(super) fn usual_scale(&self) -> f64 {
        match self.guidance {
            Guided::Cfg => 7.5,
            Guided::None => 1.0,
        }
    }
}
