//! The model that every fake generator stands for. The examples of `tests/chaos` and `tests/faults` include this file.

use std::sync::Arc;

use diffused::diffusion::{SchedulerConfig, sampler};
use diffused::job::units::{ClipSkip, GuidanceScale, Size, Steps};
use diffused::job::{Mode, ModelFacts, Reading};

/// A model that makes pictures from text alone, has no adapters, and counts words as tokens.
pub fn flat() -> ModelFacts {
    ModelFacts {
        name: "flat".to_owned(),
        family: "sd1",
        precision: Some("fp16"),
        size: Size::new(64, 64).unwrap(),
        fixed_size: false,
        multiple: 8,
        steps: Steps::try_from(4).unwrap(),
        guidance_scale: GuidanceScale::try_from(5.0).unwrap(),
        guidance: "cfg",
        sampler: sampler::find("ddim").unwrap(),
        scheduler: SchedulerConfig::parse("{}").unwrap(),
        modes: vec![Mode::Text],
        encodes_at_random: false,
        placements: Vec::new(),
        estimates_depth: false,
        labels: Vec::new(),
        reuses: false,
        read: Arc::new(|prompt, _| {
            let tokens = prompt.text().split_whitespace().count();
            Reading { tokens, chunks: 1, ..Reading::default() }
        }),
        clip_skip: ClipSkip::NONE,
        most_clip_skip: ClipSkip::NONE,
        adapters: Vec::new(),
    }
}
