//! The file as it is written, and its translation.

use std::fmt::Display;

use super::solver;
use super::{Betas, ConfigError, SchedulerConfig};
use crate::diffusion::config::Spacing;
use crate::diffusion::prediction::Prediction;
use crate::diffusion::schedule::Curve;

/// The keys of diffusers that mean something here; any may be absent or null.
#[derive(serde::Deserialize)]
pub(super) struct Raw {
    #[serde(rename = "_class_name")]
    class_name: Option<String>,
    num_train_timesteps: Option<usize>,
    beta_start: Option<f64>,
    beta_end: Option<f64>,
    beta_schedule: Option<String>,
    trained_betas: Option<Vec<f64>>,
    rescale_betas_zero_snr: Option<bool>,
    prediction_type: Option<String>,
    timestep_spacing: Option<String>,
    steps_offset: Option<usize>,
    set_alpha_to_one: Option<bool>,
    use_karras_sigmas: Option<bool>,
    use_exponential_sigmas: Option<bool>,
    use_beta_sigmas: Option<bool>,
    final_sigmas_type: Option<String>,
    original_inference_steps: Option<usize>,
    #[serde(flatten)]
    solver: solver::Raw,
    // Only understood well enough to be refused.
    clip_sample: Option<bool>,
    thresholding: Option<bool>,
    use_lu_lambdas: Option<bool>,
    use_flow_sigmas: Option<bool>,
    sigma_min: Option<f64>,
    sigma_max: Option<f64>,
    interpolation_type: Option<String>,
    timestep_type: Option<String>,
}

impl TryFrom<Raw> for SchedulerConfig {
    type Error = ConfigError;

    fn try_from(raw: Raw) -> Result<Self, ConfigError> {
        raw.refuse_unserved()?;
        let num_train_timesteps = raw.num_train_timesteps.unwrap_or(1000);
        let whole = (1..=100_000).contains(&num_train_timesteps);
        demand(whole, "num_train_timesteps", "a number from 1 to 100000", num_train_timesteps)?;
        let original_steps = raw.original_inference_steps.unwrap_or(50);
        demand(original_steps > 0, "original_inference_steps", "a number from 1", original_steps)?;
        let prediction_type = choose(
            "prediction_type",
            raw.prediction_type.as_deref(),
            &[Prediction::Epsilon, Prediction::VPrediction, Prediction::Sample].map(|kind| (kind.name(), kind)),
        )?;
        let spacings =
            [("linspace", Spacing::Linspace), ("leading", Spacing::Leading), ("trailing", Spacing::Trailing)];
        let ends = [("zero", true), ("sigma_min", false)];
        Ok(Self {
            num_train_timesteps,
            betas: raw.betas(num_train_timesteps)?,
            rescale_betas_zero_snr: raw.rescale_betas_zero_snr.unwrap_or(false),
            prediction_type: prediction_type.unwrap_or(Prediction::Epsilon),
            timestep_spacing: choose("timestep_spacing", raw.timestep_spacing.as_deref(), &spacings)?,
            steps_offset: raw.steps_offset.unwrap_or(0),
            set_alpha_to_one: raw.set_alpha_to_one,
            curve: raw.curve()?,
            final_sigma_zero: choose("final_sigmas_type", raw.final_sigmas_type.as_deref(), &ends)?.unwrap_or(true),
            original_inference_steps: original_steps,
            solver: raw.solver.read(raw.class_name.as_deref())?,
            class_name: raw.class_name,
        })
    }
}

impl Raw {
    fn betas(&self, timesteps: usize) -> Result<Betas, ConfigError> {
        let (start, end) = (self.beta_start.unwrap_or(0.0001), self.beta_end.unwrap_or(0.02));
        for (key, value) in [("beta_start", start), ("beta_end", end)] {
            demand(value > 0.0 && value < 1.0, key, "above 0 and below 1", value)?;
        }
        if let Some(betas) = &self.trained_betas {
            demand(betas.len() == timesteps, "trained_betas", format!("a list of {timesteps} numbers"), betas.len())?;
            let odd = betas.iter().find(|beta| !(**beta > 0.0 && **beta < 1.0));
            demand(odd.is_none(), "trained_betas", "numbers above 0 and below 1", odd.copied().unwrap_or_default())?;
            return Ok(Betas::Trained(betas.clone()));
        }
        let schedules = [
            ("linear", Betas::Linear(start, end)),
            ("scaled_linear", Betas::ScaledLinear(start, end)),
            ("squaredcos_cap_v2", Betas::SquaredCosine),
        ];
        let chosen = choose("beta_schedule", self.beta_schedule.as_deref(), &schedules)?;
        Ok(chosen.unwrap_or(Betas::Linear(start, end)))
    }

    /// The curve of the noise levels; diffusers too takes at most one.
    fn curve(&self) -> Result<Option<Curve>, ConfigError> {
        let asked = [
            ("use_karras_sigmas", self.use_karras_sigmas, Curve::Karras),
            ("use_exponential_sigmas", self.use_exponential_sigmas, Curve::Exponential),
            ("use_beta_sigmas", self.use_beta_sigmas, Curve::Beta),
        ];
        let mut asked = asked.into_iter().filter(|(_, asked, _)| *asked == Some(true));
        let Some((first, _, curve)) = asked.next() else { return Ok(None) };
        asked.try_for_each(|(key, ..)| demand(false, key, format!("false beside {first}"), true))?;
        Ok(Some(curve))
    }

    /// Refuses what would make another picture than diffusers' if it were ignored.
    fn refuse_unserved(&self) -> Result<(), ConfigError> {
        for (key, value) in [
            ("clip_sample", self.clip_sample),
            ("thresholding", self.thresholding),
            ("use_lu_lambdas", self.use_lu_lambdas),
            ("use_flow_sigmas", self.use_flow_sigmas),
        ] {
            demand(value != Some(true), key, "false", true)?;
        }
        for (key, value) in [("sigma_min", self.sigma_min), ("sigma_max", self.sigma_max)] {
            demand(value.is_none(), key, "null", value.unwrap_or_default())?;
        }
        choose("interpolation_type", self.interpolation_type.as_deref(), &[("linear", ())])?;
        choose("timestep_type", self.timestep_type.as_deref(), &[("discrete", ())]).map(|_| ())
    }
}

pub(super) fn demand(
    holds: bool,
    key: &'static str,
    expected: impl Into<String>,
    got: impl Display,
) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::Value { key, expected: expected.into(), got: got.to_string() }) }
}

/// The value in `table` that `name` stands for.
pub(super) fn choose<T: Clone>(
    key: &'static str,
    name: Option<&str>,
    table: &[(&str, T)],
) -> Result<Option<T>, ConfigError> {
    let Some(name) = name else { return Ok(None) };
    if let Some((_, value)) = table.iter().find(|(known, _)| *known == name) {
        return Ok(Some(value.clone()));
    }
    let names: Vec<_> = table.iter().map(|(known, _)| *known).collect();
    let expected = match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => names.concat(),
    };
    Err(ConfigError::Value { key, expected, got: name.to_owned() })
}
