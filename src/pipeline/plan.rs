//! How a recipe's run goes, in the words of the mathematics.

use super::loaded::Loaded;
use crate::diffusion::{Guidance, Options, Plan};
use crate::job::Recipe;
use crate::model::Guided;

/// How the run of `recipe` goes with `model`.
pub(super) fn plan(model: &Loaded, recipe: &Recipe) -> Plan {
    let (wish, noise) = (&recipe.guidance, &recipe.noise);
    let guidance = match model.folder.defaults.guidance {
        Guided::Cfg => Guidance {
            scale: wish.scale.get() as f32,
            ramp: wish.ramp,
            interval: wish.interval,
            rescale: wish.rescale.get() as f32,
            weights: recipe.prompt.conditions().iter().map(|condition| condition.weight).collect(),
        },
        Guided::Embedded | Guided::None => Guidance::none(),
    };
    let options = Options {
        eta: noise.eta.map(|eta| eta.get() as f32),
        s_noise: noise.s_noise.get() as f32,
        s_churn: noise.s_churn.get() as f32,
        ..Options::default()
    };
    Plan {
        options,
        restart: noise.restart,
        resample: noise.resample,
        ..Plan::new(recipe.sampler, recipe.schedule, usize::from(recipe.steps.get()), guidance)
    }
}
