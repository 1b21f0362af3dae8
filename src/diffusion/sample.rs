//! A whole run: from a seed's noise to the final latents.

use super::schedule;
use super::{Denoise, Guidance, Halt, Latents, Noise, Options, Predict, Sampler, Schedule, SchedulerConfig};

/// How a run goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// The algorithm.
    pub sampler: &'static Sampler,
    /// The spacing of the noise levels.
    pub schedule: Schedule,
    /// Number of steps, 1 to the number of training timesteps.
    pub steps: usize,
    /// How much the prompt counts.
    pub guidance: Guidance,
    /// Share of fresh noise, 0 to 1; the sampler's own when absent.
    pub eta: Option<f32>,
}

/// Makes the latents of one picture for each stream of `noise`: the way of `StableDiffusionPipeline` in diffusers.
///
/// `picture` is the shape of one picture's latents, [channels, height / 8, width / 8]. The first thing drawn from `noise`
/// is the noise to start from. The result is what the decoder takes, before the scaling factor.
pub fn sample(
    predict: &mut dyn Predict,
    config: &SchedulerConfig,
    plan: &Plan,
    picture: [usize; 3],
    noise: &mut Noise,
) -> Result<Latents, Halt> {
    let levels = schedule::levels(config, plan.sampler, plan.schedule, plan.steps).map_err(Halt::new)?;
    let start = scaled(noise.draw(picture), schedule::initial_scale(config, plan.sampler, &levels.first()));
    let mut denoise = Denoise::new(predict, config.prediction_type, plan.guidance);
    let end = (plan.sampler.run)(&mut denoise, start, &levels, noise, &Options { eta: plan.eta })?;
    Ok(scaled(end, schedule::final_scale(plan.sampler, &levels.last())))
}

fn scaled(latents: Latents, factor: f64) -> Latents {
    latents * factor as f32
}
