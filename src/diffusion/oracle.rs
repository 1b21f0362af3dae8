//! The samplers against mathematics: where the data are Gaussian, the ideal model and the exact answer are closed forms.

use super::sampler::{self, Options, Run};
use super::{
    Clock, Denoise, Guidance, Halt, Input, Latents, Levels, Noise, NoiseLevel, Pass, Predict, Prediction, Solver,
    SolverKind,
};

/// Mean and standard deviation of the data.
pub(super) const MEAN: f64 = 1.5;
pub(super) const DEVIATION: f64 = 0.5;

/// The clock of these runs: sigma / alpha grows by the same factor with every timestep, from 0.001 to 100.
fn ve_sigma(timestep: f64) -> f64 {
    1e-3 * 1e5f64.powf(timestep / 1000.0)
}

/// A model of data N(`mean`, `deviation`^2): what it takes for clean where it sees a sample.
#[derive(Clone, Copy)]
pub(super) struct Model {
    pub(super) mean: f64,
    pub(super) deviation: f64,
    /// Whether it says where the probability-flow ODE ends, as a perfect consistency model does; otherwise it says the mean
    /// of all that could be clean, as a perfect denoiser does.
    pub(super) consistent: bool,
}

pub(super) const IDEAL: Model = Model { mean: MEAN, deviation: DEVIATION, consistent: false };

