//! What to make: everything that decides the pixels of a picture, and nothing else.

mod adapters;
mod basics;
mod canvas;
mod guidance;
mod noise;
mod photo;
mod reuse;
mod source;
#[cfg(test)]
mod tests;
mod texts;
mod warnings;

use serde_json::{Map, Value, json};

pub use self::adapters::{AdapterWish, Hypernetwork, Lora};
pub use self::canvas::{Canvas, Depth, Init, MaskWish};
pub use self::guidance::{ClassifierWish, GuidanceWish};
pub use self::noise::{NoiseWish, Variation};
pub use self::photo::Photo;
pub use self::source::Reference;
pub(crate) use self::source::Sources;

use self::photo::Album;
use self::texts::Texts;
use super::fields::Fields;
use super::outcome::Rejection;
use super::rules::Rules;
use super::units::{ClipSkip, Count, ReuseInterval, Seed, Size, Steps};
use crate::diffusion::{Sampler, Schedule};
use crate::prompt::Prompt;

/// A valid order for pictures. Two equal recipes give equal pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Name of a loaded model.
    pub model: String,
    /// What to show.
    pub prompt: Prompt,
    /// What to keep away from.
    pub negative_prompt: Prompt,
    /// Layers of the text encoder that are left out, counted from the one that the model takes.
    pub clip_skip: ClipSkip,
    /// What changes the model, beside what the prompt names.
    pub adapters: AdapterWish,
    /// Seed of the first picture.
    pub seed: Seed,
    /// Denoising steps.
    pub steps: Steps,
    /// The sampling algorithm.
    pub sampler: &'static Sampler,
    /// Spacing of the noise levels.
    pub schedule: Schedule,
    /// What else decides the noise.
    pub noise: NoiseWish,
    /// How much the prompt counts.
    pub guidance: GuidanceWish,
    /// In how many steps the U-Net's deep layers run once, where that was prepared; every step if absent.
    pub reuse: Option<ReuseInterval>,
    /// What it starts from besides noise.
    pub canvas: Canvas,
    /// Size of the picture.
    pub size: Size,
    /// Number of pictures.
    pub count: Count,
}

/// A recipe and what its author should know about it.
#[derive(Debug)]
pub struct Parsed {
    /// The recipe.
    pub recipe: Recipe,
    /// What has no effect, one sentence each.
    pub warnings: Vec<String>,
}

impl Recipe {
    /// Reads a recipe from request fields, as the command line builds them; any field that is not part of a recipe is a fault.
    pub fn from_fields(fields: Map<String, Value>, fresh_seed: Seed, rules: &Rules) -> Result<Parsed, Rejection> {
        let mut fields = Fields::from(fields);
        fields.fill(&rules.defaults);
        let _ = fields.take("output");
        let parsed = Self::take(&mut fields, fresh_seed, rules, &Sources::NONE)?;
        fields.finish()?;
        Ok(parsed)
    }

    /// Takes the recipe's fields out of a request.
    pub(crate) fn take(
        fields: &mut Fields,
        fresh_seed: Seed,
        rules: &Rules,
        sources: &Sources<'_>,
    ) -> Result<Parsed, Rejection> {
        let (model, limits) = (basics::model(fields.text("model")?, rules)?, &rules.limits);
        let idle = warnings::Given::new(fields, rules);
        let mut warnings = Vec::new();
        let texts = Texts::take(fields, model, limits)?;
        let guidance = GuidanceWish::take(fields, model, &texts.prompt, &mut warnings)?;
        let recipe = Self {
            model: model.name.clone(),
            prompt: texts.prompt,
            negative_prompt: texts.negative_prompt,
            clip_skip: texts.clip_skip,
            adapters: AdapterWish::take(fields)?,
            seed: basics::seed(fields, fresh_seed)?,
            steps: basics::steps(fields.whole("steps")?.unwrap_or(model.steps), limits)?,
            sampler: basics::chosen_sampler(fields.text("sampler")?, model)?,
            schedule: basics::schedule(fields.text("schedule")?)?,
            noise: NoiseWish::take(fields)?,
            guidance,
            reuse: reuse::interval(fields, model)?,
            canvas: Canvas::take(fields, model, &Album { limits, sources })?,
            size: basics::size(fields, model, limits)?,
            count: basics::count(fields.whole("count")?, limits)?,
        };
        recipe.seed.counting(recipe.count)?;
        recipe.noise.bounded(recipe.steps, limits)?;
        let readings = texts::readings(&recipe, model)?;
        recipe.has_adapters(model, &readings)?;
        basics::runnable(&recipe, model)?;
        warnings.extend(idle.without_effect(&recipe, model));
        warnings.extend(texts::warnings(&recipe, model, &readings));
        Ok(Parsed { recipe, warnings })
    }

    /// The recipe as request fields, every default written out, so that it can be parsed again.
    pub fn to_fields(&self) -> Map<String, Value> {
        let fields = json!({
            "model": self.model, "prompt": self.prompt.text(), "negative_prompt": self.negative_prompt.text(),
            "prompt_syntax": self.prompt.syntax().name(), "clip_skip": self.clip_skip.get(), "seed": self.seed.get(),
            "steps": self.steps.get(), "sampler": self.sampler.name, "schedule": self.schedule.name(),
            "width": self.size.width(), "height": self.size.height(), "count": self.count.get(),
        });
        let mut fields = match fields {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        let (adapters, canvas) = (self.adapters.to_fields(), self.canvas.to_fields());
        let reuse = self.reuse.map(|interval| ("reuse", json!({"interval": interval.get()})));
        let parts = [adapters, self.noise.to_fields(), self.guidance.to_fields(), canvas, reuse.into_iter().collect()];
        fields.extend(parts.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)));
        fields
    }

    /// Whether passes of its U-Net can be those of the other one too: of the same model, size and adapters.
    pub fn shares_passes_with(&self, other: &Self) -> bool {
        self.model == other.model
            && self.size == other.size
            && self.loras() == other.loras()
            && self.hypernetworks() == other.hypernetworks()
    }

    /// The generation parameters as common web interfaces write them into a picture.
    pub fn parameters(&self, seed: Seed) -> String {
        let negative = match self.negative_prompt.text() {
            "" => String::new(),
            text => format!("\nNegative prompt: {text}"),
        };
        let strength = self.canvas.init.as_ref().map(|init| format!(", Denoising strength: {}", init.strength.get()));
        let clip_skip = Some(self.clip_skip.get()).filter(|layers| *layers > 0);
        // Those interfaces count the layer that is taken.
        let clip_skip = clip_skip.map(|layers| format!(", Clip skip: {}", layers + 1));
        let more = strength.into_iter().chain(clip_skip).collect::<String>();
        format!(
            "{}{}{negative}\nSteps: {}, Sampler: {}, Schedule type: {}, CFG scale: {}, Seed: {}, Size: {}, Model: {}{more}",
            self.prompt.text(),
            self.adapters.in_prompt(),
            self.steps.get(),
            self.sampler.name,
            self.schedule.name(),
            self.guidance.scale.get(),
            seed.get(),
            self.size,
            self.model,
        )
    }
}
