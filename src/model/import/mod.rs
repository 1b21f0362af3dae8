//! New model folders from checkpoints: weights are poured into the graphs of a template.
//!
//! No graph is written here. A template is a model folder whose weights are not there yet (the built-in ones) or are another
//! model's (an exported folder): the new folder has the same bytes but where the weights stand.

mod builtin;
mod detect;
mod error;
mod exported;
mod ignore;
mod leftover;
mod lock;
mod partial;
mod plan;
mod pour;
mod settings;
mod shelf;
mod template;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub use detect::Prediction;
pub use error::ImportError;

use self::builtin::Builtin;
use self::detect::Findings;
use self::exported::Exported;
use self::partial::{Filling, Partial};
use self::plan::{Plan, Pour};
use self::shelf::Shelf;
use self::template::{Float, Slot};

/// What to import, and as what.
#[derive(Clone, Debug)]
pub struct Order {
    /// A `.safetensors` file in the original layout, or a folder of diffusers' `.safetensors` files.
    pub weights: PathBuf,
    /// The template: a built-in one's name, or an exported folder. By default the built-in one that fits.
    pub like: Option<String>,
    /// The name of the new folder.
    pub name: String,
    /// How the weights are to be stored. By default as most of the checkpoint is.
    pub precision: Option<Precision>,
    /// What the U-Net's output stands for. By default what the checkpoint says, or else what is usual for its family.
    pub prediction: Option<Prediction>,
    /// Where model folders are.
    pub models: PathBuf,
}

/// How weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// In 32 bits.
    Fp32,
    /// In 16 bits, but for what would overflow then.
    Fp16,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The new folder.
    pub folder: PathBuf,
    /// The template's name.
    pub like: String,
    /// How many weights were filled.
    pub weights: usize,
    /// How many tensors of the checkpoint are known to be of no use.
    pub ignored: usize,
    /// Tensors of the checkpoint that nobody knows and that are of no part of the model: they are not in the new folder.
    pub unknown: Vec<String>,
    /// What the U-Net's output stands for, if that was written into the folder.
    pub prediction: Option<Prediction>,
}

/// Makes the folder. If anything fails there is none, and nothing of it is left.
pub fn import(order: &Order) -> Result<Report, ImportError> {
    check_name(&order.name)?;
    let shelf = Shelf::open(&order.weights)?;
    let found = Findings::of(&shelf)?;
    let template = Template::find(order, &found, &shelf)?;
    settings::agree(&shelf, |name| template.json(name))?;
    let prediction = template.prediction(order, &found);
    let like = template.name();
    let (plan, files) = template.divide(&shelf)?;
    let partial = Partial::begin(&order.models, &order.name, files.size())?;
    files.lay(&partial, |name| settings::changes(name, &found, prediction, &shelf))?;
    fill(&partial, &plan.pours, &shelf, &files)?;
    let folder = partial.finish()?;
    let (weights, ignored, unknown) = (plan.pours.len(), plan.ignored, plan.unknown);
    Ok(Report { folder, like, weights, ignored, unknown, prediction })
}

/// A name is a folder's: one level, none that is hidden, and none that a command line takes for a flag.
fn check_name(name: &str) -> Result<(), ImportError> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let first = |name: &str| name.starts_with(|first: char| first.is_ascii_alphanumeric());
    if name.len() <= 64 && name.bytes().all(known) && first(name) {
        return Ok(());
    }
    Err(ImportError::Asked(format!(
        "a model's name must be 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit, got {name:?}"
    )))
}

/// Where the graphs come from.
enum Template {
    Builtin(&'static str, Builtin),
    Exported(Exported),
}

/// The files of the new folder.
enum Files {
    /// Their contents, and the lengths of the files of weights.
    New(BTreeMap<PathBuf, Vec<u8>>, BTreeMap<PathBuf, u64>),
    /// Where they are copied from, and their lengths.
    Copied(PathBuf, BTreeMap<PathBuf, u64>),
}

impl Template {
    fn find(order: &Order, found: &Findings, shelf: &Shelf) -> Result<Self, ImportError> {
        let family = match order.like.as_deref() {
            None => found.family(shelf)?,
            Some(name) => match builtin::NAMES.iter().find(|known| **known == name) {
                Some(known) => known,
                None => return Self::exported(name, order),
            },
        };
        let float = match order.precision {
            None => found.float,
            Some(Precision::Fp32) => Float::F32,
            Some(Precision::Fp16) => Float::F16,
        };
        Ok(Self::Builtin(family, Builtin::open(family, float)?))
    }

