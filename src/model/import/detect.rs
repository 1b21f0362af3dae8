//! What kind of model a checkpoint is, told by its keys, its shapes and what its writer said of it.

use super::error::ImportError;
use super::shelf::Shelf;
use super::template::Float;
use crate::weights::Dtype;

/// What the U-Net's output stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// The noise.
    Epsilon,
    /// Salimans and Ho's v.
    V,
}

impl Prediction {
    /// Its name in diffusers' configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epsilon => "epsilon",
            Self::V => "v_prediction",
        }
    }
}

/// What a checkpoint tells of itself; what it leaves open is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Findings {
    /// Width of the text that the U-Net takes.
    context: Option<usize>,
    /// Channels that the U-Net takes.
    channels: Option<usize>,
    /// Whether the U-Net takes a pooled text and sizes.
    pooled: bool,
    /// How most of its numbers are stored.
    pub(super) float: Float,
    /// What it says of its output.
    pub(super) prediction: Option<Prediction>,
    /// Whether it was trained down to no signal at all.
    pub(super) zero_snr: bool,
    /// Side of the pictures it was trained with, in pixels.
    pub(super) side: Option<u32>,
}

/// The step at which the makers of v2 ended the training of their model that predicts the noise.
const STEPS_OF_V2_BASE: &[u8] = &875_000_u32.to_le_bytes();

impl Findings {
    /// An error if it is of a kind that cannot be served at all.
    pub(super) fn of(shelf: &Shelf) -> Result<Self, ImportError> {
        refuse_edm(shelf)?;
        // Of moving averages, whose keys have lost their dots, only what the file has no other weight for is asked.
        let averaged = |key: &str| key.starts_with("model_ema.");
        let shape = |end: &str| {
            let plain = |key: &str| key.ends_with(end) && !averaged(key);
            let without_dots = end.replace('.', "");
            let found = shelf.tensors().find(|(key, _)| plain(key));
            let found =
                found.or_else(|| shelf.tensors().find(|(key, _)| averaged(key) && key.ends_with(&without_dots)));
            found.map(|(_, entry)| entry.shape.clone())
        };
        let second = |end: &str| shape(end).and_then(|shape| shape.get(1).copied());
        Ok(Self {
            context: second("attn2.to_k.weight"),
            channels: second("input_blocks.0.0.weight").or_else(|| second("unet/conv_in.weight")),
            pooled: ["label_emb.0.0.weight", "add_embedding.linear_1.weight"].iter().any(|end| shape(end).is_some()),
            float: float(shelf),
            prediction: prediction(shelf),
            zero_snr: shelf.has("ztsnr"),
            side: side(shelf),
        })
    }

    /// The built-in template for such a checkpoint.
    pub(super) fn family(&self, shelf: &Shelf) -> Result<&'static str, ImportError> {
        let refused = |reason: String| Err(ImportError::unfit(&shelf.path, reason));
        let with_template = "only an exported model of its kind can be the template: give --like FOLDER";
        match (self.context, self.channels, self.pooled) {
            (_, Some(8), _) => refused("instruct-pix2pix models (8 channels) are not served".to_owned()),
            (Some(1280), _, true) => refused("a refiner only finishes another model's latents".to_owned()),
            (Some(768), Some(4), false) => Ok("sd1"),
            (Some(768), Some(9), false) => Ok("sd1-inpaint"),
            (Some(1024), Some(4), false) => Ok("sd2"),
            (Some(2048), Some(4), true) => Ok("sdxl"),
            (Some(_), Some(5), _) => refused(format!("it is a depth model (5 channels), {with_template}")),
            (Some(width), Some(channels), _) => {
                refused(format!("its U-Net takes {channels} channels and text {width} wide, {with_template}"))
            }
            _ => refused("it must hold a U-Net with cross-attention, got none".to_owned()),
        }
    }

    /// What the output stands for where neither the file nor the caller says it: v2's larger model came to be the better known.
    pub(super) fn prediction_of(&self, family: &str) -> Prediction {
        let usual = if family == "sd2" { Prediction::V } else { Prediction::Epsilon };
        self.prediction.unwrap_or(usual)
    }
}