impl Predict for Model {
    fn predict(&mut self, input: Input<'_>, _: &[Pass]) -> Result<Vec<Latents>, Halt> {
        let level = NoiseLevel::with_ve_sigma(ve_sigma(input.timestep), 0.0);
        let (alpha, spread) = (level.alpha(), self.deviation.hypot(level.ve_sigma()));
        let share = if self.consistent { self.deviation / spread } else { (self.deviation / spread).powi(2) };
        // alpha * (surprise - clean surprise) / sigma is the noise.
        let noise = |x: f32| (1.0 - share) / level.sigma() * (f64::from(x) - alpha * self.mean);
        Ok(vec![input.latents.mapv(|x| noise(x) as f32)])
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

fn run(run: Run, mut model: Model, latents: Latents, levels: &Levels, options: &Options) -> Latents {
    let mut denoise = Denoise::new(&mut model, Prediction::Epsilon, Guidance::none());
    run(&mut denoise, latents, levels, &mut Noise::new(&[3]), options).unwrap_or_else(|halt| unreachable!("{halt}"))
}

/// Largest distance from the exact solution of the probability-flow ODE over a few starting points.
///
/// The latents are float32: below about 3e-6 the error of no method falls any more.
fn error(sampler: Run, model: Model, solver: &Solver, steps: usize) -> f64 {
    let levels = even(steps);
    let (first, last) = (levels.first(), levels.last());
    let start = Latents::from_shape_fn([1, 1, 1, 7], |(.., i)| i as f32 - 3.0);
    let exact = |x: f64| last.alpha() * MEAN + (x - first.alpha() * MEAN) * deviation(&last) / deviation(&first);
    let options = Options { eta: Some(0.0), solver: solver.clone(), ..Options::default() };
    let end = run(sampler, model, start.clone(), &levels, &options);
    start.iter().zip(&end).map(|(&x, &y)| (f64::from(y) - exact(f64::from(x))).abs()).fold(0.0, f64::max)
}

/// How many times the error halves when 40 steps become 80.
pub(super) fn order(sampler: Run, model: Model, solver: &Solver) -> f64 {
    (error(sampler, model, solver, 40) / error(sampler, model, solver, 80)).log2()
}

pub(super) fn plain_order(sampler: Run, model: Model) -> f64 {
    order(sampler, model, &Solver::default())
}

fn of_order(order: usize) -> Solver {
    Solver { order, ..Solver::default() }
}

pub(super) fn algorithm(name: &str) -> Run {
    sampler::find(name).map(|sampler| sampler.run).unwrap_or_else(|| unreachable!("{name}"))
}

/// Mean and standard deviation of 16,384 samples after so many steps.
pub(super) fn moments(sampler: Run, model: Model, steps: usize, options: &Options) -> (f64, f64) {
    let levels = even(steps);
    let first = levels.first();
    let spread = (first.alpha() * model.deviation).hypot(first.sigma());
    let place = |n: f32| (first.alpha() * MEAN + spread * f64::from(n)) as f32;
    let end = run(sampler, model, Noise::new(&[1]).draw([4, 64, 64]).mapv(place), &levels, options).mapv(f64::from);
    (end.mean().unwrap_or(f64::NAN), end.std(0.0))
}

pub(super) fn with_eta(eta: Option<f32>) -> Options {
    Options { eta, ..Options::default() }
}

/// Whether moments are those of the data: within 5 standard errors of 16,384 samples, plus 1 % for the finite steps.
pub(super) fn are_the_datas((mean, deviation): (f64, f64)) -> bool {
    are_near((mean, deviation), MEAN, DEVIATION)
}

pub(super) fn are_near((mean, deviation): (f64, f64), true_mean: f64, true_deviation: f64) -> bool {
    let standard_error = true_deviation / 128.0;
    (mean - true_mean).abs() < 5.0 * standard_error && (deviation / true_deviation - 1.0).abs() < 5.0 / 181.0 + 0.01
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
fn every_deterministic_sampler_has_the_order_that_theory_gives_it() {
    let usual = Solver::default();
    let uncorrected = Solver { disable_corrector: (0..80).collect(), ..of_order(2) };
    let with = |kind| Solver { kind, ..of_order(2) };
    let cases = [
        ("ddim", usual.clone(), 1.0),
        ("euler", usual.clone(), 1.0),
        ("euler_ancestral", usual.clone(), 1.0),
        ("tcd", usual.clone(), 1.0),
        ("heun", usual.clone(), 2.0),
        ("dpm2", usual.clone(), 2.0),
        // Pseudo linear: four outputs, but their polynomial is not integrated with the right weight (Liu et al. 2022).
        ("pndm", usual.clone(), 2.0),
        ("dpmpp_2m", of_order(1), 1.0),
        ("dpmpp_2m", usual.clone(), 2.0),
        ("dpmpp_2m", with(SolverKind::Heun), 2.0),
        // The second derivative counts half of what it should, as in diffusers and in its authors' own program.
        ("dpmpp_2m", of_order(3), 2.0),
        ("deis", of_order(1), 1.0),
        ("deis", usual.clone(), 2.0),
        // A corrector gives one order more.
        ("unipc", of_order(1), 2.0),
        ("unipc", uncorrected, 2.0),
        ("unipc", usual.clone(), 3.0),
        ("unipc", with(SolverKind::Bh1), 3.0),
    ];
    for (name, solver, theory) in cases {
        let order = order(algorithm(name), IDEAL, &solver);
        assert!((order - theory).abs() < 0.15, "{name} {solver:?}: {order}");
    }
}

/// These start with steps of lower order, whose error shows before the float32 floor is reached; between 10 and 40 steps it
/// does not yet.
#[test]
fn samplers_of_high_order_gain_more_than_two_orders_at_coarse_steps() {
    for (name, solver, least) in [("lms", of_order(2), 3.0), ("deis", of_order(3), 3.0), ("unipc", of_order(3), 3.0)] {
        let (coarse, fine) = (error(algorithm(name), IDEAL, &solver, 10), error(algorithm(name), IDEAL, &solver, 40));
        let order = (coarse / fine).log2() / 2.0;
        assert!((least..least + 1.2).contains(&order), "{name}: {order}");
    }
    let at_40 = |name, order| error(algorithm(name), IDEAL, &of_order(order), 40);
    assert!(at_40("dpmpp_2m", 2) < 0.2 * at_40("euler", 2));
    assert!(at_40("deis", 3) < 0.2 * at_40("deis", 2));
    assert!(at_40("unipc", 3) < 0.2 * at_40("unipc", 2));
    assert!(at_40("dpmpp_2m", 3) < 0.5 * at_40("dpmpp_2m", 2));
}

#[test]
fn a_faulty_sampler_and_a_wrong_model_do_not_converge() {
    assert!(plain_order(forgetful, IDEAL) < 0.5, "{}", plain_order(forgetful, IDEAL));
    for sampler in sampler::SAMPLERS {
        let order = plain_order(sampler.run, Model { mean: MEAN + 0.2, ..IDEAL });
        assert!(order < 0.5, "{sampler:?}: {order}");
    }
}

#[test]
fn samplers_give_the_distribution_of_the_data_at_any_share_of_fresh_noise() {
    for (name, eta) in [
        ("ddim", Some(0.0)),
        ("ddim", Some(0.7)),
        ("ddim", Some(1.0)),
        ("ddpm", None),
        ("euler_ancestral", None),
        ("euler", None),
        ("dpmpp_2m", None),
        ("lms", None),
        ("pndm", None),
        ("heun", None),
        ("dpm2", None),
        ("deis", None),
        ("unipc", None),
        ("tcd", Some(0.0)),
    ] {
        let moments = moments(algorithm(name), IDEAL, 150, &with_eta(eta));
        assert!(are_the_datas(moments), "{name} {eta:?}: {moments:?}");
    }
}

#[test]
fn churn_changes_the_samples_and_not_their_distribution() {
    // Churn makes the steps longer, which Euler's method takes amiss.
    for (name, s_churn) in [("euler", 3.0), ("heun", 30.0), ("dpm2", 30.0)] {
        let churned = |s_noise| Options { s_churn, s_noise, ..Options::default() };
        let with = moments(algorithm(name), IDEAL, 150, &churned(1.0));
        assert!(are_the_datas(with), "{name}: {with:?}");
        assert_ne!(with, moments(algorithm(name), IDEAL, 150, &Options::default()), "{name}");
        assert!(!are_the_datas(moments(algorithm(name), IDEAL, 150, &churned(1.2))), "{name}");
    }
}

/// With a perfect denoiser a consistency sampler is too sure after every step, however many there are.
#[test]
fn a_perfect_consistency_model_needs_few_steps() {
    let consistent = Model { consistent: true, ..IDEAL };
    for (name, eta) in [("lcm", None), ("tcd", Some(1.0))] {
        for steps in [1, 2, 4, 8] {
            let moments = moments(algorithm(name), consistent, steps, &with_eta(eta));
            assert!(are_the_datas(moments), "{name} {steps}: {moments:?}");
        }
        let denoised = moments(algorithm(name), IDEAL, 8, &with_eta(eta));
        assert!(!are_the_datas(denoised), "{name}: {denoised:?}");
    }
}

/// Of data that are all the same, any model is perfect in both ways, and only the noise is left to keep account of.
#[test]
fn consistency_samplers_keep_account_of_their_noise() {
    let point = Model { deviation: 0.0, ..IDEAL };
    let last = even(1).last();
    for (name, eta) in [("lcm", None), ("tcd", None), ("tcd", Some(0.7)), ("ddpm", None)] {
        for steps in [1, 5, 20] {
            let moments = moments(algorithm(name), point, steps, &with_eta(eta));
            assert!(are_near(moments, last.alpha() * MEAN, last.sigma()), "{name} {eta:?} {steps}: {moments:?}");
        }
    }
    assert!(!are_near(moments(excessive, point, 20, &with_eta(None)), last.alpha() * MEAN, last.sigma()));
}

#[test]
fn wrong_amounts_of_noise_and_wrong_models_give_another_distribution() {
    let of = |sampler, model| moments(sampler, model, 150, &with_eta(None));
    let wrong = Model { mean: MEAN + 0.05, ..IDEAL };
    let faults = [
        of(excessive, IDEAL),
        of(algorithm("euler_ancestral"), wrong),
        of(algorithm("ddpm"), wrong),
        of(forgetful, IDEAL),
    ];
    for moments in faults {
        assert!(!are_the_datas(moments), "{moments:?}");
    }
}
