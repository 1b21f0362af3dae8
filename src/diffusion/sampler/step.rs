//! The step that all samplers here share: they differ in where they aim and in how much noise they replace.

use super::Options;
use crate::diffusion::latents::combine;
use crate::diffusion::{Latents, Levels, Noise, NoiseLevel};

/// From `now` to `next` in a straight line, as if `clean` were the final picture.
///
/// The noise in the latents is (latents - alpha * clean) / sigma; it is kept and only scaled.
pub(super) fn step_towards(clean: &Latents, latents: Latents, now: &NoiseLevel, next: &NoiseLevel) -> Latents {
    keeping(next.sigma(), clean, latents, now, next)
}

/// As [`step_towards`], with noise of standard deviation `fresh` instead of that part of the old noise; `s_noise` is a factor
/// of what is drawn. Draws nothing where `fresh` is 0.
pub(super) fn step_with_noise(
    clean: &Latents,
    latents: Latents,
    (now, next): (&NoiseLevel, &NoiseLevel),
    fresh: f64,
    s_noise: f32,
    noise: &mut Noise,
) -> Latents {
    if fresh == 0.0 {
        return step_towards(clean, latents, now, next);
    }
    let drawn = noise.draw_like(&latents);
    step_replacing(clean, latents, (now, next), fresh, s_noise, &drawn)
}

/// The same with noise that is already `drawn`, standard normal.
pub(super) fn step_replacing(
    clean: &Latents,
    latents: Latents,
    (now, next): (&NoiseLevel, &NoiseLevel),
    fresh: f64,
    s_noise: f32,
    drawn: &Latents,
) -> Latents {
    let latents = keeping(kept_noise(next, fresh), clean, latents, now, next);
    combine(1.0, latents, fresh * f64::from(s_noise), drawn)
}

/// Standard deviation of the fresh noise in a step: eta times that of the true reverse step (Song, Meng and Ermon 2021,
/// equation 16). In terms of sigma / alpha this is also k-diffusion's `get_ancestral_step`.
pub(super) fn fresh_noise(now: &NoiseLevel, next: &NoiseLevel, eta: f64) -> f64 {
    let lost = 1.0 - (now.alpha() / next.alpha()).powi(2);
    eta * next.sigma() / now.sigma() * lost.max(0.0).sqrt()
}

/// The same where a step is the exact solution of the reverse-time SDE for a fixed clean picture (k-diffusion,
/// `sample_dpmpp_2m_sde`). Without eta and with all of it, 0 and 1, the two agree.
pub(super) fn sde_noise(now: &NoiseLevel, next: &NoiseLevel, eta: f64) -> f64 {
    let kept = (next.ve_sigma() / now.ve_sigma()).powf(eta);
    next.sigma() * (1.0 - kept * kept).max(0.0).sqrt()
}

/// Standard deviation of the old noise that is left at `next` beside fresh noise.
pub(super) fn kept_noise(next: &NoiseLevel, fresh: f64) -> f64 {
    (next.sigma().powi(2) - fresh.powi(2)).max(0.0).sqrt()
}

/// alpha' * clean + kept * noise of `latents`, written as a sum of two arrays.
pub(super) fn keeping(kept: f64, clean: &Latents, latents: Latents, now: &NoiseLevel, next: &NoiseLevel) -> Latents {
    let ratio = kept / now.sigma();
    combine(ratio, latents, next.alpha() - now.alpha() * ratio, clean)
}

/// Fresh noise that brings latents from one level back to a noisier one; nothing if it is not noisier.
pub(in crate::diffusion) fn renoised(
    latents: Latents,
    now: &NoiseLevel,
    back: &NoiseLevel,
    s_noise: f32,
    noise: &mut Noise,
) -> Latents {
    if back.sigma() <= now.sigma() {
        return latents;
    }
    let kept = back.alpha() / now.alpha();
    let drawn = noise.draw_like(&latents);
    combine(kept, latents, f64::from(s_noise) * (1.0 - kept * kept).sqrt(), &drawn)
}

/// The noise put back before a step (Karras et al. 2022, algorithm 2), and the level to which it leads.
pub(super) fn churned(
    latents: Latents,
    now: &NoiseLevel,
    levels: &Levels,
    options: &Options,
    noise: &mut Noise,
) -> (Latents, NoiseLevel) {
    let more = (f64::from(options.s_churn) / levels.planned() as f64).min(std::f64::consts::SQRT_2 - 1.0);
    if more <= 0.0 || now.alpha() == 0.0 {
        return (latents, *now);
    }
    let back = levels.at(now.ve_sigma() * (1.0 + more));
    (renoised(latents, now, &back, options.s_noise, noise), back)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::Clock;

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

    #[test]
    fn both_kinds_of_fresh_noise_agree_at_none_and_at_all_of_it() {
        let (now, next) = (NoiseLevel::with_ve_sigma(5.0, 0.0), NoiseLevel::with_ve_sigma(2.0, 0.0));
        for eta in [0.0, 1.0] {
            assert!((fresh_noise(&now, &next, eta) - sde_noise(&now, &next, eta)).abs() < 1e-12);
        }
        assert!((fresh_noise(&now, &next, 0.5) - sde_noise(&now, &next, 0.5)).abs() > 0.1);
    }

    #[test]
    fn churn_goes_back_by_its_share_but_never_above_the_root_of_two() {
        let starts = [NoiseLevel::with_ve_sigma(2.0, 0.0); 10];
        let levels = Levels::chain(&starts, NoiseLevel::CLEAN, Clock::new(&[0.1, 20.0]));
        for (s_churn, expected) in [(0.0, 2.0), (1.0, 2.2), (2.0, 2.4), (40.0, 8f64.sqrt())] {
            let options = Options { s_churn, ..Options::default() };
            let latents = Noise::new(&[1]).draw([1, 64, 64]);
            let (there, level) = churned(latents.clone(), &starts[0], &levels, &options, &mut Noise::new(&[2]));
            assert!((level.ve_sigma() - expected).abs() < 1e-6, "{s_churn}: {}", level.ve_sigma());
            assert!((there.std(0.0) - 1.0).abs() < 0.03, "{}", there.std(0.0));
            assert_eq!(there == latents, s_churn == 0.0);
        }
    }

    #[test]
    fn going_back_keeps_the_variance() {
        let (now, back) = (NoiseLevel::with_ve_sigma(0.5, 0.0), NoiseLevel::with_ve_sigma(2.0, 0.0));
        let latents = Noise::new(&[1]).draw([1, 64, 64]);
        let there = renoised(latents.clone(), &now, &back, 1.0, &mut Noise::new(&[2]));
        assert!((there.std(0.0) - 1.0).abs() < 0.03, "{}", there.std(0.0));
        assert_eq!(renoised(latents.clone(), &back, &now, 1.0, &mut Noise::new(&[2])), latents);
    }
}
