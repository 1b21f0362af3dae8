//! Euler's method.

use super::Options;
use super::step::{churned, step_towards};
use crate::diffusion::{Denoise, Halt, Latents, Levels, Noise};

/// Euler's method on the probability-flow ODE (Karras et al. 2022, algorithm 2 with Euler steps; k-diffusion,
/// `sample_euler`). Diffusers asks the model before it puts noise back, so with churn it differs.
///
/// `latents` stand at the first of the `levels`, the result at the last.
pub(super) fn euler(
    denoise: &mut Denoise<'_>,
    mut latents: Latents,
    levels: &Levels,
    noise: &mut Noise,
    options: &Options,
) -> Result<Latents, Halt> {
    for (step, (now, next)) in levels.pairs().enumerate() {
        let (start, now) = churned(latents, now, levels, options, noise);
        let clean = denoise.at(&start, &now, step)?;
        latents = step_towards(&clean, start, &now, next);
    }
    Ok(latents)
}
