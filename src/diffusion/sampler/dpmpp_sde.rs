//! The stochastic DPM-Solver++ of one step.

use super::Options;
use super::step::{fresh_noise, step_replacing};
use crate::diffusion::latents::combine;
use crate::diffusion::{Denoise, Halt, Latents, Levels, Noise};

/// DPM-Solver++ (SDE) (k-diffusion, `sample_dpmpp_sde` with r = 1/2; `DPMSolverSDEScheduler` in diffusers). Two calls a step,
/// one for a step that ends without noise. eta is 1 unless given.
///
/// The noise of a half step and that of its whole step belong to one Brownian path over sigma / alpha, as in the references,
/// which take it from a tree (`torchsde`): here it is made of plain draws in the order of the path. With independent noise
/// for both the results would lose variance, an eighth of the deviation of Gaussian data at 20 steps.
///
/// `latents` stand at the first of the `levels`, the result at the last.
pub(super) fn dpmpp_sde(
    denoise: &mut Denoise<'_>,
    mut latents: Latents,
    levels: &Levels,
    noise: &mut Noise,
    options: &Options,
) -> Result<Latents, Halt> {
    let (eta, s_noise) = (f64::from(options.eta.unwrap_or(1.0)), options.s_noise);
    for (step, (now, next)) in levels.pairs().enumerate() {
        let clean = denoise.at(&latents, now, step)?;
        if next.sigma() == 0.0 {
            latents = clean;
            continue;
        }
        let middle = levels.at((now.ve_sigma() * next.ve_sigma()).sqrt());
        let first = noise.draw_like(&latents);
        let fresh = fresh_noise(now, &middle, eta);
        let halfway = step_replacing(&clean, latents.clone(), (now, &middle), fresh, s_noise, &first);
        let clean = denoise.at(&halfway, &middle, step)?;
        let part = (now.ve_sigma() - middle.ve_sigma()) / (now.ve_sigma() - next.ve_sigma());
        let whole = combine(part.sqrt(), first, (1.0 - part).sqrt(), &noise.draw_like(&latents));
        latents = step_replacing(&clean, latents, (now, next), fresh_noise(now, next, eta), s_noise, &whole);
    }
    Ok(latents)
}
