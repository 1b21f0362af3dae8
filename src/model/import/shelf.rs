//! The weights that are imported: one file in the original layout, or a folder of diffusers' files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::ImportError;
use crate::weights::names::{Blocks, Checkpoint, Part, Source, averaged, in_folder};
use crate::weights::{Dtype, Safetensors};

/// Everything that the files say about their tensors; the values stay in the files.
#[derive(Debug)]
pub(super) struct Shelf {
    /// The file or folder, as it was named.
    pub(super) path: PathBuf,
    layout: Layout,
    tensors: BTreeMap<String, Entry>,
    files: Vec<(PathBuf, File)>,
    /// What the writer of a single file said of it.
    pub(super) metadata: BTreeMap<String, String>,
}

#[derive(Debug)]
enum Layout {
    Single(Checkpoint),
    /// Keys begin with the folder of their part and a slash.
    Folder,
}

/// A tensor in one of the files.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    range: Range<u64>,
    file: usize,
}

/// The folders of diffusers with the parts that are filled.
const PARTS: [(Part, &str); 4] =
    [(Part::Unet, "unet"), (Part::Text(0), "text_encoder"), (Part::Text(1), "text_encoder_2"), (Part::Vae, "vae")];

impl Shelf {
    /// Reads the headers of the file, or of all files of the folder.
    pub(super) fn open(path: &Path) -> Result<Self, ImportError> {
        if path.is_dir() { Self::folder(path) } else { Self::single(path) }
    }

    fn single(path: &Path) -> Result<Self, ImportError> {
        let mut this = Self::empty(path);
        this.metadata = this.add(path, "")?;
        let checkpoint = Checkpoint::of(this.tensors.keys().map(String::as_str));
        this.layout = Layout::Single(checkpoint.ok_or_else(|| {
            ImportError::unfit(
                path,
                "it must hold a checkpoint of Stable Diffusion in the original layout, got other keys",
            )
        })?);
        Ok(this)
    }

    fn folder(path: &Path) -> Result<Self, ImportError> {
        let mut this = Self::empty(path);
        for (_, folder) in PARTS {
            for file in weights_in(&path.join(folder))? {
                this.add(&file, &format!("{folder}/"))?;
            }
        }
        if this.tensors.is_empty() {
            return Err(ImportError::unfit(path, "it must be a folder of diffusers with .safetensors files, got none"));
        }
        Ok(this)
    }

