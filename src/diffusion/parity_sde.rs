//! Whole runs of the stochastic samplers and of all schedules, against diffusers and against k-diffusion's formulas.

use super::parity::{Keys, TIMESTEP_TOLERANCE, TOLERANCE, config, difference};
use super::sampler::{self, Options};
use super::{Guidance, Halt, Input, Latents, Noise, Pass, Plan, Predict, Schedule, SchedulerConfig, Start, sample};

/// Made by `tests/golden/schedulers_sde.py`.
const GOLDEN: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/schedulers_sde.json"));

#[derive(serde::Deserialize)]
struct Golden {
    seed: u64,
    shape: [usize; 4],
    /// What all configurations share.
    config: Keys,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    /// Whose run it was.
    by: String,
    sampler: String,
    schedule: String,
    steps: usize,
    options: Asked,
    config: Keys,
    timesteps: Vec<f64>,
    latents: Vec<f32>,
}

#[derive(Clone, Copy, Debug, serde::Deserialize)]
struct Asked {
    eta: Option<f32>,
    s_noise: Option<f32>,
    s_churn: Option<f32>,
}

impl Case {
    fn name(&self) -> String {
        let Self { by, sampler, schedule, steps, options, config, .. } = self;
        let config = serde_json::Value::Object(config.clone());
        format!("{sampler} {schedule} {steps} by {by} {options:?} {config}")
    }

    fn config(&self, golden: &Golden) -> SchedulerConfig {
        config(&golden.config, &self.config)
    }

    /// Whether noise is drawn between the steps.
    fn draws(&self) -> bool {
        match self.sampler.as_str() {
            "restart" => self.steps >= 20,
            "ddim" => true,
            name if name.contains("ancestral") || name.contains("sde") => {
                self.steps > 1 && self.options.eta != Some(0.0)
            }
            _ => self.options.s_churn.is_some(),
        }
    }
}

/// A mistake that a program like this one might make.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    OtherModel,
    NextTimestep,
    OneDrawTooMany,
}

/// The formula of the script, a fault in how it is called, and a record of what it was asked.
struct Formula {
    fault: Fault,
    timesteps: Vec<f64>,
}

impl Predict for Formula {
    fn predict(&mut self, input: Input<'_>, _: &[Pass]) -> Result<Vec<Latents>, Halt> {
        assert!(input.step < input.steps && input.progress < 1.0);
        self.timesteps.push(input.timestep);
        let slope = if self.fault == Fault::OtherModel { 0.31 } else { 0.3 };
        let timestep = input.timestep as f32 + if self.fault == Fault::NextTimestep { 1.0 } else { 0.0 };
        Ok(vec![input.latents.mapv(|x| slope * x + 0.1 * x.tanh() + 0.5 * timestep / 1000.0)])
    }
}

fn golden() -> Golden {
    serde_json::from_str(GOLDEN).unwrap_or_else(|error| unreachable!("{error}"))
}

/// Timesteps and final latents of our run of `case`.
fn run(case: &Case, golden: &Golden, fault: Fault) -> (Vec<f64>, Vec<f32>) {
    let sampler = sampler::find(&case.sampler).unwrap_or_else(|| unreachable!("{}", case.sampler));
    let schedule = Schedule::find(&case.schedule).unwrap_or_else(|| unreachable!("{}", case.schedule));
    let Asked { eta, s_noise, s_churn } = case.options;
    let (s_noise, s_churn) = (s_noise.unwrap_or(1.0), s_churn.unwrap_or(0.0));
    let options = Options { eta, s_noise, s_churn, ..Options::default() };
    let plan = Plan { options, ..Plan::new(sampler, schedule, case.steps, Guidance::none()) };
    let [_, channels, h, w] = golden.shape;
    let (mut formula, mut noise) = (Formula { fault, timesteps: vec![] }, Noise::new(&[golden.seed]));
    let start = noise.start([channels, h, w]);
    if fault == Fault::OneDrawTooMany {
        noise.draw([channels, h, w]);
    }
    let start = Start { noise: &start, init: None };
    let latents = sample(&mut formula, &case.config(golden), &plan, start, None, &mut noise);
    let latents = latents.unwrap_or_else(|halt| unreachable!("{halt}"));
    (formula.timesteps, latents.into_iter().collect())
}

#[test]
fn every_run_gives_the_timesteps_and_latents_of_the_reference() {
    let golden = golden();
    let mut wrong = vec![];
    for case in &golden.cases {
        let (timesteps, latents) = run(case, &golden, Fault::None);
        let gap = timesteps.iter().zip(&case.timesteps).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        if timesteps.len() != case.timesteps.len() || gap > TIMESTEP_TOLERANCE {
            wrong.push(format!("{}: timesteps {timesteps:?}, expected {:?}", case.name(), case.timesteps));
        }
        let difference = difference(&latents, &case.latents);
        if latents.len() != case.latents.len() || difference > TOLERANCE {
            wrong.push(format!("{}: latents differ by {difference}", case.name()));
        }
    }
    assert!(wrong.is_empty(), "{} faults of {}\n{}", wrong.len(), golden.cases.len(), wrong.join("\n"));
}

#[test]
fn every_planted_fault_is_caught_in_every_run_where_it_can_show() {
    let golden = golden();
    let mut missed = vec![];
    for fault in [Fault::OtherModel, Fault::NextTimestep, Fault::OneDrawTooMany] {
        // A single call at the first training timestep, where there is hardly any noise, does not feel the timestep.
        let shows = |case: &&Case| match fault {
            Fault::NextTimestep => case.timesteps.len() > 1,
            Fault::OneDrawTooMany => case.draws(),
            _ => true,
        };
        let cases: Vec<_> = golden.cases.iter().filter(shows).collect();
        assert!(cases.len() > 200, "{fault:?} in {} runs", cases.len());
        for case in cases {
            if difference(&run(case, &golden, fault).1, &case.latents) <= TOLERANCE {
                missed.push(format!("{fault:?} in {}", case.name()));
            }
        }
    }
    assert!(missed.is_empty(), "{} missed\n{}", missed.len(), missed.join("\n"));
}
