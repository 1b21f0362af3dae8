//! Which noise levels a run passes through.

use super::config::{Betas, SchedulerConfig, Spacing};
use super::denoise::Prediction;
use super::levels::{Levels, NoiseLevel};
use super::sampler::{Ends, Karras, Sampler};
use super::training::Training;

/// How the noise levels of a run are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// As the model's scheduler configuration says.
    Model,
    /// As Karras et al. 2022, equation 5, with rho 7: dense near the clean end.
    Karras,
}

impl Schedule {
    /// All schedules.
    pub const ALL: &[Self] = &[Self::Model, Self::Karras];

    /// Its name in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Karras => "karras",
        }
    }

    /// The schedule of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|schedule| schedule.name() == name)
    }
}

/// The levels of a run of `steps` steps, as the sampler's class in diffusers has them.
pub fn levels(
    config: &SchedulerConfig,
    sampler: &Sampler,
    schedule: Schedule,
    steps: usize,
) -> Result<Levels, ScheduleError> {
    let most = config.num_train_timesteps;
    if !(1..=most).contains(&steps) {
        return Err(ScheduleError::Steps { most, got: steps });
    }
    let karras = match schedule {
        Schedule::Model => sampler.karras.filter(|_| config.use_karras_sigmas),
        Schedule::Karras => Some(sampler.karras.unwrap_or(Karras::OfRun)),
    };
    // Karras spacing needs a finite sigma / alpha.
    let least_signal = if karras.is_some() { sampler.least_signal.max(KARRAS_SIGNAL) } else { sampler.least_signal };
    let training = Training::new(config, least_signal);
    let starts: Vec<_> = timesteps(config, sampler, steps).into_iter().map(|t| training.at(t)).collect();
    let (last, clock) = (last(config, sampler, &training), training.clock());
    let levels = match karras {
        Some(ends) => {
            Levels::chain(&karras_levels(&training, &starts, ends, karras_rounding(config, ends)), last, clock)
        }
        None if sampler.fixed_stride => fixed_stride(&training, &starts, most / steps, last),
        None => Levels::chain(&starts, last, clock),
    };
    if config.prediction_type == Prediction::Epsilon && levels.first().alpha() == 0.0 {
        return Err(ScheduleError::NoSignal);
    }
    Ok(levels)
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
        /// Timesteps of the training.
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

/// What is left of the signal at the noisy end, at least, for Karras spacing.
const KARRAS_SIGNAL: f64 = 1.0 / (1 << 24) as f64;

fn spacing(config: &SchedulerConfig, sampler: &Sampler) -> Spacing {
    config.timestep_spacing.unwrap_or(sampler.spacing)
}

/// The timesteps at which the steps start, falling (`set_timesteps` in diffusers).
///
/// There trailing spacing gives one timestep too many, -1, where a rounding error has it so: of 1000 at 61, 103, 121 and
/// 122 steps. Not here.
fn timesteps(config: &SchedulerConfig, sampler: &Sampler, steps: usize) -> Vec<f64> {
    let train = config.num_train_timesteps;
    let points = steps + sampler.spare;
    let stride = train as f64 / steps as f64;
    (0..steps)
        .map(|i| match spacing(config, sampler) {
            // A single point lies at the clean end.
            Spacing::Linspace if points == 1 => 0.0,
            Spacing::Linspace => {
                let t = (points - 1 - i) as f64 * ((train - 1) as f64 / (points - 1) as f64);
                if sampler.rounded { t.round_ties_even() } else { f64::from(t as f32) }
            }
            Spacing::Leading => ((points - 1 - i) * (train / points) + config.steps_offset) as f64,
            Spacing::Trailing => (train as f64 - i as f64 * stride).round_ties_even() - 1.0,
        })
        .collect()
}

fn last(config: &SchedulerConfig, sampler: &Sampler, training: &Training) -> NoiseLevel {
    let clean = match sampler.ends {
        Ends::Clean => true,
        Ends::SetAlphaToOne => config.set_alpha_to_one,
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

/// How the timesteps of Karras levels are made presentable.
fn karras_rounding(config: &SchedulerConfig, ends: Karras) -> fn(f64) -> f64 {
    match (ends, &config.betas) {
        (Karras::OfRun, _) => |t| t,
        (Karras::OfTraining, Betas::SquaredCosine) => f64::trunc,
        (Karras::OfTraining, _) => f64::round_ties_even,
    }
}

/// As many levels as `starts`, with Karras spacing.
fn karras_levels(training: &Training, starts: &[NoiseLevel], ends: Karras, round: fn(f64) -> f64) -> Vec<NoiseLevel> {
    let (most, least) = match ends {
        Karras::OfTraining => (training.most(), training.least()),
        Karras::OfRun => (starts[0], starts[starts.len() - 1]),
    };
    let (clock, intervals) = (training.clock(), starts.len().saturating_sub(1));
    let level = |sigma: f64| NoiseLevel::with_ve_sigma(sigma, round(clock.timestep_of(sigma)));
    let end = if intervals == 0 { most } else { least };
    let sigmas = karras(most.ve_sigma(), end.ve_sigma(), intervals).into_iter().chain([end.ve_sigma()]);
    sigmas.map(level).collect()
}

/// sigma / alpha at the starts of `intervals` intervals from `most` to `least` (Karras et al. 2022, equation 5, rho 7).
pub(super) fn karras(most: f64, least: f64, intervals: usize) -> Vec<f64> {
    const RHO: f64 = 7.0;
    let (from, to) = (most.powf(1.0 / RHO), least.powf(1.0 / RHO));
    (0..intervals).map(|i| (from + i as f64 / intervals as f64 * (to - from)).powf(RHO)).collect()
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
    fn every_run_loses_noise_with_every_step() -> Result<(), ScheduleError> {
        for sampler in sampler::SAMPLERS {
            for steps in [1, 2, 7, 20, 150] {
                for spacing in ["linspace", "leading", "trailing"] {
                    let text = format!(r#"{{"timestep_spacing": "{spacing}"}}"#);
                    let levels = run(&text, sampler.name, steps)?;
                    assert!(
                        levels.pairs().all(|(now, next)| next.sigma() < now.sigma()),
                        "{sampler:?} {spacing} {steps}"
                    );
                }
            }
        }
        Ok(())
    }
}