    /// A folder by its path, or by its name among the models.
    fn exported(name: &str, order: &Order) -> Result<Self, ImportError> {
        let places = [order.models.join(name), PathBuf::from(name)];
        let folder = places.iter().find(|place| place.is_dir()).ok_or_else(|| {
            let names = builtin::NAMES.join(", ");
            ImportError::Asked(format!("the template must be one of {names} or an exported folder, got {name}"))
        })?;
        if order.precision.is_some() {
            return Err(ImportError::Asked(
                "the graphs of a folder have their precision: leave out --dtype".to_owned(),
            ));
        }
        Exported::open(folder).map(Self::Exported)
    }

    fn name(&self) -> String {
        match self {
            Self::Builtin(name, _) => (*name).to_owned(),
            Self::Exported(exported) => exported.path.display().to_string(),
        }
    }

    /// What is to be written about the U-Net's output: a folder says it already.
    fn prediction(&self, order: &Order, found: &Findings) -> Option<Prediction> {
        let usual = match self {
            Self::Builtin(family, _) => Some(found.prediction_of(family)),
            Self::Exported(_) => found.prediction,
        };
        order.prediction.or(usual)
    }

    fn json(&self, name: &str) -> Option<Value> {
        let content = match self {
            Self::Builtin(_, builtin) => builtin.files.get(Path::new(name)).cloned()?,
            Self::Exported(exported) => fs::read(exported.path.join(name)).ok()?,
        };
        serde_json::from_slice(&content).ok()
    }

    /// What is to be filled, and what is to be laid.
    fn divide(self, shelf: &Shelf) -> Result<(Plan, Files), ImportError> {
        let (slots, files): (Vec<Slot>, Files) = match self {
            Self::Builtin(_, Builtin { files, slots, data }) => (slots, Files::New(files, data)),
            Self::Exported(Exported { path, files, slots }) => (slots, Files::Copied(path, files)),
        };
        Ok((Plan::of(slots, shelf)?, files))
    }
}

type Changes = serde_json::Map<String, Value>;

impl Files {
    /// Bytes of all of them.
    fn size(&self) -> u64 {
        match self {
            Self::New(files, data) => {
                files.values().map(|file| file.len() as u64).sum::<u64>() + data.values().sum::<u64>()
            }
            Self::Copied(_, files) => files.values().sum(),
        }
    }

    /// The length of one that holds weights.
    fn length(&self, file: &Path) -> u64 {
        let (Self::New(_, lengths) | Self::Copied(_, lengths)) = self;
        lengths.get(file).copied().unwrap_or(0)
    }

    /// Writes them, but for the weights.
    fn lay(
        &self,
        partial: &Partial,
        changes: impl Fn(&str) -> Result<Changes, ImportError>,
    ) -> Result<(), ImportError> {
        match self {
            Self::New(files, _) => {
                for (file, content) in files {
                    partial.write(file, content)?;
                    change(partial, file, &changes)?;
                }
            }
            Self::Copied(path, files) => {
                for file in files.keys() {
                    partial.copy(file, &path.join(file))?;
                    change(partial, file, &changes)?;
                }
            }
        }
        Ok(())
    }
}

/// Changes a JSON file that was laid, if the checkpoint says otherwise.
fn change(
    partial: &Partial,
    file: &Path,
    changes: &impl Fn(&str) -> Result<Changes, ImportError>,
) -> Result<(), ImportError> {
    let changes = changes(&file.to_string_lossy())?;
    if changes.is_empty() {
        return Ok(());
    }
    let path = partial.at(file);
    let content = fs::read(&path).map_err(|error| ImportError::disk(&path, &error))?;
    let changed = settings::changed(&content, changes).map_err(|error| ImportError::unfit(file, error))?;
    partial.write(file, &changed)
}

/// Pours every weight into its place. Weights that share a place must be equal.
fn fill(partial: &Partial, pours: &[Pour], shelf: &Shelf, files: &Files) -> Result<(), ImportError> {
    let mut open: Option<(&Path, Filling)> = None;
    let mut last: Option<&Pour> = None;
    for one in pours {
        let slot = &one.slot;
        if let Some(before) = last.filter(|last| (&last.slot.file, last.slot.offset) == (&slot.file, slot.offset)) {
            if pour::digest(shelf, before)? != pour::digest(shelf, one)? {
                let reason =
                    format!("{} and {} must be equal, the template has one place for both", before.key, one.key);
                return Err(ImportError::unfit(&shelf.path, reason));
            }
            continue;
        }
        let filling = match open.take() {
            Some((file, filling)) if file == slot.file => filling,
            _ => partial.open(&slot.file, files.length(&slot.file))?,
        };
        let mut at = slot.offset;
        pour::pour(shelf, one, &mut |bytes| {
            filling.put(at, bytes)?;
            at += bytes.len() as u64;
            Ok(())
        })?;
        open = Some((&slot.file, filling));
        last = Some(one);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
