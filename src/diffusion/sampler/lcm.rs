//! Latent consistency models.

use super::Options;
use crate::diffusion::latents::combine;
use crate::diffusion::{Denoise, Halt, Latents, Levels, Noise};

/// Standard deviation of the data that the distillation assumed.
const DATA: f64 = 0.5;

/// Multistep consistency sampling (Luo et al. 2023, algorithm 3), as diffusers' `LCMScheduler`: every step goes to the clean
/// end and puts all the noise of the next level back.
///
/// `latents` stand at the first of the `levels`, the result at the last.
pub(super) fn lcm(
    denoise: &mut Denoise<'_>,
    mut latents: Latents,
    levels: &Levels,
    noise: &mut Noise,
    options: &Options,
) -> Result<Latents, Halt> {
    for (step, (now, next)) in levels.pairs().enumerate() {
        let clean = denoise.at(&latents, now, step)?;
        // The boundary condition: without noise a consistency model gives back what it is shown.
        let time = now.timestep() * options.solver.timestep_scaling;
        let (skip, out) = (DATA.powi(2) / (time.powi(2) + DATA.powi(2)), time / time.hypot(DATA));
        latents = combine(out, clean, skip, &latents);
        if next.sigma() > 0.0 {
            let drawn = noise.draw_like(&latents);
            latents = combine(next.alpha(), latents, f64::from(options.s_noise) * next.sigma(), &drawn);
        }
    }
    Ok(latents)
}
