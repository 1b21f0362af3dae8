//! The stochastic DPM-Solver++, multistep.

use super::Options;
use super::dpmpp_2m::solve;
use crate::diffusion::{Denoise, Halt, Latents, Levels, Noise};

/// SDE-DPM-Solver++(2M) (Lu et al. 2022), as diffusers' `DPMSolverMultistepScheduler` with `algorithm_type` "sde-dpmsolver++";
/// of another order where the model's configuration says so. eta is 1 unless given; 0 is DPM-Solver++(2M).
///
/// k-diffusion's `sample_dpmpp_2m_sde` has the same formula for any eta, but keeps its order to the end of short runs (which
/// shows only in runs that end with noise). Of third order diffusers weighs the second difference with -1/2 in the place
/// of +1/2, unlike in its deterministic solver and unlike k-diffusion; this does not.
///
/// `latents` stand at the first of the `levels`, the result at the last.
pub(super) fn dpmpp_2m_sde(
    denoise: &mut Denoise<'_>,
    latents: Latents,
    levels: &Levels,
    noise: &mut Noise,
    options: &Options,
) -> Result<Latents, Halt> {
    let eta = f64::from(options.eta.unwrap_or(1.0));
    solve(denoise, latents, levels, noise, options, eta)
}
