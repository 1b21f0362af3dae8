//! `diffused models import`: a checkpoint becomes a model folder.

use std::path::PathBuf;

use super::store::Place;
use crate::cli::CliError;
use crate::cli::print::say;
use crate::model::import::{self, ImportError, Order, Precision, Prediction};

/// Make a model folder from a checkpoint
#[derive(Debug, clap::Args)]
pub(super) struct Args {
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
    #[command(flatten)]
    place: Place,
}

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

/// Makes the folder, and says what is in it.
pub(super) fn run(args: &Args) -> Result<(), CliError> {
    let order = Order {
        weights: args.weights.clone(),
        like: args.like.clone(),
        name: args.name.clone(),
        precision: args.dtype,
        prediction: args.prediction_type,
        models: args.place.dir()?,
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
