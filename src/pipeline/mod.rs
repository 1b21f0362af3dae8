//! A recipe to pictures, by composing the floors below.
//!
//! ```text
//! prompt, negative prompt -> token ids -> embeddings                                  once a recipe
//! init image, mask, depth map -> Canvas (at size) -> Ground (encoded)                 once a recipe
//! seed + k -> noise -> Start -> sampler(U-Net with all of it) -> latents              a batch of pictures
//! latents -> decoder -> safety checker -> pasted into the init image -> picture k     one by one
//! ```

mod run;

mod canvas;
mod fault;
mod loaded;
mod observed;
mod plan;
mod start;
mod trace;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use self::trace::Trace;

use self::loaded::Loaded;
use crate::job::{Code, Failure, Generate, Made, ModelFacts, Recipe, Watch};
use crate::model::{Engine, LoadError, Options, Runtime};

/// Loaded models, ready to make pictures. Several threads may share it; their passes take turns on the engine.
pub struct Pipeline {
    models: Vec<Loaded>,
}

/// A model to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The name under which recipes ask for it.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Whether its safety checker is to look at the pictures, if it has one.
    pub safety: bool,
}

impl Pipeline {
    /// Loads models; the first one is the default.
    pub fn load(runtime: &Runtime, options: Options, sources: &[Source]) -> Result<Self, LoadError> {
        let engine = Engine::start(runtime, options)?;
        let models = sources.iter().map(|source| Loaded::load(&engine, source)).collect::<Result<_, _>>()?;
        Ok(Self { models })
    }

    /// What requests must know of the models, the default one first.
    pub fn facts(&self) -> Vec<ModelFacts> {
        self.models.iter().map(Loaded::facts).collect()
    }

    /// Like [`generate`](Generate::generate), and keeps the tensors in between in `trace`.
    pub fn trace(&self, recipe: &Recipe, watch: &dyn Watch, trace: &mut Trace) -> Result<Vec<Made>, Failure> {
        let model = self.models.iter().find(|model| model.name == recipe.model);
        let model = model.ok_or_else(|| Failure::new(Code::Internal, "the model of the job is not loaded any more"))?;
        run::pictures(model, recipe, watch, trace)
    }
}

impl Generate for Pipeline {
    fn generate(&self, recipe: &Recipe, watch: &dyn Watch) -> Result<Vec<Made>, Failure> {
        self.trace(recipe, watch, &mut Trace::off())
    }
}
