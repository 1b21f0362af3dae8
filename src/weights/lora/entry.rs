//! A tensor that the file's header tells of.

use super::LoraError;
use crate::weights::Dtype;

/// Key, element type and shape of a tensor that is not read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
}

impl Entry {
    /// The shape as a matrix's, all axes after the first taken as one. Fewer than two axes or an empty tensor is an
    /// error.
    pub(super) fn flat(&self) -> Result<(usize, usize), LoraError> {
        let expected = || self.odd("two axes or more, none of length 0".to_owned());
        let (rows, rest) = self.shape.split_first().filter(|(_, rest)| !rest.is_empty()).ok_or_else(expected)?;
        let columns = rest.iter().try_fold(1usize, |product, length| product.checked_mul(*length));
        columns.filter(|columns| *rows > 0 && *columns > 0).map(|columns| (*rows, columns)).ok_or_else(expected)
    }

    /// That its values can be read as weights.
    pub(super) fn check_float(&self) -> Result<(), LoraError> {
        let Self { key, dtype, .. } = self;
        if dtype.is_float() { Ok(()) } else { Err(LoraError::NotFloat { key: key.clone(), dtype: *dtype }) }
    }

    /// The length of all axes together.
    pub(super) fn elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |product, length| product.checked_mul(*length))
    }

    /// That this entry's shape is not what was expected.
    pub(super) fn odd(&self, expected: String) -> LoraError {
        LoraError::Shape { key: self.key.clone(), found: self.shape.clone(), expected }
    }
}
