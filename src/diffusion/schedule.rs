//! Which noise levels a run passes through.

mod align;
mod beta;
mod curve;
mod starts;

pub use curve::Curve;

use starts::{Shape, originals, picked, spacing, starts};

use super::config::{SchedulerConfig, Spacing};
use super::levels::{LEAST_SIGNAL, Levels, NoiseLevel};
use super::prediction::Prediction;
use super::sampler::{Ends, Sampler};
use super::training::Training;

/// How the noise levels of a run are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// As the model's scheduler configuration says.
    Model,
    /// Along [`Curve::Karras`].
    Karras,
    /// Along [`Curve::Exponential`].
    Exponential,
    /// k-diffusion's `get_sigmas_polyexponential` at its usual exponent, 1: the exponential schedule, but always over the
    /// whole training and with timesteps as they come.
    Polyexponential,
    /// Timesteps evenly from the noisy end, of which the last is left out (Stability AI's generative models).
    SgmUniform,
    /// Whole timesteps evenly from the noisy end, rounded towards it (ComfyUI's `simple_scheduler`).
    Simple,
    /// Along [`Curve::Beta`], as diffusers has it; ComfyUI draws the same curve through timesteps.
    Beta,
    /// Align Your Steps, for Stable Diffusion v1.5.
    AlignYourSteps,
    /// Align Your Steps, for Stable Diffusion XL.
    AlignYourStepsXl,
}

impl Schedule {
    /// All schedules.
    pub const ALL: &[Self] = &[
        Self::Model,
        Self::Karras,
        Self::Exponential,
        Self::Polyexponential,
        Self::SgmUniform,
        Self::Simple,
        Self::Beta,
        Self::AlignYourSteps,
        Self::AlignYourStepsXl,
    ];

    /// Its name in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Karras => "karras",
            Self::Exponential => "exponential",
            Self::Polyexponential => "polyexponential",
            Self::SgmUniform => "sgm_uniform",
            Self::Simple => "simple",
            Self::Beta => "beta",
            Self::AlignYourSteps => "align_your_steps",
            Self::AlignYourStepsXl => "align_your_steps_xl",
        }
    }

    /// The schedule of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|schedule| schedule.name() == name)
    }
}

/// The levels of a run of `steps` steps, as the sampler's class in diffusers has them.
///
/// The end of the last step is the sampler's, whatever the schedule.
pub fn levels(
    config: &SchedulerConfig,
    sampler: &Sampler,
    schedule: Schedule,
    steps: usize,
) -> Result<Levels, ScheduleError> {
    let most = if sampler.distilled { originals(config) } else { config.num_train_timesteps };
    if !(1..=most).contains(&steps) {
        return Err(ScheduleError::Steps { most, got: steps });
    }
    let shape = Shape::of(schedule, config, sampler);
    // All but whole timesteps of the training need a finite sigma / alpha.
    let least_signal =
        if shape == Shape::Timesteps { sampler.least_signal } else { sampler.least_signal.max(LEAST_SIGNAL) };
    let training = Training::new(config, least_signal);
    let starts = starts(shape, config, sampler, &training, steps);
    let last = last(config, sampler, &training);
    let levels = if shape == Shape::Timesteps && sampler.fixed_stride {
        fixed_stride(&training, &starts, config.num_train_timesteps / steps, last)
    } else {
        Levels::chain(&starts, last, training.clock())
    };
    if config.prediction_type == Prediction::Epsilon && levels.first().alpha() == 0.0 {
        return Err(ScheduleError::NoSignal);
    }
    Ok(if sampler.second_twice { levels.with_second_twice() } else { levels })
}

/// The levels of a run that does only `strength` of the way, and how many of its steps are left out at the noisy end
/// (`get_timesteps` of diffusers' image-to-image pipelines). Latent consistency models do all their steps on a shorter way
/// instead (diffusers' `LatentConsistencyModelImg2ImgPipeline`).
pub(crate) fn way(
    config: &SchedulerConfig,
    sampler: &Sampler,
    schedule: Schedule,
    steps: usize,
    strength: f64,
) -> Result<(Levels, usize), ScheduleError> {
    let levels = levels(config, sampler, schedule, steps)?;
    if sampler.shortens && Shape::of(schedule, config, sampler) == Shape::Timesteps {
        let training = Training::new(config, sampler.least_signal);
        let starts = picked(config, &training, steps, strength);
        return Ok((Levels::chain(&starts, levels.last(), training.clock()), 0));
    }
    // Some strength is at least one step; diffusers refuses such runs. There may be more levels than steps.
    let done = ((steps as f64 * strength) as usize).max(1);
    let skipped = if strength > 0.0 { steps.saturating_sub(done) } else { levels.len() };
    Ok((levels, skipped))
}

