//! The tensors of a run, kept for comparing it with another implementation.

use std::collections::BTreeMap;

use ndarray::{ArrayViewD, Axis};
use safetensors::tensor::{Dtype, SafeTensorError, TensorView, serialize};

use crate::diffusion::Latents;
use crate::model::Conditioning;

/// The tensors of a run by name, or nothing at all.
///
/// | name | shape | what |
/// |---|---|---|
/// | `tokens.conditional`, `tokens.unconditional` | `[tokens]` | ids, padding included |
/// | `tokens_2.conditional`, `tokens_2.unconditional` | `[tokens]` | those of a second tokenizer |
/// | `embeddings.conditional`, `embeddings.unconditional` | `[1, tokens, width]` | what the text encoders give |
/// | `pooled.conditional`, `pooled.unconditional` | `[1, width]` | the whole text in one vector, where the U-Net takes it |
/// | `*.conditional.1`, ... | | the same for further conditions of a composed prompt |
/// | `*@STEP` | | the same for a text that takes over at a step |
/// | `K.noise` | `[1, channels, height, width]` | the noise that picture K starts from, standard deviation 1 |
/// | `K.init` | latents | the init image, where the run does not start from noise alone |
/// | `K.extra` | `[1, 1 or 5, height, width]` | what joins the latents of inpainting and depth models: mask and masked image, or depth |
/// | `K.call.NNN.input`, `K.call.NNN.timestep` | latents, `[]` | what the U-Net is given the NNNth time |
/// | `K.call.NNN.conditional`, `K.call.NNN.unconditional` | latents | what it gives; `conditional.1` and so on for further conditions |
/// | `K.latents` | latents | what the decoder is given, before the scaling factor |
/// | `K.planes` | `[1, 3, height, width]` | what the decoder gives, nominally from -1 to 1 |
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

    /// The latents of several pictures, each under its own index from `first` on: `K.what`, [1, channels, height, width].
    pub(super) fn keep_each(&mut self, first: usize, what: &str, latents: &Latents) {
        for (k, one) in (first..).zip(latents.axis_chunks_iter(Axis(0), 1)) {
            self.keep(&format!("{k}.{what}"), one.into_dyn());
        }
    }

    /// What a text became; `name` is `conditional` or `unconditional`.
    pub(super) fn keep_text(&mut self, name: &str, tokens: &[Vec<u32>], text: &Conditioning) {
        for (place, ids) in ["tokens", "tokens_2"].iter().zip(tokens) {
            self.keep_ids(&format!("{place}.{name}"), ids);
        }
        self.keep(&format!("embeddings.{name}"), text.context.view().into_dyn());
        if let Some(pooled) = &text.pooled {
            self.keep(&format!("pooled.{name}"), pooled.view().into_dyn());
        }
    }

    fn keep_ids(&mut self, name: &str, ids: &[u32]) {
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
