//! Denoising diffusion probabilistic models.

use super::Options;
use super::step::{fresh_noise, keeping, kept_noise};
use crate::diffusion::latents::combine;
use crate::diffusion::{Denoise, Halt, Latents, Levels, Noise};

/// DDPM's ancestral sampling (Ho, Jain and Abbeel 2020, algorithm 2), as diffusers' `DDPMScheduler`. eta is not asked for:
/// how much noise is added is the model's own (`variance_type`).
///
/// `latents` stand at the first of the `levels`, the result at the last.
pub(super) fn ddpm(
    denoise: &mut Denoise<'_>,
    mut latents: Latents,
    levels: &Levels,
    noise: &mut Noise,
    options: &Options,
) -> Result<Latents, Halt> {
    for (step, (now, next)) in levels.pairs().enumerate() {
        let clean = denoise.at(&latents, now, step)?;
        let reverse = fresh_noise(now, next, 1.0);
        let fresh = match options.solver.large_variance {
            // The first training timestep is the end of the way.
            true if now.timestep() > 0.0 => (1.0 - (now.alpha() / next.alpha()).powi(2)).max(0.0).sqrt(),
            true => 0.0,
            false => reverse,
        };
        // The mean is the same for every variance.
        latents = keeping(kept_noise(next, reverse), &clean, latents, now, next);
        if fresh > 0.0 {
            let drawn = noise.draw_like(&latents);
            latents = combine(1.0, latents, f64::from(options.s_noise) * fresh, &drawn);
        }
    }
    Ok(latents)
}
