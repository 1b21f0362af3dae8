//! Linear multistep.

use super::Options;
use super::multistep::{Past, step_along, weights};
use crate::diffusion::{Denoise, Halt, Latents, Levels, Noise};

/// How many predictions a step looks at.
const ORDER: usize = 4;

/// Linear multistep of order 4 on the probability-flow ODE (k-diffusion, `sample_lms`): the slope is the polynomial in
/// sigma / alpha through the last predictions, integrated exactly.
///
/// `latents` stand at the first of the `levels`, the result at the last.
pub(super) fn lms(
    denoise: &mut Denoise<'_>,
    mut latents: Latents,
    levels: &Levels,
    _: &mut Noise,
    _: &Options,
) -> Result<Latents, Halt> {
    // Diffusers then starts with weights of full order for predictions that were never made, and so do we.
    let late = denoise.starts_late(levels);
    let mut past = Past::of(ORDER);
    for (step, (now, next)) in levels.pairs().enumerate() {
        let (clean, slope) = denoise.apart(&latents, now, step)?;
        past.push(now, slope);
        let way = next.ve_sigma() - now.ve_sigma();
        let order = if late { ORDER } else { past.len() };
        let levels = levels.back_from(step).take(order);
        let nodes: Vec<f64> = levels.map(|level| (level.ve_sigma() - now.ve_sigma()) / way).collect();
        let moments: Vec<f64> = (1..=nodes.len()).map(|k| way / k as f64).collect();
        latents = step_along(&clean, &past, weights(&nodes, &moments), now, next);
    }
    Ok(latents)
}
