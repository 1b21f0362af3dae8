//! `diffused models`: the model folders.

use std::path::PathBuf;

use super::generate::say;
use super::{CliError, log};
use crate::config::Config;
use crate::model;
use crate::model::import::{self, ImportError, Order, Precision, Prediction};

/// Make and look at model folders
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Import(Import),
    Prepare(Prepare),
}

/// Make a model folder from a checkpoint
#[derive(Debug, clap::Args)]
struct Import {
    /// A .safetensors file in the original layout, or a folder of diffusers' .safetensors files
    #[arg(value_name = "FILE")]
    weights: PathBuf,
    /// The name of the new model
    #[arg(long)]
    name: String,
    /// Whose graphs to use: sd1, sd1-inpaint, sd2, sdxl, or an exported model's folder or name [default: told by the keys]
    #[arg(long, value_name = "TEMPLATE")]
    like: Option<String>,
    /// How to store the weights: fp16 or fp32 [default: as the file]
    #[arg(long, value_name = "TYPE", value_parser = precision)]
    dtype: Option<Precision>,
    /// What the U-Net's output stands for: epsilon or v_prediction [default: told by the file, else v_prediction for sd2]
    #[arg(long, value_name = "TYPE", value_parser = prediction)]
    prediction_type: Option<Prediction>,
    /// Where the models are [default: as the configuration says]
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

/// Make of a model folder what makes it faster, beside what is there
#[derive(Debug, clap::Args)]
struct Prepare {
    /// The model's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Cut the U-Net in two, so that steps can reuse what its deep layers made before
    #[arg(long, required = true)]
    reuse: bool,
    /// How many layers of the way up run in every step [default: those of the last block]
    #[arg(long, value_name = "LAYERS")]
    cut: Option<usize>,
}

const DEFAULT_CONFIG: &str = "/etc/diffused/diffused.toml";

/// Where the models are if nothing says otherwise.
const DEFAULT_MODELS: &str = "/var/lib/diffused/models";

fn precision(text: &str) -> Result<Precision, String> {
    match text {
        "fp32" => Ok(Precision::Fp32),
        "fp16" => Ok(Precision::Fp16),
        other => Err(format!("must be fp16 or fp32, got {other}")),
    }
}

fn prediction(text: &str) -> Result<Prediction, String> {
    [Prediction::Epsilon, Prediction::V]
        .into_iter()
        .find(|known| known.name() == text)
        .ok_or_else(|| format!("must be epsilon or v_prediction, got {text}"))
}

/// Does what is asked.
pub fn run(args: &Args) -> Result<(), CliError> {
    log::quiet();
    match &args.what {
        What::Import(import) => import.run(),
        What::Prepare(prepare) => prepare.run(),
    }
}

impl Import {
    fn run(&self) -> Result<(), CliError> {
        let order = Order {
            weights: self.weights.clone(),
            like: self.like.clone(),
            name: self.name.clone(),
            precision: self.dtype,
            prediction: self.prediction_type,
            models: self.models()?,
        };
        let report = import::import(&order)?;
        if let Some(first) = report.unknown.first() {
            let count = report.unknown.len();
            tracing::warn!("{count} tensors of the checkpoint are unknown and left out, the first is {first}");
        }
        let prediction = report.prediction.map(|prediction| format!(", {}", prediction.name())).unwrap_or_default();
        say(&format!(
            "{}: {} weights like {}{prediction}, {} tensors not needed",
            report.folder.display(),
            report.weights,
            report.like,
            report.ignored
        ))
    }

    /// The folder that is named, else the configuration's; without a configuration in its usual place, the service's own.
    fn models(&self) -> Result<PathBuf, CliError> {
        match &self.models {
            Some(models) => Ok(models.clone()),
            None if self.config.as_os_str() == DEFAULT_CONFIG && !self.config.exists() => Ok(DEFAULT_MODELS.into()),
            None => Ok(Config::load(&self.config)?.models.dir),
        }
    }
}

impl Prepare {
    fn run(&self) -> Result<(), CliError> {
        let cut = model::prepare(&self.folder, self.cut)?;
        let share = 100.0 * cut.bytes as f64 / cut.all.max(1) as f64;
        say(&format!(
            "{}: {} of {} layers of the way up run in every step, with {share:.1} % of the U-Net's weights",
            self.folder.display(),
            cut.layers,
            cut.of
        ))
    }
}

impl From<ImportError> for CliError {
    fn from(error: ImportError) -> Self {
        let sentence = error.to_string();
        match error {
            ImportError::Asked(_) => Self::Usage(sentence),
            ImportError::Unfit { .. } => Self::Data(sentence),
            ImportError::Disk { .. } => Self::Io(sentence),
        }
    }
}
