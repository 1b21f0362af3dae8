//! Euler's method.

use super::Options;
use super::step::step_towards;
use crate::diffusion::{Denoise, Halt, Latents, Levels, Noise};

/// Euler's method on the probability-flow ODE (Karras et al. 2022, algorithm 1 without churn).
///
/// `latents` stand at the first of the `levels`, the result at the last.
pub(super) fn euler(
    denoise: &mut Denoise<'_>,
    mut latents: Latents,
    levels: &Levels,
    _: &mut Noise,
    _: &Options,
) -> Result<Latents, Halt> {
    for (step, (now, next)) in levels.pairs().enumerate() {
        let clean = denoise.at(&latents, now, step)?;
        latents = step_towards(&clean, latents, now, next);
    }
    Ok(latents)
}
