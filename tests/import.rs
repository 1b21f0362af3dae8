//! `diffused models import` as a person runs it: what comes in again is the model it was, and what cannot be is refused.
//!
//! Needs ONNX Runtime where the program finds it (`deploy/onnxruntime.sh`). `tests/golden/checkpoint.py` made the checkpoints.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use tempfile::TempDir;

use crate::golden::Result;
use crate::golden::family::Family;
use crate::support::program::{complaint, diffused, root, run};

/// A folder of models, in it `blank`: a toy family's graphs with weights that are not the toy's.
struct Place {
    models: TempDir,
    toy: Family,
    checkpoint: PathBuf,
}

impl Place {
    fn with(family: &str) -> Result<Self> {
        let single = golden().join("checkpoints").join(format!("{family}.safetensors"));
        let checkpoint = if single.exists() { single } else { golden().join("checkpoints").join(family) };
        let this = Self { models: tempfile::tempdir()?, toy: Family::named(family)?, checkpoint };
        let other = match this.checkpoint.is_file() {
            true => {
                this.changed("other", |_, shape, values| Some((shape, values.iter().map(|value| -value).collect())))?
            }
            false => this.checkpoint.clone(),
        };
        let output = this.import(&other, &this.toy.folder().display().to_string(), "blank");
        assert!(output.status.success(), "{}", complaint(&output));
        Ok(this)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.models.path().join(name)
    }

