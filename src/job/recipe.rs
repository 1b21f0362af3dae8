//! What to make: everything that decides the pixels of a picture, and nothing else.

use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::outcome::{Code, Rejection};
use super::rules::{Limits, ModelFacts, Rules};
use super::units::{Count, Eta, GuidanceScale, Seed, Size, Steps, shown};
use crate::diffusion::{Sampler, Schedule, sampler};

/// A valid order for pictures. Two equal recipes give equal pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Name of a loaded model.
    pub model: String,
    /// What to show.
    pub prompt: String,
    /// What to keep away from.
    pub negative_prompt: String,
    /// Seed of the first picture.
    pub seed: Seed,
    /// Denoising steps.
    pub steps: Steps,
    /// The sampling algorithm.
    pub sampler: &'static Sampler,
    /// Spacing of the noise levels.
    pub schedule: Schedule,
    /// Share of fresh noise; the sampler's own if absent.
    pub eta: Option<Eta>,
    /// Scale of classifier-free guidance.
    pub guidance_scale: GuidanceScale,
    /// Size of the picture.
    pub size: Size,
    /// Number of pictures.
    pub count: Count,
}

/// A recipe and what its author should know about it.
pub(crate) struct Parsed {
    pub(crate) recipe: Recipe,
    pub(crate) warnings: Vec<String>,
}

impl Recipe {
    /// Reads a recipe from request fields, as the command line builds them; any field that is not part of a recipe is a fault.
    pub fn from_fields(fields: Map<String, Value>, fresh_seed: Seed, rules: &Rules) -> Result<Self, Rejection> {
        let mut fields = Fields::from(fields);
        fields.fill(&rules.defaults);
        let _ = fields.take("output");
        let parsed = Self::take(&mut fields, fresh_seed, rules)?;
        fields.finish()?;
        Ok(parsed.recipe)
    }

    /// Takes the recipe's fields out of a request.
    pub(crate) fn take(fields: &mut Fields, fresh_seed: Seed, rules: &Rules) -> Result<Parsed, Rejection> {
        let model = model(fields.text("model")?, rules)?;
        refuse_what_comes_later(fields)?;
        let (guidance_scale, ignored) = guidance(fields.real("guidance_scale")?, model);
        let recipe = Self {
            model: model.name.clone(),
            prompt: prompt(fields.text("prompt")?, &rules.limits)?,
            negative_prompt: negative_prompt(fields.text("negative_prompt")?, &rules.limits)?,
            seed: seed(fields, fresh_seed)?,
            steps: steps(fields.whole("steps")?.unwrap_or(model.steps), &rules.limits)?,
            sampler: chosen_sampler(fields.text("sampler")?, model)?,
            schedule: schedule(fields.text("schedule")?)?,
            eta: fields.real("eta")?,
            guidance_scale,
            size: size(fields, model, &rules.limits)?,
            count: count(fields.whole("count")?, &rules.limits)?,
        };
        let mut warnings: Vec<String> = ignored.into_iter().collect();
        warnings.extend(cut_off("prompt", &recipe.prompt, model));
        warnings.extend(cut_off("negative_prompt", &recipe.negative_prompt, model));
        Ok(Parsed { recipe, warnings })
    }

