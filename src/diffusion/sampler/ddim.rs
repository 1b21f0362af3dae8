//! Denoising diffusion implicit models.

use super::Options;
use super::step::{fresh_noise, step_with_noise};
use crate::diffusion::{Denoise, Halt, Latents, Levels, Noise};

/// DDIM (Song, Meng and Ermon 2021, equation 12). eta is 0 (no fresh noise) unless given; 1 is DDPM's amount.
///
/// `latents` stand at the first of the `levels`, the result at the last.
pub(super) fn ddim(
    denoise: &mut Denoise<'_>,
    mut latents: Latents,
    levels: &Levels,
    noise: &mut Noise,
    options: &Options,
) -> Result<Latents, Halt> {
    let eta = f64::from(options.eta.unwrap_or(0.0));
    for (step, (now, next)) in levels.pairs().enumerate() {
        let clean = denoise.at(&latents, now, step)?;
        let fresh = fresh_noise(now, next, eta);
        latents = step_with_noise(&clean, latents, (now, next), fresh, options.s_noise, noise);
    }
    Ok(latents)
}
