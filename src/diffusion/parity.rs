//! Whole runs against diffusers, with a formula in the place of the U-Net.

use super::prediction::Prediction;
use super::sampler::{self, Options};
use super::training::Training;
use super::{
    Guidance, Halt, Init, Input, Latents, Noise, Pass, Plan, Predict, Schedule, SchedulerConfig, Start, sample,
};

/// Made by `tests/golden/schedulers.py`.
const GOLDEN: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/schedulers.json"));

/// Largest difference allowed, relative to the largest value: some tens of float32 roundings over a whole run.
pub(super) const TOLERANCE: f32 = 1e-5;

/// Timesteps are float32 in diffusers, and those of Karras levels come from float32 logarithms.
pub(super) const TIMESTEP_TOLERANCE: f64 = 2e-3;

/// The keys of a configuration.
pub(super) type Keys = serde_json::Map<String, serde_json::Value>;

#[derive(serde::Deserialize)]
struct Golden {
    seed: u64,
    shape: [usize; 4],
    config: Keys,
    cases: Vec<Case>,
}

#[derive(Clone, serde::Deserialize)]
struct Case {
    sampler: String,
    schedule: String,
    steps: usize,
    eta: Option<f32>,
    strength: Option<f64>,
    guidance: Option<f32>,
    s_churn: Option<f32>,
    /// What differs from the configuration that all share.
    config: Keys,
    timesteps: Vec<f64>,
    latents: Vec<f32>,
}

impl Case {
    fn name(&self) -> String {
        let Self { sampler, schedule, steps, eta, strength, guidance, s_churn, config, .. } = self;
        let config = serde_json::Value::Object(config.clone());
        format!(
            "{sampler} {schedule} {steps} eta {eta:?} strength {strength:?} guidance {guidance:?} churn {s_churn:?} {config}"
        )
    }

    fn config(&self, golden: &Golden) -> SchedulerConfig {
        config(&golden.config, &self.config)
    }
}

/// What all configurations share, with what differs in one.
pub(super) fn config(shared: &Keys, own: &Keys) -> SchedulerConfig {
    let mut config = shared.clone();
    config.extend(own.clone());
    let text = serde_json::Value::Object(config).to_string();
    SchedulerConfig::parse(&text).unwrap_or_else(|error| unreachable!("{error}"))
}

/// A mistake that a program like this one might make.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    OtherModel,
    NextTimestep,
    SwappedAlphaAndSigma,
    UnscaledInput,
    WrongSignOfGuidance,
    OneDrawTooMany,
}

/// The formula of the script, a fault in how it is called, and a record of what it was asked.
struct Formula {
    fault: Fault,
    prediction: Prediction,
    training: Training,
    timesteps: Vec<f64>,
    step: usize,
}

impl Formula {
    fn output(&self, x: &Latents, timestep: f64, pass: Pass) -> Latents {
        let conditional = (pass == Pass::Unconditional) == (self.fault == Fault::WrongSignOfGuidance);
        let slope = if self.fault == Fault::OtherModel { 0.31 } else { 0.3 } - if conditional { 0.0 } else { 0.03 };
        let ramp = 0.5 * timestep as f32 / 1000.0;
        x.mapv(|x| slope * x + 0.1 * x.tanh() + ramp)
    }
}

impl Predict for Formula {
    fn predict(&mut self, input: Input<'_>, passes: &[Pass]) -> Result<Vec<Latents>, Halt> {
        assert!(input.step == self.step || input.step == self.step + 1, "{} after {}", input.step, self.step);
        self.step = input.step;
        self.timesteps.push(input.timestep);
        let level = self.training.at(input.timestep);
        let (mut latents, mut timestep) = (input.latents.clone(), input.timestep);
        match self.fault {
            Fault::NextTimestep => timestep += 1.0,
            Fault::UnscaledInput => latents /= level.alpha() as f32,
            _ => {}
        }
        let mut outputs: Vec<_> = passes.iter().map(|pass| self.output(&latents, timestep, *pass)).collect();
        if self.fault == Fault::SwappedAlphaAndSigma {
            let swapped = super::NoiseLevel::new(level.sigma().powi(2), timestep);
            for output in &mut outputs {
                let clean = self.prediction.clean(output.clone(), &latents, &swapped);
                *output = self.prediction.output(clean, &latents, &level);
            }
        }
        Ok(outputs)
    }
}

fn golden() -> Golden {
    serde_json::from_str(GOLDEN).unwrap_or_else(|error| unreachable!("{error}"))
}

/// Timesteps and final latents of our run of `case`.
fn run(case: &Case, golden: &Golden, fault: Fault) -> (Vec<f64>, Vec<f32>) {
    let config = case.config(golden);
    let sampler = sampler::find(&case.sampler).unwrap_or_else(|| unreachable!("{}", case.sampler));
    let schedule = Schedule::find(&case.schedule).unwrap_or_else(|| unreachable!("{}", case.schedule));
    let options = Options { eta: case.eta, s_churn: case.s_churn.unwrap_or(0.0), ..Options::default() };
    let guidance = Guidance::of_scale(case.guidance.unwrap_or(1.0));
    let plan = Plan { options, ..Plan::new(sampler, schedule, case.steps, guidance) };
    let [_, channels, h, w] = golden.shape;
    let training = Training::new(&config, sampler.least_signal);
    let mut formula = Formula { fault, prediction: config.prediction_type, training, timesteps: vec![], step: 0 };
    let mut noise = Noise::new(&[golden.seed]);
    let start = noise.draw([channels, h, w]);
    if fault == Fault::OneDrawTooMany {
        noise.draw([channels, h, w]);
    }
    let init = 0.8 * Noise::new(&[golden.seed + 1]).draw([channels, h, w]);
    let init = case.strength.map(|strength| Init { latents: &init, strength, mask: None });
    let latents = sample(&mut formula, &config, &plan, Start { noise: &start, init }, None, &mut noise);
    let latents = latents.unwrap_or_else(|halt| unreachable!("{halt}"));
    (formula.timesteps, latents.into_iter().collect())
}

