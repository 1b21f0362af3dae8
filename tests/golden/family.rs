//! The model folder of a family, its cases and their references, and the program at work on them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{fs, io};

use diffused::job::hex;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::Result;
use super::compare::{Run, Tolerance, Values};

/// Fields of a case that are no fields of a request.
const ABOUT: [&str; 5] = ["name", "same_as", "flagged", "unchanged", "cut"];
/// Fields of a request that name a file.
const FILES: [&str; 3] = ["init_image", "mask", "depth"];
/// Fields of a request that list adapters, and the flag for each of them.
const LISTS: [(&str, &str); 2] = [("loras", "--lora"), ("hypernetworks", "--hypernetwork")];
/// Where the cases of families lie; the star stands for the family's name.
const PLAIN: &str = "families/*/cases";
/// Where those with adapters lie.
const ADAPTED: &str = "adapters/cases/*";

/// A family of models: a folder and what diffusers makes of requests to it.
pub struct Family {
    folder: PathBuf,
    name: String,
    /// Where its references lie, and those of other families in the place of the star.
    references: &'static str,
    /// Holds the folder where it had to be put together.
    _assembled: Option<TempDir>,
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

impl Family {
    /// A folder that is complete as it is, relative to the repository.
    pub fn at(folder: &str, references: &'static str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        Self { folder, name: String::new(), references, _assembled: None }
    }

    /// One of `families`, put together from its own files and those that it shares.
    pub fn named(name: &str) -> Result<Self> {
        let (family, whole) = (golden().join("families").join(name), tempfile::tempdir()?);
        copy(&family.join("model"), whole.path())?;
        let shared: Map<String, Value> = serde_json::from_str(&fs::read_to_string(family.join("shared.json"))?)?;
        for (part, source) in &shared {
            copy(&golden().join(source.as_str().unwrap_or_default()), &whole.path().join(part))?;
        }
        Ok(Self { folder: whole.path().to_owned(), name: name.to_owned(), references: PLAIN, _assembled: Some(whole) })
    }

    /// The same with its cases of adapters, prompts and clip skip.
    pub fn adapted(name: &str) -> Result<Self> {
        Ok(Self { references: ADAPTED, ..Self::named(name)? })
    }

    /// A copy of the folder, in which the U-Net is cut in two.
    pub fn prepared(&self, cut: &Value) -> Result<Self> {
        let whole = tempfile::tempdir()?;
        copy(&self.folder, whole.path())?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_diffused"));
        command.args(["models", "prepare", "--reuse", "--cut", &text(cut)]).arg(whole.path());
        let output = command.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let (name, references) = (self.name.clone(), self.references);
        Ok(Self { folder: whole.path().to_owned(), name, references, _assembled: Some(whole) })
    }

    /// The model folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder with the cases of a family of this one's kind.
    fn cases_of(&self, family: &str) -> PathBuf {
        golden().join(self.references.replace('*', family))
    }

    pub fn cases(&self) -> Result<Vec<Value>> {
        Ok(serde_json::from_str(&fs::read_to_string(self.cases_of(&self.name).join("cases.json"))?)?)
    }

    pub fn case(&self, name: &str) -> Result<Value> {
        let case = self.cases()?.into_iter().find(|case| case["name"] == name);
        case.ok_or_else(|| format!("there is no case {name}").into())
    }

    /// What diffusers made of `case`, or of the case of another family that it must equal.
    pub fn theirs(&self, case: &Value) -> Result<Run> {
        let place = match case["same_as"].as_str().and_then(|other| other.split_once('/')) {
            Some((family, name)) => self.cases_of(family).join(name),
            None => self.cases_of(&self.name).join(text(&case["name"])),
        };
        let tensors = tensors(&place.with_added_extension("safetensors"))?;
        Ok(Run { tensors, pictures: pictures(&place.with_added_extension("png"))? })
    }

