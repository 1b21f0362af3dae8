//! Our pictures against those that HF diffusers makes from the same folder and request.
//!
//! `tests/golden/pictures.py` made the references. Needs ONNX Runtime where the program finds it (`deploy/onnxruntime.sh`).

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use sha2::{Digest, Sha256};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Final latents, relative to the largest value: torch and ONNX Runtime add up float32 numbers in another order. Seen on x86:
/// 3e-6. A wrong schedule or a guidance scale of 7.6 instead of 7.5 makes 8e-3.
const LATENTS: f32 = 1e-4;

/// Each channel of a pixel, of 255: a value near a half may be rounded the other way. Seen on x86: 1.
const PIXEL: u8 = 2;

/// A model folder and its references.
struct Model {
    folder: PathBuf,
    golden: PathBuf,
}

impl Model {
    fn new(name: &str, folder: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self { folder: root.join(folder), golden: root.join("tests/golden/pictures").join(name) }
    }

    fn cases(&self) -> Result<Vec<Value>> {
        Ok(serde_json::from_str(&fs::read_to_string(self.golden.join("cases.json"))?)?)
    }

    fn case(&self, name: &str) -> Result<Value> {
        let case = self.cases()?.into_iter().find(|case| case["name"] == name);
        case.ok_or_else(|| format!("there is no case {name}").into())
    }

    /// What diffusers made of `case`.
    fn theirs(&self, case: &Value) -> Result<Run> {
        let name = case["name"].as_str().unwrap_or_default();
        let names = ["input_ids", "negative_input_ids", "noise", "latents"];
        Run::read(&self.golden.join(format!("{name}.safetensors")), names, &self.golden.join(format!("{name}.png")))
    }

