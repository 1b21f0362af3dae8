//! Adapters as requests name them: textual inversions, LoRAs and hypernetworks, and how far each fits a model.

use super::outcome::{Code, Rejection};
use super::units::shown;

/// What an adapter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AdapterKind {
    /// A textual inversion: vectors that stand in a prompt for a name.
    Embedding,
    /// Changes of weights, of low rank or of another shape that gives full ones.
    Lora,
    /// Small networks before the keys and values of attention.
    Hypernetwork,
}

impl AdapterKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Lora, Self::Embedding, Self::Hypernetwork];

    /// Its name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Lora => "lora",
            Self::Hypernetwork => "hypernetwork",
        }
    }
}

/// An adapter of the store, held against one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterFacts {
    /// What it is.
    pub kind: AdapterKind,
    /// Its name: that of its file without the ending.
    pub name: String,
    /// How much of it the model has a place for, or why it does not fit.
    pub fit: Result<Fit, String>,
}

/// How much of an adapter a model has a place for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fit {
    /// Parts that change the model: modules of a LoRA, widths of a hypernetwork, vectors of an embedding.
    pub matched: usize,
    /// Parts that the model has no place for.
    pub unmatched: usize,
}

/// Finds an adapter that fits; `field` is the one that named it.
pub(super) fn fitting<'a>(
    adapters: &'a [AdapterFacts],
    kind: AdapterKind,
    name: &str,
    field: &str,
) -> Result<&'a AdapterFacts, Rejection> {
    let found = adapters.iter().find(|adapter| adapter.kind == kind && adapter.name == name);
    let adapter = found.ok_or_else(|| {
        let message = format!("there is no {} {}", kind.name(), shown(name));
        Rejection::of_field(Code::UnknownAdapter, field, message)
    })?;
    match &adapter.fit {
        Ok(_) => Ok(adapter),
        Err(reason) => {
            let message = format!("the {} {} does not fit this model: {reason}", kind.name(), shown(name));
            Err(Rejection::of_field(Code::AdapterMismatch, field, message))
        }
    }
}
