//! What becomes of the tensors of a checkpoint that no weight of the template asks for.

use std::collections::BTreeMap;

use super::ignore::{is_of_no_use, is_of_the_layer_after};
use super::shelf::Shelf;
use super::template::Slot;
use crate::weights::names::Part;

/// The parts that are filled, by what the checkpoint's keys of each begin with, and how many layers each has.
#[derive(Debug)]
pub(super) struct Parts {
    filled: BTreeMap<String, usize>,
}

/// The keys that were left, sorted out.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// Known to be of no use, counted.
    pub(super) ignored: usize,
    /// Of a part that is filled, and without a place there.
    pub(super) homeless: Vec<String>,
    /// All others.
    pub(super) unknown: Vec<String>,
}

impl Parts {
    pub(super) fn of(slots: &[Slot], shelf: &Shelf) -> Self {
        let mut filled = BTreeMap::new();
        for slot in slots {
            for prefix in shelf.prefix(slot.part).into_iter().flat_map(|prefix| within(slot, &prefix)) {
                let layers: &mut usize = filled.entry(prefix).or_default();
                *layers = (*layers).max(layer(&slot.name).map_or(0, |last| last + 1));
            }
        }
        Self { filled }
    }

    pub(super) fn leftovers<'a>(&self, keys: impl Iterator<Item = &'a str>) -> Leftovers {
        let mut found = Leftovers::default();
        for key in keys {
            // Backwards, a longer prefix comes before what it begins with.
            let part = self.filled.iter().rev().find(|(prefix, _)| key.starts_with(prefix.as_str()));
            let after_the_last = part.is_some_and(|(_, &layers)| layers > 0 && is_of_the_layer_after(layers, key));
            match part {
                _ if after_the_last || is_of_no_use(key) => found.ignored += 1,
                Some(_) => found.homeless.push(key.to_owned()),
                None => found.unknown.push(key.to_owned()),
            }
        }
        found
    }
}

/// What else begins as the weight of `slot` does, in a part whose keys begin with `prefix`: of an autoencoder only one half
/// may be there.
fn within(slot: &Slot, prefix: &str) -> Vec<String> {
    let halves = [["encoder.", "quant_conv."], ["decoder.", "post_quant_conv."]];
    match slot.part {
        Part::Vae => {
            let own = halves.iter().filter(|half| half.iter().any(|begin| slot.name.starts_with(begin)));
            own.flatten().map(|begin| format!("{prefix}{begin}")).collect()
        }
        _ => vec![prefix.to_owned()],
    }
}

/// The number of the text encoder's layer that a parameter is in.
fn layer(name: &str) -> Option<usize> {
    name.strip_prefix("text_model.encoder.layers.")?.split('.').next()?.parse().ok()
}
