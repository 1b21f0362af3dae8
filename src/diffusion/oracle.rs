//! The samplers against mathematics: where the data are Gaussian, the ideal model and the exact answer are closed forms.

use super::sampler::{self, Options, Run};
use super::{Clock, Denoise, Guidance, Halt, Input, Latents, Levels, Noise, NoiseLevel, Pass, Predict, Prediction};

/// Mean and standard deviation of the data.
const MEAN: f64 = 1.5;
const DEVIATION: f64 = 0.5;

/// The clock of these runs: sigma / alpha grows by the same factor with every timestep, from 0.001 to 100.
fn ve_sigma(timestep: f64) -> f64 {
    1e-3 * 1e5f64.powf(timestep / 1000.0)
}

/// The ideal model of data N(`mean`, DEVIATION^2).
struct Ideal {
    mean: f64,
}

impl Predict for Ideal {
    fn predict(&mut self, input: Input<'_>, _: &[Pass]) -> Result<Vec<Latents>, Halt> {
        let level = NoiseLevel::with_ve_sigma(ve_sigma(input.timestep), 0.0);
        let (alpha, variance) = (level.alpha(), deviation(&level).powi(2));
        let noise = |x: f32| (level.sigma() / variance * (f64::from(x) - alpha * self.mean)) as f32;
        Ok(vec![input.latents.mapv(noise)])
    }
}

/// Standard deviation of noisy data.
fn deviation(level: &NoiseLevel) -> f64 {
    (level.alpha() * DEVIATION).hypot(level.sigma())
}

/// Levels from sigma / alpha = 10 to 0.02, evenly spaced in its logarithm.
fn even(steps: usize) -> Levels {
    let at = |i: usize| 10.0 * (0.002f64).powf(i as f64 / steps as f64);
    let clock = Clock::new(&(0..=1000).map(|t| ve_sigma(f64::from(t)) as f32).collect::<Vec<_>>());
    let level = |sigma| NoiseLevel::with_ve_sigma(sigma, clock.timestep_of(sigma));
    let levels: Vec<_> = (0..=steps).map(|i| level(at(i))).collect();
    Levels::chain(&levels[..steps], levels[steps], clock)
}

fn run(run: Run, mean: f64, latents: Latents, levels: &Levels, eta: Option<f32>) -> Latents {
    let mut model = Ideal { mean };
    let mut denoise = Denoise::new(&mut model, Prediction::Epsilon, Guidance::none());
    run(&mut denoise, latents, levels, &mut Noise::new(&[3]), &Options { eta, ..Options::default() })
        .unwrap_or_else(|halt| unreachable!("{halt}"))
}

/// Largest distance from the exact solution of the probability-flow ODE over a few starting points.
fn error(sampler: Run, mean: f64, steps: usize) -> f64 {
    let levels = even(steps);
    let (first, last) = (levels.first(), levels.last());
    let start = Latents::from_shape_fn([1, 1, 1, 7], |(.., i)| i as f32 - 3.0);
    let exact = |x: f64| last.alpha() * MEAN + (x - first.alpha() * MEAN) * deviation(&last) / deviation(&first);
    let end = run(sampler, mean, start.clone(), &levels, Some(0.0));
    start.iter().zip(&end).map(|(&x, &y)| (f64::from(y) - exact(f64::from(x))).abs()).fold(0.0, f64::max)
}

/// How many times the error halves when the steps double.
fn order(sampler: Run, mean: f64) -> f64 {
    (error(sampler, mean, 40) / error(sampler, mean, 80)).log2()
}

fn algorithm(name: &str) -> Run {
    sampler::find(name).map(|sampler| sampler.run).unwrap_or_else(|| unreachable!("{name}"))
}

/// Mean and standard deviation of 16,384 samples.
fn moments(sampler: Run, mean: f64, eta: Option<f32>) -> (f64, f64) {
    let levels = even(150);
    let first = levels.first();
    let place = |n: f32| (first.alpha() * MEAN + deviation(&first) * f64::from(n)) as f32;
    let end = run(sampler, mean, Noise::new(&[1]).draw([4, 64, 64]).mapv(place), &levels, eta).mapv(f64::from);
    (end.mean().unwrap_or(f64::NAN), end.std(0.0))
}

