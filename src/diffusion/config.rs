//! The noise schedule that a model was trained with, as `scheduler/scheduler_config.json` tells it.

mod raw;
mod solver;

pub use solver::{Solver, SolverKind};

use super::prediction::Prediction;
use super::schedule::Curve;

/// What the samplers need to know from a scheduler's configuration.
///
/// Keys that this program does not know are ignored, since diffusers writes many. Known keys with a value that cannot be
/// served are an error. What is absent and differs by class is `None` here and filled in from the chosen sampler's row.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(try_from = "raw::Raw")]
pub struct SchedulerConfig {
    /// `_class_name`: the scheduler class in diffusers that the model's makers chose.
    pub class_name: Option<String>,
    /// Number of timesteps in training, above all 1000.
    pub num_train_timesteps: usize,
    /// Variance of the noise that each training timestep adds.
    pub betas: Betas,
    /// Whether the betas are to be rescaled so that the last timestep has no signal left.
    pub rescale_betas_zero_snr: bool,
    /// What the model's output means.
    pub prediction_type: Prediction,
    /// How the timesteps of a run are spread.
    pub timestep_spacing: Option<Spacing>,
    /// Added to the timesteps of leading spacing.
    pub steps_offset: usize,
    /// Whether runs of DDIM's kind end without noise; otherwise at training timestep 0.
    pub set_alpha_to_one: Option<bool>,
    /// The curve of the schedule "model" (`use_karras_sigmas` and the like), for samplers that have this option.
    pub curve: Option<Curve>,
    /// Whether runs of Euler's and DPM-Solver's kind end without noise (`zero`); otherwise at training timestep 0.
    pub final_sigma_zero: bool,
    /// Steps of the solver from which a consistency model was distilled; its own runs pick from their timesteps.
    pub original_inference_steps: usize,
    /// What is said about the solver.
    pub solver: Solver,
}

/// Where the betas come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Betas {
    /// Evenly spaced.
    Linear(f64, f64),
    /// Their square roots are evenly spaced: latent diffusion's choice.
    ScaledLinear(f64, f64),
    /// From a squared cosine, at most 0.999 (Nichol and Dhariwal 2021).
    SquaredCosine,
    /// Listed one by one.
    Trained(Vec<f64>),
}

impl SchedulerConfig {
    /// Reads the text of a `scheduler_config.json`.
    ///
    /// Python writes an infinite number as `Infinity`, which is no JSON; such a number is taken as absent, since it only
    /// ever stands for "no limit".
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let text = text.replace("-Infinity", "null").replace("Infinity", "null");
        serde_json::from_str::<raw::Raw>(&text)?.try_into()
    }
}

/// A scheduler configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON, or a value of the wrong type.
    #[error("the scheduler configuration cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// A value that no sampler here can serve.
    #[error("{key} in the scheduler configuration must be {expected}, got {got}")]
    Value {
        /// The key.
        key: &'static str,
        /// What can be served.
        expected: String,
        /// What the file says.
        got: String,
    },
}