    /// What we make of `case`.
    fn ours(&self, case: &Value) -> Result<Run> {
        let target = tempfile::tempdir()?;
        let (trace, picture) = (target.path().join("trace.safetensors"), target.path().join("picture.png"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_diffused"));
        command.args(["generate", case["prompt"].as_str().unwrap_or_default()]);
        command.arg("--model").arg(&self.folder).arg("--trace").arg(&trace).arg("-o").arg(&picture);
        for (field, value) in case.as_object().into_iter().flatten().filter(|(field, _)| *field != "name") {
            if field != "prompt" {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                command.arg(format!("--{}", field.replace('_', "-"))).arg(text);
            }
        }
        let output = command.output()?;
        if !output.status.success() {
            return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Run::read(&trace, ["tokens.conditional", "tokens.unconditional", "0.noise", "0.latents"], &picture)
    }

    /// Where our run of `ours` departs from the reference of `theirs`.
    fn faults(&self, ours: &Value, theirs: &Value) -> Result<Vec<String>> {
        Ok(self.ours(ours)?.faults(&self.theirs(theirs)?))
    }

    /// Fails where the folder is not the one that the references were made from.
    fn is_unchanged(&self) -> Result<()> {
        for line in fs::read_to_string(self.golden.join("graphs.sha256"))?.lines() {
            let (sum, graph) = line.split_once("  ").ok_or("graphs.sha256 must have a sum and a file a line")?;
            let file = self.folder.join(graph);
            let found: String = Sha256::digest(fs::read(&file)?).iter().map(|byte| format!("{byte:02x}")).collect();
            if found != sum {
                return Err(format!("{} has changed, run tests/golden/pictures.py again", file.display()).into());
            }
        }
        Ok(())
    }

    fn every_case_is_the_same(&self) -> Result<()> {
        self.is_unchanged()?;
        let mut wrong = Vec::new();
        for case in self.cases()? {
            let faults = self.faults(&case, &case)?;
            wrong.extend(faults.iter().map(|fault| format!("{}: {fault}", case["name"])));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    }
}

/// What is compared of a run.
struct Run {
    tokens: Vec<i64>,
    negative_tokens: Vec<i64>,
    noise: Vec<f32>,
    latents: Vec<f32>,
    pixels: Vec<u8>,
}

impl Run {
    fn read(tensors: &Path, names: [&str; 4], picture: &Path) -> Result<Self> {
        let bytes = fs::read(tensors).map_err(|error| format!("{}: {error}", tensors.display()))?;
        let file = SafeTensors::deserialize(&bytes)?;
        let [tokens, negative_tokens, noise, latents] = names;
        Ok(Self {
            tokens: numbers(&file, tokens, Dtype::I64, i64::from_le_bytes)?,
            negative_tokens: numbers(&file, negative_tokens, Dtype::I64, i64::from_le_bytes)?,
            noise: numbers(&file, noise, Dtype::F32, f32::from_le_bytes)?,
            latents: numbers(&file, latents, Dtype::F32, f32::from_le_bytes)?,
            pixels: pixels(picture)?,
        })
    }

    fn faults(&self, theirs: &Self) -> Vec<String> {
        let mut faults = Vec::new();
        for (what, ours, theirs) in [
            ("tokens", &self.tokens, &theirs.tokens),
            ("negative tokens", &self.negative_tokens, &theirs.negative_tokens),
        ] {
            if ours != theirs {
                faults.push(format!("{what} are {ours:?}, expected {theirs:?}"));
            }
        }
        if self.noise != theirs.noise {
            faults.push(format!("noise differs by {}", difference(&self.noise, &theirs.noise)));
        }
        let latents = difference(&self.latents, &theirs.latents) / largest(&theirs.latents);
        if latents > LATENTS {
            faults.push(format!("latents differ by {latents}"));
        }
        let pixels = most_different(&self.pixels, &theirs.pixels);
        if pixels.is_none_or(|difference| difference > PIXEL) {
            faults.push(format!("pixels differ by {pixels:?}"));
        }
        faults
    }
}

fn numbers<T, const N: usize>(
    file: &SafeTensors<'_>,
    name: &str,
    dtype: Dtype,
    number: fn([u8; N]) -> T,
) -> Result<Vec<T>> {
    let tensor = file.tensor(name)?;
    if tensor.dtype() != dtype {
        return Err(format!("{name} must be {dtype:?}, got {:?}", tensor.dtype()).into());
    }
    Ok(tensor.data().as_chunks().0.iter().map(|bytes| number(*bytes)).collect())
}

/// The RGB values of a PNG file.
fn pixels(picture: &Path) -> Result<Vec<u8>> {
    let mut reader = png::Decoder::new(io::BufReader::new(fs::File::open(picture)?)).read_info()?;
    let mut pixels = vec![0; reader.output_buffer_size().ok_or("the picture is too large")?];
    let info = reader.next_frame(&mut pixels)?;
    match (info.color_type, info.bit_depth) {
        (png::ColorType::Rgb, png::BitDepth::Eight) => Ok(pixels),
        other => Err(format!("{} must have 8 bits a channel in RGB, got {other:?}", picture.display()).into()),
    }
}

/// Largest difference; infinite where the lengths differ or a value is no number.
fn difference(ours: &[f32], theirs: &[f32]) -> f32 {
    let gap = |(a, b): (&f32, &f32)| if (a - b).is_nan() { f32::INFINITY } else { (a - b).abs() };
    let most = ours.iter().zip(theirs).map(gap).fold(0.0, f32::max);
    if ours.len() == theirs.len() { most } else { f32::INFINITY }
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(1.0, |most, value| most.max(value.abs()))
}

fn most_different(ours: &[u8], theirs: &[u8]) -> Option<u8> {
    (ours.len() == theirs.len()).then(|| ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b)).max())?
}

#[test]
fn the_toy_model_gives_the_pictures_of_diffusers() -> Result<()> {
    Model::new("toy", "tests/golden/toy").every_case_is_the_same()
}

#[test]
fn the_bundled_model_gives_the_pictures_of_diffusers() -> Result<()> {
    Model::new("shapes", "models/shapes").every_case_is_the_same()
}

#[test]
fn a_changed_request_is_told_from_its_reference() -> Result<()> {
    let toy = Model::new("toy", "tests/golden/toy");
    let case = toy.case("ddim")?;
    let changes = [
        ("seed", 4712.into(), "noise"),
        ("prompt", "a red circle on a black background".into(), "tokens"),
        ("guidance_scale", 7.6.into(), "latents"),
        ("sampler", "euler".into(), "latents"),
        ("steps", 21.into(), "pixels"),
    ];
    for (field, value, what) in changes {
        let mut changed = case.clone();
        changed[field] = value;
        let faults = toy.faults(&changed, &case)?;
        assert!(faults.iter().any(|fault| fault.starts_with(what)), "{field}: {faults:?}");
    }
    Ok(())
}

#[test]
fn references_of_another_model_are_refused() {
    assert!(Model::new("toy", "tests/golden/toy").is_unchanged().is_ok());
    let error = Model::new("toy", "models/shapes").is_unchanged().err().map(|error| error.to_string());
    assert!(error.is_some_and(|error| error.ends_with("run tests/golden/pictures.py again")));
}
