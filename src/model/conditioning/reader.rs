//! How prompts are read: as chunks of token ids, with the names of embeddings found among them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::super::tokenizer::Tokenizer;
use super::super::vocabulary::Vocabulary;
use crate::job::Reading;
use crate::prompt::chunks::{Chunk, Piece, chunks};
use crate::prompt::names::{Name, Names};
use crate::prompt::{Prompt, Span, Syntax};

/// Reads prompts as a model's text encoders do.
#[derive(Debug)]
pub struct Reader {
    tokenizer: Arc<Tokenizer>,
    names: Names,
    /// The names themselves, by the id of their first row.
    words: BTreeMap<u32, String>,
    /// Chunks that the U-Net takes, where it was exported for a fixed number of tokens.
    most_chunks: Option<usize>,
}

impl Reader {
    /// With the names of embeddings, whose rows stand behind those of the tokenizer's own table.
    pub fn new(tokenizer: Arc<Tokenizer>, embeddings: &Vocabulary, most_chunks: Option<usize>) -> Self {
        let names = embeddings.rows().map(|(name, first, count)| Name { ids: tokenizer.pieces(name), first, count });
        let names = Names::new(names.collect::<Vec<_>>());
        let words = embeddings.rows().map(|(name, first, _)| (first, name.to_owned())).collect();
        Self { names, words, tokenizer, most_chunks }
    }

    /// The chunks of a text; at least one.
    pub(super) fn chunks(&self, spans: &[Span], syntax: Syntax) -> Vec<Chunk> {
        let mut chunks = self.filled(&self.pieces(spans, syntax));
        chunks.truncate(self.most_chunks.unwrap_or(usize::MAX));
        chunks
    }

    /// How a prompt is read over so many steps.
    pub fn read(&self, prompt: &Prompt, steps: usize) -> Reading {
        let mut whole = Reading::default();
        for condition in prompt.conditions() {
            // Alternation comes back to the same texts again and again.
            let texts: HashSet<Vec<Span>> = condition.timeline(steps).into_iter().map(|(_, spans)| spans).collect();
            let longest =
                texts.iter().map(|spans| self.text(spans, prompt.syntax())).reduce(longer).unwrap_or_default();
            whole.tokens += longest.tokens;
            whole.lost += longest.lost;
            whole.chunks = whole.chunks.max(longest.chunks);
            whole.embeddings.extend(longest.embeddings);
        }
        whole
    }

    fn text(&self, spans: &[Span], syntax: Syntax) -> Reading {
        let pieces = self.pieces(spans, syntax);
        let filled = self.filled(&pieces);
        let read = filled.iter().take(self.most_chunks.unwrap_or(usize::MAX));
        let (tokens, read) = (places(&pieces), read.map(|chunk| chunk.ids.len()).sum::<usize>());
        Reading {
            tokens,
            chunks: filled.len().min(self.most_chunks.unwrap_or(usize::MAX)),
            lost: tokens - read,
            embeddings: self.embeddings(&pieces).collect(),
        }
    }

    fn embeddings(&self, pieces: &[Piece]) -> impl Iterator<Item = String> {
        pieces.iter().filter_map(|piece| match piece {
            Piece::Vectors { first, .. } => self.words.get(first).cloned(),
            _ => None,
        })
    }

    fn filled(&self, pieces: &[Piece]) -> Vec<Chunk> {
        chunks(pieces, self.tokenizer.room())
    }

    fn pieces(&self, spans: &[Span], syntax: Syntax) -> Vec<Piece> {
        let none = Names::default();
        let names = if syntax == Syntax::Weighted { &self.names } else { &none };
        // What a comma would move to the next chunk is lost where there is none.
        let comma = if self.most_chunks == Some(1) { None } else { self.tokenizer.comma() };
        let pieces = |span: &Span| match span {
            Span::Text { text, weight } => names.pieces(&self.tokenizer.pieces(text), *weight, comma),
            Span::Break => vec![Piece::Break],
        };
        spans.iter().flat_map(pieces).collect()
    }
}

/// How many places in chunks they take.
fn places(pieces: &[Piece]) -> usize {
    let each = pieces.iter().map(|piece| match piece {
        Piece::Token { .. } => 1,
        Piece::Vectors { count, .. } => *count,
        Piece::Break => 0,
    });
    each.sum()
}

/// What holds for two texts that take turns: the longer of them, and the names of both.
fn longer(one: Reading, other: Reading) -> Reading {
    let (mut long, short) = if one.tokens >= other.tokens { (one, other) } else { (other, one) };
    (long.chunks, long.lost) = (long.chunks.max(short.chunks), long.lost.max(short.lost));
    long.embeddings.extend(short.embeddings);
    long
}
