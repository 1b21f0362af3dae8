//! Weights on their way from a checkpoint to a graph's file: in pieces, so that no tensor needs to be in memory as a whole.
//!
//! Only a matrix that is turned on the way is: it is read as it is, and written row by row of the other. No such matrix is the
//! largest tensor of a model.

use half::f16;
use sha2::{Digest, Sha256};

use super::error::ImportError;
use super::plan::Pour;
use super::shelf::Shelf;
use super::template::Float;

/// Elements of one piece.
const PIECE: u64 = 1 << 18;

/// What takes the bytes of a weight, in order.
pub(super) type Sink<'a> = dyn FnMut(&[u8]) -> Result<(), ImportError> + 'a;

/// Sends the bytes of one weight, as they are to stand in the graph's file.
pub(super) fn pour(shelf: &Shelf, pour: &Pour, sink: &mut Sink) -> Result<(), ImportError> {
    if pour.turned { turned(shelf, pour, sink) } else { straight(shelf, pour, sink) }
}

/// The digest of what `pour` would send: two weights that share one place must be equal.
pub(super) fn digest(shelf: &Shelf, one: &Pour) -> Result<[u8; 32], ImportError> {
    let mut hash = Sha256::new();
    pour(shelf, one, &mut |bytes| {
        hash.update(bytes);
        Ok(())
    })?;
    Ok(hash.finalize().into())
}

fn straight(shelf: &Shelf, pour: &Pour, sink: &mut Sink) -> Result<(), ImportError> {
    let (width, all) = (pour.entry.dtype.size() as u64, pour.rows * pour.columns);
    let mut piece = vec![0; (all.min(PIECE) * width) as usize];
    let mut out = Vec::with_capacity((all.min(PIECE) * pour.slot.float.size()) as usize);
    let mut done = 0;
    while done < all {
        let count = (all - done).min(PIECE);
        piece.truncate((count * width) as usize);
        shelf.read(&pour.entry, (pour.first + done) * width, &mut piece)?;
        out.clear();
        convert(shelf, pour, &piece, &mut out)?;
        sink(&out)?;
        done += count;
    }
    Ok(())
}

fn turned(shelf: &Shelf, pour: &Pour, sink: &mut Sink) -> Result<(), ImportError> {
    let (rows, columns, width) = (pour.rows as usize, pour.columns as usize, pour.entry.dtype.size());
    let mut matrix = vec![0; rows * columns * width];
    shelf.read(&pour.entry, pour.first * width as u64, &mut matrix)?;
    // As many columns together as a piece holds, so that each line of memory is fetched once and not once a column.
    let band = (PIECE as usize / rows.max(1)).max(1);
    let (mut piece, mut out) = (Vec::new(), Vec::new());
    for first in (0..columns).step_by(band) {
        piece.clear();
        out.clear();
        for column in first..(first + band).min(columns) {
            for row in 0..rows {
                let at = (row * columns + column) * width;
                piece.extend_from_slice(&matrix[at..at + width]);
            }
        }
        convert(shelf, pour, &piece, &mut out)?;
        sink(&out)?;
    }
    Ok(())
}

/// Appends the numbers in `bytes` to `out` as the graph stores them. An error if one is no number, or too large there.
fn convert(shelf: &Shelf, pour: &Pour, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ImportError> {
    let unfit = |reason: String| ImportError::unfit(shelf.file_of(&pour.entry), format!("{} {reason}", pour.key));
    let dtype = pour.entry.dtype;
    let values = dtype.floats(bytes);
    for value in values.ok_or_else(|| unfit(format!("must hold floating point numbers, got {dtype}")))? {
        if !value.is_finite() {
            return Err(unfit(format!("must hold finite numbers, got {value}")));
        }
        match pour.slot.float {
            Float::F32 => out.extend(value.to_le_bytes()),
            Float::F16 => {
                let narrow = f16::from_f32(value);
                if narrow.is_infinite() {
                    return Err(unfit(format!("must fit 16 bits, got {value}: give --dtype fp32")));
                }
                out.extend(narrow.to_le_bytes());
            }
        }
    }
    Ok(())
}
