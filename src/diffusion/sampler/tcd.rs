//! Trajectory consistency distillation.

use super::Options;
use super::step::{renoised, step_towards};
use crate::diffusion::{Denoise, Halt, Latents, Levels, Noise, NoiseLevel};

/// Strategic stochastic sampling (Zheng et al. 2024, algorithm 4), as diffusers' `TCDScheduler`: every step goes further
/// down than the next level and puts noise back. eta, 0.3 unless given, is the share of the next timestep by which it goes
/// further: 0 is DDIM without noise, 1 goes down to the least noise every time.
///
/// `latents` stand at the first of the `levels`, the result at the last.
pub(super) fn tcd(
    denoise: &mut Denoise<'_>,
    mut latents: Latents,
    levels: &Levels,
    noise: &mut Noise,
    options: &Options,
) -> Result<Latents, Halt> {
    let eta = options.eta.unwrap_or(0.3);
    for (step, (now, next)) in levels.pairs().enumerate() {
        let clean = denoise.at(&latents, now, step)?;
        let below = below(levels, next, eta);
        latents = step_towards(&clean, latents, now, &below);
        latents = renoised(latents, &below, next, options.s_noise, noise);
    }
    Ok(latents)
}

/// The level to which a step goes before noise leads back up to `next`, at a whole timestep as in diffusers.
fn below(levels: &Levels, next: &NoiseLevel, eta: f32) -> NoiseLevel {
    // In float32, like there: what is a whole number but for a rounding must be rounded the same way.
    let timestep = f64::from(((1.0 - eta) * next.timestep() as f32).floor());
    if eta == 0.0 || next.sigma() == 0.0 || timestep == next.timestep() { *next } else { levels.at_timestep(timestep) }
}