    fn empty(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            layout: Layout::Folder,
            tensors: BTreeMap::new(),
            files: Vec::new(),
            metadata: BTreeMap::new(),
        }
    }

    /// Takes in a file's tensors, with something before their keys, and returns its metadata.
    fn add(&mut self, path: &Path, before: &str) -> Result<BTreeMap<String, String>, ImportError> {
        let open = || File::open(path).map_err(|error| ImportError::disk(path, &error));
        let header = Safetensors::open(open()?).map_err(|error| match is_pickled(path) {
            // A header may begin with the same bytes, so this is asked only of what cannot be read.
            true => ImportError::unfit(path, "only .safetensors files are read, got one of torch: convert it first"),
            false => ImportError::weights(path, error),
        })?;
        for key in header.names() {
            if let (Some(dtype), Some(shape), Some(range)) = (header.dtype(key), header.shape(key), header.range(key)) {
                let entry = Entry { dtype, shape: shape.to_vec(), range, file: self.files.len() };
                // Training tools save the model under this name, beside the optimiser.
                let short = key.strip_prefix("state_dict.").unwrap_or(key);
                if self.tensors.insert(format!("{before}{short}"), entry).is_some() {
                    return Err(ImportError::unfit(path, format!("{key} must be there once, got it twice")));
                }
            }
        }
        self.files.push((path.to_owned(), open()?));
        Ok(header.metadata().clone())
    }

    /// Where a parameter of a part (diffusers' name) stands. `None` if the layout has no place for it; that there is a tensor
    /// of that key is not said.
    pub(super) fn source(&self, part: Part, name: &str, blocks: &Blocks) -> Option<Source> {
        match &self.layout {
            Layout::Single(checkpoint) => {
                let source = checkpoint.source(part, name, blocks)?;
                match averaged(source.key()).filter(|_| part == Part::Unet && !self.has(source.key())) {
                    Some(key) if self.has(&key) => Some(Source::Whole(key)),
                    _ => Some(source),
                }
            }
            Layout::Folder => {
                let folder = PARTS.iter().find(|(known, _)| *known == part)?.1;
                let key = |name: &str| format!("{folder}/{name}");
                Some(match in_folder(name, |name| self.has(&key(name))) {
                    Source::Whole(name) => Source::Whole(key(&name)),
                    Source::Squeezed(name) => Source::Squeezed(key(&name)),
                    Source::Transposed(name) => Source::Transposed(key(&name)),
                    Source::Rows { key: name, third } => Source::Rows { key: key(&name), third },
                })
            }
        }
    }

    /// What the keys of a part begin with; `None` if there is no such part here.
    pub(super) fn prefix(&self, part: Part) -> Option<String> {
        match &self.layout {
            Layout::Single(checkpoint) => checkpoint.prefix(part).map(str::to_owned),
            Layout::Folder => PARTS.iter().find(|(known, _)| *known == part).map(|(_, folder)| format!("{folder}/")),
        }
    }

    /// All keys with what is there, sorted.
    pub(super) fn tensors(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.tensors.iter().map(|(key, entry)| (key.as_str(), entry))
    }

    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.tensors.get(key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.tensors.contains_key(key)
    }

    /// The file that a tensor stands in.
    pub(super) fn file_of(&self, entry: &Entry) -> &Path {
        self.files.get(entry.file).map_or(&self.path, |(path, _)| path)
    }

    /// Fills `into` with the bytes of a tensor from `from` on.
    pub(super) fn read(&self, entry: &Entry, from: u64, into: &mut [u8]) -> Result<(), ImportError> {
        let Some((path, file)) = self.files.get(entry.file) else { return Ok(()) };
        file.read_exact_at(into, entry.range.start + from).map_err(|error| ImportError::disk(path, &error))
    }

    /// A JSON file of a folder of diffusers, if this is one and has it.
    pub(super) fn json(&self, name: &str) -> Result<Option<Value>, ImportError> {
        let path = self.path.join(name);
        if matches!(self.layout, Layout::Single(_)) || !path.is_file() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).map_err(|error| ImportError::disk(&path, &error))?;
        serde_json::from_str(&text).map(Some).map_err(|error| ImportError::unfit(&path, error))
    }
}

/// Whether a file begins as those of torch do: a zip archive, or a pickle.
fn is_pickled(path: &Path) -> bool {
    let mut begin = [0; 2];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut begin, 0));
    read.is_ok() && (begin == *b"PK" || begin[0] == 0x80)
}

/// The files of weights in a part's folder: one, or as many as the index beside them names. Of several precisions the full one
/// is taken, and the moving average (`non_ema` is what diffusers calls the other) is what folders hold.
fn weights_in(folder: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let stems = ["diffusion_pytorch_model", "model"];
    let variants = ["", ".fp16", ".bf16"];
    for (stem, variant) in stems.iter().flat_map(|stem| variants.iter().map(move |variant| (stem, variant))) {
        let one = folder.join(format!("{stem}{variant}.safetensors"));
        if one.is_file() {
            return Ok(vec![one]);
        }
        let index = folder.join(format!("{stem}.safetensors.index{variant}.json"));
        if index.is_file() {
            return shards(&index);
        }
    }
    Ok(Vec::new())
}

/// The files that an index names, each once.
fn shards(index: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let text = fs::read_to_string(index).map_err(|error| ImportError::disk(index, &error))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| ImportError::unfit(index, error))?;
    let map = value.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| ImportError::unfit(index, "it must have a weight_map"))?;
    let names: std::collections::BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
    let beside = |name: &str| -> Result<PathBuf, ImportError> {
        match name.contains(['/', '\\']) {
            true => Err(ImportError::unfit(index, format!("it must name files beside it, got {name:?}"))),
            false => Ok(index.with_file_name(name)),
        }
    };
    names.into_iter().map(beside).collect()
}
