//! The changed weight of a module.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayD, ArrayViewMut2, Axis, Ix2, Slice, Zip};

use super::change::Form;
use super::group::{Factors, Target};
use super::matrix::{Matrix, flat};
use super::{LoraError, dora};

/// The weight with all changes of one module, each with its scale: W + sum of scale (W' - W).
///
/// `weight` has torch's layout: [outputs, inputs], [outputs, inputs, height, width] or a norm's `[outputs]`. W' is what a
/// LoRA alone makes of the model's own weight, so the order does not matter and scale 0 changes nothing. For all kinds but DoRA, W' - W is
/// D alpha / rank whatever W is. With DoRA, W' is (W + D alpha / rank) with its vectors brought to the lengths that the
/// file gives (as in A1111's `finalize_updown` and ComfyUI's `weight_decompose`; PEFT scales D inside instead, which is
/// the same for scale 1).
pub fn merged(mut weight: ArrayD<f32>, changes: &[(&Factors, f32)]) -> Result<ArrayD<f32>, LoraError> {
    if weight.ndim() > 2 && !weight.is_standard_layout() {
        weight = weight.as_standard_layout().into_owned();
    }
    let needs_own = changes.iter().any(|(factors, _)| factors.change.magnitude.is_some());
    let own = needs_own.then(|| weight.clone());
    for (factors, scale) in changes.iter().filter(|(factors, _)| factors.change.form.is_some()) {
        let target = factors.outline.target(weight.shape())?;
        match target {
            _ if *scale == 0.0 => {}
            Target::Whole => factors.add(&mut weight, own.as_ref(), *scale)?,
            Target::FirstInputs(inputs) => {
                let first = Slice::from(..inputs);
                let own = own.as_ref().map(|own| own.slice_axis(Axis(1), first).to_owned());
                let mut part = weight.slice_axis_mut(Axis(1), first);
                let mut sum = part.to_owned();
                factors.add(&mut sum, own.as_ref(), *scale)?;
                part.assign(&sum);
            }
        }
    }
    Ok(weight)
}

/// The bias with all changes of one module, of shape `[outputs]`: alpha has no say in it.
pub fn merged_bias(mut bias: ArrayD<f32>, changes: &[(&Factors, f32)]) -> Result<ArrayD<f32>, LoraError> {
    for (factors, scale) in changes {
        let Some(change) = &factors.change.bias else { continue };
        if change.len() != bias.len() {
            return Err(factors.mismatch(change.shape(), bias.shape()));
        }
        bias.iter_mut().zip(change).for_each(|(bias, change)| *bias += scale * change);
    }
    Ok(bias)
}

impl Factors {
    /// Adds scale (W' - W) to `sum`. `own` is W where the magnitude needs it; both have the change's size.
    fn add(&self, sum: &mut ArrayD<f32>, own: Option<&ArrayD<f32>>, scale: f32) -> Result<(), LoraError> {
        let Some(form) = &self.change.form else { return Ok(()) };
        let (shape, inputs) = (sum.shape().to_vec(), sum.shape().get(1).copied().unwrap_or(1));
        let strength = self.outline.strength(self.change.alpha.as_ref().and_then(|alpha| alpha.first().copied()));
        let sum = matrix_of(sum).ok_or_else(|| self.mismatch(&self.outline.shape, &shape))?;
        let (Some(magnitude), Some(own)) = (&self.change.magnitude, own) else {
            form.add(sum, scale * strength);
            return Ok(());
        };
        let own = flat(own);
        let mut changed = own.as_standard_layout().into_owned();
        form.add(changed.view_mut(), strength);
        let factors = dora::factors(changed.view(), magnitude, inputs);
        let factors = factors.ok_or_else(|| self.mismatch(magnitude.lengths().shape(), &shape))?;
        Zip::from(sum).and(&changed).and(&own).and_broadcast(&factors).for_each(|sum, changed, own, factor| {
            *sum += scale * (factor * changed - own);
        });
        Ok(())
    }

    fn mismatch(&self, change: &[usize], weight: &[usize]) -> LoraError {
        LoraError::Mismatch { module: self.outline.name.clone(), change: change.to_vec(), weight: weight.to_vec() }
    }
}

impl Form<ArrayD<f32>> {
    /// Adds scale D to `sum`, [outputs, inputs x kernel].
    fn add(&self, mut sum: ArrayViewMut2<f32>, scale: f32) {
        match self {
            Self::LowRank(Matrix::Product { up, down }) => {
                general_mat_mul(scale, &flat(up), &flat(down), 1.0, &mut sum)
            }
            Self::LowRank(matrix) => sum.scaled_add(scale, &matrix.dense()),
            Self::Full(whole) => sum.scaled_add(scale, &flat(whole)),
            Self::Hadamard(left, right) => {
                Zip::from(sum).and(&left.dense()).and(&right.dense()).for_each(|sum, left, right| {
                    *sum += scale * left * right;
                });
            }
            Self::Kronecker(left, right) => {
                let (left, right) = (left.dense(), right.dense());
                let blocks = sum.exact_chunks_mut(right.dim());
                Zip::from(blocks).and(&left).for_each(|mut block, left| block.scaled_add(scale * left, &right));
            }
        }
    }
}

/// A weight as a matrix, all axes after the first taken as one. None for a convolution that is not in torch's order.
fn matrix_of(weight: &mut ArrayD<f32>) -> Option<ArrayViewMut2<'_, f32>> {
    if weight.ndim() == 2 {
        return weight.view_mut().into_dimensionality::<Ix2>().ok();
    }
    let rows = weight.shape().first().copied()?;
    let columns = weight.len().checked_div(rows)?;
    weight.view_mut().into_shape_with_order((rows, columns)).ok()
}