/// Largest difference relative to the largest value, at least 1; infinite where a value is no number.
pub(super) fn difference(ours: &[f32], theirs: &[f32]) -> f32 {
    let size = theirs.iter().fold(1.0f32, |most, value| most.max(value.abs()));
    let gap = |(a, b): (&f32, &f32)| if (a - b).is_nan() { f32::INFINITY } else { (a - b).abs() / size };
    ours.iter().zip(theirs).map(gap).fold(0.0, f32::max)
}

#[test]
fn every_run_gives_the_timesteps_and_latents_of_diffusers() {
    let golden = golden();
    let mut wrong = vec![];
    for case in &golden.cases {
        let (timesteps, latents) = run(case, &golden, Fault::None);
        let gaps = timesteps.iter().zip(&case.timesteps).map(|(a, b)| (a - b).abs());
        let gap = gaps.fold(0.0, f64::max);
        if timesteps.len() != case.timesteps.len() || gap > TIMESTEP_TOLERANCE {
            wrong.push(format!("{}: timesteps {timesteps:?}, expected {:?}", case.name(), case.timesteps));
        }
        let difference = difference(&latents, &case.latents);
        if latents.len() != case.latents.len() || difference > TOLERANCE {
            wrong.push(format!("{}: latents differ by {difference}", case.name()));
        }
    }
    assert!(wrong.is_empty(), "{} faults\n{}", wrong.len(), wrong.join("\n"));
}

/// Whether a fault can show in that case at all.
fn shows(fault: Fault, case: &Case) -> bool {
    let sampler = sampler::find(&case.sampler).unwrap_or_else(|| unreachable!("{}", case.sampler));
    // From the first training timestep to itself: such a run does nothing.
    let idle = case.sampler == "pndm" && case.timesteps == [0.0];
    // At the first training timesteps there is so little noise that it hardly matters what the model is told about it.
    let short = case.timesteps.len() == 1;
    !idle
        && match fault {
            Fault::NextTimestep => !short,
            Fault::SwappedAlphaAndSigma => case.config.get("prediction_type").is_none_or(|kind| kind != "sample"),
            Fault::UnscaledInput => sampler.exploding && !short,
            Fault::WrongSignOfGuidance => case.guidance.is_some(),
            Fault::OneDrawTooMany => draws(case),
            _ => true,
        }
}

#[test]
fn nothing_is_done_to_an_init_image_at_strength_0() {
    let golden = golden();
    for case in golden.cases.iter().filter(|case| case.strength.is_some()) {
        let [_, channels, h, w] = golden.shape;
        let init = 0.8 * Noise::new(&[golden.seed + 1]).draw([channels, h, w]);
        let untouched = Case { strength: Some(0.0), ..case.clone() };
        assert_eq!(run(&untouched, &golden, Fault::None), (vec![], init.into_iter().collect()), "{}", case.name());
    }
}

/// Some classes of diffusers do not know `rescale_betas_zero_snr`, and there is nothing to compare with.
#[test]
fn every_sampler_runs_with_every_schedule_where_the_model_leaves_no_signal() {
    let golden = golden();
    let config = serde_json::json!({"prediction_type": "v_prediction", "rescale_betas_zero_snr": true,
        "timestep_spacing": "trailing"});
    for sampler in sampler::SAMPLERS {
        for schedule in Schedule::ALL {
            let mut case = golden.cases[0].clone();
            case.config = config.as_object().cloned().unwrap_or_default();
            (case.sampler, case.schedule, case.steps) = (sampler.name.into(), schedule.name().into(), 10);
            let (timesteps, latents) = run(&case, &golden, Fault::None);
            assert!(timesteps.iter().all(|t| t.is_finite()), "{}: {timesteps:?}", case.name());
            assert!(latents.iter().all(|x| x.abs() < 1e3), "{}: {latents:?}", case.name());
        }
    }
}

/// Whether noise is drawn between the steps.
fn draws(case: &Case) -> bool {
    let eta = match case.sampler.as_str() {
        "euler_ancestral" | "ddpm" | "lcm" => 1.0,
        "tcd" => case.eta.unwrap_or(0.3),
        "ddim" => case.eta.unwrap_or(0.0),
        _ => case.s_churn.unwrap_or(0.0),
    };
    eta > 0.0 && case.timesteps.len() > 1
}

#[test]
fn every_planted_fault_is_caught_in_every_run_where_it_can_show() {
    use Fault::{NextTimestep, OneDrawTooMany, OtherModel, SwappedAlphaAndSigma, UnscaledInput, WrongSignOfGuidance};
    let golden = golden();
    let mut missed = vec![];
    for fault in [OtherModel, NextTimestep, SwappedAlphaAndSigma, UnscaledInput, WrongSignOfGuidance, OneDrawTooMany] {
        let cases: Vec<_> = golden.cases.iter().filter(|case| shows(fault, case)).collect();
        assert!(cases.len() >= 10, "{fault:?} in {} runs", cases.len());
        for case in cases {
            let (_, latents) = run(case, &golden, fault);
            if difference(&latents, &case.latents) <= TOLERANCE {
                missed.push(format!("{fault:?} in {}", case.name()));
            }
        }
    }
    assert!(missed.is_empty(), "{} missed\n{}", missed.len(), missed.join("\n"));
}
