//! `diffused generate`: a picture without MQTT.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::progress::Bar;
use super::{CliError, bundled};
use crate::job::units::Seed;
use crate::job::{Limits, Made, Output, Recipe, Rules};
use crate::model::{Accelerator, Options, Runtime};
use crate::picture::{Encoded, Encoding, Format, encode};
use crate::pipeline::{Pipeline, Source, Trace};

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
    /// What to keep away from
    #[arg(long, value_name = "TEXT")]
    negative_prompt: Option<String>,
    /// Seed of the first picture; -1 draws one
    #[arg(long, allow_negative_numbers = true)]
    seed: Option<i64>,
    /// Denoising steps, 1 to 150
    #[arg(long)]
    steps: Option<i64>,
    /// Sampling algorithm
    #[arg(long, value_name = "NAME")]
    sampler: Option<String>,
    /// Spacing of the noise levels
    #[arg(long, value_name = "NAME")]
    schedule: Option<String>,
    /// Share of fresh noise in a step, 0 to 1
    #[arg(long)]
    eta: Option<f64>,
    /// How much the prompt counts, 0 to 30
    #[arg(long)]
    guidance_scale: Option<f64>,
    /// Width in pixels
    #[arg(long)]
    width: Option<i64>,
    /// Height in pixels
    #[arg(long)]
    height: Option<i64>,
    /// Number of pictures, 1 to 16
    #[arg(long)]
    count: Option<i64>,
    /// File format [default: what the file's name says, else png]
    #[arg(long, value_name = "NAME")]
    format: Option<String>,
    /// Write into the file how it was made
    #[arg(long)]
    metadata: bool,
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
    /// Threads of one pass [default: one a core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Makes the pictures and writes them.
pub fn run(args: &Args) -> Result<(), CliError> {
    let output = output(args)?;
    writable(&args.output)?;
    let pipeline = pipeline(args)?;
    let rules = rules(&pipeline);
    let recipe = Recipe::from_fields(fields(args), fresh_seed()?, &rules)?;
    let mut trace = if args.trace.is_some() { Trace::on() } else { Trace::off() };
    let begun = Instant::now();
    let made = pipeline.trace(&recipe, &Bar::new(recipe.count.get()), &mut trace)?;
    let run_ms = begun.elapsed().as_millis();
    for (k, one) in made.iter().enumerate() {
        let file = if made.len() > 1 { numbered(&args.output, k) } else { args.output.clone() };
        let encoded = encoded(one, &recipe, &output)?;
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

/// The flags as fields of a request; what is not given is left out.
fn fields(args: &Args) -> Map<String, Value> {
    let given = [
        ("prompt", Some(json!(args.prompt))),
        ("negative_prompt", args.negative_prompt.as_ref().map(|value| json!(value))),
        ("seed", args.seed.map(|value| json!(value))),
        ("steps", args.steps.map(|value| json!(value))),
        ("sampler", args.sampler.as_ref().map(|value| json!(value))),
        ("schedule", args.schedule.as_ref().map(|value| json!(value))),
        ("eta", args.eta.map(|value| json!(value))),
        ("guidance_scale", args.guidance_scale.map(|value| json!(value))),
        ("width", args.width.map(|value| json!(value))),
        ("height", args.height.map(|value| json!(value))),
        ("count", args.count.map(|value| json!(value))),
    ];
    given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// The format that was asked for, else the one that the file's name stands for.
fn output(args: &Args) -> Result<Output, CliError> {
    let by_name = || args.output.extension().and_then(|end| end.to_str()).and_then(Format::of_extension);
    let format = args.format.as_deref().or_else(|| by_name().map(Format::name)).unwrap_or("png");
    let fields = [("format".to_owned(), json!(format)), ("metadata".to_owned(), json!(args.metadata))];
    Ok(Output::from_fields(Map::from_iter(fields))?)
}

fn pipeline(args: &Args) -> Result<Pipeline, CliError> {
    let accelerator = Accelerator::find(&args.accelerator).ok_or_else(|| {
        CliError::Usage(format!("accelerator must be cpu, cuda or tensorrt, got {}", args.accelerator))
    })?;
    let folder = args.model.clone().map_or_else(bundled::model, Ok)?;
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or("model").to_owned();
    let runtime = Runtime::start(args.library.as_deref())?;
    let options = Options { accelerator, threads: args.threads };
    Ok(Pipeline::load(&runtime, options, &[Source { name, folder }])?)
}

/// Whoever runs the program may ask for whatever the contract allows.
fn rules(pipeline: &Pipeline) -> Rules {
    Rules {
        limits: Limits { request_bytes: usize::MAX, prompt_chars: 4000, pixels: 1 << 26, steps: 150, count: 16 },
        defaults: Map::new(),
        shortcut_output: Map::new(),
        models: pipeline.facts(),
    }
}

/// A seed at random. Torch's generator reads no more than 32 bits of it.
fn fresh_seed() -> Result<Seed, CliError> {
    let bits = getrandom::u32().map_err(|error| CliError::Internal(format!("there is no randomness: {error}")))?;
    Ok(Seed::try_from(i64::from(bits))?)
}

fn encoded(made: &Made, recipe: &Recipe, output: &Output) -> Result<Encoded, CliError> {
    let parameters = output.metadata.then(|| recipe.parameters(made.seed));
    let encoding = Encoding {
        format: output.format,
        quality: output.quality.get(),
        max_bytes: output.max_bytes.map(|limit| limit.get()),
        parameters: parameters.as_deref(),
    };
    encode(&made.picture, &encoding).map_err(|error| CliError::Internal(error.to_string()))
}

/// `a.png` becomes `a-3.png`.
fn numbered(file: &Path, k: usize) -> PathBuf {
    let mut name = file.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{k}"));
    if let Some(end) = file.extension() {
        name.push(".");
        name.push(end);
    }
    file.with_file_name(name)
}

/// Fails now rather than after minutes of work.
fn writable(file: &Path) -> Result<(), CliError> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match folder.is_dir() {
        true => Ok(()),
        false => Err(CliError::Io(format!("the folder {} must exist to write {}", folder.display(), file.display()))),
    }
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), CliError> {
    fs::write(file, bytes).map_err(|error| CliError::Io(format!("{} cannot be written: {error}", file.display())))
}

fn facts(file: &Path, seed: Seed, encoded: &Encoded, run_ms: u128) -> Value {
    let sha256: String = Sha256::digest(&encoded.bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "file": file.to_string_lossy(), "seed": seed.get(), "width": encoded.width, "height": encoded.height,
        "format": encoded.format.name(), "bytes": encoded.bytes.len(), "sha256": sha256, "run_ms": run_ms as u64,
    })
}

fn say(line: &Value) -> Result<(), CliError> {
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
