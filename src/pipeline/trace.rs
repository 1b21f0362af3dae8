//! The tensors of a run, kept for comparing it with another implementation.

use std::collections::BTreeMap;

use ndarray::ArrayViewD;
use safetensors::tensor::{Dtype, SafeTensorError, TensorView, serialize};

/// The tensors of a run by name, or nothing at all.
///
/// | name | shape | what |
/// |---|---|---|
/// | `tokens.conditional`, `tokens.unconditional` | `[tokens]` | ids, padding included |
/// | `embeddings.conditional`, `embeddings.unconditional` | `[1, tokens, width]` | the text encoder's last hidden state |
/// | `K.noise` | `[1, channels, height, width]` | the noise that picture K starts from, standard deviation 1 |
/// | `K.call.NNN.input`, `K.call.NNN.timestep` | latents, `[]` | what the U-Net is given the NNNth time |
/// | `K.call.NNN.conditional`, `K.call.NNN.unconditional` | latents | what it gives |
/// | `K.latents` | latents | what the decoder is given, before the scaling factor |
#[derive(Debug)]
pub struct Trace(Option<BTreeMap<String, Kept>>);

#[derive(Debug)]
struct Kept {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Trace {
    /// Keeps everything.
    pub fn on() -> Self {
        Self(Some(BTreeMap::new()))
    }

    /// Keeps nothing.
    pub fn off() -> Self {
        Self(None)
    }

    pub(super) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn keep(&mut self, name: &str, value: ArrayViewD<'_, f32>) {
        let Some(kept) = &mut self.0 else { return };
        let bytes = value.iter().flat_map(|number| number.to_le_bytes()).collect();
        kept.insert(name.to_owned(), Kept { dtype: Dtype::F32, shape: value.shape().to_vec(), bytes });
    }

    pub(super) fn keep_ids(&mut self, name: &str, ids: &[u32]) {
        let Some(kept) = &mut self.0 else { return };
        let bytes = ids.iter().flat_map(|id| i64::from(*id).to_le_bytes()).collect();
        kept.insert(name.to_owned(), Kept { dtype: Dtype::I64, shape: vec![ids.len()], bytes });
    }

    /// The content of a safetensors file.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, SafeTensorError> {
        let kept = self.0.iter().flatten();
        let views = kept.map(|(name, kept)| Ok((name, TensorView::new(kept.dtype, kept.shape.clone(), &kept.bytes)?)));
        serialize(views.collect::<Result<Vec<_>, SafeTensorError>>()?, None)
    }
}
