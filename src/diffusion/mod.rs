//! The mathematics of sampling: noise, noise levels, the denoiser and the samplers. Functions of their arguments only.
//!
//! ```text
//! SchedulerConfig + Sampler + Schedule + steps -> Levels
//! Noise (a seed's random stream) -> latents at the first level
//!   -> at each level: Predict (the U-Net, called through Denoise) -> clean latents -> one step on
//!   -> latents at the last level
//! ```
//!
//! The latents are variance-preserving throughout, alpha * clean + sigma * noise with alpha^2 + sigma^2 = 1, so the model
//! takes them as they are and all samplers speak of the same [`NoiseLevel`]s. [`sample`] runs the whole. The reference is
//! diffusers 0.35.2; `tests/golden/schedulers.py` made the runs that the tests here compare with.

mod config;
mod denoise;
mod guidance;
mod latents;
mod levels;
mod mask;
mod noise;
mod place;
mod prediction;
mod preview;
mod sample;
pub mod sampler;
mod schedule;
mod training;
mod walk;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod oracle_sde;
#[cfg(test)]
mod parity;
#[cfg(test)]
mod parity_sde;

pub use config::{Betas, ConfigError, SchedulerConfig, Solver, SolverKind, Spacing};
pub use denoise::{Denoise, Halt, Input, Predict, Steer, Steering, WrongShape};
pub use guidance::{Guidance, Pass, Ramp};
pub use latents::Latents;
pub use levels::{Clock, Levels, NoiseLevel};
pub use mask::Kept;
pub use noise::{Noise, SeedSource, TorchCpu, TorchCuda};
pub use prediction::Prediction;
pub use preview::{LatentRgb, probe};
pub use sample::{Init, Plan, Start, sample};
pub use sampler::{Options, SAMPLERS, Sampler};
pub use schedule::{Curve, Schedule, ScheduleError, levels};
pub use walk::{Resample, Restart};
