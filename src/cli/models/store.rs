//! The models of a folder by their names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::cli::{CliError, bundled};
use crate::config::Config;
use crate::model::{Space, Survey, model_folders};

const DEFAULT_CONFIG: &str = "/etc/diffused/diffused.toml";

/// Where the models are if nothing says otherwise.
const DEFAULT_MODELS: &str = "/var/lib/diffused/models";

/// Where the models are.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// Where the models are [default: as the configuration says]
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

impl Place {
    /// The folder that is named, else the configuration's; without a configuration in its usual place, the service's own.
    pub(super) fn dir(&self) -> Result<PathBuf, CliError> {
        match &self.models {
            Some(models) => Ok(models.clone()),
            None => Ok(self.config()?.map_or_else(|| DEFAULT_MODELS.into(), |config| config.models.dir)),
        }
    }

    /// The configuration, if one is named, or if one is in its usual place and no folder is named.
    fn config(&self) -> Result<Option<Config>, CliError> {
        let is_usual = self.config.as_os_str() == DEFAULT_CONFIG;
        match is_usual && (self.models.is_some() || !self.config.exists()) {
            true => Ok(None),
            false => Ok(Some(Config::load(&self.config)?)),
        }
    }
}

/// The models of a folder.
pub(super) struct Store {
    pub(super) dir: PathBuf,
    /// What there is for their graphs.
    pub(super) space: Space,
    default: Option<String>,
    adapters: Option<PathBuf>,
    /// Folders by their names.
    folders: BTreeMap<String, PathBuf>,
}

impl Store {
    pub(super) fn open(place: &Place) -> Result<Self, CliError> {
        let (dir, config) = (place.dir()?, place.config()?);
        let folders = model_folders(&dir)
            .map_err(|error| CliError::Io(format!("the models' folder {} cannot be read: {error}", dir.display())))?;
        let only = folders.keys().next().filter(|_| folders.len() == 1);
        Ok(Self {
            space: Space::of(config.as_ref().and_then(|config| config.engine.memory)),
            default: config.as_ref().and_then(|config| config.models.default.clone()).or_else(|| only.cloned()),
            adapters: config.map(|config| config.models.adapters),
            folders,
            dir,
        })
    }

    /// All models.
    pub(super) fn models(&self) -> impl Iterator<Item = Model<'_>> {
        self.folders.iter().map(|(name, folder)| Model {
            name,
            folder,
            is_default: self.default.as_ref() == Some(name),
        })
    }

    /// The model of that name.
    pub(super) fn find(&self, name: &str) -> Result<Model<'_>, CliError> {
        self.models().find(|model| model.name == name).ok_or_else(|| {
            let names = self.folders.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let names = if names.is_empty() { "none".to_owned() } else { names };
            CliError::Usage(format!("there is no model {name:?} in {}, there is: {names}", self.dir.display()))
        })
    }

    /// Where a model's adapters are.
    pub(super) fn adapters(&self, model: &Model<'_>) -> PathBuf {
        self.adapters.clone().unwrap_or_else(|| bundled::adapters(model.folder))
    }

    /// What stands in the log if the graphs do not fit the memory.
    pub(super) fn warn_of(&self, name: &str, survey: &Survey) {
        if let Some(reason) = self.space.complaint(&survey.demand()) {
            tracing::warn!(model = name, reason, "the model does not fit the memory");
        }
    }
}

/// A model's folder, which may be unfit.
pub(super) struct Model<'a> {
    pub(super) name: &'a str,
    pub(super) folder: &'a Path,
    pub(super) is_default: bool,
}

impl Model<'_> {
    /// Bytes of its files.
    pub(super) fn bytes(&self) -> u64 {
        bytes(self.folder)
    }

    /// What programs are told of it.
    pub(super) fn told(&self, survey: &Survey, space: &Space) -> Map<String, Value> {
        let (folder, demand) = (&survey.folder, survey.demand());
        let (defaults, size) = (&folder.defaults, survey.fixed_size.unwrap_or(folder.defaults.size));
        let modes: Vec<&str> = folder.modes().iter().map(|mode| mode.name()).collect();
        let memory = json!({
            "weights_bytes": demand.all, "largest_bytes": demand.largest, "fits": space.takes(&demand).name(),
        });
        let told = json!({
            "name": self.name, "default": self.is_default, "folder": self.folder.to_string_lossy(),
            "bytes": self.bytes(), "family": folder.family.name(), "precision": survey.precision, "modes": modes,
            "width": size.width(), "height": size.height(), "fixed_size": survey.fixed_size.is_some(),
            "steps": defaults.steps.get(), "guidance": defaults.guidance.name(),
            "guidance_scale": defaults.guidance_scale.get(), "sampler": defaults.sampler.name, "memory": memory,
        });
        if let Value::Object(told) = told { told } else { Map::new() }
    }

    /// The same for one that cannot be used.
    pub(super) fn faulty(&self, fault: &dyn std::fmt::Display) -> Value {
        json!({
            "name": self.name, "default": self.is_default, "folder": self.folder.to_string_lossy(),
            "bytes": self.bytes(), "fault": fault.to_string(),
        })
    }
}

/// Bytes of all files below a folder, also of those that it links to.
fn bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let of_entry = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => bytes(&entry.path()),
        _ => fs::metadata(entry.path()).ok().filter(fs::Metadata::is_file).map_or(0, |found| found.len()),
    };
    entries.map(of_entry).sum()
}
