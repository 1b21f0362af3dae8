//! What there is to choose from.

use serde_json::{Map, Value};

use crate::diffusion::SAMPLERS;
use crate::job::units::Size;
use crate::job::{ModelFacts, Rules};

/// Sides of the sizes to choose from, in quarters of the model's own: the square, and two of each way up.
const QUARTERS: [(u32, u32); 5] = [(4, 4), (6, 4), (4, 6), (5, 3), (3, 5)];

/// What there is to choose from.
#[derive(Clone, Debug, PartialEq)]
pub struct Choices {
    pub(super) models: Vec<String>,
    pub(super) samplers: Vec<&'static str>,
    /// Such as `512x512`.
    pub(super) sizes: Vec<String>,
    /// The most that is allowed.
    pub(super) steps: u16,
}

impl Choices {
    /// By the rules in force, where a bare prompt gets `defaults`. What is the default now is always among the choices:
    /// Home Assistant complains about a state that is none of them.
    pub fn new(rules: &Rules, defaults: &Map<String, Value>) -> Self {
        let named = defaults.get("model").and_then(Value::as_str).and_then(|name| rules.model(name));
        let model = named.or(rules.models.first());
        let side = |key: &str| defaults.get(key).and_then(Value::as_i64).unwrap_or(0);
        let now = Size::new(side("width"), side("height")).ok();
        let mut sizes: Vec<String> = now.iter().map(Size::to_string).collect();
        for size in model.into_iter().flat_map(|model| sizes_of(model, rules.limits.pixels)) {
            if now != Some(size) {
                sizes.push(size.to_string());
            }
        }
        Self {
            models: rules.models.iter().map(|model| model.name.clone()).collect(),
            samplers: SAMPLERS.iter().map(|sampler| sampler.name).collect(),
            sizes,
            steps: rules.limits.steps,
        }
    }
}

/// Sizes that the model can make within so many pixels.
fn sizes_of(model: &ModelFacts, pixels: u64) -> Vec<Size> {
    if model.fixed_size {
        return vec![model.size];
    }
    let side = |own: u32, quarters: u32| i64::from(own) * i64::from(quarters) / 4;
    let size = |(wide, high)| Size::new(side(model.size.width(), wide), side(model.size.height(), high)).ok();
    let fits = |size: &Size| {
        size.width().is_multiple_of(model.multiple)
            && size.height().is_multiple_of(model.multiple)
            && size.pixels() <= pixels
    };
    QUARTERS.into_iter().filter_map(size).filter(fits).collect()
}
