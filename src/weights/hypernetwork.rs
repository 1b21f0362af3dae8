//! Hypernetworks: small networks that change what the cross-attention's keys and values are computed from.
//!
//! The file is the web UI's: for each width of what goes into an attention's `to_k` and `to_v` a pair of networks, and beside
//! them how they are built. Source: `modules/hypernetworks/hypernetwork.py` of AUTOMATIC1111's web UI.

mod activation;
mod mlp;
mod structure;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::WeightsError;
use super::pickle::{self, Value};
pub use activation::Activation;
pub use mlp::{Layer, Mlp};
use structure::Structure;

/// The networks of a hypernetwork by the width of what they change.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypernetwork {
    layers: BTreeMap<usize, [Mlp; 2]>,
}

impl Hypernetwork {
    /// Reads the web UI's `.pt`.
    pub fn parse(file: &[u8]) -> Result<Self, WeightsError> {
        let file = pickle::load(file)?;
        let entries = file.entries().ok_or_else(|| WeightsError::malformed("a hypernetwork must be a dictionary"))?;
        let structure = Structure::of(&file)?;
        let pairs = entries.iter().filter_map(|(width, pair)| match width {
            Value::Int(width) => Some((*width, pair)),
            _ => None,
        });
        let layers =
            pairs.map(|(width, pair)| pair_of(width, pair, &structure)).collect::<Result<BTreeMap<_, _>, _>>()?;
        if layers.is_empty() {
            return Err(WeightsError::malformed("a hypernetwork must have networks by their widths, got none"));
        }
        Ok(Self { layers })
    }

    /// By the width of what they change, the network before `to_k` and the one before `to_v`.
    pub fn layers(&self) -> &BTreeMap<usize, [Mlp; 2]> {
        &self.layers
    }
}

fn pair_of(width: i64, pair: &Value, structure: &Structure) -> Result<(usize, [Mlp; 2]), WeightsError> {
    let size = usize::try_from(width).ok().filter(|width| *width > 0);
    let (Some(size), Some([key, value])) = (size, pair.elements()) else {
        return Err(WeightsError::Malformed(format!("the width {width} must be positive and have two networks")));
    };
    let mlp = |which, state: &Value| structure.network(size, state).map_err(|error| at(width, which, error));
    Ok((size, [mlp("keys", key)?, mlp("values", value)?]))
}

fn at(width: i64, which: &str, error: WeightsError) -> WeightsError {
    match error {
        WeightsError::Malformed(reason) => {
            WeightsError::Malformed(format!("the network of width {width} for {which}: {reason}"))
        }
        other => other,
    }
}
