//! The samplers: one file an algorithm, one row a sampler.

mod ddim;
mod ddpm;
mod deis;
mod dpm2;
mod dpm2_ancestral;
mod dpmpp_2m;
mod dpmpp_2m_sde;
mod dpmpp_2s_ancestral;
mod dpmpp_3m_sde;
mod dpmpp_sde;
mod euler;
mod euler_ancestral;
mod heun;
mod lcm;
mod lms;
mod multistep;
mod pndm;
mod restart;
mod step;
mod table;
mod tcd;
mod unipc;

pub(super) use step::renoised;
pub use table::{SAMPLERS, find, of_class, of_config};

use std::fmt;

use super::config::{Solver, Spacing};
use super::walk::Restart;
use super::{Denoise, Halt, Latents, Levels, Noise};

/// The algorithm of a sampler: takes latents at the first level to the last one.
pub type Run = fn(&mut Denoise<'_>, Latents, &Levels, &mut Noise, &Options) -> Result<Latents, Halt>;

/// Of so many steps: how many go straight down, and what the others are for.
pub type Course = fn(usize) -> (usize, Option<Restart>);

/// What a request may change about a sampler, and what the model's configuration says about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Share of fresh noise, 0 to 1; the sampler's own when absent. Samplers without fresh noise ignore it.
    pub eta: Option<f32>,
    /// Factor of all fresh noise; 1 is what the mathematics asks for.
    pub s_noise: f32,
    /// How much noise is put back before each step (Karras et al. 2022, algorithm 2); 0 is none. Samplers without churn
    /// ignore it.
    pub s_churn: f32,
    /// The configuration's own; [`sample`](super::sample) puts it here.
    pub solver: Solver,
}

impl Default for Options {
    fn default() -> Self {
        Self { eta: None, s_noise: 1.0, s_churn: 0.0, solver: Solver::default() }
    }
}

/// A sampler, and what its class in diffusers does in its own way. Two samplers are equal if their names are.
#[derive(Clone, Copy)]
pub struct Sampler {
    /// Its name in requests.
    pub name: &'static str,
    /// The algorithm.
    pub run: Run,
    /// The class in diffusers that it agrees with, empty where there is none.
    pub class: &'static str,
    /// How timesteps are spread where the configuration does not say.
    pub spacing: Spacing,
    /// Whether evenly spread timesteps are rounded to whole numbers.
    pub rounded: bool,
    /// Points that the spread has beyond the number of steps; they would lie at the clean end and are left out.
    pub spare: usize,
    /// Whether each step goes back by the same number of training timesteps, wherever the next one starts.
    pub fixed_stride: bool,
    /// Whether the second step is listed twice, since the first one is done twice.
    pub second_twice: bool,
    /// Whether timesteps are picked from those of a distillation (`original_inference_steps`), whatever their spacing.
    pub distilled: bool,
    /// Whether a run from an init image does all its steps on a shorter way, rather than fewer steps.
    pub shortens: bool,
    /// Whether it heeds [`Options::eta`].
    pub takes_eta: bool,
    /// Whether it heeds [`Options::s_churn`].
    pub churns: bool,
    /// Where a run ends.
    pub ends: Ends,
    /// What is left of the signal (alpha^2) at the last training timestep if the betas are rescaled to leave none.
    pub least_signal: f64,
    /// Whether the class keeps its latents as clean + sigma / alpha * noise. Then its runs start, except with leading
    /// timesteps, from noise without signal, and a run that ends at a level with noise gives latents divided by alpha.
    pub exploding: bool,
    /// Between which levels Karras spacing and the other curves run; `None` where the class has no such option, and then
    /// they are used only if asked for.
    pub karras: Option<Karras>,
    /// Extra reverse work that belongs to it.
    pub restart: Option<Course>,
}

/// Where a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Without noise.
    Clean,
    /// With as little noise as the training has, at its first timestep.
    Least,
    /// Without noise or at the first timestep of the training, as `set_alpha_to_one` in the configuration says, or else as
    /// the class has it.
    SetAlphaToOne(bool),
    /// As `final_sigmas_type` in the configuration says.
    FinalSigmasType,
}

/// Between which levels Karras spacing and the other curves run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Karras {
    /// Between the first and the last level that the run would have anyway.
    OfRun,
    /// The same, with the timesteps of Karras levels rounded for the U-Net.
    OfRunRounded,
    /// Between the first and the last level of the training, with whole timesteps for the U-Net: those of Karras levels
    /// are rounded if the betas are no squared cosine, all others cut off.
    OfTraining,
    /// The same, with those of Karras levels rounded also where the betas are a squared cosine.
    OfTrainingRounded,
}

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sampler({})", self.name)
    }
}

impl PartialEq for Sampler {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Sampler {}

#[cfg(test)]
mod tests;