    /// What we make of `case`.
    pub fn ours(&self, case: &Value) -> Result<Run> {
        let target = tempfile::tempdir()?;
        let output = self.generate(case, target.path())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("it says nothing").into());
        }
        Ok(Run {
            tensors: tensors(&target.path().join("trace.safetensors"))?,
            pictures: pictures(&target.path().join("picture.png"))?,
        })
    }

    /// Runs `diffused generate`, which leaves `trace.safetensors` and `picture.png` in `target`.
    pub fn generate(&self, case: &Value, target: &Path) -> Result<Output> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_diffused"));
        command.args(["generate", text(&case["prompt"]).as_str(), "--model"]).arg(&self.folder);
        command.arg("--trace").arg(target.join("trace.safetensors")).arg("-o").arg(target.join("picture.png"));
        if self.references == ADAPTED {
            command.arg("--adapters").arg(golden().join("adapters"));
        }
        for (field, flag) in LISTS {
            for one in case[field].as_array().into_iter().flatten() {
                command.arg(format!("{flag}={}={}", text(&one["name"]), one["scale"]));
            }
        }
        let list = |field: &str| LISTS.iter().any(|(list, _)| *list == field);
        let said = |field: &str| field != "prompt" && !ABOUT.contains(&field) && !list(field);
        for (field, value) in case.as_object().into_iter().flatten().filter(|(field, _)| said(field)) {
            command.arg(format!("--{}", field.replace('_', "-")));
            match FILES.contains(&field.as_str()) && value != "estimate" {
                true => command.arg(golden().join("inputs").join(text(value))),
                false => command.arg(text(value)),
            };
        }
        Ok(command.output()?)
    }

    /// Where our run of `ours` departs from the reference of `theirs`.
    pub fn faults(&self, ours: &Value, theirs: &Value, tolerance: Tolerance) -> Result<Vec<String>> {
        Ok(match self.ours(ours) {
            Ok(run) => tolerance.faults(&run, &self.theirs(theirs)?),
            Err(error) => vec![error.to_string()],
        })
    }

    /// Fails where the graphs are not those that the references were made from.
    pub fn is_unchanged(&self) -> Result<()> {
        for line in fs::read_to_string(self.cases_of(&self.name).join("graphs.sha256"))?.lines() {
            let (sum, graph) = line.split_once("  ").ok_or("graphs.sha256 must have a sum and a file a line")?;
            let found = hex(&Sha256::digest(fs::read(self.folder.join(graph))?));
            if found != sum {
                return Err(format!("{graph} has changed, make the references again").into());
            }
        }
        Ok(())
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Copies a file or a folder; one that is not there is an empty folder.
fn copy(source: &Path, target: &Path) -> io::Result<()> {
    if source.is_file() {
        fs::create_dir_all(target.parent().unwrap_or(target))?;
        return fs::copy(source, target).map(|_| ());
    }
    fs::create_dir_all(target)?;
    for entry in source.read_dir().into_iter().flatten() {
        let entry = entry?;
        copy(&entry.path(), &target.join(entry.file_name()))?;
    }
    Ok(())
}

fn tensors(file: &Path) -> Result<std::collections::BTreeMap<String, Values>> {
    let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let read = |(name, tensor): (String, safetensors::tensor::TensorView<'_>)| {
        let values = match tensor.dtype() {
            Dtype::I64 => Values::Ids(tensor.data().as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect()),
            Dtype::F32 => Values::Numbers(tensor.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
            other => return Err(format!("{name} must be I64 or F32, got {other:?}").into()),
        };
        Ok((name, values))
    };
    SafeTensors::deserialize(&bytes)?.tensors().into_iter().map(read).collect()
}

/// The pictures written for `file`: itself, or numbered ones, or none.
fn pictures(file: &Path) -> Result<Vec<Vec<u8>>> {
    if file.exists() {
        return Ok(vec![pixels(file)?]);
    }
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let numbered = (0..).map(|k| file.with_file_name(format!("{stem}-{k}.png")));
    numbered.take_while(|file| file.exists()).map(|file| pixels(&file)).collect()
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
