//! The flags that say which model is loaded, and on what it runs.

use std::path::PathBuf;

use super::{CliError, bundled};
use crate::job::{Limits, Rules};
use crate::model::{Accelerator, Cache, Options, Runtime};
use crate::pipeline::{Pipeline, Source};

/// Which model, and on what it runs.
#[derive(Debug, clap::Args)]
pub(super) struct Loading {
    /// Folder of an exported model [default: the bundled one]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Folder with embeddings/, loras/ and hypernetworks/ [default: those that come with the model]
    #[arg(long, value_name = "DIR")]
    adapters: Option<PathBuf>,
    /// ONNX Runtime's library, or a folder that holds it
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
    /// What the graphs run on: cpu, cuda, tensorrt, openvino...
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub(super) accelerator: String,
    /// A folder where optimised graphs and compiled engines are kept for the next time
    #[arg(long, value_name = "DIR")]
    pub(super) cache: Option<PathBuf>,
    /// Do not let the model's safety checker look at the picture
    #[arg(long)]
    no_safety_checker: bool,
    /// Threads of one pass [default: one a core]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,
}

impl Loading {
    /// Starts ONNX Runtime and loads the model, for so many requests at the same time.
    pub(super) fn pipeline(&self, jobs: usize) -> Result<Pipeline, CliError> {
        let accelerator = Accelerator::find(&self.accelerator).ok_or_else(|| {
            CliError::Usage(format!("accelerator must be one of {}, got {}", Accelerator::names(), self.accelerator))
        })?;
        let folder = self.model.clone().map_or_else(bundled::model, Ok)?;
        let adapters = self.adapters.clone().unwrap_or_else(|| bundled::adapters(&folder));
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or("model").to_owned();
        let runtime = Runtime::start(self.library.as_deref())?;
        let options = Options {
            accelerator: accelerator.into(),
            cache: self.cache.clone().map(Cache::new),
            threads: self.threads,
            joins: jobs > 1,
            ..Options::default()
        };
        let source = Source { name, folder, safety: !self.no_safety_checker };
        Ok(Pipeline::load(&runtime, options, &[source], Some(&adapters))?)
    }
}

/// Whoever runs the program may ask for whatever the contract allows.
pub(super) fn rules(pipeline: &Pipeline) -> Rules {
    Rules::bare(Limits::WIDEST, pipeline.facts())
}
