//! LoRA files: what their keys mean, which modules they change, and the changed weights.
//!
//! [`LoraFile`] is the file, [`Lora::of`] reads its header, [`Lora::fit`] finds the modules of a model, [`Group::read`] takes the tensors of
//! one module and [`merged`] makes its new weight. Known are LoRA, LoCon, LoHa, LoKr, full differences (also of norms and
//! of biases alone) and DoRA on each of them, in the layouts of kohya, LyCORIS, diffusers and PEFT.

mod change;
mod dora;
mod entry;
mod error;
mod file;
mod fit;
#[cfg(test)]
mod golden;
mod group;
mod key;
mod matrix;
mod merge;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use error::LoraError;
pub use file::LoraFile;
pub use fit::{Fit, Place};
pub use group::{Factors, Group};
pub use merge::{merged, merged_bias};

use crate::weights::Dtype;
use crate::weights::names::Part;
use change::Change;
use entry::Entry;
use key::{Meaning, Role};
use settings::Settings;

/// What the header of a LoRA file tells.
#[derive(Clone, Debug)]
pub struct Lora {
    groups: Vec<Group>,
    unknown: Vec<String>,
}

/// The tensors of one module, as they are collected.
struct Collected {
    name: String,
    tensors: BTreeMap<Role, Entry>,
}

impl Lora {
    /// The LoRA in a file whose header has these keys with these element types and shapes.
    ///
    /// `settings` is the value of `lora_adapter_metadata` in the file's metadata, where diffusers keeps PEFT's
    /// settings: alpha stands there and not in a key. That the shapes agree with each other is checked here.
    pub fn of(
        entries: impl IntoIterator<Item = (String, Dtype, Vec<usize>)>,
        settings: Option<&str>,
    ) -> Result<Self, LoraError> {
        let settings = settings.map(Settings::parse).transpose()?.unwrap_or_default();
        let (mut modules, mut unknown) = (BTreeMap::<(Part, String), Collected>::new(), Vec::new());
        for (key, dtype, shape) in entries {
            match key::meaning(&key) {
                Meaning::Unsupported(algorithm) => return Err(LoraError::Unsupported { algorithm, key }),
                Meaning::Unknown => unknown.push(key),
                Meaning::Factor { part, name, module, role } => {
                    let empty = || Collected { name, tensors: BTreeMap::new() };
                    let collected = modules.entry((part, module)).or_insert_with(empty);
                    if let Some(Entry { key, .. }) = collected.tensors.insert(role, Entry { key, dtype, shape }) {
                        return Err(LoraError::Twice { key });
                    }
                }
            }
        }
        let mut groups = Vec::new();
        for ((part, module), Collected { name, tensors }) in modules {
            match Change::of(&name, tensors)? {
                Some(change) => {
                    let scaling = settings.scaling(part, &module);
                    groups.push(Group::new(part, module, change, name, scaling)?);
                }
                None => unknown.push(name),
            }
        }
        if groups.is_empty() {
            return Err(LoraError::Foreign {
                keys: unknown.len(),
                first: unknown.into_iter().next().unwrap_or_default(),
            });
        }
        Ok(Self { groups, unknown })
    }

    /// The modules that the file changes, in a stable order.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Keys that are none of a LoRA's, and names of modules that have an alpha and no matrices.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }
}
