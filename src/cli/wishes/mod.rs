//! The flags that say what to make; they carry the request's field names, so that `generate` and `send` mean the same.

mod canvas;
mod control;
mod handing;

use std::path::Path;

use serde_json::{Map, Value, json};

use self::canvas::Canvas;
use self::control::Control;
use self::handing::Handing;
use super::CliError;
use crate::picture::Format;

/// What to make, beside the prompt.
#[derive(Debug, clap::Args)]
pub(super) struct Wishes {
    /// What to keep away from
    #[arg(long, value_name = "TEXT")]
    negative_prompt: Option<String>,
    /// How the prompt is read: weighted, or plain without any markup
    #[arg(long, value_name = "NAME")]
    prompt_syntax: Option<String>,
    /// Seed of the first picture; -1 draws one
    #[arg(long, allow_negative_numbers = true)]
    seed: Option<i64>,
    /// Denoising steps, 1 to 150
    #[arg(long)]
    steps: Option<i64>,
    /// Sampling algorithm
    #[arg(long, value_name = "NAME")]
    sampler: Option<String>,
    /// Spacing of the noise levels
    #[arg(long, value_name = "NAME")]
    schedule: Option<String>,
    /// How much the prompt counts, 0 to 30
    #[arg(long)]
    guidance_scale: Option<f64>,
    /// Width in pixels
    #[arg(long)]
    width: Option<i64>,
    /// Height in pixels
    #[arg(long)]
    height: Option<i64>,
    /// Number of pictures, 1 to 16
    #[arg(long)]
    count: Option<i64>,
    #[command(flatten)]
    canvas: Canvas,
    #[command(flatten)]
    control: Control,
    #[command(flatten)]
    handing: Handing,
}

/// Fields of a request that were given.
type Given = Vec<(&'static str, Option<Value>)>;

impl Wishes {
    /// As fields of a request; what is not given is left out. Reads the pictures that are named.
    pub(super) fn fields(&self, prompt: &str) -> Result<Map<String, Value>, CliError> {
        let mut given: Given = vec![
            ("prompt", Some(json!(prompt))),
            ("negative_prompt", self.negative_prompt.as_ref().map(|value| json!(value))),
            ("prompt_syntax", self.prompt_syntax.as_ref().map(|value| json!(value))),
            ("seed", self.seed.map(|value| json!(value))),
            ("steps", self.steps.map(|value| json!(value))),
            ("sampler", self.sampler.as_ref().map(|value| json!(value))),
            ("schedule", self.schedule.as_ref().map(|value| json!(value))),
            ("guidance_scale", self.guidance_scale.map(|value| json!(value))),
            ("width", self.width.map(|value| json!(value))),
            ("height", self.height.map(|value| json!(value))),
            ("count", self.count.map(|value| json!(value))),
        ];
        given.extend(self.canvas.given()?);
        given.extend(self.control.given());
        Ok(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
    }

    /// As the request's `output`: the format that was asked for, else the one that the file's name stands for.
    pub(super) fn output(&self, file: &Path) -> Map<String, Value> {
        let by_name = || file.extension().and_then(|end| end.to_str()).and_then(Format::of_extension);
        self.handing.fields(by_name().unwrap_or(Format::Png))
    }
}
