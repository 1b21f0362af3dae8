//! What the text encoders are given: prompt, negative prompt, and how they are read.

use super::Recipe;
use crate::job::fields::Fields;
use crate::job::outcome::{Code, Rejection};
use crate::job::rules::{Limits, ModelFacts, Reading};
use crate::job::units::{ClipSkip, shown};
use crate::prompt::{Kind, Prompt, Syntax};

pub(super) struct Texts {
    pub(super) prompt: Prompt,
    pub(super) negative_prompt: Prompt,
    pub(super) clip_skip: ClipSkip,
}

impl Texts {
    pub(super) fn take(fields: &mut Fields, model: &ModelFacts, limits: &Limits) -> Result<Self, Rejection> {
        let (prompt, negative) = (fields.text("prompt")?, fields.text("negative_prompt")?);
        let syntax = syntax(fields.text("prompt_syntax")?)?;
        let negative = bounded("negative_prompt", negative.unwrap_or_default(), limits)?;
        Ok(Self {
            prompt: composable(Prompt::parse(&required(prompt, limits)?, syntax))?,
            negative_prompt: Prompt::parse_negative(&negative, syntax),
            clip_skip: clip_skip(fields.whole("clip_skip")?, model)?,
        })
    }
}

fn syntax(name: Option<String>) -> Result<Syntax, Rejection> {
    let Some(name) = name else { return Ok(Syntax::Weighted) };
    Syntax::find(&name).ok_or_else(|| {
        Rejection::field("prompt_syntax", format!("prompt_syntax must be weighted or plain, got {}", shown(&name)))
    })
}

fn required(text: Option<String>, limits: &Limits) -> Result<String, Rejection> {
    match text {
        None => Err(Rejection::field("prompt", "prompt is required")),
        Some(text) if text.trim().is_empty() => Err(Rejection::field("prompt", "prompt must not be empty")),
        Some(text) => bounded("prompt", text, limits),
    }
}

/// Each condition costs a pass of the U-Net in every step.
fn composable(prompt: Prompt) -> Result<Prompt, Rejection> {
    const MOST: usize = 16;
    match prompt.conditions().len() {
        count if count > MOST => {
            Err(Rejection::field("prompt", format!("prompt must have at most {MOST} parts joined by AND, got {count}")))
        }
        _ => Ok(prompt),
    }
}

fn bounded(field: &str, text: String, limits: &Limits) -> Result<String, Rejection> {
    let chars = text.chars().count();
    if chars > limits.prompt_chars {
        let message = format!("{field} must have at most {} characters, got {chars}", limits.prompt_chars);
        return Err(Rejection::of_field(Code::PromptTooLong, field, message));
    }
    if text.contains('\0') {
        return Err(Rejection::field(field, format!("{field} must not contain the character NUL")));
    }
    Ok(text)
}

/// The model's own where nothing is said.
fn clip_skip(asked: Option<ClipSkip>, model: &ModelFacts) -> Result<ClipSkip, Rejection> {
    match asked {
        None => Ok(model.clip_skip),
        Some(layers) if layers <= model.most_clip_skip => Ok(layers),
        Some(layers) => {
            let (most, got) = (model.most_clip_skip.get(), layers.get());
            let message = format!("clip_skip must be at most {most} for this model's text encoder, got {got}");
            Err(Rejection::of_field(Code::UnsupportedMode, "clip_skip", message))
        }
    }
}

/// Prompt and negative prompt, each as the model reads it.
pub(super) type Readings = [(&'static str, Reading); 2];

/// Fails where a prompt would take more memory than any picture needs.
pub(super) fn readings(recipe: &Recipe, model: &ModelFacts) -> Result<Readings, Rejection> {
    const MOST_CHUNKS: usize = 16;
    let texts = [("prompt", &recipe.prompt), ("negative_prompt", &recipe.negative_prompt)];
    let readings = texts.map(|(field, prompt)| (field, (model.read)(prompt, recipe.steps)));
    match readings.iter().find(|(_, reading)| reading.chunks > MOST_CHUNKS) {
        None => Ok(readings),
        Some((field, Reading { chunks, .. })) => {
            let message = format!("{field} must have at most {MOST_CHUNKS} chunks of tokens, got {chunks}");
            Err(Rejection::of_field(Code::PromptTooLong, field, message))
        }
    }
}

/// What the requester should know of the texts.
pub(super) fn warnings(recipe: &Recipe, model: &ModelFacts, readings: &Readings) -> Vec<String> {
    let cut_off =
        readings.iter().filter(|(_, reading)| reading.lost > 0).map(|(field, Reading { tokens, lost, .. })| {
            format!("{field} has {tokens} tokens, the last {lost} are not read by this model's graphs")
        });
    let adapters = recipe.negative_prompt.references().iter().map(|reference| {
        let name = shown(&reference.name);
        match reference.kind {
            Kind::DreamArtist => format!("the second half of {name} is placed only where the prompt names it"),
            _ => format!("{name} is ignored in negative_prompt, adapters are named in prompt"),
        }
    });
    let composed = recipe.prompt.conditions().len() > 1 && model.guidance != "cfg";
    let composed = composed.then(|| "AND is ignored, the model works without an unconditional pass".to_owned());
    cut_off.chain(adapters).chain(composed).collect()
}
