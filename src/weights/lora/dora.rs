//! DoRA: the changed weight's vectors are brought to lengths of their own.

use ndarray::{Array1, Array2, ArrayD, ArrayView2, Axis};

use super::change::Magnitude;

/// What the changed weight [outputs, inputs x kernel] is multiplied by: [outputs, 1] or [1, inputs x kernel].
///
/// None when the file does not have as many lengths as the weight has vectors.
pub(super) fn factors(
    changed: ArrayView2<f32>,
    magnitude: &Magnitude<ArrayD<f32>>,
    inputs: usize,
) -> Option<Array2<f32>> {
    match magnitude {
        Magnitude::Outputs(lengths) => {
            let squares = changed.rows().into_iter().map(|row| row.dot(&row)).collect();
            let factors = stretch(squares, lengths)?;
            Some(factors.insert_axis(Axis(1)))
        }
        Magnitude::Inputs(lengths) => {
            let kernel = changed.ncols().checked_div(inputs)?;
            let columns = changed.fold_axis(Axis(0), 0.0, |sum, value| sum + value * value);
            let squares = columns.exact_chunks(kernel).into_iter().map(|input| input.sum()).collect();
            let factors = stretch(squares, lengths)?;
            Some(Array2::from_shape_fn((1, changed.ncols()), |(_, column)| factors[column / kernel]))
        }
    }
}

/// What brings vectors with these squared Euclidean lengths to the given lengths.
///
/// LyCORIS adds the smallest step of float32 to the length that it divides by, so that zeros stay zero.
fn stretch(squares: Array1<f32>, lengths: &ArrayD<f32>) -> Option<Array1<f32>> {
    let factor = |(square, length): (&f32, &f32)| length / (square.sqrt() + f32::EPSILON);
    (squares.len() == lengths.len()).then(|| squares.iter().zip(lengths).map(factor).collect())
}
