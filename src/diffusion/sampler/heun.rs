//! Heun's method.

use super::Options;
use super::step::{churned, step_towards};
use crate::diffusion::latents::combine;
use crate::diffusion::{Denoise, Halt, Latents, Levels, Noise};

/// Heun's method on the probability-flow ODE (Karras et al. 2022, algorithm 2; k-diffusion, `sample_heun`): two calls a
/// step, one for a step that ends without noise.
///
/// `latents` stand at the first of the `levels`, the result at the last.
pub(super) fn heun(
    denoise: &mut Denoise<'_>,
    mut latents: Latents,
    levels: &Levels,
    noise: &mut Noise,
    options: &Options,
) -> Result<Latents, Halt> {
    for (step, (now, next)) in levels.pairs().enumerate() {
        let (start, now) = churned(latents, now, levels, options, noise);
        let (clean, slope) = denoise.apart(&start, &now, step)?;
        latents = step_towards(&clean, start, &now, next);
        if next.sigma() > 0.0 {
            let (_, slope_there) = denoise.apart(&latents, next, step)?;
            let turn = slope_there - slope;
            latents = combine(1.0, latents, 0.5 * next.alpha() * (next.ve_sigma() - now.ve_sigma()), &turn);
        }
    }
    Ok(latents)
}
