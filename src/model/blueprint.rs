//! What a session is made of: an exported graph as it is, or with edits and with other weights.

use std::path::{Path, PathBuf};

use half::f16;
use ndarray::ArrayD;
use ort::value::{DynValue, Tensor};

use crate::onnx::Skeleton;

/// What a session is made of. The exported files themselves are never written.
pub(super) struct Blueprint {
    /// The exported graph.
    pub(super) file: PathBuf,
    /// The graph to load in its place; weights that it does not hold are in the file's folder.
    pub(super) edited: Option<Vec<u8>>,
    /// What takes the place of weights that the graph has in other files.
    ///
    /// `AddExternalInitializers` puts them in place before ONNX Runtime computes with constants; with `AddInitializer` a
    /// weight that was transposed, scaled or merged with others beforehand would stay as it was.
    pub(super) weights: Vec<Weight>,
    /// Whether every entry gets a timestep of its own where the graph has one for all. Nothing that was edited needs it.
    pub(super) own_times: bool,
}

impl Blueprint {
    /// A graph with edits and other weights, the small ones of which become part of it.
    pub(super) fn changed(file: PathBuf, graph: &mut Skeleton, weights: Vec<Weight>) -> Self {
        let (inside, weights) = weights.into_iter().partition(|weight| weight.inside);
        let inside: Vec<Weight> = inside;
        for weight in &inside {
            // It comes from this graph, so there is one of that name.
            graph.put(&weight.name, weight.bytes());
        }
        Self { file, edited: Some(graph.to_bytes()), weights, own_times: false }
    }

    /// The graph as it was exported.
    pub(super) fn as_exported(file: &Path) -> Self {
        Self { file: file.to_owned(), edited: None, weights: Vec::new(), own_times: false }
    }
}

/// A weight of a graph.
#[derive(Clone)]
pub(super) struct Weight {
    /// The initializer's name.
    pub(super) name: String,
    pub(super) values: Values,
    /// Whether the graph itself holds the exported values, as it does with small ones.
    pub(super) inside: bool,
}

/// In the type that the graph has for them.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Values {
    F32(ArrayD<f32>),
    F16(ArrayD<f16>),
    I8(ArrayD<i8>),
    U8(ArrayD<u8>),
}

impl Weight {
    /// Its values as they lie in a file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        match &self.values {
            Values::F32(values) => laid_out(values, f32::to_le_bytes),
            Values::F16(values) => laid_out(values, f16::to_le_bytes),
            Values::I8(values) => laid_out(values, i8::to_le_bytes),
            Values::U8(values) => values.iter().copied().collect(),
        }
    }

    pub(super) fn into_value(self) -> ort::Result<DynValue> {
        Ok(match self.values {
            Values::F32(values) => Tensor::from_array(values)?.into_dyn(),
            Values::F16(values) => Tensor::from_array(values)?.into_dyn(),
            Values::I8(values) => Tensor::from_array(values)?.into_dyn(),
            Values::U8(values) => Tensor::from_array(values)?.into_dyn(),
        })
    }
}

/// All bytes of all values. One value at a time: byte by byte takes twice as long.
fn laid_out<T: Copy, const N: usize>(values: &ArrayD<T>, bytes_of: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    let mut bytes = vec![0; values.len() * N];
    bytes.as_chunks_mut().0.iter_mut().zip(values).for_each(|(place, value)| *place = bytes_of(*value));
    bytes
}
