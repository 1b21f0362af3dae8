//! DPM-Solver of second order, one step at a time.

use super::Options;
use super::step::{churned, step_towards};
use crate::diffusion::latents::combine;
use crate::diffusion::{Denoise, Halt, Latents, Levels, Noise};

/// The midpoint method with the midpoint in the logarithm of sigma / alpha (Lu et al. 2022, DPM-Solver-2, as k-diffusion's
/// `sample_dpm_2`): two calls a step, one for a step that ends without noise.
///
/// `latents` stand at the first of the `levels`, the result at the last.
pub(super) fn dpm2(
    denoise: &mut Denoise<'_>,
    mut latents: Latents,
    levels: &Levels,
    noise: &mut Noise,
    options: &Options,
) -> Result<Latents, Halt> {
    for (step, (now, next)) in levels.pairs().enumerate() {
        let (start, now) = churned(latents, now, levels, options, noise);
        let (clean, slope) = denoise.apart(&start, &now, step)?;
        if next.sigma() == 0.0 {
            latents = step_towards(&clean, start, &now, next);
            continue;
        }
        let middle = levels.at((now.ve_sigma() * next.ve_sigma()).sqrt());
        let halfway = step_towards(&clean, start.clone(), &now, &middle);
        let (_, slope_there) = denoise.apart(&halfway, &middle, step)?;
        // As for Heun's method, what the other slope changes in Euler's step: nothing large cancels.
        let way = next.alpha() * (next.ve_sigma() - now.ve_sigma());
        latents = combine(1.0, step_towards(&clean, start, &now, next), way, &(slope_there - slope));
    }
    Ok(latents)
}
