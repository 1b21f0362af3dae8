//! Chunks and weighted states against the formulas of the common web interface.

use ndarray::Array2;

use super::chunks::{Chunk, Piece, chunks};
use super::emphasis::reweigh;

/// Made by `tests/golden/prompts.py`.
const GOLDEN: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/prompts.json"));

/// Largest difference, relative to the largest state: a few float32 roundings of torch's mean and of the products.
const TOLERANCE: f32 = 2e-6;

#[derive(serde::Deserialize)]
struct Golden {
    fillings: Vec<Filling>,
    weighings: Vec<Weighing>,
}

#[derive(serde::Deserialize)]
struct Filling {
    room: usize,
    pieces: Vec<Given>,
    chunks: Vec<Vec<(u32, f32)>>,
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Given {
    Token(String, u32, f32, bool),
    Vectors(String, u32, usize, f32),
    Break([String; 1]),
}

#[derive(serde::Deserialize)]
struct Weighing {
    weights: Vec<f32>,
    states: Vec<Vec<f32>>,
    weighed: Vec<Vec<f32>>,
}

fn golden() -> Golden {
    serde_json::from_str(GOLDEN).unwrap()
}

impl Given {
    fn piece(&self) -> Piece {
        match self {
            Self::Token(kind, id, weight, comma) if kind == "token" => {
                Piece::Token { id: *id, weight: *weight, comma: *comma }
            }
            Self::Vectors(kind, first, count, weight) if kind == "vectors" => {
                Piece::Vectors { first: *first, count: *count, weight: *weight }
            }
            Self::Break([kind]) if kind == "break" => Piece::Break,
            _ => panic!("an unknown piece"),
        }
    }
}

fn matrix(rows: &[Vec<f32>]) -> Array2<f32> {
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

/// Relative to the largest expected value.
fn difference(found: &Array2<f32>, expected: &Array2<f32>) -> f32 {
    let largest = |values: &Array2<f32>| values.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
    largest(&(found - expected)) / largest(expected)
}

#[test]
fn tokens_fill_chunks_as_in_the_web_interface() {
    let fillings = golden().fillings;
    assert!(fillings.len() > 20);
    for (index, filling) in fillings.iter().enumerate() {
        let pieces: Vec<Piece> = filling.pieces.iter().map(Given::piece).collect();
        let expected: Vec<Chunk> = filling
            .chunks
            .iter()
            .map(|chunk| chunk.iter().copied().unzip())
            .map(|(ids, weights)| Chunk { ids, weights })
            .collect();
        assert_eq!(chunks(&pieces, filling.room), expected, "filling {index}");
    }
}

#[test]
fn a_comma_that_is_not_seen_fills_other_chunks() {
    let blind = |piece: &Given| match piece.piece() {
        Piece::Token { id, weight, .. } => Piece::Token { id, weight, comma: false },
        piece => piece,
    };
    let moved = golden().fillings.into_iter().filter(|filling| {
        let pieces: Vec<Piece> = filling.pieces.iter().map(blind).collect();
        chunks(&pieces, filling.room).iter().map(|chunk| chunk.ids.len()).ne(filling.chunks.iter().map(Vec::len))
    });
    assert!(moved.count() >= 5);
}

#[test]
fn states_are_weighed_as_in_the_web_interface() {
    let weighings = golden().weighings;
    assert!(weighings.len() > 10);
    for (index, weighing) in weighings.iter().enumerate() {
        let (states, expected) = (matrix(&weighing.states), matrix(&weighing.weighed));
        let mut found = states.clone();
        reweigh(&mut found, &weighing.weights);
        assert!(difference(&found, &expected) < TOLERANCE, "weighing {index}: {}", difference(&found, &expected));
        if weighing.weights.iter().all(|&weight| weight == 1.0) {
            assert_eq!(found, states);
        } else {
            assert!(difference(&states, &expected) > 1e-2, "weighing {index} shows nothing");
        }
    }
}