    fn import(&self, weights: &Path, like: &str, name: &str) -> Output {
        run(&self.arguments(weights, like, name).iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn arguments(&self, weights: &Path, like: &str, name: &str) -> [String; 9] {
        let (weights, models) = (weights.display().to_string(), self.models.path().display().to_string());
        let words = ["models", "import", &weights, "--like", like, "--name", name, "--models", &models];
        words.map(str::to_owned)
    }

    /// The exit code, and that nothing is left of the import.
    fn refused(&self, weights: &Path, like: &str, name: &str) -> Option<i32> {
        let before = self.names();
        let output = self.import(weights, like, name);
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{output:?}");
        assert_eq!(self.names(), before, "something is left of it");
        output.status.code()
    }

    /// What is in the folder of models, hidden or not.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.models.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The checkpoint with other tensors: `change` gets the name, shape and values of each, or says that it is gone.
    fn changed(
        &self,
        name: &str,
        change: impl Fn(&str, Vec<usize>, Vec<f32>) -> Option<(Vec<usize>, Vec<f32>)>,
    ) -> Result<PathBuf> {
        let file = fs::read(&self.checkpoint)?;
        let mut tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)> = BTreeMap::new();
        for (key, tensor) in SafeTensors::deserialize(&file)?.iter().filter(|(_, tensor)| tensor.dtype() == Dtype::F32)
        {
            let values = tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            if let Some((shape, values)) = change(key, tensor.shape().to_vec(), values) {
                tensors.insert(key.to_owned(), (shape, values.iter().flat_map(|value| value.to_le_bytes()).collect()));
            }
        }
        let view = |(shape, bytes)| TensorView::new(Dtype::F32, Clone::clone(shape), bytes);
        let views = tensors.iter().map(|(key, (shape, bytes))| Ok((key, view((shape, bytes))?)));
        let path = self.at(&format!("{name}.safetensors"));
        fs::write(&path, serialize(views.collect::<Result<Vec<_>>>()?, None)?)?;
        Ok(path)
    }
}

fn golden() -> PathBuf {
    root().join("tests/golden")
}

/// The program, which says nothing.
fn quiet(arguments: &[String; 9]) -> Command {
    let mut command = diffused(&arguments.each_ref().map(String::as_str));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The bytes of the picture that a model folder makes of one request, with more arguments.
fn picture(folder: &Path, more: &[&str]) -> Result<Vec<u8>> {
    let target = tempfile::tempdir()?;
    let mut command = diffused(&["generate", "a red circle", "--steps", "2", "--seed", "7", "-o", "p.png"]);
    command.arg("--model").arg(folder).arg("--adapters").arg(golden().join("adapters"));
    let output = command.args(more).current_dir(target.path()).output()?;
    assert!(output.status.success(), "{}", complaint(&output));
    Ok(fs::read(target.path().join("p.png"))?)
}

/// Imports the checkpoint of a family into graphs without its weights, and compares pictures.
fn comes_back(family: &str, more: &[&str]) -> Result<Place> {
    let place = Place::with(family)?;
    let output = place.import(&place.checkpoint, "blank", "new");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", complaint(&output));
    let theirs = picture(place.toy.folder(), more)?;
    assert!(picture(&place.at("new"), more)? == theirs, "{family}: the picture is another one");
    if place.checkpoint.is_file() {
        assert!(picture(&place.at("blank"), more)? != theirs, "{family}: the template had these weights already");
    }
    Ok(place)
}

#[test]
fn an_imported_model_of_v1_makes_the_same_picture_and_takes_the_same_lora() -> Result<()> {
    let place = comes_back("sd1", &[])?;
    let lora = ["--lora=kohya=0.8"];
    let theirs = picture(place.toy.folder(), &lora)?;
    assert!(picture(&place.at("new"), &lora)? == theirs, "the LoRA does something else");
    assert!(picture(&place.at("new"), &[])? != theirs, "the LoRA does nothing");
    Ok(())
}

#[test]
fn an_imported_model_of_v2_makes_the_same_picture() -> Result<()> {
    comes_back("sd2", &[]).map(drop)
}

#[test]
fn an_imported_model_of_sdxl_makes_the_same_picture() -> Result<()> {
    comes_back("sdxl", &[]).map(drop)
}

#[test]
fn an_imported_folder_of_diffusers_makes_the_same_picture() -> Result<()> {
    let (init, mask) = (golden().join("inputs/init.png"), golden().join("inputs/mask.png"));
    let files = ["--init-image", init.to_str().unwrap_or(""), "--mask", mask.to_str().unwrap_or("")];
    comes_back("inpaint", &files).map(drop)
}

#[test]
fn what_cannot_be_imported_is_told_by_the_exit_code() -> Result<()> {
    let place = Place::with("sd1")?;
    let key = "model.diffusion_model.out.2.bias";
    let missing = place.changed("missing", |name, shape, values| (name != key).then_some((shape, values)))?;
    let short = place.changed("short", |name, shape, values| match name == key {
        true => Some((vec![values.len() - 1], values[1..].to_vec())),
        false => Some((shape, values)),
    })?;
    let cut = place.at("cut.safetensors");
    let whole = fs::read(&place.checkpoint)?;
    fs::write(&cut, &whole[..whole.len() / 2])?;
    for (weights, what) in [(missing, "a missing key"), (short, "a wrong shape"), (cut, "a file cut short")] {
        assert_eq!(place.refused(&weights, "blank", "new"), Some(65), "{what}");
    }
    assert_eq!(place.refused(&place.checkpoint, "blank", "blank"), Some(64), "a name that is taken");
    assert_eq!(place.refused(&place.checkpoint, "nothing", "new"), Some(64), "no such template");
    assert_eq!(place.refused(&place.at("nothing"), "blank", "new"), Some(74), "no such file");
    let mut arguments = place.arguments(&place.checkpoint, &place.at("blank").display().to_string(), "new");
    // Not even root makes files there.
    "/proc".clone_into(&mut arguments[8]);
    let output = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(74), "a folder that cannot be written: {}", complaint(&output));
    Ok(())
}

#[test]
fn an_import_that_was_killed_can_be_made_again() -> Result<()> {
    let place = Place::with("sd1")?;
    let mut halfway = 0;
    for round in 0..5 {
        let name = format!("new-{round}");
        let arguments = place.arguments(&place.checkpoint, "blank", &name);
        let mut child = quiet(&arguments).spawn()?;
        let partial = place.at(&format!(".{name}.partial"));
        while !partial.exists() && child.try_wait()?.is_none() {
            sleep(Duration::from_micros(200));
        }
        child.kill()?;
        child.wait()?;
        if place.at(&name).exists() {
            continue;
        }
        halfway += usize::from(partial.exists());
        let output = place.import(&place.checkpoint, "blank", &name);
        assert!(output.status.success(), "{}", complaint(&output));
        assert!(picture(&place.at(&name), &[])? == picture(place.toy.folder(), &[])?);
        assert!(place.names().iter().all(|name| !name.starts_with('.')), "{:?}", place.names());
    }
    assert!(halfway > 0, "every import ended before it could be killed");
    Ok(())
}

#[test]
fn of_two_imports_of_one_name_at_once_one_is_whole_and_the_other_refused() -> Result<()> {
    let place = Place::with("sd1")?;
    let arguments = place.arguments(&place.checkpoint, "blank", "new");
    let start = || quiet(&arguments).spawn();
    let mut children = [start()?, start()?, start()?];
    let mut codes = Vec::new();
    for child in &mut children {
        codes.push(child.wait()?.code());
    }
    codes.sort();
    assert_eq!(codes, [Some(0), Some(64), Some(64)]);
    assert!(picture(&place.at("new"), &[])? == picture(place.toy.folder(), &[])?);
    Ok(())
}
