//! `diffused generate`: a picture without MQTT.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::loading::{Loading, rules};
use super::print::say;
use super::progress::Bar;
use super::wishes::Wishes;
use super::{CliError, log};
use crate::job::units::Seed;
use crate::job::{Output, Parsed, Recipe, hex};
use crate::picture::Encoded;
use crate::pipeline::Trace;
use crate::service::desk::fresh_seed;

/// Make a picture from a prompt.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to show
    prompt: String,
    /// The file to write; with --count above 1 each gets its number: a-0.png, a-1.png
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    wishes: Wishes,
    /// Print the facts of each picture as a line of JSON
    #[arg(long)]
    json: bool,
    /// Keep tokens, embeddings, noise, every pass of the U-Net and the final latents
    #[arg(long, value_name = "FILE.safetensors")]
    trace: Option<PathBuf>,
    #[command(flatten)]
    loading: Loading,
}

/// Makes the pictures and writes them.
pub fn run(args: &Args) -> Result<(), CliError> {
    log::quiet();
    let output = Output::from_fields(args.wishes.output(&args.output))?;
    writable(&args.output)?;
    args.trace.as_deref().map_or(Ok(()), writable)?;
    let fields = args.wishes.fields(&args.prompt)?;
    let pipeline = args.loading.pipeline(1)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_one_request_are_numbered() {
        assert_eq!(numbered(Path::new("out/a.png"), 3), Path::new("out/a-3.png"));
        assert_eq!(numbered(Path::new("a"), 0), Path::new("a-0"));
    }
}
