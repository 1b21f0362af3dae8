//! From the configuration to loaded models, and to the rules that requests are held against.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::{Map, Value, json};

use super::{AppError, Appliance, Refresh};
use crate::config::{Config, ConfigError, Fault};
use crate::job::{Generate, ModelFacts, Origin, Recipe, Request, Rules, Unwatched};
use crate::model::{Cache, Demand, Options, Runtime, Space, is_model, model_folders};
use crate::pipeline::{PARTS, Pipeline, Source};
use crate::service::desk::fresh_seed;

/// Loads the configured models onto the configured accelerator.
pub fn load(config: &Config, file: &Path) -> Result<Pipeline, AppError> {
    load_told(config, file, &|_, _| ())
}

/// As [`load`], and tells how many parts of how many are loaded.
fn load_told(config: &Config, file: &Path, told: &dyn Fn(usize, usize)) -> Result<Pipeline, AppError> {
    let sources = sources(config, file)?;
    let engine = &config.engine;
    warn_of_size(&sources, engine.memory);
    let runtime = Runtime::start(engine.library.as_deref())?;
    let options = Options {
        accelerator: engine.accelerator.clone(),
        graphs: engine.graphs.clone(),
        strict: engine.strict,
        cache: engine.cache.clone().map(Cache::new),
        threads: engine.threads,
        room: None,
        joins: engine.jobs > 1,
        memory: engine.memory,
    };
    let parts = sources.len() * PARTS;
    Ok(Pipeline::load_told(&runtime, options, &sources, Some(&config.models.adapters), &|part| told(part, parts))?)
}

/// A model may be too large and yet load, slowly, where the machine swaps; an operator should know before.
fn warn_of_size(sources: &[Source], memory: Option<u64>) {
    for source in sources {
        if let Some(reason) = Space::of(memory).complaint(&Demand::of(&source.folder)) {
            tracing::warn!(model = source.name, reason, "the model does not fit the memory");
        }
    }
}

/// Other rules whenever the adapters in the store have changed.
fn refresh(pipeline: Arc<Pipeline>, config: Config, file: PathBuf) -> Refresh {
    Box::new(move || {
        let facts = pipeline.refresh()?;
        if let Err(error) = rules(&config, facts.clone(), &file) {
            // Requests that need what is missing are refused one by one, and told so.
            tracing::warn!(%error, "the adapters have changed, and the defaults do not fit any more");
        }
        Some(unchecked(&config, facts))
    })
}

/// The model folders below `models.dir`, the default one first. Names come from this map, never from the network.
fn sources(config: &Config, file: &Path) -> Result<Vec<Source>, ConfigError> {
    let fault = |path: &str, message: String| ConfigError {
        file: file.to_owned(),
        faults: vec![Fault { path: path.to_owned(), message }],
    };
    let dir = config.models.dir.display();
    let folders = model_folders(&config.models.dir)
        .map_err(|error| fault("models.dir", format!("{dir} cannot be read: {error}")))?;
    let source =
        |(name, folder): (String, PathBuf)| (name.clone(), Source { name, folder, safety: config.engine.safety });
    let mut found: BTreeMap<String, Source> =
        folders.into_iter().filter(|(_, folder)| is_model(folder)).map(source).collect();
    let names = found.keys().cloned().collect::<Vec<_>>().join(", ");
    let default = match (&config.models.default, found.len()) {
        (Some(name), _) => found.remove(name).ok_or_else(|| {
            fault("models.default", format!("there is no model {name:?} in {dir}, there is: {names}"))
        })?,
        (None, 0) => {
            return Err(fault(
                "models.dir",
                format!("there is no model in {dir}, a model is a folder with model_index.json"),
            ));
        }
        (None, 1) => return Ok(found.into_values().collect()),
        (None, _) => return Err(fault("models.default", format!("must name one of the models in {dir}: {names}"))),
    };
    Ok(std::iter::once(default).chain(found.into_values()).collect())
}

/// Starts the appliance on loaded models.
pub fn start(config: &Config, pipeline: Pipeline, file: &Path) -> Result<Appliance, AppError> {
    let pipeline = Arc::new(pipeline);
    let rules = rules(config, pipeline.facts(), file)?;
    let refresh = refresh(Arc::clone(&pipeline), config.clone(), file.to_owned());
    Appliance::start(config, rules, pipeline, refresh)
}

