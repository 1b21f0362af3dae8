//! DPM-Solver++ of second order, one step at a time, with fresh noise.

use super::Options;
use super::step::{fresh_noise, kept_noise, step_towards, step_with_noise};
use crate::diffusion::{Denoise, Halt, Latents, Levels, Noise};

/// Ancestral sampling with steps of DPM-Solver++(2S) (k-diffusion, `sample_dpmpp_2s_ancestral`). Two calls a step, one for a
/// step that ends without noise. eta is 1 unless given.
///
/// `latents` stand at the first of the `levels`, the result at the last.
pub(super) fn dpmpp_2s_ancestral(
    denoise: &mut Denoise<'_>,
    mut latents: Latents,
    levels: &Levels,
    noise: &mut Noise,
    options: &Options,
) -> Result<Latents, Halt> {
    let eta = f64::from(options.eta.unwrap_or(1.0));
    for (step, (now, next)) in levels.pairs().enumerate() {
        let mut clean = denoise.at(&latents, now, step)?;
        let fresh = fresh_noise(now, next, eta);
        let down = kept_noise(next, fresh) / next.alpha();
        if down > 0.0 {
            let middle = levels.at((now.ve_sigma() * down).sqrt());
            clean = denoise.at(&step_towards(&clean, latents.clone(), now, &middle), &middle, step)?;
        }
        latents = step_with_noise(&clean, latents, (now, next), fresh, options.s_noise, noise);
    }
    Ok(latents)
}
