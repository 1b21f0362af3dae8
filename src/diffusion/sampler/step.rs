//! The step that all samplers here share: they differ in where they aim and in how much noise they replace.

use crate::diffusion::latents::combine;
use crate::diffusion::{Latents, Noise, NoiseLevel};

/// From `now` to `next` in a straight line, as if `clean` were the final picture.
///
/// The noise in the latents is (latents - alpha * clean) / sigma; it is kept and only scaled.
pub(super) fn step_towards(clean: &Latents, latents: Latents, now: &NoiseLevel, next: &NoiseLevel) -> Latents {
    keeping(next.sigma(), clean, latents, now, next)
}

/// As [`step_towards`], with noise of standard deviation `fresh` instead of that part of the old noise.
pub(super) fn step_with_noise(
    clean: &Latents,
    latents: Latents,
    now: &NoiseLevel,
    next: &NoiseLevel,
    fresh: f64,
    noise: &mut Noise,
) -> Latents {
    if fresh == 0.0 {
        return step_towards(clean, latents, now, next);
    }
    let kept = (next.sigma().powi(2) - fresh.powi(2)).max(0.0).sqrt();
    let latents = keeping(kept, clean, latents, now, next);
    let drawn = noise.draw_like(&latents);
    combine(1.0, latents, fresh, &drawn)
}

/// Standard deviation of the fresh noise in a step: eta times that of the true reverse step (Song, Meng and Ermon 2021,
/// equation 16). In terms of sigma / alpha this is also k-diffusion's `get_ancestral_step`.
pub(super) fn fresh_noise(now: &NoiseLevel, next: &NoiseLevel, eta: f64) -> f64 {
    let lost = 1.0 - (now.alpha() / next.alpha()).powi(2);
    eta * next.sigma() / now.sigma() * lost.max(0.0).sqrt()
}

/// alpha' * clean + kept * noise of `latents`, written as a sum of two arrays.
fn keeping(kept: f64, clean: &Latents, latents: Latents, now: &NoiseLevel, next: &NoiseLevel) -> Latents {
    let ratio = kept / now.sigma();
    combine(ratio, latents, next.alpha() - now.alpha() * ratio, clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_to_no_noise_is_the_clean_picture() {
        let (now, clean) = (NoiseLevel::new(0.2, 700.0), Latents::from_elem([1, 1, 1, 2], 0.75));
        let latents = Latents::from_elem([1, 1, 1, 2], -3.0);
        assert_eq!(step_towards(&clean, latents, &now, &NoiseLevel::CLEAN), clean);
    }

    #[test]
    fn fresh_noise_is_k_diffusions() {
        let (now, next) = (NoiseLevel::with_ve_sigma(5.0, 0.0), NoiseLevel::with_ve_sigma(2.0, 0.0));
        let up = (4.0f64 * (25.0 - 4.0) / 25.0).sqrt();
        assert!((fresh_noise(&now, &next, 1.0) - next.alpha() * up).abs() < 1e-12);
    }
}
