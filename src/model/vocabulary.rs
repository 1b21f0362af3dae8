//! Textual inversions as rows behind those of the token table.

use std::sync::Arc;

use ndarray::{ArrayD, ArrayView2, Axis, Ix2, concatenate};

use crate::weights::Embedding;

/// The embeddings that fit a model's text encoders, in the order of their rows.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    words: Vec<(String, Arc<Embedding>)>,
    /// Rows of the encoders' own tables.
    first: u32,
    /// Names of those that do not fit; they have no rows.
    misfits: Vec<String>,
}

impl Vocabulary {
    /// For tables with `own` rows. The embeddings have vectors for every encoder, of its width; `misfits` are those that have
    /// not, whose names must be found too, so that whoever uses one is told.
    pub fn new(own: u32, words: Vec<(String, Arc<Embedding>)>, misfits: Vec<String>) -> Self {
        Self { words, first: own, misfits }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The id of the first row that is none of the encoders' own.
    pub(super) fn first(&self) -> u32 {
        self.first
    }

    /// The names, each with the id of its first row and the number of its rows. No two have the same id.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, u32, usize)> {
        let words = self.words.iter().map(|(name, embedding)| (name.as_str(), embedding.count()));
        let misfits = self.misfits.iter().map(|name| (name.as_str(), 0));
        words.chain(misfits).scan(self.first, |next, (name, count)| {
            let first = *next;
            *next += count.max(1) as u32;
            Some((name, first, count))
        })
    }

    /// The table of an encoder, [tokens, width], with all rows behind its own.
    pub(super) fn appended(&self, table: ArrayD<f32>, encoder: usize) -> Result<ArrayD<f32>, String> {
        let table = table.into_dimensionality::<Ix2>().map_err(|error| error.to_string())?;
        let mut parts: Vec<ArrayView2<'_, f32>> = vec![table.view()];
        parts.extend(self.words.iter().filter_map(|(_, embedding)| Some(embedding.vectors().get(encoder)?.view())));
        concatenate(Axis(0), &parts).map(|table| table.into_dyn()).map_err(|error| error.to_string())
    }
}
