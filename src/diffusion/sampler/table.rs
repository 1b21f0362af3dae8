//! The table of the samplers: one row a sampler.

use super::{Ends, Karras, Sampler};
use super::{
    ddim, ddpm, deis, dpm2, dpm2_ancestral, dpmpp_2m, dpmpp_2m_sde, dpmpp_2s_ancestral, dpmpp_3m_sde, dpmpp_sde, euler,
    euler_ancestral, heun, lcm, lms, pndm, restart, tcd, unipc,
};
use crate::diffusion::config::{SchedulerConfig, Spacing};

/// All samplers. To add one: a file beside this one, a row here, and a row in `tests/golden/schedulers.py`.
pub static SAMPLERS: &[Sampler] = &[
    Sampler { name: "ddim", takes_eta: true, run: ddim::ddim, class: "DDIMScheduler", ..DDIM },
    Sampler { name: "euler", churns: true, run: euler::euler, class: "EulerDiscreteScheduler", ..EULER },
    Sampler {
        name: "euler_ancestral",
        takes_eta: true,
        run: euler_ancestral::euler_ancestral,
        class: "EulerAncestralDiscreteScheduler",
        karras: None,
        ends: Ends::Clean,
        ..EULER
    },
    Sampler { name: "dpmpp_2m", run: dpmpp_2m::dpmpp_2m, class: DPM_CLASS, ..DPM },
    Sampler { name: "ddpm", run: ddpm::ddpm, class: "DDPMScheduler", fixed_stride: false, ends: Ends::Clean, ..DDIM },
    Sampler {
        name: "pndm",
        run: pndm::pndm,
        class: "PNDMScheduler",
        second_twice: true,
        ends: Ends::SetAlphaToOne(false),
        ..DDIM
    },
    Sampler { name: "lms", run: lms::lms, class: "LMSDiscreteScheduler", ends: Ends::Clean, ..EULER },
    Sampler { name: "heun", churns: true, run: heun::heun, class: "HeunDiscreteScheduler", ends: Ends::Clean, ..EULER },
    Sampler {
        name: "dpm2",
        churns: true,
        run: dpm2::dpm2,
        class: "KDPM2DiscreteScheduler",
        ends: Ends::Clean,
        karras: Some(Karras::OfRunRounded),
        ..EULER
    },
    Sampler {
        name: "deis",
        run: deis::deis,
        class: "DEISMultistepScheduler",
        ends: Ends::Least,
        karras: Some(Karras::OfTrainingRounded),
        ..DPM
    },
    Sampler {
        name: "unipc",
        run: unipc::unipc,
        class: "UniPCMultistepScheduler",
        karras: Some(Karras::OfTrainingRounded),
        ..DPM
    },
    Sampler { name: "lcm", run: lcm::lcm, class: "LCMScheduler", shortens: true, ends: Ends::Clean, ..DISTILLED },
    Sampler { name: "tcd", takes_eta: true, run: tcd::tcd, class: "TCDScheduler", ends: Ends::Least, ..DISTILLED },
    Sampler {
        name: "dpm2_ancestral",
        takes_eta: true,
        run: dpm2_ancestral::dpm2_ancestral,
        class: "KDPM2AncestralDiscreteScheduler",
        ends: Ends::Clean,
        karras: Some(Karras::OfRunRounded),
        ..EULER
    },
    Sampler { name: "dpmpp_2m_sde", takes_eta: true, run: dpmpp_2m_sde::dpmpp_2m_sde, class: DPM_CLASS, ..DPM },
    Sampler {
        name: "dpmpp_sde",
        takes_eta: true,
        run: dpmpp_sde::dpmpp_sde,
        class: "DPMSolverSDEScheduler",
        ends: Ends::Clean,
        ..EULER
    },
    Sampler {
        name: "restart",
        churns: true,
        run: heun::heun,
        ends: Ends::Clean,
        restart: Some(restart::usual),
        ..EULER
    },
    // Of k-diffusion alone, with its levels, which are those of diffusers' Euler.
    Sampler {
        name: "dpmpp_2s_ancestral",
        takes_eta: true,
        run: dpmpp_2s_ancestral::dpmpp_2s_ancestral,
        ends: Ends::Clean,
        ..EULER
    },
    Sampler { name: "dpmpp_3m_sde", takes_eta: true, run: dpmpp_3m_sde::dpmpp_3m_sde, ends: Ends::Clean, ..EULER },
];

/// The one class of diffusers that stands for two samplers here.
const DPM_CLASS: &str = "DPMSolverMultistepScheduler";

/// The sampler of that name; `plms` is another name of `pndm`.
pub fn find(name: &str) -> Option<&'static Sampler> {
    let name = if name == "plms" { "pndm" } else { name };
    SAMPLERS.iter().find(|sampler| sampler.name == name)
}

/// The sampler that stands for a diffusers scheduler class (`_class_name` in a scheduler's configuration).
pub fn of_class(class: &str) -> Option<&'static Sampler> {
    SAMPLERS.iter().find(|sampler| sampler.class == class && !class.is_empty())
}

/// The sampler that a model's makers chose; DDIM where they say nothing.
///
/// There is none for `DPMSolverSinglestepScheduler`: it spends the calls of a run in groups of one to three and has no
/// counterpart here, and pictures of the nearest, `dpmpp_2m`, would be other ones.
pub fn of_config(config: &SchedulerConfig) -> Option<&'static Sampler> {
    match config.class_name.as_deref() {
        Some(DPM_CLASS) if config.solver.stochastic => find("dpmpp_2m_sde"),
        class => of_class(class.unwrap_or("DDIMScheduler")),
    }
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
    second_twice: false,
    distilled: false,
    shortens: false,
    takes_eta: false,
    churns: false,
    ends: Ends::SetAlphaToOne(true),
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

/// What rows of consistency models share.
const DISTILLED: Sampler = Sampler { fixed_stride: false, distilled: true, ..DDIM };
