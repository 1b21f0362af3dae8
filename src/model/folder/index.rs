//! `model_index.json`: which pipeline of diffusers a folder is for.

use serde::Deserialize;

/// Pipelines whose models are served, and one that is known well enough for a better reason to refuse it. The tasks differ
/// only in what the caller does; what the model is stands in the configurations of its parts.
const KNOWN: [&str; 14] = [
    "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionInpaintPipeline",
    "StableDiffusionInpaintPipelineLegacy",
    "StableDiffusionDepth2ImgPipeline",
    "StableDiffusionXLPipeline",
    "StableDiffusionXLImg2ImgPipeline",
    "StableDiffusionXLInpaintPipeline",
    "LatentConsistencyModelPipeline",
    "LatentConsistencyModelImg2ImgPipeline",
    "LatentConsistencyPipeline",
    "LatentConsistencyImg2ImgPipeline",
    "StableDiffusionInstructPix2PixPipeline",
    "StableDiffusionUpscalePipeline",
];

#[derive(Deserialize)]
pub(super) struct ModelIndex {
    #[serde(rename = "_class_name")]
    pub(super) class_name: String,
    requires_aesthetics_score: Option<bool>,
    pub(super) force_zeros_for_empty_prompt: Option<bool>,
}

impl ModelIndex {
    pub(super) fn check(&self) -> Result<(), String> {
        let plain = self.class_name.trim_start_matches("Onnx").trim_start_matches("ORT");
        if !KNOWN.contains(&plain) {
            let class = &self.class_name;
            return Err(format!(
                "_class_name must be a pipeline of Stable Diffusion v1, v2 or XL or of LCM, got {class}"
            ));
        }
        if self.requires_aesthetics_score == Some(true) {
            let refiner = "a refiner only finishes another model's latents";
            return Err(format!("requires_aesthetics_score must be false ({refiner}), got true"));
        }
        Ok(())
    }

    /// Whether diffusers' first converter wrote the folder, which puts no configuration beside the graphs.
    pub(super) fn bare(&self) -> bool {
        self.class_name.starts_with("Onnx")
    }
}
