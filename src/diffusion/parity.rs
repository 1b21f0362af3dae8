//! Whole runs against diffusers, with a formula in the place of the U-Net.

use super::sampler::{self, Options};
use super::{Guidance, Halt, Input, Latents, Noise, Pass, Plan, Predict, Schedule, SchedulerConfig, Start, sample};

/// Made by `tests/golden/schedulers.py`.
const GOLDEN: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/schedulers.json"));

/// Largest difference allowed, relative to the largest value: some tens of float32 roundings over a whole run.
const TOLERANCE: f32 = 1e-5;

/// Timesteps are float32 in diffusers, and those of Karras levels come from float32 logarithms.
const TIMESTEP_TOLERANCE: f64 = 2e-3;

#[derive(serde::Deserialize)]
struct Golden {
    seed: u64,
    shape: [usize; 4],
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    sampler: String,
    schedule: String,
    steps: usize,
    eta: Option<f32>,
    config: serde_json::Value,
    timesteps: Vec<f64>,
    latents: Vec<f32>,
}

/// The formula of the script, and a record of what it was asked.
struct Formula {
    slope: f32,
    timesteps: Vec<f64>,
}

impl Predict for Formula {
    fn predict(&mut self, input: Input<'_>, _: &[Pass]) -> Result<Vec<Latents>, Halt> {
        assert_eq!(input.step, self.timesteps.len());
        self.timesteps.push(input.timestep);
        let (slope, ramp) = (self.slope, 0.1 * input.timestep as f32 / 1000.0);
        Ok(vec![input.latents.mapv(|x| slope * x - 0.01 * x * x + ramp)])
    }
}

fn golden() -> Golden {
    serde_json::from_str(GOLDEN).unwrap_or_else(|error| unreachable!("{error}"))
}

/// Timesteps and final latents of our run of `case`.
fn run(case: &Case, golden: &Golden, slope: f32) -> (Vec<f64>, Vec<f32>) {
    let config = SchedulerConfig::parse(&case.config.to_string()).unwrap_or_else(|error| unreachable!("{error}"));
    let sampler = sampler::find(&case.sampler).unwrap_or_else(|| unreachable!("{}", case.sampler));
    let schedule = Schedule::find(&case.schedule).unwrap_or_else(|| unreachable!("{}", case.schedule));
    let options = Options { eta: case.eta, ..Options::default() };
    let plan = Plan { options, ..Plan::new(sampler, schedule, case.steps, Guidance::none()) };
    let [_, channels, h, w] = golden.shape;
    let (mut formula, mut noise) = (Formula { slope, timesteps: vec![] }, Noise::new(&[golden.seed]));
    let start = noise.draw([channels, h, w]);
    let start = Start { noise: &start, init: None };
    let latents = sample(&mut formula, &config, &plan, start, None, &mut noise);
    let latents = latents.unwrap_or_else(|halt| unreachable!("{halt}"));
    (formula.timesteps, latents.into_iter().collect())
}

/// Largest difference relative to the largest value, at least 1; infinite where a value is no number.
fn difference(ours: &[f32], theirs: &[f32]) -> f32 {
    let size = theirs.iter().fold(1.0f32, |most, value| most.max(value.abs()));
    let gap = |(a, b): (&f32, &f32)| if (a - b).is_nan() { f32::INFINITY } else { (a - b).abs() / size };
    ours.iter().zip(theirs).map(gap).fold(0.0, f32::max)
}

#[test]
fn every_run_gives_the_timesteps_and_latents_of_diffusers() {
    let golden = golden();
    let mut wrong = vec![];
    for case in &golden.cases {
        let (timesteps, latents) = run(case, &golden, 0.3);
        let what = format!("{} {} {} {:?} {}", case.sampler, case.schedule, case.steps, case.eta, case.config);
        let gaps = timesteps.iter().zip(&case.timesteps).map(|(a, b)| (a - b).abs());
        let gap = gaps.fold(0.0, f64::max);
        if timesteps.len() != case.timesteps.len() || gap > TIMESTEP_TOLERANCE {
            wrong.push(format!("{what}: timesteps {timesteps:?}, expected {:?}", case.timesteps));
        }
        let difference = difference(&latents, &case.latents);
        if latents.len() != case.latents.len() || difference > TOLERANCE {
            wrong.push(format!("{what}: latents differ by {difference}"));
        }
    }
    assert!(wrong.is_empty(), "{} faults\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_slightly_other_model_is_noticed_in_every_run() {
    let golden = golden();
    for case in &golden.cases {
        let (_, latents) = run(case, &golden, 0.31);
        assert!(difference(&latents, &case.latents) > TOLERANCE, "{} {}", case.sampler, case.config);
    }
}