/// Models of Karras et al. 2022 scale what goes in and out of the U-Net by the level: CosXL has marks of them among its keys,
/// Playground v2.5 the mean and deviation of its latents, and diffusers' folders a scheduler of their own.
fn refuse_edm(shelf: &Shelf) -> Result<(), ImportError> {
    let marked =
        shelf.tensors().any(|(key, _)| key.starts_with("edm_vpred.") || ["edm_mean", "edm_std"].contains(&key));
    let scheduler = shelf.json("scheduler/scheduler_config.json")?;
    let class = scheduler.as_ref().and_then(|scheduler| scheduler.get("_class_name")?.as_str());
    match marked || class.is_some_and(|class| class.starts_with("EDM")) {
        true => Err(ImportError::unfit(&shelf.path, "EDM models such as CosXL and Playground v2.5 are not served")),
        false => Ok(()),
    }
}

/// How most of its numbers are stored. Brain floats count as 16 bits: what a model's weights are fits either way.
fn float(shelf: &Shelf) -> Float {
    let (mut wide, mut narrow) = (0_u64, 0_u64);
    for (_, entry) in shelf.tensors() {
        let elements: u64 = entry.shape.iter().map(|&side| side as u64).product();
        match entry.dtype {
            Dtype::F16 | Dtype::Bf16 | Dtype::F8E4m3 | Dtype::F8E5m2 => narrow = narrow.saturating_add(elements),
            Dtype::F32 | Dtype::F64 => wide = wide.saturating_add(elements),
            _ => {}
        }
    }
    if narrow > wide { Float::F16 } else { Float::F32 }
}

/// What the file says: by the training tools' metadata (modelspec), by ComfyUI's key, by v2's step counter as diffusers
/// reads it, or by a folder's scheduler.
fn prediction(shelf: &Shelf) -> Option<Prediction> {
    let said = |key: &str| shelf.metadata.get(key).map(|value| value.to_lowercase());
    let architecture = said("modelspec.architecture").unwrap_or_default();
    match said("modelspec.prediction_type").as_deref() {
        Some("v" | "v_prediction") => return Some(Prediction::V),
        Some("epsilon") => return Some(Prediction::Epsilon),
        _ if architecture.starts_with("stable-diffusion-v2-768-v") => return Some(Prediction::V),
        _ if architecture.starts_with("stable-diffusion-v2-512") => return Some(Prediction::Epsilon),
        _ => {}
    }
    if shelf.has("v_pred") {
        return Some(Prediction::V);
    }
    let mut step = [0; 4];
    if let Some(entry) = shelf.get("global_step").filter(|entry| matches!(entry.dtype, Dtype::I64 | Dtype::I32))
        && shelf.read(entry, 0, &mut step).is_ok()
        && step == STEPS_OF_V2_BASE
    {
        return Some(Prediction::Epsilon);
    }
    let scheduler = shelf.json("scheduler/scheduler_config.json").ok().flatten()?;
    match scheduler.get("prediction_type").and_then(|value| value.as_str()) {
        Some("v_prediction") => Some(Prediction::V),
        _ => Some(Prediction::Epsilon),
    }
}

/// The side by the training tools' metadata, such as `768x768`; pictures that are no squares say nothing of the model.
fn side(shelf: &Shelf) -> Option<u32> {
    let text = shelf.metadata.get("modelspec.resolution")?;
    let (width, height) = text.split_once('x').unwrap_or((text, text));
    let side: u32 = width.trim().parse().ok()?;
    (width.trim() == height.trim() && side.is_multiple_of(64) && (256..=2048).contains(&side)).then_some(side)
}
