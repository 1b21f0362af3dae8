//! Embeddings named in a text, found among its token ids.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::chunks::Piece;

/// An embedding's name as the tokenizer reads it, and where its vectors are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The token ids of the name, without begin and end.
    pub ids: Vec<u32>,
    /// The id of the first vector; the others follow.
    pub first: u32,
    /// How many vectors there are.
    pub count: usize,
}

/// The names of all embeddings; longer names go before shorter ones, earlier before later.
#[derive(Clone, Debug, Default)]
pub struct Names {
    by_first_id: HashMap<u32, Vec<Name>>,
}

impl Names {
    /// Names without ids are never found.
    pub fn new(names: impl IntoIterator<Item = Name>) -> Self {
        let mut by_first_id: HashMap<u32, Vec<Name>> = HashMap::new();
        for name in names {
            if let Some(&id) = name.ids.first() {
                by_first_id.entry(id).or_default().push(name);
            }
        }
        by_first_id.values_mut().for_each(|names| names.sort_by_key(|name| Reverse(name.ids.len())));
        Self { by_first_id }
    }

    /// The token ids of one span with the longest names among them replaced by their vectors.
    ///
    /// `comma` is the id of the comma that ends a word, if the vocabulary has one.
    pub fn pieces(&self, mut ids: &[u32], weight: f32, comma: Option<u32>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        while let [id, rest @ ..] = ids {
            if let Some(name) = self.at_start(ids) {
                pieces.push(Piece::Vectors { first: name.first, count: name.count, weight });
                ids = &ids[name.ids.len()..];
            } else {
                pieces.push(Piece::Token { id: *id, weight, comma: comma == Some(*id) });
                ids = rest;
            }
        }
        pieces
    }

    fn at_start(&self, ids: &[u32]) -> Option<&Name> {
        self.by_first_id.get(ids.first()?)?.iter().find(|name| ids.starts_with(&name.ids))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: u32) -> Piece {
        Piece::Token { id, weight: 1.5, comma: id == 267 }
    }

    fn vectors(first: u32, count: usize) -> Piece {
        Piece::Vectors { first, count, weight: 1.5 }
    }

    #[test]
    fn the_longest_name_is_found() {
        let name = |ids: &[u32], first, count| Name { ids: ids.to_vec(), first, count };
        let names = Names::new([
            name(&[7], 100, 1),
            name(&[7, 8, 9], 200, 4),
            name(&[7, 8], 300, 2),
            name(&[], 400, 1),
            name(&[7], 500, 1),
        ]);
        let found = names.pieces(&[1, 7, 8, 9, 267, 7, 8, 7, 7], 1.5, Some(267));
        let expected = [token(1), vectors(200, 4), token(267), vectors(300, 2), vectors(100, 1), vectors(100, 1)];
        assert_eq!(found, expected);
        assert_eq!(Names::default().pieces(&[7, 8], 1.5, None), [token(7), token(8)]);
    }

    #[test]
    fn a_name_that_is_not_whole_is_text() {
        let names = Names::new([Name { ids: vec![7, 8, 9], first: 100, count: 1 }]);
        assert_eq!(names.pieces(&[7, 8, 7, 8], 1.5, None), [7, 8, 7, 8].map(token));
    }
}
