//! What a request asks for without effect.

use super::Recipe;
use crate::job::fields::Fields;
use crate::job::rules::{ModelFacts, Rules};

/// Fields that can be without effect.
const FIELDS: [&str; 10] = [
    "strength",
    "init_fit",
    "mask_feather",
    "mask_crop",
    "eta",
    "s_churn",
    "guidance_rescale",
    "guidance_interval",
    "guidance_ramp",
    "negative_prompt",
];

/// Those that the requester gave; what the operator's defaults fill in is nobody's mistake.
pub(super) struct Given(Vec<&'static str>);

impl Given {
    pub(super) fn new(fields: &Fields, rules: &Rules) -> Self {
        let given = |field: &&str| fields.has(field) && !rules.defaults.contains_key(*field);
        Self(FIELDS.into_iter().filter(given).collect())
    }

    /// A sentence for each field that changes nothing.
    pub(super) fn without_effect(&self, recipe: &Recipe, model: &ModelFacts) -> Vec<String> {
        let idle = |field: &&str| Some(format!("{field} is ignored, {}", reason(field, recipe, model)?));
        self.0.iter().filter_map(idle).collect()
    }
}

fn reason(field: &str, recipe: &Recipe, model: &ModelFacts) -> Option<String> {
    let canvas = &recipe.canvas;
    let sampler = recipe.sampler;
    match field {
        "strength" if canvas.init.is_none() => Some("there is no init_image".to_owned()),
        "init_fit" if canvas.init.is_none() && canvas.depth.is_none() => Some("there is no init_image".to_owned()),
        "mask_feather" | "mask_crop" if canvas.init.as_ref().is_none_or(|init| init.mask.is_none()) => {
            Some("there is no mask".to_owned())
        }
        "eta" if !sampler.takes_eta => Some(format!("the sampler {} has none", sampler.name)),
        "s_churn" if !sampler.churns => Some(format!("the sampler {} has none", sampler.name)),
        "guidance_rescale" | "guidance_interval" | "guidance_ramp" | "negative_prompt" if model.guidance != "cfg" => {
            Some("the model makes no unconditional pass".to_owned())
        }
        _ => None,
    }
}