/// How latents of standard deviation 1 are scaled to start a run at `first` as the sampler's class does: exactly noise
/// for its level, or a little too much.
pub(crate) fn initial_scale(config: &SchedulerConfig, sampler: &Sampler, first: &NoiseLevel) -> f64 {
    let leading = spacing(config, sampler) == Spacing::Leading;
    if sampler.exploding && !leading { first.sigma() } else { 1.0 }
}

/// How latents at `last` are scaled to be what the sampler's class hands to the decoder.
pub(crate) fn final_scale(sampler: &Sampler, last: &NoiseLevel) -> f64 {
    if sampler.exploding { 1.0 / last.alpha() } else { 1.0 }
}

/// Why there are no such levels.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ScheduleError {
    /// Too few or too many steps.
    #[error("steps must be between 1 and {most}, got {got}")]
    Steps {
        /// Timesteps of the training, or those that a distilled model may pick from.
        most: usize,
        /// What was asked for.
        got: usize,
    },
    /// The picture cannot be told from pure noise by a model that predicts the noise.
    #[error(
        "prediction_type must be v_prediction or sample where rescale_betas_zero_snr leaves no signal, got epsilon"
    )]
    NoSignal,
}

fn last(config: &SchedulerConfig, sampler: &Sampler, training: &Training) -> NoiseLevel {
    let clean = match sampler.ends {
        Ends::Clean => true,
        Ends::Least => false,
        Ends::SetAlphaToOne(usual) => config.set_alpha_to_one.unwrap_or(usual),
        Ends::FinalSigmasType => config.final_sigma_zero,
    };
    if clean { NoiseLevel::CLEAN } else { training.least() }
}

