//! DPM-Solver++ of second order.

use super::Options;
use super::step::step_towards;
use crate::diffusion::latents::combine;
use crate::diffusion::{Denoise, Halt, Latents, Levels, Noise, NoiseLevel};

/// Runs shorter than this end with a first-order step, as in diffusers (`lower_order_final`).
const SHORT: usize = 15;

/// DPM-Solver++(2M) (Lu et al. 2022, algorithm 2), the midpoint variant of diffusers' `DPMSolverMultistepScheduler`.
///
/// `latents` stand at the first of the `levels`, the result at the last.
pub(super) fn dpmpp_2m(
    denoise: &mut Denoise<'_>,
    mut latents: Latents,
    levels: &Levels,
    _: &mut Noise,
    _: &Options,
) -> Result<Latents, Halt> {
    let mut before: Option<(NoiseLevel, Latents)> = None;
    for (step, (now, next)) in levels.pairs().enumerate() {
        let clean = denoise.at(&latents, now, step)?;
        let first_order = step + 1 == levels.len() && (levels.len() < SHORT || next.sigma() == 0.0);
        let target = match &before {
            Some((level, earlier)) if !first_order => extrapolated(&clean, now, earlier, level, next),
            _ => clean.clone(),
        };
        latents = step_towards(&target, latents, now, next);
        before = Some((*now, clean));
    }
    Ok(latents)
}

/// The clean latents expected halfway (in lambda) from `now` to `next`, on the line through the last two predictions.
fn extrapolated(
    clean: &Latents,
    now: &NoiseLevel,
    earlier: &Latents,
    before: &NoiseLevel,
    next: &NoiseLevel,
) -> Latents {
    let ahead = 0.5 * (next.lambda() - now.lambda()) / (now.lambda() - before.lambda());
    combine(1.0 + ahead, clean.clone(), -ahead, earlier)
}
