//! Pseudo linear multistep.

use super::Options;
use super::multistep::Past;
use super::step::step_towards;
use crate::diffusion::latents::combine;
use crate::diffusion::{Denoise, Halt, Latents, Levels, Noise, NoiseLevel};

/// Adams and Bashforth's weights by number of outputs known, newest first.
const WEIGHTS: [&[f64]; 4] = [
    &[1.0],
    &[3.0 / 2.0, -1.0 / 2.0],
    &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
    &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
];

/// PLMS (Liu et al. 2022, equation 12, without its Runge-Kutta steps), as diffusers' `PNDMScheduler` with
/// `skip_prk_steps`: DDIM's step with the mean of the model's last outputs. The first step is tried, looked at from its end,
/// and done again with both outputs; for that `levels` list the second step twice.
///
/// `latents` stand at the first of the `levels`, the result at the last.
pub(super) fn pndm(
    denoise: &mut Denoise<'_>,
    mut latents: Latents,
    levels: &Levels,
    _: &mut Noise,
    _: &Options,
) -> Result<Latents, Halt> {
    let prediction = denoise.prediction();
    let (listed, mut past) = (lists_second_try(denoise, levels), Past::of(WEIGHTS.len()));
    let mut pairs = levels.pairs().enumerate().peekable();
    while let Some((step, (now, next))) = pairs.next() {
        past.push(now, denoise.output(&latents, now, step)?);
        let Some(output) = past.weighted(WEIGHTS[past.len() - 1]) else { continue };
        let tried = step_towards(&prediction.clean(output.clone(), &latents, now), latents.clone(), now, next);
        if step > 0 || levels.len() == 1 {
            latents = tried;
            continue;
        }
        if !listed {
            // A stretch may begin between the two listings.
            pairs.next_if(|(_, (second, _))| *second == now);
        }
        let second = pairs.next_if(|_| listed);
        let (step, second) = second.map_or((0, next), |(step, (second, _))| (step, second));
        let there = denoise.output(&tried, second, step)?;
        let start = start_of(levels, (now, next), second);
        let clean = prediction.clean(combine(0.5, output, 0.5, &there), &latents, &start);
        latents = step_towards(&clean, latents, &start, second);
    }
    Ok(latents)
}

/// Whether the second of the `levels` is for the second try. Stretches of extra reverse work do not list it.
///
/// From an init image diffusers takes the second of the remaining steps for it although it comes only once: after that the
/// model is told one step less of noise than there is. So do we.
fn lists_second_try(denoise: &Denoise<'_>, levels: &Levels) -> bool {
    let starts: Vec<_> = levels.pairs().take(3).map(|(now, _)| now).collect();
    denoise.starts_late(levels) || matches!(starts[..], [_, second, third] if second == third)
}

/// Where the first step starts when it is done again: where it did, except if it went to another level than the `second`
/// step's. Then diffusers does a step of the same stride that ends there.
fn start_of(levels: &Levels, (first, end): (&NoiseLevel, &NoiseLevel), second: &NoiseLevel) -> NoiseLevel {
    if end == second {
        return *first;
    }
    levels.at_timestep(second.timestep() + first.timestep() - end.timestep())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::{Clock, Guidance, Input, Pass, Predict, Prediction};

    /// Counts its calls.
    struct Formula(usize);

    impl Predict for Formula {
        fn predict(&mut self, input: Input<'_>, _: &[Pass]) -> Result<Vec<Latents>, Halt> {
            self.0 += 1;
            Ok(vec![input.latents.mapv(|x| 0.3 * x + input.timestep as f32)])
        }
    }

    /// Calls and result of a stretch.
    fn walked(levels: &Levels, before: usize) -> Result<(usize, Latents), Halt> {
        let mut formula = Formula(0);
        let mut denoise = Denoise::new(&mut formula, Prediction::Epsilon, Guidance::none());
        denoise.place.before = before;
        let latents = Latents::from_elem([1, 1, 1, 1], 1.5);
        let latents = pndm(&mut denoise, latents, levels, &mut Noise::new(&[1]), &Options::default())?;
        Ok((formula.0, latents))
    }

    #[test]
    fn the_first_step_is_done_twice_whether_or_not_the_levels_say_so() -> Result<(), Halt> {
        let starts: Vec<_> = (1..8).rev().map(|i| NoiseLevel::with_ve_sigma(f64::from(i), f64::from(i))).collect();
        let plain = Levels::chain(&starts, NoiseLevel::CLEAN, Clock::new(&[0.5, 20.0]));
        let listed = plain.clone().with_second_twice();
        assert_eq!(walked(&plain, 0)?.0, 8);
        assert_eq!(walked(&plain, 0)?, walked(&listed, 0)?);
        // In the middle of extra reverse work.
        assert_eq!(walked(&plain.part(1..7), 3)?, walked(&listed.part(1..8), 3)?);
        assert_eq!(walked(&plain.part(3..7), 3)?, walked(&listed.part(4..8), 3)?);
        assert_ne!(walked(&plain.part(3..7), 3)?, walked(&listed.part(4..8), 0)?);
        Ok(())
    }
}
