//! From the configuration to loaded models, and to the rules that requests are held against.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use super::AppError;
use crate::config::{Config, ConfigError, Fault};
use crate::job::request::Arrival;
use crate::job::units::{Client, JobId};
use crate::job::{ModelFacts, Origin, Request, Rules};
use crate::model::{Options, Runtime};
use crate::pipeline::{Pipeline, Source};

/// Loads the configured models onto the configured accelerator.
pub fn load(config: &Config, file: &Path) -> Result<Pipeline, AppError> {
    let sources = sources(config, file)?;
    let runtime = Runtime::start(config.engine.library.as_deref())?;
    let options = Options { accelerator: config.engine.accelerator, threads: config.engine.threads };
    Ok(Pipeline::load(&runtime, options, &sources)?)
}

/// The model folders below `models.dir`, the default one first. Names come from this map, never from the network.
fn sources(config: &Config, file: &Path) -> Result<Vec<Source>, ConfigError> {
    let fault = |path: &str, message: String| ConfigError {
        file: file.to_owned(),
        faults: vec![Fault { path: path.to_owned(), message }],
    };
    let dir = config.models.dir.display();
    let entries = std::fs::read_dir(&config.models.dir)
        .map_err(|error| fault("models.dir", format!("{dir} cannot be read: {error}")))?;
    let mut found: BTreeMap<String, Source> = entries
        .flatten()
        .filter(|entry| entry.path().join("model_index.json").is_file())
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some((name.clone(), Source { name, folder: entry.path() }))
        })
        .collect();
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

/// What requests are held against. The operator's defaults pass the same door as requests.
pub fn rules(config: &Config, models: Vec<ModelFacts>, file: &Path) -> Result<Rules, ConfigError> {
    let rules = Rules {
        limits: config.limits.clone(),
        defaults: config.defaults.clone(),
        shortcut_output: config.image.clone(),
        models,
    };
    let probe = Arrival {
        client: Client::shortcut(),
        origin: Origin::Request,
        payload: b"probe",
        time: SystemTime::UNIX_EPOCH,
        correlation: None,
        expiry: None,
        fresh_id: JobId::random([0; 16]),
        fresh_seed: 0_u32.into(),
    };
    Request::parse(&probe, &rules).map_err(|refused| {
        let path = refused.rejection.field.map_or_else(|| "defaults".to_owned(), |field| format!("defaults.{field}"));
        let faults = vec![Fault { path, message: refused.rejection.message }];
        ConfigError { file: file.to_owned(), faults }
    })?;
    Ok(rules)
}
