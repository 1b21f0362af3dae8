//! The samplers: one file an algorithm, one row a sampler.

mod ddim;
mod dpmpp_2m;
mod euler;
mod euler_ancestral;
mod step;

use std::fmt;

use super::config::Spacing;
use super::walk::Restart;
use super::{Denoise, Halt, Latents, Levels, Noise};

/// All samplers. To add one: a file beside this one, a row here, and a row in `tests/golden/schedulers.py`.
pub static SAMPLERS: &[Sampler] = &[
    Sampler { name: "ddim", run: ddim::ddim, class: "DDIMScheduler", ..DDIM },
    Sampler { name: "euler", run: euler::euler, class: "EulerDiscreteScheduler", ..EULER },
    Sampler {
        name: "euler_ancestral",
        run: euler_ancestral::euler_ancestral,
        class: "EulerAncestralDiscreteScheduler",
        karras: None,
        ends: Ends::Clean,
        ..EULER
    },
    Sampler { name: "dpmpp_2m", run: dpmpp_2m::dpmpp_2m, class: "DPMSolverMultistepScheduler", ..DPM },
];

/// The sampler of that name.
pub fn find(name: &str) -> Option<&'static Sampler> {
    SAMPLERS.iter().find(|sampler| sampler.name == name)
}

/// The sampler that stands for a diffusers scheduler class (`_class_name` in a scheduler's configuration).
///
/// `PNDMScheduler`, which Stable Diffusion v1 names, gives `ddim` until there is a sampler of its own: it solves the same
/// equation, so at usual step counts the pictures are alike but not equal.
pub fn of_class(class: &str) -> Option<&'static Sampler> {
    let class = if class == "PNDMScheduler" { "DDIMScheduler" } else { class };
    SAMPLERS.iter().find(|sampler| sampler.class == class)
}

/// The algorithm of a sampler: takes latents at the first level to the last one.
pub type Run = fn(&mut Denoise<'_>, Latents, &Levels, &mut Noise, &Options) -> Result<Latents, Halt>;

/// What a request may change about a sampler.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Share of fresh noise, 0 to 1; the sampler's own when absent. Samplers without fresh noise ignore it.
    pub eta: Option<f32>,
    /// Factor of all fresh noise; 1 is what the mathematics asks for.
    pub s_noise: f32,
    /// How much noise is put back before each step (Karras et al. 2022, algorithm 2); 0 is none. Samplers without churn
    /// ignore it.
    pub s_churn: f32,
}

impl Default for Options {
    fn default() -> Self {
        Self { eta: None, s_noise: 1.0, s_churn: 0.0 }
    }
}

/// A sampler, and what its class in diffusers does in its own way. Two samplers are equal if their names are.
#[derive(Clone, Copy)]
pub struct Sampler {
    /// Its name in requests.
    pub name: &'static str,
    /// The algorithm.
    pub run: Run,
    /// The class in diffusers that it agrees with.
    pub class: &'static str,
    /// How timesteps are spread where the configuration does not say.
    pub spacing: Spacing,
    /// Whether evenly spread timesteps are rounded to whole numbers.
    pub rounded: bool,
    /// Points that the spread has beyond the number of steps; they would lie at the clean end and are left out.
    pub spare: usize,
    /// Whether each step goes back by the same number of training timesteps, wherever the next one starts.
    pub fixed_stride: bool,
    /// Where a run ends.
    pub ends: Ends,
    /// What is left of the signal (alpha^2) at the last training timestep if the betas are rescaled to leave none.
    pub least_signal: f64,
    /// Whether the class keeps its latents as clean + sigma / alpha * noise. Then its runs start, except with leading
    /// timesteps, from noise without signal, and a run that ends at a level with noise gives latents divided by alpha.
    pub exploding: bool,
    /// Between which levels Karras spacing runs; `None` where the class has no such option, and then it is used only if
    /// asked for.
    pub karras: Option<Karras>,
    /// Extra reverse work that belongs to it, for a run of so many steps.
    pub restart: Option<fn(usize) -> Option<Restart>>,
}

/// Where a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Without noise.
    Clean,
    /// As `set_alpha_to_one` in the configuration says.
    SetAlphaToOne,
    /// As `final_sigmas_type` in the configuration says.
    FinalSigmasType,
}

/// Between which levels Karras spacing runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Karras {
    /// Between the first and the last level that the run would have anyway.
    OfRun,
    /// Between the first and the last level of the training, with timesteps rounded for the U-Net.
    OfTraining,
}

/// What rows of DDIM's kind share.
const DDIM: Sampler = Sampler {
    name: "",
    run: ddim::ddim,
    class: "",
    spacing: Spacing::Leading,
    rounded: true,
    spare: 0,
    fixed_stride: true,
    ends: Ends::SetAlphaToOne,
    least_signal: 0.0,
    exploding: false,
    karras: None,
    restart: None,
};

/// What rows of Euler's kind share.
const EULER: Sampler = Sampler {
    run: euler::euler,
    spacing: Spacing::Linspace,
    rounded: false,
    fixed_stride: false,
    ends: Ends::FinalSigmasType,
    least_signal: 1.0 / (1 << 24) as f64,
    exploding: true,
    karras: Some(Karras::OfRun),
    ..DDIM
};

/// What rows of DPM-Solver's kind share.
const DPM: Sampler = Sampler { rounded: true, spare: 1, exploding: false, karras: Some(Karras::OfTraining), ..EULER };

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
mod tests {
    use super::*;

    #[test]
    fn every_sampler_is_found_by_its_name_and_by_its_class() {
        for sampler in SAMPLERS {
            assert_eq!(find(sampler.name), Some(sampler));
            assert_eq!(of_class(sampler.class), Some(sampler));
        }
    }

    #[test]
    fn pndm_is_ddim_and_what_is_unknown_is_nothing() {
        assert_eq!(of_class("PNDMScheduler"), find("ddim"));
        assert_eq!(of_class("UniPCMultistepScheduler"), None);
        assert_eq!(find("Euler"), None);
    }
}