/// Steps that each go back by `stride` timesteps, and by whatever is left at the clean end.
fn fixed_stride(training: &Training, starts: &[NoiseLevel], stride: usize, last: NoiseLevel) -> Levels {
    let end = |start: &NoiseLevel| {
        let timestep = start.timestep() - stride as f64;
        if timestep < 0.0 { last } else { training.at(timestep) }
    };
    Levels::steps(starts.iter().map(|start| (*start, end(start))).collect(), training.clock())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::sampler;

    fn run(text: &str, name: &str, steps: usize) -> Result<Levels, ScheduleError> {
        let config = SchedulerConfig::parse(text).unwrap_or_else(|error| unreachable!("{error}"));
        let sampler = sampler::find(name).unwrap_or_else(|| unreachable!("{name}"));
        levels(&config, sampler, Schedule::Model, steps)
    }

    #[test]
    fn schedules_are_found_by_their_names() {
        for schedule in Schedule::ALL {
            assert_eq!(Schedule::find(schedule.name()), Some(*schedule));
        }
        assert_eq!(Schedule::find("Karras"), None);
    }

    #[test]
    fn no_steps_and_more_steps_than_timesteps_are_refused() {
        assert_eq!(run("{}", "euler", 0), Err(ScheduleError::Steps { most: 1000, got: 0 }));
        assert_eq!(run("{}", "lcm", 51), Err(ScheduleError::Steps { most: 50, got: 51 }));
        assert_eq!(run("{}", "ddim", 1001), Err(ScheduleError::Steps { most: 1000, got: 1001 }));
        assert_eq!(run("{}", "dpmpp_2m", 1000).map(|levels| levels.len()), Ok(1000));
    }

    #[test]
    fn a_model_of_noise_cannot_start_without_signal() {
        let text = r#"{"rescale_betas_zero_snr": true, "timestep_spacing": "trailing"}"#;
        assert_eq!(run(text, "ddim", 10), Err(ScheduleError::NoSignal));
        assert_eq!(run(text, "euler", 10).map(|levels| levels.len()), Ok(10));
    }

    #[test]
    fn no_step_of_any_run_adds_noise() -> Result<(), ScheduleError> {
        for sampler in sampler::SAMPLERS {
            for steps in [1, 2, 7, 20, 150] {
                for spacing in ["linspace", "leading", "trailing"] {
                    let steps = if sampler.distilled { steps.min(50) } else { steps };
                    let text = format!(r#"{{"timestep_spacing": "{spacing}"}}"#);
                    let levels = run(&text, sampler.name, steps)?;
                    assert!(
                        levels.pairs().all(|(now, next)| next.sigma() <= now.sigma()),
                        "{sampler:?} {spacing} {steps}"
                    );
                }
            }
        }
        Ok(())
    }

    #[test]
    fn every_schedule_suits_every_sampler_also_without_signal_at_the_start() -> Result<(), ScheduleError> {
        let zero =
            r#"{"rescale_betas_zero_snr": true, "prediction_type": "v_prediction", "timestep_spacing": "trailing"}"#;
        for (sampler, text) in sampler::SAMPLERS.iter().flat_map(|sampler| [(sampler, "{}"), (sampler, zero)]) {
            let config = SchedulerConfig::parse(text).unwrap();
            for schedule in Schedule::ALL {
                for steps in [1, 2, 7, 20, 50] {
                    let levels = levels(&config, sampler, *schedule, steps)?;
                    let falls = |(now, next): (&NoiseLevel, &NoiseLevel)| next.sigma() <= now.sigma() + 1e-12;
                    let told = |(now, _): (&NoiseLevel, _)| (0.0..1000.0).contains(&now.timestep());
                    assert_eq!(levels.len(), steps + usize::from(sampler.second_twice && steps > 1), "{sampler:?}");
                    assert!(levels.pairs().all(falls) && levels.pairs().all(told), "{sampler:?} {schedule:?} {steps}");
                    let finite = *schedule == Schedule::Model || levels.first().ve_sigma().is_finite();
                    assert!(finite, "{sampler:?} {schedule:?} {steps}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn even_timesteps_of_dpm_solver_are_sgm_uniform() {
        let config = SchedulerConfig::parse("{}").unwrap();
        let sampler = sampler::find("dpmpp_2m").unwrap();
        let of = |schedule| levels(&config, sampler, schedule, 13);
        assert_eq!(of(Schedule::Model), of(Schedule::SgmUniform));
        assert_ne!(of(Schedule::Model), of(Schedule::Simple));
    }

    fn steps_of_the_way(name: &str, steps: usize, strength: f64) -> Result<Vec<f64>, ScheduleError> {
        let config = SchedulerConfig::parse("{}").unwrap_or_else(|error| unreachable!("{error}"));
        let sampler = sampler::find(name).unwrap_or_else(|| unreachable!("{name}"));
        let (levels, skipped) = way(&config, sampler, Schedule::Model, steps, strength)?;
        Ok(levels.pairs().skip(skipped).map(|(now, _)| now.timestep()).collect())
    }

    #[test]
    fn strength_is_the_share_of_the_steps_that_is_done() -> Result<(), ScheduleError> {
        for (steps, strength, expected) in
            [(20, 0.0, 0), (20, 0.1, 2), (20, 0.01, 1), (10, 0.7, 7), (50, 0.75, 37), (20, 1.0, 20)]
        {
            assert_eq!(steps_of_the_way("ddim", steps, strength)?.len(), expected, "{steps} {strength}");
        }
        Ok(())
    }

    #[test]
    fn consistency_models_do_all_steps_on_a_shorter_way() -> Result<(), ScheduleError> {
        assert_eq!(steps_of_the_way("lcm", 4, 1.0)?, [999.0, 759.0, 499.0, 259.0]);
        assert_eq!(steps_of_the_way("lcm", 4, 0.5)?, [499.0, 379.0, 259.0, 139.0]);
        assert_eq!(steps_of_the_way("lcm", 4, 0.05)?, [39.0, 19.0]);
        assert!(steps_of_the_way("lcm", 4, 0.0)?.is_empty());
        assert_eq!(steps_of_the_way("tcd", 4, 0.5)?.len(), 2);
        Ok(())
    }
}
