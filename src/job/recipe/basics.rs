//! What every recipe says: model, texts, seed, steps, sampler, size.

use serde_json::Value;

use super::Recipe;
use crate::diffusion::{self, Sampler, Schedule, ScheduleError, sampler};
use crate::job::fields::Fields;
use crate::job::outcome::{Code, Rejection};
use crate::job::rules::{Limits, ModelFacts, Rules};
use crate::job::units::{Count, Seed, Size, Steps, shown};

pub(super) fn model(name: Option<String>, rules: &Rules) -> Result<&ModelFacts, Rejection> {
    let wanted = |model: &&ModelFacts| name.as_ref().is_none_or(|name| *name == model.name);
    rules.models.iter().find(wanted).ok_or_else(|| {
        let message = format!("there is no model {}", shown(name.as_deref().unwrap_or("")));
        Rejection::of_field(Code::UnknownModel, "model", message)
    })
}

/// Absent, null and -1 all ask for a random seed, which is drawn once, when the request is accepted.
pub(super) fn seed(fields: &mut Fields, fresh: Seed) -> Result<Seed, Rejection> {
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

pub(super) fn steps(steps: Steps, limits: &Limits) -> Result<Steps, Rejection> {
    if steps.get() <= limits.steps {
        return Ok(steps);
    }
    Err(Rejection::field("steps", format!("steps must be at most {} here, got {}", limits.steps, steps.get())))
}

pub(super) fn count(count: Option<Count>, limits: &Limits) -> Result<Count, Rejection> {
    let count = count.map_or_else(|| Count::try_from(1), Ok)?;
    if count.get() <= limits.count {
        return Ok(count);
    }
    Err(Rejection::field("count", format!("count must be at most {} here, got {}", limits.count, count.get())))
}

pub(super) fn chosen_sampler(name: Option<String>, model: &ModelFacts) -> Result<&'static Sampler, Rejection> {
    let Some(name) = name else { return Ok(model.sampler) };
    sampler::find(&name).ok_or_else(|| {
        Rejection::of_field(Code::UnknownSampler, "sampler", format!("there is no sampler {}", shown(&name)))
    })
}

pub(super) fn schedule(name: Option<String>) -> Result<Schedule, Rejection> {
    let Some(name) = name else { return Ok(Schedule::Model) };
    Schedule::find(&name).ok_or_else(|| {
        Rejection::of_field(Code::UnknownSchedule, "schedule", format!("there is no schedule {}", shown(&name)))
    })
}

/// Fails where the model's noise schedule has no such run.
pub(super) fn runnable(recipe: &Recipe, model: &ModelFacts) -> Result<(), Rejection> {
    let steps = usize::from(recipe.steps.get());
    let levels = diffusion::levels(&model.scheduler, recipe.sampler, recipe.schedule, steps);
    levels.map(drop).map_err(|error| match error {
        ScheduleError::Steps { .. } => Rejection::field("steps", format!("{error} with {}", recipe.sampler.name)),
        ScheduleError::NoSignal => Rejection::of_field(Code::UnsupportedMode, "sampler", error.to_string()),
    })
}

pub(super) fn size(fields: &mut Fields, model: &ModelFacts, limits: &Limits) -> Result<Size, Rejection> {
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
