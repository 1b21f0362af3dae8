//! A whole run: from noise, or an init image and noise, to the final latents.

use ndarray::ArrayView4;

use super::denoise::{Denoise, Predict, Steering};
use super::guidance::Guidance;
use super::latents::combine;
use super::mask::Kept;
use super::walk::{self, Resample, Restart};
use super::{Halt, Latents, Noise, NoiseLevel, Options, Sampler, Schedule, SchedulerConfig, schedule};

/// How a run goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The algorithm.
    pub sampler: &'static Sampler,
    /// The spacing of the noise levels.
    pub schedule: Schedule,
    /// Number of steps, 1 to the number of training timesteps.
    pub steps: usize,
    /// How much the prompt counts.
    pub guidance: Guidance,
    /// What the request changes about the sampler.
    pub options: Options,
    /// Reverse work that is done again between two noise levels.
    pub restart: Option<Restart>,
    /// Reverse work that is done again all along the run.
    pub resample: Option<Resample>,
}

impl Plan {
    /// A run with nothing special about it.
    pub fn new(sampler: &'static Sampler, schedule: Schedule, steps: usize, guidance: Guidance) -> Self {
        Self { sampler, schedule, steps, guidance, options: Options::default(), restart: None, resample: None }
    }
}

/// What a run starts from. All arrays have the shape of the latents, [pictures, channels, height, width].
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// Noise of standard deviation 1.
    pub noise: &'a Latents,
    /// The init image, where there is one.
    pub init: Option<Init<'a>>,
}

/// Latents of an init image, as the sampler takes them (the scaling factor included).
#[derive(Clone, Copy, Debug)]
pub struct Init<'a> {
    /// The latents.
    pub latents: &'a Latents,
    /// Denoising strength (SDEdit, Meng et al. 2022): the share of the steps that is done. 0 gives the latents back, 1
    /// starts from nothing but noise.
    pub strength: f64,
    /// 1 where the picture is to be made anew, 0 where it stays; broadcast to the shape of the latents.
    pub mask: Option<ArrayView4<'a, f32>>,
}

/// Makes latents: the way of the Stable Diffusion pipelines in diffusers.
///
/// The caller draws the noise to start from; what samplers draw comes from `noise`, one stream a picture. The result is
/// what the decoder takes, before the scaling factor.
pub fn sample<'a>(
    predict: &'a mut dyn Predict,
    config: &SchedulerConfig,
    plan: &Plan,
    start: Start<'a>,
    steering: Option<Steering<'a>>,
    noise: &mut Noise,
) -> Result<Latents, Halt> {
    let levels = schedule::levels(config, plan.sampler, plan.schedule, plan.steps).map_err(Halt::new)?;
    let skipped = start.init.map_or(0, |init| skipped(plan.steps, init.strength));
    let legs = walk::legs(&levels, skipped, plan);
    let Some(first) = legs.first().map(|leg| leg.levels.first()) else {
        return Ok(start.init.map_or_else(|| start.noise.clone(), |init| init.latents.clone()));
    };
    let mut latents = match start.init {
        Some(init) if skipped > 0 => noised(init.latents, start.noise, &first),
        _ => start.noise * schedule::initial_scale(config, plan.sampler, &first) as f32,
    };
    let mut denoise = Denoise::new(predict, config.prediction_type, plan.guidance.clone());
    denoise.steering = steering;
    denoise.kept = start.init.and_then(|init| Some(Kept { clean: init.latents, mask: init.mask? }));
    let mut level = first;
    for leg in &legs {
        latents = renoised(latents, &level, &leg.levels.first(), plan.options.s_noise, noise);
        denoise.leg = leg.place;
        latents = (plan.sampler.run)(&mut denoise, latents, &leg.levels, noise, &plan.options)?;
        level = leg.levels.last();
    }
    latents *= schedule::final_scale(plan.sampler, &level) as f32;
    Ok(match denoise.kept {
        Some(kept) => kept.blended(latents),
        None => latents,
    })
}

/// Steps that are left out at the noisy end, as `get_timesteps` of diffusers' image-to-image pipelines counts them.
fn skipped(steps: usize, strength: f64) -> usize {
    steps.saturating_sub((steps as f64 * strength) as usize)
}

/// `latents` with as much of `noise` as `level` has (`add_noise` in diffusers).
fn noised(latents: &Latents, noise: &Latents, level: &NoiseLevel) -> Latents {
    combine(level.alpha(), latents.clone(), level.sigma(), noise)
}

/// Fresh noise that brings latents from one level back to a noisier one; nothing if it is not noisier.
fn renoised(latents: Latents, now: &NoiseLevel, back: &NoiseLevel, s_noise: f32, noise: &mut Noise) -> Latents {
    if back.sigma() <= now.sigma() {
        return latents;
    }
    let kept = back.alpha() / now.alpha();
    let drawn = noise.draw_like(&latents);
    combine(kept, latents, f64::from(s_noise) * (1.0 - kept * kept).sqrt(), &drawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strength_is_the_share_of_the_steps_that_is_done() {
        let done = |steps, strength| steps - skipped(steps, strength);
        for (steps, strength, expected) in [(20, 0.0, 0), (20, 0.1, 2), (10, 0.7, 7), (50, 0.75, 37), (20, 1.0, 20)] {
            assert_eq!(done(steps, strength), expected, "{steps} {strength}");
        }
    }

    #[test]
    fn going_back_keeps_the_variance() {
        let (now, back) = (NoiseLevel::with_ve_sigma(0.5, 0.0), NoiseLevel::with_ve_sigma(2.0, 0.0));
        let latents = Noise::new(&[1]).draw([1, 64, 64]);
        let there = renoised(latents.clone(), &now, &back, 1.0, &mut Noise::new(&[2]));
        assert!((there.std(0.0) - 1.0).abs() < 0.03, "{}", there.std(0.0));
        assert_eq!(renoised(latents.clone(), &back, &now, 1.0, &mut Noise::new(&[2])), latents);
    }
}
