//! The bytes of the tensors of a file.

use std::borrow::Cow;
use std::collections::HashMap;

use super::graph::View;
use crate::weights::{Tensor, WeightsError};

/// The storages of a file by their keys, little-endian.
#[derive(Debug, Default)]
pub(super) struct Storages<'a>(HashMap<String, Cow<'a, [u8]>>);

impl<'a> Storages<'a> {
    pub(super) fn add(&mut self, key: String, bytes: Cow<'a, [u8]>) {
        self.0.insert(key, bytes);
    }

    /// The elements that a view shows of the storage `key`, put together in row-major order.
    pub(super) fn tensor(&self, key: &str, view: &View) -> Result<Tensor, WeightsError> {
        let storage =
            self.0.get(key).ok_or_else(|| WeightsError::malformed(format!("the file has no storage {key:?}")))?;
        let size = view.dtype.size();
        let bytes = view.dtype.bytes(&view.shape)?;
        if bytes == 0 {
            return Tensor::new(view.dtype, view.shape.clone(), Vec::new());
        }
        let last = last(view).and_then(|last| last.checked_mul(size)).and_then(|at| at.checked_add(size));
        if last.is_none_or(|end| end > storage.len()) {
            let message = format!("a tensor of shape {:?} reaches beyond its storage {key:?}", view.shape);
            return Err(WeightsError::Malformed(message));
        }
        let elements = if is_contiguous(view) {
            let from = view.offset * size;
            storage[from..from + bytes].to_vec()
        } else {
            let mut elements = Vec::with_capacity(bytes);
            gather(storage, size, &view.shape, &view.strides, view.offset, &mut elements);
            elements
        };
        Tensor::new(view.dtype, view.shape.clone(), elements)
    }
}

/// The element that stands last in the storage, counted from its beginning. No side of the view is zero.
fn last(view: &View) -> Option<usize> {
    view.shape
        .iter()
        .zip(&view.strides)
        .try_fold(view.offset, |at, (side, stride)| at.checked_add((side - 1).checked_mul(*stride)?))
}

/// Whether the elements stand in row-major order without a gap. The stride of a side of one means nothing.
fn is_contiguous(view: &View) -> bool {
    let mut expected = 1;
    view.shape.iter().zip(&view.strides).rev().all(|(side, stride)| {
        let fits = *side == 1 || *stride == expected;
        expected *= side;
        fits
    })
}

/// Appends the elements of one dimension after another; the recursion is as deep as the tensor has dimensions.
fn gather(storage: &[u8], size: usize, shape: &[usize], strides: &[usize], at: usize, elements: &mut Vec<u8>) {
    match (shape, strides) {
        ([side, shape @ ..], [stride, strides @ ..]) => {
            (0..*side).for_each(|index| gather(storage, size, shape, strides, at + index * stride, elements));
        }
        _ => elements.extend_from_slice(&storage[at * size..(at + 1) * size]),
    }
}