/// How timesteps are spread over the training (Lin et al. 2024, table 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// Evenly, both ends included.
    Linspace,
    /// By a whole number of timesteps from the clean end.
    Leading,
    /// Evenly from the noisy end.
    Trailing,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stable Diffusion v1.5's own file.
    const SD15: &str = r#"{"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000, "set_alpha_to_one": false,
        "skip_prk_steps": true, "steps_offset": 1, "trained_betas": null, "clip_sample": false}"#;

    #[test]
    fn stable_diffusions_own_configuration_is_understood() -> Result<(), ConfigError> {
        let config = SchedulerConfig::parse(SD15)?;
        assert_eq!(config.class_name.as_deref(), Some("PNDMScheduler"));
        assert_eq!(config.betas, Betas::ScaledLinear(0.000_85, 0.012));
        assert_eq!((config.steps_offset, config.set_alpha_to_one, config.timestep_spacing), (1, Some(false), None));
        Ok(())
    }

    #[test]
    fn an_empty_configuration_has_the_defaults_of_diffusers() -> Result<(), ConfigError> {
        let config = SchedulerConfig::parse("{}")?;
        assert_eq!((config.num_train_timesteps, config.betas), (1000, Betas::Linear(0.0001, 0.02)));
        assert_eq!(config.prediction_type, Prediction::Epsilon);
        assert!(config.final_sigma_zero && config.curve.is_none());
        assert_eq!((config.original_inference_steps, config.solver), (50, Solver::default()));
        Ok(())
    }

    #[test]
    fn pythons_infinity_is_read() -> Result<(), ConfigError> {
        SchedulerConfig::parse(r#"{"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -Infinity}"#)?;
        Ok(())
    }

    #[test]
    fn what_cannot_be_served_is_named_with_what_was_expected() {
        let cases = [
            (r#"{"beta_schedule": "exp"}"#, "beta_schedule", "linear, scaled_linear or squaredcos_cap_v2, got exp"),
            (r#"{"prediction_type": "flow_prediction"}"#, "prediction_type", "v_prediction or sample, got flow"),
            (r#"{"timestep_spacing": "even"}"#, "timestep_spacing", "linspace, leading or trailing, got even"),
            (r#"{"final_sigmas_type": "one"}"#, "final_sigmas_type", "zero or sigma_min, got one"),
            (r#"{"num_train_timesteps": 0}"#, "num_train_timesteps", "1 to 100000, got 0"),
            (
                r#"{"num_train_timesteps": 2, "trained_betas": [0.0, 0.2]}"#,
                "trained_betas",
                "above 0 and below 1, got 0",
            ),
            (r#"{"trained_betas": [0.1, 0.2]}"#, "trained_betas", "a list of 1000 numbers, got 2"),
            (r#"{"beta_start": 1.5}"#, "beta_start", "above 0 and below 1, got 1.5"),
            (r#"{"thresholding": true}"#, "thresholding", "false, got true"),
            (r#"{"clip_sample": true}"#, "clip_sample", "false, got true"),
            (
                r#"{"use_karras_sigmas": true, "use_beta_sigmas": true}"#,
                "use_beta_sigmas",
                "false beside use_karras_sigmas, got true",
            ),
            (r#"{"use_lu_lambdas": true}"#, "use_lu_lambdas", "false, got true"),
            (r#"{"sigma_max": 700.0}"#, "sigma_max", "null, got 700"),
            (r#"{"interpolation_type": "log_linear"}"#, "interpolation_type", "linear, got log_linear"),
            (
                r#"{"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver"}"#,
                "algorithm_type",
                "dpmsolver++, sde-dpmsolver++ or deis, got sde-dpmsolver",
            ),
            (r#"{"solver_order": 4}"#, "solver_order", "1, 2 or 3, got 4"),
            (r#"{"solver_type": "bh3"}"#, "solver_type", "bh1 or bh2, got bh3"),
            (r#"{"predict_x0": false}"#, "predict_x0", "true, got false"),
            (r#"{"variance_type": "learned"}"#, "variance_type", "fixed_large, got learned"),
            (r#"{"lambda_min_clipped": -5.1}"#, "lambda_min_clipped", "-Infinity, got -5.1"),
            (r#"{"original_inference_steps": 0}"#, "original_inference_steps", "from 1, got 0"),
            (r#"{"timestep_scaling": -1.0}"#, "timestep_scaling", "above 0, got -1"),
            (r#"{"_class_name": "PNDMScheduler"}"#, "skip_prk_steps", "true, got false"),
            (r#"{"steps_offset": "one"}"#, "invalid type", "expected usize"),
        ];
        for (text, key, reason) in cases {
            let message = SchedulerConfig::parse(text).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(message.contains(key) && message.contains(reason), "{text}: {message}");
        }
    }
}
