//! A recipe to pictures, by composing the floors below.
//!
//! ```text
//! adapters -> text encoders and U-Net with them in                                    while they are used
//! prompt, negative prompt -> token ids -> embeddings, maybe several over the steps    once a recipe
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
mod preview;
mod sets;
mod start;
mod texts;
mod trace;

#[cfg(test)]
mod adapted;
#[cfg(test)]
mod joined;
#[cfg(test)]
mod previewed;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

pub use self::loaded::PARTS;
pub use self::trace::Trace;

use self::loaded::Loaded;
use self::sets::Sets;
use crate::job::{Code, Failure, Generate, Made, ModelFacts, Recipe, Watch};
use crate::model::{Adapters, Engine, LoadError, Options, Runtime};

/// Loaded models, ready to make pictures. Several threads may share it; their passes take turns on the engine.
pub struct Pipeline {
    models: Vec<Loaded>,
    /// Text encoders and U-Nets with adapters in them.
    sets: Sets,
    store: Option<PathBuf>,
    /// What was in the store when it was looked at last.
    adapters: RwLock<Arc<Adapters>>,
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
    /// Loads models; the first one is the default. `store` is the folder of adapters, which need not be there.
    pub fn load(
        runtime: &Runtime,
        options: Options,
        sources: &[Source],
        store: Option<&Path>,
    ) -> Result<Self, LoadError> {
        Self::load_told(runtime, options, sources, store, &|_| ())
    }

    /// As [`load`](Self::load), and tells how many parts of the models are loaded, of [`PARTS`] each.
    pub fn load_told(
        runtime: &Runtime,
        options: Options,
        sources: &[Source],
        store: Option<&Path>,
        told: &dyn Fn(usize),
    ) -> Result<Self, LoadError> {
        let sets = Sets::new(options.budget());
        let engine = Engine::start(runtime, options)?;
        let adapters = store.map(|store| Adapters::scan(store, &Adapters::default())).unwrap_or_default();
        let load = |(number, source)| {
            let told = |part| told(number * PARTS + part);
            Loaded::load(&engine, source, &sets, &adapters, &told)
        };
        let models = sources.iter().enumerate().map(load).collect::<Result<_, _>>()?;
        Ok(Self { models, sets, store: store.map(Path::to_owned), adapters: RwLock::new(Arc::new(adapters)) })
    }

    /// What requests must know of the models, the default one first.
    pub fn facts(&self) -> Vec<ModelFacts> {
        let adapters = self.adapters();
        self.models.iter().map(|model| model.facts(&adapters)).collect()
    }

    /// Looks at the store again; gives the facts of the models if anything in it has changed.
    pub fn refresh(&self) -> Option<Vec<ModelFacts>> {
        let before = self.adapters();
        let now = Adapters::scan(self.store.as_deref()?, &before);
        if now.is_same_as(&before) {
            return None;
        }
        tracing::info!(adapters = now.entries().len(), "the adapters have changed");
        *self.adapters.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(now);
        Some(self.facts())
    }

    /// Like [`generate`](Generate::generate), and keeps the tensors in between in `trace`.
    pub fn trace(&self, recipe: &Recipe, watch: &dyn Watch, trace: &mut Trace) -> Result<Vec<Made>, Failure> {
        let model = self.models.iter().find(|model| model.name == recipe.model);
        let model = model.ok_or_else(|| Failure::new(Code::Internal, "the model of the job is not loaded any more"))?;
        let set = self.sets.of(model, &self.adapters(), recipe, watch)?;
        run::pictures(model, &set, recipe, watch, trace)
    }

    fn adapters(&self) -> Arc<Adapters> {
        Arc::clone(&self.adapters.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Generate for Pipeline {
    fn generate(&self, recipe: &Recipe, watch: &dyn Watch) -> Result<Vec<Made>, Failure> {
        self.trace(recipe, watch, &mut Trace::off())
    }
}