/// Whether moments are those of the data: within 5 standard errors of 16,384 samples, plus 1 % for the finite steps.
fn are_the_datas((mean, deviation): (f64, f64)) -> bool {
    let standard_error = DEVIATION / 128.0;
    (mean - MEAN).abs() < 5.0 * standard_error && (deviation / DEVIATION - 1.0).abs() < 5.0 / 181.0 + 0.01
}

/// Euler's method with a planted fault: it forgets that the noise it keeps is scaled too.
fn forgetful(
    denoise: &mut Denoise<'_>,
    mut latents: Latents,
    levels: &Levels,
    _: &mut Noise,
    _: &Options,
) -> Result<Latents, Halt> {
    for (step, (now, next)) in levels.pairs().enumerate() {
        let clean = denoise.at(&latents, now, step)?;
        latents = &latents + &(clean * (next.alpha() - now.alpha()) as f32);
    }
    Ok(latents)
}

/// Ancestral sampling with a planted fault: it adds a tenth more noise than it takes away.
fn excessive(
    denoise: &mut Denoise<'_>,
    mut latents: Latents,
    levels: &Levels,
    noise: &mut Noise,
    _: &Options,
) -> Result<Latents, Halt> {
    for (step, (now, next)) in levels.pairs().enumerate() {
        let clean = denoise.at(&latents, now, step)?;
        let fresh = next.sigma() / now.sigma() * (1.0 - (now.alpha() / next.alpha()).powi(2)).sqrt();
        let kept = (next.sigma().powi(2) - fresh.powi(2)).sqrt() / now.sigma();
        let drawn = noise.draw_like(&latents) * (1.1 * fresh) as f32;
        latents = latents * kept as f32 + clean * (next.alpha() - now.alpha() * kept) as f32 + drawn;
    }
    Ok(latents)
}

#[test]
fn samplers_of_first_order_halve_their_error_when_the_steps_double() {
    for name in ["ddim", "euler", "euler_ancestral"] {
        let order = order(algorithm(name), MEAN);
        assert!((0.85..1.15).contains(&order), "{name}: {order}");
    }
}

#[test]
fn dpmpp_2m_quarters_its_error_when_the_steps_double() {
    let order = order(algorithm("dpmpp_2m"), MEAN);
    assert!((1.8..2.3).contains(&order), "{order}");
    assert!(error(algorithm("dpmpp_2m"), MEAN, 40) < 0.2 * error(algorithm("euler"), MEAN, 40));
}

#[test]
fn a_faulty_sampler_and_a_wrong_model_do_not_converge() {
    assert!(order(forgetful, MEAN) < 0.5, "{}", order(forgetful, MEAN));
    for name in ["ddim", "dpmpp_2m"] {
        assert!(order(algorithm(name), MEAN + 0.2) < 0.5, "{name}: {}", order(algorithm(name), MEAN + 0.2));
    }
}

#[test]
fn samplers_give_the_distribution_of_the_data_at_any_share_of_fresh_noise() {
    for (name, eta) in [
        ("ddim", Some(0.0)),
        ("ddim", Some(0.7)),
        ("ddim", Some(1.0)),
        ("euler_ancestral", None),
        ("euler", None),
        ("dpmpp_2m", None),
    ] {
        let moments = moments(algorithm(name), MEAN, eta);
        assert!(are_the_datas(moments), "{name} {eta:?}: {moments:?}");
    }
}

#[test]
fn wrong_amounts_of_noise_and_wrong_models_give_another_distribution() {
    let faults = [
        moments(excessive, MEAN, None),
        moments(algorithm("euler_ancestral"), MEAN + 0.05, None),
        moments(forgetful, MEAN, None),
    ];
    for moments in faults {
        assert!(!are_the_datas(moments), "{moments:?}");
    }
}
