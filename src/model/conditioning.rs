//! From text to what the U-Net is conditioned on.
//!
//! ```text
//! spans of a prompt -> tokens, names of embeddings found -> chunks of 75      Reader
//! chunks -> states, each times its weight                                     an encoder each
//! states side by side, chunk after chunk -> Conditioning                      kept while the encoders are loaded
//! ```

mod encoder;
mod reader;
mod recent;
mod timeline;

use std::sync::Arc;

use ndarray::{Array2, Array3, Axis, concatenate};

pub use self::encoder::TextAdapters;
pub use self::reader::Reader;
pub use self::timeline::Timeline;

use self::encoder::TextEncoder;
use self::recent::Recent;
use super::engine::Engine;
use super::error::{LoadError, PassError};
use super::folder::Folder;
use crate::job::Watch;
use crate::prompt::chunks::Chunk;
use crate::prompt::{Span, Syntax};

/// States of texts, [texts, tokens, width].
pub type Embeddings = Array3<f32>;

/// Bytes of texts that are kept; one of a v1 model takes 240 kB.
const KEPT: usize = 64 << 20;

/// What the U-Net is conditioned on for one text.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditioning {
    /// A state for each token, [1, tokens, width].
    pub context: Embeddings,
    /// The text as a whole, [1, width], for U-Nets that take that too.
    pub pooled: Option<Array2<f32>>,
}

impl Conditioning {
    /// The same shapes without any content.
    pub fn zeroed(self) -> Self {
        Self { context: self.context * 0.0, pooled: self.pooled.map(|pooled| pooled * 0.0) }
    }
}

/// A text as it was read, and what it became.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// The token ids that each encoder was given, chunk after chunk, padding included.
    pub tokens: Vec<Vec<u32>>,
    /// How many chunks they are.
    pub chunks: usize,
    /// What the U-Net is conditioned on.
    pub conditioning: Conditioning,
}

/// The text encoders of a model with their tokenizers: one, or two whose outputs stand side by side.
pub struct TextEncoders {
    encoders: Vec<TextEncoder>,
    recent: Recent<(Vec<Span>, Syntax), Encoded>,
}

impl TextEncoders {
    /// Loads the encoders' graphs and the tokenizers' files.
    pub fn load(engine: &Engine, folder: &Folder, adapters: &TextAdapters<'_>) -> Result<Self, LoadError> {
        let load = |place| TextEncoder::load(engine, folder, place, adapters);
        let encoders = (0..folder.texts.len()).map(load).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { encoders, recent: Recent::new(KEPT) })
    }

    /// What a text becomes. Each encoder makes one pass, unless the same text was there before.
    pub fn encode(&self, spans: &[Span], syntax: Syntax, watch: &dyn Watch) -> Result<Arc<Encoded>, PassError> {
        let bytes = |text: &Encoded| text.conditioning.context.len() * size_of::<f32>();
        self.recent.get((spans.to_vec(), syntax), bytes, |(spans, syntax)| self.encode_anew(spans, *syntax, watch))
    }

    fn encode_anew(&self, spans: &[Span], syntax: Syntax, watch: &dyn Watch) -> Result<Encoded, PassError> {
        // Two tokenizers may disagree about a sign; the shorter reading is filled up with the empty text.
        let mut readings: Vec<_> = self.encoders.iter().map(|encoder| encoder.reader.chunks(spans, syntax)).collect();
        let chunks = readings.iter().map(Vec::len).max().unwrap_or(1);
        readings.iter_mut().for_each(|reading| reading.resize_with(chunks, Chunk::default));
        let (mut tokens, mut states, mut pooled) = (Vec::new(), Vec::new(), None);
        for (encoder, reading) in self.encoders.iter().zip(&readings) {
            let encoded = encoder.encode(reading, watch)?;
            states.push(encoded.states);
            pooled = encoded.pooled.or(pooled);
            tokens.push(encoded.ids);
        }
        let views: Vec<_> = states.iter().map(|states| states.view()).collect();
        let context = concatenate(Axis(2), &views).map_err(wrong)?;
        Ok(Encoded { tokens, chunks, conditioning: Conditioning { context, pooled } })
    }

    /// The same with chunks of the empty text behind it, `chunks` in all: texts that go through the U-Net together must be of
    /// one length.
    pub fn padded(&self, text: &Encoded, chunks: usize, watch: &dyn Watch) -> Result<Conditioning, PassError> {
        let Conditioning { context, pooled } = text.conditioning.clone();
        if text.chunks >= chunks {
            return Ok(Conditioning { context, pooled });
        }
        let empty = self.encode(&[], Syntax::Plain, watch)?;
        let mut parts = vec![context.view()];
        parts.extend(std::iter::repeat_n(empty.conditioning.context.view(), chunks - text.chunks));
        Ok(Conditioning { context: concatenate(Axis(1), &parts).map_err(wrong)?, pooled })
    }
}

fn wrong(error: ndarray::ShapeError) -> PassError {
    PassError::Failed(format!("the text encoder's values have the wrong shape: {error}"))
}

#[cfg(test)]
mod tests;
