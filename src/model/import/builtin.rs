//! The templates that come with the program: graphs and settings without any weight.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;
use zip::ZipArchive;

use super::error::ImportError;
use super::template::{Float, PARTS, Slot, slots};
use crate::onnx::Skeleton;

/// Made by `models/templates/make.py`, which describes what is in it.
const ARCHIVE: &[u8] = include_bytes!("../../../models/templates/templates.zip");

/// CLIP's vocabulary, which all families share.
const VOCABULARY: [(&str, &[u8]); 2] = [
    ("vocab.json", include_bytes!("../../../models/shapes/tokenizer/vocab.json")),
    ("merges.txt", include_bytes!("../../../models/shapes/tokenizer/merges.txt")),
];

/// Names of the families.
pub(super) const NAMES: [&str; 4] = ["sd1", "sd1-inpaint", "sd2", "sdxl"];

/// One family in one precision.
#[derive(Debug)]
pub(super) struct Builtin {
    /// The files of the new folder, but for the weights.
    pub(super) files: BTreeMap<PathBuf, Vec<u8>>,
    /// Where the weights stand.
    pub(super) slots: Vec<Slot>,
    /// The files of the weights with their lengths.
    pub(super) data: BTreeMap<PathBuf, u64>,
}

impl Builtin {
    /// The family of that name.
    pub(super) fn open(family: &str, float: Float) -> Result<Self, ImportError> {
        read(family, float).map_err(|reason| ImportError::unfit(Path::new("the built-in templates"), reason))?
    }
}

/// The outer error is that of a damaged program.
fn read(family: &str, float: Float) -> Result<Result<Builtin, ImportError>, String> {
    let mut archive = ZipArchive::new(Cursor::new(ARCHIVE)).map_err(|error| error.to_string())?;
    let precision = match float {
        Float::F32 => "fp32",
        Float::F16 => "fp16",
    };
    let table: Value = serde_json::from_slice(&entry(&mut archive, &format!("{family}/template.json"))?)
        .map_err(|error| error.to_string())?;
    let mut files = settings(&mut archive, family)?;
    let mut all = Vec::new();
    for (folder, part) in PARTS {
        let Some(graph) = table.pointer(&format!("/{precision}/{folder}")).and_then(Value::as_str) else { continue };
        let bytes = entry(&mut archive, &format!("graphs/{graph}.onnx"))?;
        let skeleton = Skeleton::parse(&bytes).map_err(|error| error.to_string())?;
        match slots(&skeleton, Path::new(graph), folder, part) {
            Ok(slots) => all.extend(slots),
            Err(error) => return Ok(Err(error)),
        }
        files.insert(Path::new(folder).join("model.onnx"), bytes);
    }
    let mut data: BTreeMap<PathBuf, u64> = BTreeMap::new();
    for slot in &all {
        let end = data.entry(slot.file.clone()).or_default();
        *end = (*end).max(slot.offset + slot.length());
    }
    Ok(Ok(Builtin { files, slots: all, data }))
}

/// The JSON files of a family and the vocabulary of its tokenizers.
fn settings(
    archive: &mut ZipArchive<Cursor<&'static [u8]>>,
    family: &str,
) -> Result<BTreeMap<PathBuf, Vec<u8>>, String> {
    let before = format!("{family}/");
    let all = archive.file_names().flatten().map(|name| name.into_owned());
    let names: Vec<String> = all.filter(|name| name.starts_with(&before)).collect();
    let mut files = BTreeMap::new();
    for name in names {
        let own = PathBuf::from(&name[before.len()..]);
        if own.ends_with("tokenizer_config.json") {
            for (file, content) in VOCABULARY {
                files.insert(own.with_file_name(file), content.to_vec());
            }
        }
        if !own.ends_with("template.json") {
            files.insert(own, entry(archive, &name)?);
        }
    }
    Ok(files)
}

fn entry(archive: &mut ZipArchive<Cursor<&'static [u8]>>, name: &str) -> Result<Vec<u8>, String> {
    let mut file = archive.by_name(name).map_err(|error| format!("{name}: {error}"))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|error| format!("{name}: {error}"))?;
    Ok(bytes)
}
