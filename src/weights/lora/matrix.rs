//! A matrix as LoRA files keep it: whole, or as a product of small ones.

use ndarray::{Array2, ArrayD, ArrayView2, CowArray, Ix2};

use super::LoraError;
use super::entry::Entry;

/// A matrix, generic in whether the tensors are entries of a header or values.
///
/// Convolutions are flat: [outputs, inputs x kernel].
#[derive(Clone, Debug)]
pub(super) enum Matrix<T> {
    /// [n, m].
    Whole(T),
    /// `up` [n, r] times `down` [r, m].
    Product { up: T, down: T },
    /// LoCon's convolution through a small one: `up` [n, r], `core` [r, r, kernel], `down` [r, inputs].
    Mid { up: T, core: T, down: T },
    /// LyCORIS's form of the same, with `up` [r, n].
    Tucker { up: T, core: T, down: T },
}

impl Matrix<Entry> {
    /// Rows and columns, when the shapes agree with each other and nothing is empty.
    pub(super) fn size(&self) -> Result<(usize, usize), LoraError> {
        match self {
            Self::Whole(whole) => whole.flat(),
            Self::Product { up, down } => {
                let ((rows, rank), (inner, columns)) = (up.flat()?, down.flat()?);
                if rank != inner {
                    return Err(down.odd(format!("{rank} rows as `{}` has {rank} columns", up.key)));
                }
                Ok((rows, columns))
            }
            Self::Mid { up, core, down } => tucker_size(up, up.flat()?, core, down),
            Self::Tucker { up, core, down } => {
                let (rank, rows) = up.flat()?;
                tucker_size(up, (rows, rank), core, down)
            }
        }
    }

    /// [rows, inputs, kernel..] where the tensors tell the kernel, else the size.
    pub(super) fn shape(&self, (rows, columns): (usize, usize)) -> Vec<usize> {
        let widest = match self {
            Self::Whole(tensor) | Self::Product { down: tensor, .. } => tensor.shape.get(1..),
            Self::Mid { core, down, .. } | Self::Tucker { core, down, .. } => {
                let kernel = core.shape.iter().skip(2).copied();
                return [rows].into_iter().chain(down.flat().map(|(_, inputs)| inputs)).chain(kernel).collect();
            }
        };
        [rows].into_iter().chain(widest.unwrap_or(&[columns]).iter().copied()).collect()
    }

    /// That the shape of the matrix, or of its last factor, is not what was expected.
    pub(super) fn odd(&self, expected: String) -> LoraError {
        match self {
            Self::Whole(tensor) => tensor.odd(expected),
            Self::Product { down, .. } | Self::Mid { down, .. } | Self::Tucker { down, .. } => down.odd(expected),
        }
    }

    /// The number that alpha is divided by: the rows of `down`.
    pub(super) fn rank(&self) -> Option<usize> {
        match self {
            Self::Whole(_) => None,
            Self::Product { down, .. } | Self::Mid { down, .. } | Self::Tucker { down, .. } => {
                down.shape.first().copied()
            }
        }
    }
}

fn tucker_size(
    up: &Entry,
    (rows, rank): (usize, usize),
    core: &Entry,
    down: &Entry,
) -> Result<(usize, usize), LoraError> {
    let (inner, inputs) = down.flat()?;
    core.flat()?;
    match core.shape.as_slice() {
        [first, second, kernel @ ..] if *first == rank && *second == inner => {
            let columns = kernel.iter().try_fold(inputs, |product, length| product.checked_mul(*length));
            Ok((rows, columns.ok_or_else(|| core.odd("a smaller kernel".to_owned()))?))
        }
        _ => Err(core.odd(format!("[{rank}, {inner}, ..] to go between `{}` and `{}`", up.key, down.key))),
    }
}

impl<T> Matrix<T> {
    /// The same matrix with every tensor replaced by what `read` gives for it.
    pub(super) fn try_map<U, E>(&self, read: &mut impl FnMut(&T) -> Result<U, E>) -> Result<Matrix<U>, E> {
        Ok(match self {
            Self::Whole(whole) => Matrix::Whole(read(whole)?),
            Self::Product { up, down } => Matrix::Product { up: read(up)?, down: read(down)? },
            Self::Mid { up, core, down } => Matrix::Mid { up: read(up)?, core: read(core)?, down: read(down)? },
            Self::Tucker { up, core, down } => Matrix::Tucker { up: read(up)?, core: read(core)?, down: read(down)? },
        })
    }
}

impl Matrix<ArrayD<f32>> {
    /// The matrix itself, [n, m].
    pub(super) fn dense(&self) -> CowArray<'_, f32, Ix2> {
        match self {
            Self::Whole(whole) => flat(whole),
            Self::Product { up, down } => flat(up).dot(&flat(down)).into(),
            Self::Mid { up, core, down } => tucker(flat(up).view(), core, flat(down).view()).into(),
            Self::Tucker { up, core, down } => tucker(flat(up).t(), core, flat(down).view()).into(),
        }
    }
}

/// D[o, i, k] = sum over p, q of up[o, p] core[p, q, k] down[q, i].
fn tucker(up: ArrayView2<f32>, core: &ArrayD<f32>, down: ArrayView2<f32>) -> Array2<f32> {
    let kernel = core.len() / (core.shape()[0] * core.shape()[1]).max(1);
    let columns = down.ncols() * kernel;
    let mut wide = Array2::zeros((core.shape()[0], columns));
    for (slice, mut row) in core.outer_iter().zip(wide.rows_mut()) {
        let inner = down.t().dot(&flat(&slice.to_owned()));
        row.iter_mut().zip(&inner).for_each(|(to, from)| *to = *from);
    }
    up.dot(&wide)
}

/// A tensor of two or more axes as a matrix: all axes after the first are one. No copy for tensors as files hold them.
pub(super) fn flat(tensor: &ArrayD<f32>) -> CowArray<'_, f32, Ix2> {
    let rows = tensor.shape().first().copied().unwrap_or(1);
    let columns = tensor.len().checked_div(rows).unwrap_or(0);
    // The number of elements is the same, so the new shape always fits.
    tensor.to_shape((rows, columns)).unwrap_or_else(|_| Array2::zeros((rows, columns)).into())
}
