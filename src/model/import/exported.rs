//! Templates that are folders with exported graphs: the new folder is a copy with other weights.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::error::ImportError;
use super::template::{PARTS, Slot, slots};
use crate::onnx::Skeleton;

/// A folder with exported graphs.
#[derive(Debug)]
pub(super) struct Exported {
    pub(super) path: PathBuf,
    /// All its files, relative to it, with their lengths.
    pub(super) files: BTreeMap<PathBuf, u64>,
    /// Where the weights stand.
    pub(super) slots: Vec<Slot>,
}

impl Exported {
    /// Reads the graphs of a folder.
    pub(super) fn open(path: &Path) -> Result<Self, ImportError> {
        let mut files = BTreeMap::new();
        collect(path, Path::new(""), &mut files)?;
        if !files.contains_key(Path::new("model_index.json")) {
            return Err(ImportError::unfit(path, "it must be a folder of an exported model, got no model_index.json"));
        }
        let mut all = Vec::new();
        for (folder, part) in PARTS {
            let graph = path.join(folder).join("model.onnx");
            if graph.is_file() {
                let file = File::open(&graph).map_err(|error| ImportError::disk(&graph, &error))?;
                let skeleton = Skeleton::outside(&mut BufReader::new(file), "model.onnx")
                    .map_err(|error| ImportError::graph(&graph, &error))?;
                all.extend(slots(&skeleton, &graph, folder, part)?);
            }
        }
        for slot in &all {
            let length = files.get(&slot.file).copied().unwrap_or(0);
            if slot.offset.checked_add(slot.length()).is_none_or(|end| end > length) {
                let reason = format!("it must have {} at {}, but it ends at {length}", slot.name, slot.offset);
                return Err(ImportError::unfit(&path.join(&slot.file), reason));
            }
        }
        Ok(Self { path: path.to_owned(), files, slots: all })
    }
}

/// All files below `folder` of the model; links count as what they lead to.
fn collect(path: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, u64>) -> Result<(), ImportError> {
    let here = path.join(folder);
    let fault = |error: &std::io::Error| ImportError::disk(&here, error);
    for entry in fs::read_dir(&here).map_err(|error| fault(&error))? {
        let entry = entry.map_err(|error| fault(&error))?;
        let own = folder.join(entry.file_name());
        let about = fs::metadata(entry.path()).map_err(|error| ImportError::disk(&entry.path(), &error))?;
        // Deeper folders are no part of a model; this also ends at links that lead upward.
        match about.is_dir() {
            true if own.components().count() < 3 => collect(path, &own, files)?,
            true => {}
            false => drop(files.insert(own, about.len())),
        }
    }
    Ok(())
}
