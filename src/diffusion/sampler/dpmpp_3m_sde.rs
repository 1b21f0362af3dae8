//! The stochastic DPM-Solver++ of three predictions.

use super::Options;
use super::dpmpp_2m::weights;
use super::multistep::Past;
use super::step::{sde_noise, step_with_noise};
use crate::diffusion::{Denoise, Halt, Latents, Levels, Noise, SolverKind};

/// DPM-Solver++(3M) SDE (k-diffusion, `sample_dpmpp_3m_sde`). eta is 1 unless given.
///
/// The name promises more than the formula keeps: since it counts the second difference by half, it converges with the
/// second order, as the third-order solvers of diffusers do.
///
/// `latents` stand at the first of the `levels`, the result at the last.
pub(super) fn dpmpp_3m_sde(
    denoise: &mut Denoise<'_>,
    mut latents: Latents,
    levels: &Levels,
    noise: &mut Noise,
    options: &Options,
) -> Result<Latents, Halt> {
    let eta = f64::from(options.eta.unwrap_or(1.0));
    let mut past = Past::of(3);
    for (step, (now, next)) in levels.pairs().enumerate() {
        past.push(now, denoise.at(&latents, now, step)?);
        let order = if next.sigma() == 0.0 { 1 } else { past.len() };
        let weights = weights(&past.lambdas(order), next, SolverKind::Heun, eta);
        let Some(target) = past.weighted(&weights) else { continue };
        latents = step_with_noise(&target, latents, (now, next), sde_noise(now, next, eta), options.s_noise, noise);
    }
    Ok(latents)
}
