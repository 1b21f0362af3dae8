//! The one seam of the house: who makes pictures, and who looks on while they are made.

use std::time::Duration;

use super::outcome::{Failure, Stop};
use super::recipe::Recipe;
use super::units::Seed;
use crate::picture::Picture;

/// Makes the pictures of a recipe. Implemented by the pipeline, and by fakes in tests.
pub trait Generate: Send + Sync {
    /// Makes `recipe.count` pictures; picture k uses seed + k.
    ///
    /// Asks `watch` before each stage and step whether to go on, and returns [`Failure::stopped`] when told to stop.
    fn generate(&self, recipe: &Recipe, watch: &dyn Watch) -> Result<Vec<Made>, Failure>;
}

/// Looks on while pictures are made.
pub trait Watch: Sync {
    /// Work moved forward: a new stage or a new step begins.
    fn progress(&self, progress: Progress);

    /// A pass of a graph came back: proof of life for the watchdog.
    fn heartbeat(&self);

    /// A pass of a graph took so long in the accelerator's library, without the copies before and after. The graph bears the
    /// name of its folder in the model, such as `unet`. It was a pass of so many callers at the same time.
    fn passed(&self, _graph: &str, _ran: Duration, _callers: usize) {}

    /// The reason to stop, once there is one. Asked often, also while a pass of a graph is running.
    fn stop(&self) -> Option<Stop>;

    /// Whether to show picture `k` as the sampler sees it in this step, counted from 1. Asked once a step and picture.
    fn wants_preview(&self, _k: usize, _step: usize) -> bool {
        false
    }

    /// Picture `k` as the sampler sees it in this step: what comes out if it is right, small or large.
    fn preview(&self, _k: usize, _step: usize, _picture: Picture) {}
}

/// Nobody looks on, and nothing stops the work.
#[derive(Clone, Copy, Debug)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn progress(&self, _: Progress) {}

    fn heartbeat(&self) {}

    fn stop(&self) -> Option<Stop> {
        None
    }
}

/// A finished picture and the seed that gives it again.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// Its pixels.
    pub picture: Picture,
    /// The seed that was used for it.
    pub seed: Seed,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Denoising steps done, 0 to `steps`.
    pub step: usize,
    /// Denoising steps of a run: fewer than asked for with an init image, more with extra reverse work.
    pub steps: usize,
    /// Index of the picture within the request.
    pub k: usize,
}

/// The stages of a job, as the contract names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Graphs are being loaded.
    Load,
    /// The text encoder runs.
    Text,
    /// The init image is encoded.
    Encode,
    /// The sampler runs.
    Denoise,
    /// The latents are decoded.
    Decode,
    /// The picture is being encoded and handed over.
    Publish,
}

impl Stage {
    /// All of them, in the order of a job.
    pub const ALL: [Self; 6] = [Self::Load, Self::Text, Self::Encode, Self::Denoise, Self::Decode, Self::Publish];

    /// The contract's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Text => "text",
            Self::Encode => "encode",
            Self::Denoise => "denoise",
            Self::Decode => "decode",
            Self::Publish => "publish",
        }
    }
}
