//! Euler's method with fresh noise.

use super::Options;
use super::step::{fresh_noise, step_with_noise};
use crate::diffusion::{Denoise, Halt, Latents, Levels, Noise};

/// Ancestral sampling with Euler steps (k-diffusion, `sample_euler_ancestral`). eta is 1 unless given; 0 is Euler's method.
///
/// `latents` stand at the first of the `levels`, the result at the last.
pub(super) fn euler_ancestral(
    denoise: &mut Denoise<'_>,
    mut latents: Latents,
    levels: &Levels,
    noise: &mut Noise,
    options: &Options,
) -> Result<Latents, Halt> {
    let eta = f64::from(options.eta.unwrap_or(1.0));
    for (step, (now, next)) in levels.pairs().enumerate() {
        let clean = denoise.at(&latents, now, step)?;
        let fresh = fresh_noise(now, next, eta);
        latents = step_with_noise(&clean, latents, (now, next), fresh, options.s_noise, noise);
    }
    Ok(latents)
}
