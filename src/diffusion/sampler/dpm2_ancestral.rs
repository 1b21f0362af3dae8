//! DPM-Solver-2 with fresh noise.

use super::Options;
use super::step::{fresh_noise, kept_noise, step_towards, step_with_noise};
use crate::diffusion::latents::combine;
use crate::diffusion::{Denoise, Halt, Latents, Levels, Noise};

/// Ancestral sampling with midpoint steps (k-diffusion, `sample_dpm_2_ancestral`), the midpoint as in diffusers'
/// `KDPM2AncestralDiscreteScheduler`. Two calls a step, one for a step that ends without noise. eta is 1 unless given.
///
/// `latents` stand at the first of the `levels`, the result at the last.
pub(super) fn dpm2_ancestral(
    denoise: &mut Denoise<'_>,
    mut latents: Latents,
    levels: &Levels,
    noise: &mut Noise,
    options: &Options,
) -> Result<Latents, Halt> {
    let eta = f64::from(options.eta.unwrap_or(1.0));
    for (step, (now, next)) in levels.pairs().enumerate() {
        let (mut clean, slope) = denoise.apart(&latents, now, step)?;
        let fresh = fresh_noise(now, next, eta);
        let down = kept_noise(next, fresh) / next.alpha();
        if down > 0.0 {
            let middle = levels.at((now.ve_sigma() * down).sqrt());
            let halfway = step_towards(&clean, latents.clone(), now, &middle);
            let (_, slope_there) = denoise.apart(&halfway, &middle, step)?;
            // The clean latents that go with the slope seen at the midpoint, from where the step starts.
            clean = combine(1.0, clean, -now.ve_sigma(), &(slope_there - slope));
        }
        latents = step_with_noise(&clean, latents, (now, next), fresh, options.s_noise, noise);
    }
    Ok(latents)
}