    /// The recipe as request fields, every default written out, so that it can be parsed again.
    pub fn to_fields(&self) -> Map<String, Value> {
        let fields = json!({
            "model": self.model, "prompt": self.prompt, "negative_prompt": self.negative_prompt, "seed": self.seed.get(),
            "steps": self.steps.get(), "sampler": self.sampler.name, "schedule": self.schedule.name(),
            "guidance_scale": tidy(self.guidance_scale.get()), "width": self.size.width(), "height": self.size.height(),
            "count": self.count.get(),
        });
        let mut fields = match fields {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        if let Some(eta) = self.eta {
            fields.insert("eta".to_owned(), json!(tidy(eta.get())));
        }
        fields
    }

    /// The generation parameters as common web interfaces write them into a picture.
    pub fn parameters(&self, seed: Seed) -> String {
        let negative = match self.negative_prompt.as_str() {
            "" => String::new(),
            text => format!("\nNegative prompt: {text}"),
        };
        format!(
            "{}{negative}\nSteps: {}, Sampler: {}, Schedule type: {}, CFG scale: {}, Seed: {}, Size: {}, Model: {}",
            self.prompt,
            self.steps.get(),
            self.sampler.name,
            self.schedule.name(),
            self.guidance_scale.get(),
            seed.get(),
            self.size,
            self.model,
        )
    }
}

/// The shortest decimal that is this number, so that 7.1 does not become 7.099999904632568 in JSON.
fn tidy(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

fn model(name: Option<String>, rules: &Rules) -> Result<&ModelFacts, Rejection> {
    let wanted = |model: &&ModelFacts| name.as_ref().is_none_or(|name| *name == model.name);
    rules.models.iter().find(wanted).ok_or_else(|| {
        let message = format!("there is no model {}", shown(name.as_deref().unwrap_or("")));
        Rejection::of_field(Code::UnknownModel, "model", message)
    })
}

/// Fields whose other values belong to later versions.
fn refuse_what_comes_later(fields: &mut Fields) -> Result<(), Rejection> {
    for (field, known, later) in [("prompt_syntax", "plain", "weighted"), ("seed_source", "cpu", "cuda")] {
        match fields.text(field)? {
            Some(value) if value == later => {
                let message = format!("{field} {later} is not supported by this version, only {known}");
                return Err(Rejection::of_field(Code::UnsupportedMode, field, message));
            }
            Some(value) if value != known => {
                return Err(Rejection::field(
                    field,
                    format!("{field} must be {known} or {later}, got {}", shown(&value)),
                ));
            }
            _ => {}
        }
    }
    match fields.integer("clip_skip")? {
        None | Some(0) => Ok(()),
        Some(1..=4) => Err(Rejection::of_field(
            Code::UnsupportedMode,
            "clip_skip",
            "clip_skip is not supported by this version, only 0",
        )),
        Some(other) => Err(Rejection::field("clip_skip", format!("clip_skip must be between 0 and 4, got {other}"))),
    }
}

fn prompt(text: Option<String>, limits: &Limits) -> Result<String, Rejection> {
    match text {
        None => Err(Rejection::field("prompt", "prompt is required")),
        Some(text) if text.trim().is_empty() => Err(Rejection::field("prompt", "prompt must not be empty")),
        Some(text) => bounded("prompt", text, limits),
    }
}

fn negative_prompt(text: Option<String>, limits: &Limits) -> Result<String, Rejection> {
    bounded("negative_prompt", text.unwrap_or_default(), limits)
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

fn cut_off(field: &str, text: &str, model: &ModelFacts) -> Option<String> {
    let tokens = (model.count_tokens)(text);
    (tokens > model.tokens).then(|| format!("{field} has {tokens} tokens, only the first {} are read", model.tokens))
}

/// Absent, null and -1 all ask for a random seed, which is drawn once, when the request is accepted.
fn seed(fields: &mut Fields, fresh: Seed) -> Result<Seed, Rejection> {
    match fields.take("seed") {
        None | Some(Value::Null) => Ok(fresh),
        Some(Value::Number(number)) => match number.as_i64() {
            Some(-1) => Ok(fresh),
            Some(whole) => Seed::try_from(whole),
            None => Err(Rejection::field("seed", "seed must be a whole number up to 9007199254740991")),
        },
        Some(_) => Err(Rejection::field("seed", "seed must be a whole number, -1 or null")),
    }
}

fn steps(steps: Steps, limits: &Limits) -> Result<Steps, Rejection> {
    if steps.get() <= limits.steps {
        return Ok(steps);
    }
    Err(Rejection::field("steps", format!("steps must be at most {} here, got {}", limits.steps, steps.get())))
}

fn count(count: Option<Count>, limits: &Limits) -> Result<Count, Rejection> {
    let count = count.map_or_else(|| Count::try_from(1), Ok)?;
    if count.get() <= limits.count {
        return Ok(count);
    }
    Err(Rejection::field("count", format!("count must be at most {} here, got {}", limits.count, count.get())))
}

fn chosen_sampler(name: Option<String>, model: &ModelFacts) -> Result<&'static Sampler, Rejection> {
    let Some(name) = name else { return Ok(model.sampler) };
    sampler::find(&name).ok_or_else(|| {
        Rejection::of_field(Code::UnknownSampler, "sampler", format!("there is no sampler {}", shown(&name)))
    })
}

fn schedule(name: Option<String>) -> Result<Schedule, Rejection> {
    let Some(name) = name else { return Ok(Schedule::Model) };
    Schedule::find(&name).ok_or_else(|| {
        Rejection::of_field(Code::UnknownSchedule, "schedule", format!("there is no schedule {}", shown(&name)))
    })
}

/// A model without guidance ignores the scale, and says so.
fn guidance(asked: Option<GuidanceScale>, model: &ModelFacts) -> (GuidanceScale, Option<String>) {
    match asked {
        Some(scale) if model.guidance == "none" && scale != model.guidance_scale => {
            (model.guidance_scale, Some("guidance_scale is ignored, the model works without guidance".to_owned()))
        }
        Some(scale) => (scale, None),
        None => (model.guidance_scale, None),
    }
}

fn size(fields: &mut Fields, model: &ModelFacts, limits: &Limits) -> Result<Size, Rejection> {
    let side = |asked: Option<i64>, own: u32| asked.unwrap_or(i64::from(own));
    let size = Size::new(
        side(fields.integer("width")?, model.size.width()),
        side(fields.integer("height")?, model.size.height()),
    )?;
    let refuse = |message| Err(Rejection::of_field(Code::SizeNotSupported, "width", message));
    if size.pixels() > limits.pixels {
        return refuse(format!("a picture must have at most {} pixels, {size} has {}", limits.pixels, size.pixels()));
    }
    if model.fixed_size && size != model.size {
        return refuse(format!("this model makes only {}, got {size}", model.size));
    }
    if !size.width().is_multiple_of(model.multiple) || !size.height().is_multiple_of(model.multiple) {
        return refuse(format!("this model makes pictures with sides in multiples of {}, got {size}", model.multiple));
    }
    Ok(size)
}