/// Connects, loads the models, and serves until `stop` is set. Until the models are there, `state` says `loading`.
pub fn serve(config: &Config, file: &Path, stop: &AtomicBool) -> Result<(), AppError> {
    let mut appliance = Appliance::connect(config)?;
    if let Err(error) = equip(&mut appliance, config, file) {
        appliance.drain()?;
        return Err(error);
    }
    tracing::info!(node = config.node, broker = config.broker.host, "ready");
    appliance.supervise(stop)
}

/// Loads the models and begins to work with them.
fn equip(appliance: &mut Appliance, config: &Config, file: &Path) -> Result<(), AppError> {
    let pipeline = Arc::new(load_told(config, file, &|part, parts| appliance.loading(part, parts))?);
    let rules = rules(config, pipeline.facts(), file)?;
    warm(config, &pipeline, &rules, &|part, parts| appliance.loading(part, parts));
    let refresh = refresh(Arc::clone(&pipeline), config.clone(), file.to_owned());
    appliance.begin(config, rules, pipeline, refresh)
}

/// Makes a picture of one step with every model on an accelerator: engines are built and kernels chosen during the first
/// pass, and nobody should have to wait for that.
fn warm(config: &Config, pipeline: &Pipeline, rules: &Rules, told: &dyn Fn(usize, usize)) {
    if config.engine.is_cpu() {
        return;
    }
    for (number, model) in rules.models.iter().enumerate() {
        told(number, rules.models.len());
        let Value::Object(fields) = json!({"prompt": "", "model": model.name, "steps": 1}) else { continue };
        let recipe = Recipe::from_fields(fields, fresh_seed(), rules).map(|parsed| parsed.recipe);
        let made = recipe
            .map_err(|rejection| rejection.message)
            .and_then(|recipe| pipeline.generate(&recipe, &Unwatched).map_err(|failure| failure.message));
        match made {
            Ok(_) => tracing::info!(model = model.name, "model warmed up"),
            // A model that needs more than a prompt is none the worse for it.
            Err(reason) => tracing::warn!(model = model.name, reason, "the model could not be warmed up"),
        }
    }
}

/// The rules while no model is loaded.
pub(super) fn without_models(config: &Config) -> Rules {
    unchecked(config, Vec::new())
}

/// What requests are held against. The operator's defaults pass the same door as requests.
pub fn rules(config: &Config, models: Vec<ModelFacts>, file: &Path) -> Result<Rules, ConfigError> {
    let rules = unchecked(config, models);
    let Err(rejection) = Request::bare(Origin::Request, &rules) else { return Ok(rules) };
    let field = rejection.field.unwrap_or_default();
    // What the probe itself lacks, such as a depth map, is no fault of the defaults.
    if !config.defaults.contains_key(field.split('.').next().unwrap_or_default()) {
        return Ok(rules);
    }
    let faults = vec![Fault { path: format!("defaults.{field}"), message: rejection.message }];
    Err(ConfigError { file: file.to_owned(), faults })
}

fn unchecked(config: &Config, models: Vec<ModelFacts>) -> Rules {
    let (defaults, shortcut_output) = (config.defaults.clone(), config.image.clone());
    Rules { limits: config.limits.clone(), defaults, shortcut_output, shortcut_defaults: Map::new(), models }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Mode;

    fn fault(text: &str, model: ModelFacts) -> Option<String> {
        let file = Path::new("/etc/diffused/diffused.toml");
        let config = Config::parse(text, file).unwrap();
        rules(&config, vec![model], file).err().map(|error| error.to_string())
    }

    #[test]
    fn defaults_pass_the_door_of_requests() {
        let message = fault("[defaults]\nsampler = 'magic'", ModelFacts::flat(&[Mode::Text])).unwrap();
        assert!(message.ends_with(r#"defaults.sampler: there is no sampler "magic""#), "{message}");
    }

    #[test]
    fn a_model_that_cannot_do_without_a_picture_may_be_the_only_one() {
        let depth = || ModelFacts::flat(&[Mode::Image, Mode::Inpaint, Mode::Depth]);
        assert_eq!(fault("", depth()), None);
        assert!(fault("[defaults]\ninit_fit = 'shrink'", depth()).unwrap().contains("defaults.init_fit"));
    }

    #[test]
    fn what_an_import_is_still_making_is_not_served() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["done", ".new.partial"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join("model_index.json"), "{}").unwrap();
        }
        let file = Path::new("a.toml");
        let config = Config::parse(&format!("[models]\ndir = '{}'", dir.path().display()), file).unwrap();
        let names: Vec<String> = sources(&config, file).unwrap().into_iter().map(|source| source.name).collect();
        assert_eq!(names, ["done"]);
    }
}
