//! Which modules of a model a LoRA changes.

use std::collections::HashMap;

use super::Lora;
use crate::weights::names::{Blocks, Part, original_unet};

/// Where the groups of a LoRA belong in a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fit {
    /// The modules that are changed, in the order of the groups.
    pub places: Vec<Place>,
    /// Names in the file that fit no module of the model, and keys that are none of a LoRA's.
    pub unmatched: Vec<String>,
}

/// A module of a model and the group that changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The part of the model.
    pub part: Part,
    /// diffusers' name of the module, as the model has it.
    pub module: String,
    /// The index in [`Lora::groups`].
    pub group: usize,
}

impl Lora {
    /// The modules of a model that this LoRA changes. `parts` has all modules of each part under diffusers' names
    /// (`down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_k`), also those that no LoRA would change: the
    /// structure is read from them.
    pub fn fit<M: AsRef<str>>(&self, parts: &[(Part, Vec<M>)]) -> Fit {
        let names: HashMap<Part, HashMap<String, &str>> =
            parts.iter().map(|(part, modules)| (*part, aliases(*part, modules))).collect();
        let mut fit = Fit::default();
        for (index, group) in self.groups().iter().enumerate() {
            let found = names.get(&group.part()).and_then(|names| find(names, group.part(), group.module()));
            match found {
                Some(module) => fit.places.push(Place { part: group.part(), module: module.to_owned(), group: index }),
                None => fit.unmatched.push(group.name().to_owned()),
            }
        }
        fit.unmatched.extend(self.unknown().iter().cloned());
        fit
    }
}

/// Every name that a file may have for a module, with underscores in the place of dots as kohya writes them.
fn aliases<M: AsRef<str>>(part: Part, modules: &[M]) -> HashMap<String, &str> {
    let blocks = Blocks::of(modules.iter().map(AsRef::as_ref));
    let original = |module: &str| (part == Part::Unet).then(|| original_unet(module, &blocks)).flatten();
    let names = modules.iter().map(AsRef::as_ref).flat_map(|module| {
        let names = [Some(module.to_owned()), original(module)];
        names.into_iter().flatten().map(move |name| (plain(part, &name), module))
    });
    names.collect()
}

fn find<'a>(names: &HashMap<String, &'a str>, part: Part, module: &str) -> Option<&'a str> {
    /// The attention processors of diffusers before version 0.20, in the U-Net and in text encoders.
    const OLD: [(&str, &str); 4] =
        [("_to_q", "_q_proj"), ("_to_k", "_k_proj"), ("_to_v", "_v_proj"), ("_to_out", "_out_proj")];
    let module = plain(part, module);
    let old = || match part {
        Part::Unet => Some(format!("{module}_0")).filter(|_| module.ends_with("_to_out")),
        _ => OLD.iter().find_map(|(old, new)| Some(format!("{}{new}", module.strip_suffix(old)?))),
    };
    names.get(&module).or_else(|| names.get(&old()?)).copied()
}

/// A name without dots, and without the `text_model` that some exports and files leave out.
fn plain(part: Part, name: &str) -> String {
    let name = name.replace('.', "_");
    match part {
        Part::Text(_) => name.strip_prefix("text_model_").unwrap_or(&name).to_owned(),
        _ => name,
    }
}
