//! The noise levels at which the steps of a run start.

use super::{Curve, Schedule, align};
use crate::diffusion::config::{Betas, SchedulerConfig, Spacing};
use crate::diffusion::levels::NoiseLevel;
use crate::diffusion::sampler::{Karras, Sampler};
use crate::diffusion::training::Training;

/// What gives the levels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    /// Timesteps of the training, as the configuration spreads them.
    Timesteps,
    /// A curve between two levels, as the sampler's class in diffusers has it.
    Along(Curve),
    /// The exponential curve over the whole training, as k-diffusion has it.
    Exponential,
    /// Timesteps evenly from the noisy end, the last one left out.
    Uniform,
    /// The same, rounded towards the noisy end.
    Simple,
    /// A list of sigma / alpha.
    Table(&'static [f64; 11]),
}

impl Shape {
    /// The shape of a schedule; the model's own may be a curve, where the sampler's class has this option.
    pub(super) fn of(schedule: Schedule, config: &SchedulerConfig, sampler: &Sampler) -> Self {
        match schedule {
            Schedule::Model => sampler.karras.and(config.curve).map_or(Self::Timesteps, Self::Along),
            Schedule::Karras => Self::Along(Curve::Karras),
            Schedule::Exponential => Self::Along(Curve::Exponential),
            Schedule::Polyexponential => Self::Exponential,
            Schedule::Beta => Self::Along(Curve::Beta),
            Schedule::SgmUniform => Self::Uniform,
            Schedule::Simple => Self::Simple,
            Schedule::AlignYourSteps => Self::Table(&align::STABLE_DIFFUSION),
            Schedule::AlignYourStepsXl => Self::Table(&align::STABLE_DIFFUSION_XL),
        }
    }
}

/// As many levels as there are `steps`, falling.
pub(super) fn starts(
    shape: Shape,
    config: &SchedulerConfig,
    sampler: &Sampler,
    training: &Training,
    steps: usize,
) -> Vec<NoiseLevel> {
    let train = config.num_train_timesteps;
    match shape {
        Shape::Timesteps if sampler.distilled => picked(config, training, steps, 1.0),
        Shape::Timesteps => spread(config, sampler, training, steps),
        Shape::Along(curve) => along(curve, config, sampler, training, steps),
        Shape::Uniform => {
            let timestep = |i: usize| (train - 1) as f64 * (1.0 - i as f64 / steps as f64);
            let level = |t: f64| if sampler.rounded { training.at(t.round_ties_even()) } else { training.log_at(t) };
            (0..steps).map(|i| level(timestep(i))).collect()
        }
        Shape::Simple => (0..steps).map(|i| training.at((train - 1 - i * train / steps) as f64)).collect(),
        Shape::Exponential => {
            let (most, least) = (training.most().ve_sigma(), training.least().ve_sigma());
            timed(training, Curve::Exponential.between(most, least, steps), |t| t)
        }
        Shape::Table(table) => timed(training, align::along(table, steps), |t| t),
    }
}

pub(super) fn spacing(config: &SchedulerConfig, sampler: &Sampler) -> Spacing {
    config.timestep_spacing.unwrap_or(sampler.spacing)
}

/// Timesteps spread as the configuration says (`set_timesteps` in diffusers).
///
/// There trailing spacing gives one timestep too many, -1, where a rounding error has it so: of 1000 at 61, 103, 121 and
/// 122 steps. Not here.
fn spread(config: &SchedulerConfig, sampler: &Sampler, training: &Training, steps: usize) -> Vec<NoiseLevel> {
    let train = config.num_train_timesteps;
    let points = steps + sampler.spare;
    let stride = train as f64 / steps as f64;
    let timestep = |i: usize| match spacing(config, sampler) {
        // A single point lies at the clean end.
        Spacing::Linspace if points == 1 => 0.0,
        Spacing::Linspace => {
            let t = (points - 1 - i) as f64 * ((train - 1) as f64 / (points - 1) as f64);
            if sampler.rounded { t.round_ties_even() } else { f64::from(t as f32) }
        }
        Spacing::Leading => ((points - 1 - i) * (train / points) + config.steps_offset) as f64,
        Spacing::Trailing => (train as f64 - i as f64 * stride).round_ties_even() - 1.0,
    };
    (0..steps).map(|i| training.at(timestep(i))).collect()
}

/// How many timesteps there are for runs of a distilled model to pick from.
pub(super) fn originals(config: &SchedulerConfig) -> usize {
    config.original_inference_steps.min(config.num_train_timesteps)
}

/// Levels picked evenly from those of the distillation, which lie a whole number of timesteps apart, up to `strength` of
/// the way to the noisy end; fewer than `steps` where there are not so many (`LCMScheduler`).
pub(super) fn picked(config: &SchedulerConfig, training: &Training, steps: usize, strength: f64) -> Vec<NoiseLevel> {
    let apart = config.num_train_timesteps / originals(config);
    let reached = (originals(config) as f64 * strength) as usize;
    let steps = steps.min(reached);
    let stride = reached as f64 / steps.max(1) as f64;
    let timestep = |i: usize| ((reached - (i as f64 * stride) as usize) * apart - 1) as f64;
    (0..steps).map(|i| training.at(timestep(i))).collect()
}

/// Levels along a curve, between the ends that the sampler's class takes.
fn along(
    curve: Curve,
    config: &SchedulerConfig,
    sampler: &Sampler,
    training: &Training,
    steps: usize,
) -> Vec<NoiseLevel> {
    let ends = sampler.karras.unwrap_or(Karras::OfRun);
    let (most, least) = match ends {
        Karras::OfTraining | Karras::OfTrainingRounded => (training.most(), training.least()),
        Karras::OfRun | Karras::OfRunRounded => {
            let usual = spread(config, sampler, training, steps);
            (usual[0], usual[steps - 1])
        }
    };
    timed(training, curve.between(most.ve_sigma(), least.ve_sigma(), steps), rounding(curve, ends, config))
}

/// The levels with these sigma / alpha, and the timesteps that belong to them.
fn timed(training: &Training, ve_sigmas: Vec<f64>, round: fn(f64) -> f64) -> Vec<NoiseLevel> {
    let clock = training.clock();
    ve_sigmas.into_iter().map(|sigma| NoiseLevel::with_ve_sigma(sigma, round(clock.timestep_of(sigma)))).collect()
}

/// How the timesteps of levels along a curve are made presentable.
fn rounding(curve: Curve, ends: Karras, config: &SchedulerConfig) -> fn(f64) -> f64 {
    match (ends, curve, &config.betas) {
        (Karras::OfTraining, Curve::Karras, Betas::SquaredCosine) => f64::trunc,
        (Karras::OfTraining | Karras::OfTrainingRounded | Karras::OfRunRounded, Curve::Karras, _) => {
            f64::round_ties_even
        }
        (Karras::OfTraining | Karras::OfTrainingRounded, ..) => f64::trunc,
        (Karras::OfRun | Karras::OfRunRounded, ..) => |t| t,
    }
}
