//! `diffused generate`: a picture without MQTT.

use std::fmt::Display;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::progress::Bar;
use super::wishes::Wishes;
use super::{CliError, bundled, log};
use crate::job::units::Seed;
use crate::job::{Limits, Output, Parsed, Recipe, Rules};
use crate::model::{Accelerator, Options, Runtime};
use crate::picture::Encoded;
use crate::pipeline::{Pipeline, Source, Trace};
use crate::service::desk::fresh_seed;
use crate::service::report::hex;

/// Make a picture from a prompt.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to show
    prompt: String,
    /// The file to write; with --count above 1 each gets its number: a-0.png, a-1.png
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    output: PathBuf,
    /// Folder of an exported model [default: the bundled one]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Folder with embeddings/, loras/ and hypernetworks/ [default: those that come with the model]
    #[arg(long, value_name = "DIR")]
    adapters: Option<PathBuf>,
    #[command(flatten)]
    wishes: Wishes,
    /// Print the facts of each picture as a line of JSON
    #[arg(long)]
    json: bool,
    /// Keep tokens, embeddings, noise, every pass of the U-Net and the final latents
    #[arg(long, value_name = "FILE.safetensors")]
    trace: Option<PathBuf>,
    /// ONNX Runtime's library, or a folder that holds it
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
    /// What the graphs run on: cpu, cuda or tensorrt
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    accelerator: String,
    /// Do not let the model's safety checker look at the picture
    #[arg(long)]
    no_safety_checker: bool,
    /// Threads of one pass [default: one a core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Makes the pictures and writes them.
pub fn run(args: &Args) -> Result<(), CliError> {
    log::quiet();
    let output = Output::from_fields(args.wishes.output(&args.output))?;
    writable(&args.output)?;
    args.trace.as_deref().map_or(Ok(()), writable)?;
    let fields = args.wishes.fields(&args.prompt)?;
    let pipeline = pipeline(args)?;
    let rules = rules(&pipeline);
    let Parsed { recipe, warnings } = Recipe::from_fields(fields, fresh_seed(), &rules)?;
    output.check(recipe.size)?;
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let mut trace = if args.trace.is_some() { Trace::on() } else { Trace::off() };
    let begun = Instant::now();
    let made = pipeline.trace(&recipe, &Bar::new(recipe.count.get()), &mut trace)?;
    let run_ms = begun.elapsed().as_millis();
    for (k, one) in made.iter().enumerate() {
        let file = if made.len() > 1 { numbered(&args.output, k) } else { args.output.clone() };
        let encoded = output.encode(one, &recipe, None).map_err(|error| CliError::Internal(error.to_string()))?;
        write(&file, &encoded.bytes)?;
        if args.json {
            say(&facts(&file, one.seed, &encoded, run_ms))?;
        }
    }
    match &args.trace {
        Some(file) => write(file, &trace.to_safetensors().map_err(|error| CliError::Internal(error.to_string()))?),
        None => Ok(()),
    }
}

fn pipeline(args: &Args) -> Result<Pipeline, CliError> {
    let accelerator = Accelerator::find(&args.accelerator).ok_or_else(|| {
        CliError::Usage(format!("accelerator must be cpu, cuda or tensorrt, got {}", args.accelerator))
    })?;
    let folder = args.model.clone().map_or_else(bundled::model, Ok)?;
    let adapters = args.adapters.clone().unwrap_or_else(|| bundled::adapters(&folder));
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or("model").to_owned();
    let runtime = Runtime::start(args.library.as_deref())?;
    let options = Options { accelerator, threads: args.threads, ..Options::default() };
    let source = Source { name, folder, safety: !args.no_safety_checker };
    Ok(Pipeline::load(&runtime, options, &[source], Some(&adapters))?)
}

/// Whoever runs the program may ask for whatever the contract allows.
fn rules(pipeline: &Pipeline) -> Rules {
    Rules {
        limits: Limits { request_bytes: usize::MAX, prompt_chars: 4000, pixels: 1 << 26, steps: 150, count: 16 },
        defaults: Map::new(),
        shortcut_output: Map::new(),
        shortcut_defaults: Map::new(),
        models: pipeline.facts(),
    }
}

/// `a.png` becomes `a-3.png`.
pub(super) fn numbered(file: &Path, k: usize) -> PathBuf {
    let mut name = file.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{k}"));
    if let Some(end) = file.extension() {
        name.push(".");
        name.push(end);
    }
    file.with_file_name(name)
}

/// Fails now rather than after minutes of work.
pub(super) fn writable(file: &Path) -> Result<(), CliError> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match folder.is_dir() {
        true => Ok(()),
        false => Err(CliError::Io(format!("the folder {} must exist to write {}", folder.display(), file.display()))),
    }
}

pub(super) fn write(file: &Path, bytes: &[u8]) -> Result<(), CliError> {
    fs::write(file, bytes).map_err(|error| CliError::Io(format!("{} cannot be written: {error}", file.display())))
}

fn facts(file: &Path, seed: Seed, encoded: &Encoded, run_ms: u128) -> Value {
    let sha256 = hex(&Sha256::digest(&encoded.bytes));
    json!({
        "file": file.to_string_lossy(), "seed": seed.get(), "width": encoded.width, "height": encoded.height,
        "format": encoded.format.name(), "bytes": encoded.bytes.len(), "sha256": sha256, "run_ms": run_ms as u64,
    })
}

/// A result goes to stdout, which carries nothing else.
pub(super) fn say(line: &dyn Display) -> Result<(), CliError> {
    writeln!(std::io::stdout(), "{line}").map_err(|error| CliError::Io(format!("stdout cannot be written: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_one_request_are_numbered() {
        assert_eq!(numbered(Path::new("out/a.png"), 3), Path::new("out/a-3.png"));
        assert_eq!(numbered(Path::new("a"), 0), Path::new("a-0"));
    }
}
