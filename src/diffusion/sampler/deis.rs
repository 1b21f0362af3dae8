//! Diffusion exponential integrator sampler.

use super::Options;
use super::multistep::{Past, order, step_along, weights};
use crate::diffusion::{Denoise, Halt, Latents, Levels, Noise};

/// log-rho DEIS (Zhang and Chen 2023, section 4.3), as diffusers' `DEISMultistepScheduler`: the noise is the polynomial in
/// the logarithm of sigma / alpha through the last predictions, integrated exactly.
///
/// `latents` stand at the first of the `levels`, the result at the last.
pub(super) fn deis(
    denoise: &mut Denoise<'_>,
    mut latents: Latents,
    levels: &Levels,
    _: &mut Noise,
    options: &Options,
) -> Result<Latents, Halt> {
    let mut past = Past::of(options.solver.order);
    for (step, (now, next)) in levels.pairs().enumerate() {
        let (clean, slope) = denoise.apart(&latents, now, step)?;
        past.push(now, slope);
        // The logarithm has no place for an end without noise.
        let order = order(past.len(), levels.len() - step, levels, &options.solver, next.sigma() == 0.0);
        let logarithm = |ve_sigma: f64| (ve_sigma / now.ve_sigma()).ln();
        let nodes: Vec<f64> = past.iter().take(order).map(|(level, _)| logarithm(level.ve_sigma())).collect();
        let weights = match order {
            1 => vec![next.ve_sigma() - now.ve_sigma()],
            _ => weights(&nodes, &moments(now.ve_sigma(), logarithm(next.ve_sigma()))),
        };
        latents = step_along(&clean, &past, weights, now, next);
    }
    Ok(latents)
}

/// The integrals of u^k for k = 0, 1, 2 over sigma / alpha from `start`, u = ln(sigma / alpha / start), up to u = `end`.
fn moments(start: f64, end: f64) -> [f64; 3] {
    let (grown, more) = (end.exp(), end.exp_m1());
    [more, end * grown - more, end * end * grown - 2.0 * (end * grown - more)].map(|moment| start * moment)
}
