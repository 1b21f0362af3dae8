//! DPM-Solver++, multistep.

use super::Options;
use super::multistep::{Past, order};
use super::step::{sde_noise, step_with_noise};
use crate::diffusion::{Denoise, Halt, Latents, Levels, Noise, NoiseLevel, SolverKind};

/// DPM-Solver++(2M) (Lu et al. 2022, algorithm 2), as diffusers' `DPMSolverMultistepScheduler`; of first or third order where
/// the model's configuration says so.
///
/// `latents` stand at the first of the `levels`, the result at the last.
pub(super) fn dpmpp_2m(
    denoise: &mut Denoise<'_>,
    latents: Latents,
    levels: &Levels,
    noise: &mut Noise,
    options: &Options,
) -> Result<Latents, Halt> {
    solve(denoise, latents, levels, noise, options, 0.0)
}

/// The same with a share `eta` of fresh noise.
pub(super) fn solve(
    denoise: &mut Denoise<'_>,
    mut latents: Latents,
    levels: &Levels,
    noise: &mut Noise,
    options: &Options,
    eta: f64,
) -> Result<Latents, Halt> {
    let solver = &options.solver;
    let mut past = Past::of(solver.order);
    for (step, (now, next)) in levels.pairs().enumerate() {
        past.push(now, denoise.at(&latents, now, step)?);
        let first = solver.euler_at_final || next.sigma() == 0.0;
        let order = order(past.len(), levels.len() - step, levels, solver, first);
        let Some(target) = past.weighted(&weights(&past.lambdas(order), next, solver.kind, eta)) else { continue };
        latents = step_with_noise(&target, latents, (now, next), sde_noise(now, next, eta), options.s_noise, noise);
    }
    Ok(latents)
}

/// What the last predictions, made at `lambdas`, weigh in the clean latents that the step to `next` aims at.
pub(super) fn weights(lambdas: &[f64], next: &NoiseLevel, kind: SolverKind, eta: f64) -> Vec<f64> {
    // What the first and the second divided difference count; the second only half of its integral, as in diffusers and
    // k-diffusion. Fresh noise makes older noise, and with it older predictions, fade the faster.
    let moments = |h: f64| {
        let h = (1.0 + eta) * h;
        let all = -(-h).exp_m1();
        (1.0 / all - 1.0 / h, (0.5 - 1.0 / h + all / (h * h)) / all)
    };
    match *lambdas {
        [now, before] => {
            let h = next.lambda() - now;
            let ahead = if kind == SolverKind::Heun { moments(h).0 } else { 0.5 };
            let slope = ahead * h / (now - before);
            vec![1.0 + slope, -slope]
        }
        [now, before, first] => {
            let h = next.lambda() - now;
            let (r0, r1) = ((now - before) / h, (before - first) / h);
            let (linear, square) = moments(h);
            // The divided differences of both orders, D1_0 and D1_1 in diffusers.
            let bend = (linear * r0 + square) / (r0 + r1);
            let (newer, older) = ((linear + bend) / r0, bend / r1);
            vec![1.0 + newer, -newer - older, older]
        }
        _ => vec![1.0],
    }
}
