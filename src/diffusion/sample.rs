//! A whole run: from noise, or an init image and noise, to the final latents.

use ndarray::ArrayView4;

use super::denoise::{Denoise, Predict, Steering};
use super::guidance::Guidance;
use super::latents::combine;
use super::mask::Kept;
use super::sampler::renoised;
use super::walk::{self, Resample, Restart, Segment};
use super::{Halt, Latents, Noise, NoiseLevel, Options, Sampler, Schedule, ScheduleError, SchedulerConfig, schedule};

/// How a run goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The algorithm.
    pub sampler: &'static Sampler,
    /// The spacing of the noise levels.
    pub schedule: Schedule,
    /// Number of steps asked for, 1 to the number of training timesteps.
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

    /// How many steps a run makes with this much denoising strength (1 without an init image), extra reverse work included.
    pub fn total_steps(&self, config: &SchedulerConfig, strength: f64) -> Result<usize, ScheduleError> {
        Ok(self.segments(config, strength)?.iter().map(|segment| segment.levels.len()).sum())
    }

    fn segments(&self, config: &SchedulerConfig, strength: f64) -> Result<Vec<Segment>, ScheduleError> {
        let (steps, restart) = self.course(strength);
        let (levels, skipped) = schedule::way(config, self.sampler, self.schedule, steps, strength)?;
        Ok(walk::segments(&levels, skipped, restart, self.resample))
    }

    /// How many steps go straight down if all of the way is gone, and what is done again between two levels. What the
    /// request asks for is added to its steps; what belongs to the sampler is taken from those that `strength` leaves.
    fn course(&self, strength: f64) -> (usize, Option<Restart>) {
        let done = (self.steps as f64 * strength) as usize;
        match (self.restart, self.sampler.restart.map(|usual| usual(done))) {
            (None, Some((straight, Some(restart)))) => ((straight as f64 / strength).ceil() as usize, Some(restart)),
            (asked, _) => (self.steps, asked),
        }
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
    let strength = start.init.map_or(1.0, |init| init.strength);
    let segments = plan.segments(config, strength).map_err(Halt::new)?;
    let Some(first) = segments.first().map(|segment| segment.levels.first()) else {
        return Ok(start.init.map_or_else(|| start.noise.clone(), |init| init.latents.clone()));
    };
    let mut latents = match start.init {
        Some(init) if strength < 1.0 => noised(init.latents, start.noise, &first),
        _ => start.noise * schedule::initial_scale(config, plan.sampler, &first) as f32,
    };
    let mut denoise = Denoise::new(predict, config.prediction_type, plan.guidance.clone());
    denoise.steering = steering;
    denoise.kept = start.init.and_then(|init| {
        let nothing_yet = (strength >= 1.0).then_some(first);
        Some(Kept { clean: init.latents, noise: start.noise, mask: init.mask?, nothing_yet })
    });
    let options = Options { solver: config.solver.clone(), ..plan.options.clone() };
    let mut level = first;
    for segment in &segments {
        latents = renoised(latents, &level, &segment.levels.first(), plan.options.s_noise, noise);
        denoise.place = segment.place;
        latents = (plan.sampler.run)(&mut denoise, latents, &segment.levels, noise, &options)?;
        level = segment.levels.last();
    }
    latents *= schedule::final_scale(plan.sampler, &level) as f32;
    Ok(match denoise.kept {
        Some(kept) => kept.blended(latents),
        None => latents,
    })
}

/// `latents` with as much of `noise` as `level` has (`add_noise` in diffusers).
fn noised(latents: &Latents, noise: &Latents, level: &NoiseLevel) -> Latents {
    combine(level.alpha(), latents.clone(), level.sigma(), noise)
}
