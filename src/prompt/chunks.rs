//! A prompt's tokens in chunks of what a text encoder can read, each to be encoded alone.

/// What a chunk is filled with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Piece {
    /// A token of the vocabulary.
    Token {
        /// Its id.
        id: u32,
        /// How much it counts.
        weight: f32,
        /// Whether it is a comma: a place to part at.
        comma: bool,
    },
    /// The vectors of an embedding, which stay together.
    Vectors {
        /// The id of the first one; the others follow.
        first: u32,
        /// How many there are.
        count: usize,
        /// How much they count.
        weight: f32,
    },
    /// The end of the chunk.
    Break,
}

/// What a text encoder is given at once, without begin, end and padding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chunk {
    /// Ids of tokens and of embeddings' vectors.
    pub ids: Vec<u32>,
    /// How much each of them counts.
    pub weights: Vec<f32>,
}

/// A full chunk is parted after a comma among its last so many places.
const COMMA_REACH: usize = 20;

/// Fills chunks of `room` places (at least one), as the common web interface does: at least one chunk, maybe empty.
///
/// When a chunk is full and a comma is near its end, what follows the comma moves to the next chunk. Vectors that do
/// not fit start a new chunk; only more of them than `room` are spread over several. A [`Piece::Break`] closes the chunk
/// even if it is empty, and opens no last one.
pub fn chunks(pieces: &[Piece], room: usize) -> Vec<Chunk> {
    let mut filling = Filling { room: room.max(1), done: Vec::new(), chunk: Chunk::default(), comma: None };
    for piece in pieces {
        match *piece {
            Piece::Token { id, weight, comma } => filling.token(id, weight, comma),
            Piece::Vectors { first, count, weight } => filling.vectors(first, count, weight),
            Piece::Break => filling.close(),
        }
    }
    if !filling.chunk.ids.is_empty() || filling.done.is_empty() {
        filling.close();
    }
    filling.done
}

struct Filling {
    room: usize,
    done: Vec<Chunk>,
    chunk: Chunk,
    /// Place of the last comma in the chunk.
    comma: Option<usize>,
}

impl Filling {
    fn token(&mut self, id: u32, weight: f32, comma: bool) {
        // A comma that does not fit any more is forgotten, as in the reference: it parts neither chunk.
        if comma {
            self.comma = Some(self.chunk.ids.len());
        } else {
            self.part_at_comma();
        }
        self.close_if_full();
        self.push(id, weight);
    }

    fn vectors(&mut self, first: u32, count: usize, weight: f32) {
        self.part_at_comma();
        self.close_if_full();
        if count > self.room - self.chunk.ids.len() && !self.chunk.ids.is_empty() {
            self.close();
        }
        for id in (first..=u32::MAX).take(count) {
            self.close_if_full();
            self.push(id, weight);
        }
    }

    /// Moves what follows a near comma out of a full chunk.
    fn part_at_comma(&mut self) {
        let length = self.chunk.ids.len();
        if let Some(comma) = self.comma.filter(|comma| length == self.room && length - comma <= COMMA_REACH) {
            let ids = self.chunk.ids.split_off(comma + 1);
            let weights = self.chunk.weights.split_off(comma + 1);
            self.close();
            self.chunk = Chunk { ids, weights };
        }
    }

    fn close_if_full(&mut self) {
        if self.chunk.ids.len() == self.room {
            self.close();
        }
    }

    fn close(&mut self) {
        self.done.push(std::mem::take(&mut self.chunk));
        self.comma = None;
    }

    fn push(&mut self, id: u32, weight: f32) {
        self.chunk.ids.push(id);
        self.chunk.weights.push(weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(pieces: &[Piece], room: usize) -> Vec<usize> {
        chunks(pieces, room).iter().map(|chunk| chunk.ids.len()).collect()
    }

    fn token(id: u32) -> Piece {
        Piece::Token { id, weight: 1.0, comma: id == 267 }
    }

    #[test]
    fn a_clause_moves_to_the_next_chunk_as_a_whole() {
        let text = |comma: usize, count: usize| {
            (0..count).map(|at| token(if at == comma { 267 } else { 1 })).collect::<Vec<_>>()
        };
        assert_eq!(lengths(&text(55, 80), 75), [56, 24]);
        assert_eq!(lengths(&text(54, 80), 75), [75, 5]);
        assert_eq!(lengths(&text(55, 75), 75), [75]);
    }

    #[test]
    fn vectors_stay_together_where_they_can() {
        let vectors = |count| Piece::Vectors { first: 9, count, weight: 1.0 };
        assert_eq!(lengths(&[token(1), vectors(3), token(2)], 3), [1, 3, 1]);
        assert_eq!(lengths(&[token(1), vectors(7), token(2)], 3), [1, 3, 3, 2]);
        assert_eq!(chunks(&[vectors(4)], 3)[1].ids, [12]);
        assert_eq!(lengths(&[vectors(0)], 3), [0]);
    }

    #[test]
    fn there_is_always_a_chunk() {
        assert_eq!(lengths(&[], 75), [0]);
        assert_eq!(lengths(&[Piece::Break], 75), [0]);
        assert_eq!(lengths(&[Piece::Break, token(1), Piece::Break], 75), [0, 1]);
        assert_eq!(lengths(&[token(1), token(2)], 0), [1, 1]);
    }
}
