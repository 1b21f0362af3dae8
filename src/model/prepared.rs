//! A U-Net that was cut in two beforehand, for runs that keep what its deep layers made.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::anatomy::Anatomy;
use super::error::LoadError;
use super::manifest::Manifest;
use crate::onnx::edit::{self, Halves};
use crate::onnx::{Place, Skeleton};

/// The two graphs, beside the exported one. Their weights are those of the exported graph, where they are.
const FULL: &str = "full.onnx";
const SHALLOW: &str = "shallow.onnx";

/// Cuts the U-Net of the model folder `model` before the last `layers` layers of its way up, by default before those of its
/// last block; what an earlier cut left is replaced. The exported files stay as they are; the folder's list, if it has one,
/// gets the new ones.
pub fn prepare(model: &Path, layers: Option<usize>) -> Result<Cut, LoadError> {
    let exported = model.join("unet").join("model.onnx");
    let graph = Anatomy::read(&exported)?;
    reachable(&graph, &exported)?;
    let halves = edit::halves(&graph.skeleton, layers).map_err(|unfit| graph.fault(unfit.to_string()))?;
    let list = Manifest::open(model)?;
    // The shallow graph says that the model is prepared: it goes first and comes last.
    let [full, shallow] = [FULL, SHALLOW].map(|name| exported.with_file_name(name));
    remove(&shallow)?;
    write(&full, &halves.full)?;
    write(&shallow, &halves.shallow)?;
    if let Some(mut list) = list {
        // Whatever else has changed in the folder is not ours to confirm.
        list.renew(model, &["unet/full.onnx", "unet/shallow.onnx"])?;
        list.write(model)?;
    }
    Ok(Cut { layers: halves.layers, of: halves.of, bytes: halves.shallow.weight_bytes(), all: graph.bytes() })
}

/// Where a U-Net was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Layers of the way up that run in every step.
    pub layers: usize,
    /// Layers of the way up in all.
    pub of: usize,
    /// Bytes of the weights that run in every step, which are loaded twice.
    pub bytes: u64,
    /// Bytes of all weights.
    pub all: u64,
}

/// The graphs of a prepared folder.
pub(super) struct Prepared {
    pub(super) full: PathBuf,
    pub(super) shallow: PathBuf,
    /// Layers of the way up that run in every step.
    pub(super) layers: usize,
}

impl Prepared {
    /// What was prepared for the exported graph, if anything was.
    ///
    /// Fails if it does not belong to that graph any more: its weights would be read from the wrong places.
    pub(super) fn of(exported: &Path) -> Result<Option<Self>, LoadError> {
        let [full, shallow] = [FULL, SHALLOW].map(|name| exported.with_file_name(name));
        if !shallow.is_file() {
            return Ok(None);
        }
        let stale = || {
            let reason = "it was made from another model.onnx: make it again with `diffused models prepare --reuse`, or \
                          remove it";
            LoadError::folder(&shallow, reason)
        };
        let graph = Anatomy::read(exported)?;
        let layers = edit::cut(&Anatomy::read(&shallow)?.skeleton).ok_or_else(stale)?;
        let this = Self { full: full.clone(), shallow: shallow.clone(), layers };
        let halves = this.halves(&graph)?;
        let same = |file: &Path, half: &Skeleton| fs::read(file).is_ok_and(|bytes| bytes == half.to_bytes());
        match same(&full, &halves.full) && same(&shallow, &halves.shallow) {
            true => Ok(Some(this)),
            false => Err(stale()),
        }
    }

    /// The same cut through the graph as adapters left it.
    pub(super) fn halves(&self, graph: &Anatomy) -> Result<Halves, LoadError> {
        edit::halves(&graph.skeleton, Some(self.layers)).map_err(|unfit| graph.fault(unfit.to_string()))
    }
}

/// ONNX Runtime does not follow links from one graph to the weights of another.
fn reachable(graph: &Anatomy, exported: &Path) -> Result<(), LoadError> {
    let location = |place: &Place| match place {
        Place::File { location, .. } => Some(exported.with_file_name(location)),
        Place::Inline(_) => None,
    };
    let mut files = graph.skeleton.initializers().iter().filter_map(|initializer| location(&initializer.place));
    let is_link = |file: &PathBuf| fs::symlink_metadata(file).is_ok_and(|found| found.is_symlink());
    match exported.is_symlink() || files.any(|file| is_link(&file)) {
        true => {
            Err(graph.fault("the graph and its weights must be files to be cut, got links: copy the folder".to_owned()))
        }
        false => Ok(()),
    }
}

fn remove(file: &Path) -> Result<(), LoadError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LoadError::folder(file, error.to_string())),
        _ => Ok(()),
    }
}

/// Writes a graph so that it is there whole or not at all.
fn write(file: &Path, graph: &Skeleton) -> Result<(), LoadError> {
    let draft = file.with_extension("part");
    let written = || {
        let mut out = File::create(&draft)?;
        out.write_all(&graph.to_bytes())?;
        out.sync_all()?;
        fs::rename(&draft, file)
    };
    written().map_err(|error: io::Error| LoadError::folder(file, format!("it cannot be written: {error}")))
}
