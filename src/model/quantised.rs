//! Weights of 8 bits: read as numbers, and written as integers again with a scale that fits the new numbers.

use ndarray::{ArrayD, Axis, IxDyn};

use super::anatomy::Anatomy;
use super::blueprint::{Values, Weight};
use super::error::LoadError;
use crate::onnx::{Element, Initializer, Quantised};

/// The numbers that an initializer's integers stand for: `scale * (integer - zero_point)`.
pub(super) fn read(graph: &Anatomy, name: &str, scheme: &Quantised) -> Result<ArrayD<f32>, LoadError> {
    let mut values = integers(graph, name)?;
    let scale = graph.floats(&scheme.scale)?;
    fitting(graph, name, values.shape(), scheme.axis, scale.len())?;
    let zero = scheme.zero_point.as_ref().map(|name| integers(graph, name)).transpose()?;
    for (index, mut part) in parts(&mut values, scale.len(), scheme.axis) {
        let number = |values: &ArrayD<f32>| values.iter().nth(index).copied().unwrap_or_default();
        let (scale, zero) = (number(&scale), zero.as_ref().map_or(0.0, number));
        part.mapv_inplace(|integer| scale * (integer - zero));
    }
    Ok(values)
}

/// Integers for new numbers, and the scale that goes with them. The zero point stays, and with it the type.
pub(super) fn written(
    graph: &Anatomy,
    initializer: &Initializer,
    scheme: &Quantised,
    numbers: &ArrayD<f32>,
) -> Result<Vec<Weight>, LoadError> {
    let zero = scheme.zero_point.as_ref().map(|name| integers(graph, name)).transpose()?;
    let mut scale = graph.floats(&scheme.scale)?;
    let (low, high) = match initializer.element {
        Element::I8 => (-128.0, 127.0),
        Element::U8 => (0.0, 255.0),
        other => return Err(graph.fault(format!("weights of the type {other:?} cannot be changed"))),
    };
    fitting(graph, &initializer.name, numbers.shape(), scheme.axis, scale.len())?;
    let mut integers = numbers.clone();
    let steps: Vec<f32> = scale.iter().copied().collect();
    for (index, mut part) in parts(&mut integers, steps.len(), scheme.axis) {
        let zero = zero.as_ref().and_then(|zero| zero.iter().nth(index).copied()).unwrap_or(0.0);
        // Finer than it was it never becomes: weights that did not change keep their integers.
        let needed = part.iter().fold(steps[index], |step, &number| {
            let room = if number < 0.0 { zero - low } else { high - zero };
            step.max(number.abs() / room.max(1.0))
        });
        if let Some(step) = scale.iter_mut().nth(index) {
            *step = needed;
        }
        part.mapv_inplace(|number| (number / needed + zero).round_ties_even().clamp(low, high));
    }
    let values = match initializer.element {
        Element::I8 => Values::I8(integers.mapv(|integer| integer as i8)),
        _ => Values::U8(integers.mapv(|integer| integer as u8)),
    };
    let step = graph.initializer(&scheme.scale)?;
    let scales = super::anatomy::in_type(scale, step.element).map_err(|reason| graph.fault(reason))?;
    Ok(vec![graph.in_place(initializer, values), graph.in_place(step, scales)])
}

/// Scales must be one number, or one for each index of their axis.
fn fitting(graph: &Anatomy, name: &str, shape: &[usize], axis: usize, scales: usize) -> Result<(), LoadError> {
    match scales == 1 || shape.get(axis) == Some(&scales) {
        true => Ok(()),
        false => {
            Err(graph.fault(format!("{name} of shape {shape:?} must have one scale or one for each, got {scales}")))
        }
    }
}

/// The slices that have a scale of their own: the whole, or one for each index of `axis`.
fn parts(values: &mut ArrayD<f32>, scales: usize, axis: usize) -> Vec<(usize, ndarray::ArrayViewMutD<'_, f32>)> {
    let axis = Axis(axis.min(values.ndim().saturating_sub(1)));
    match scales {
        1 => vec![(0, values.view_mut())],
        _ => values.axis_iter_mut(axis).enumerate().collect(),
    }
}

fn integers(graph: &Anatomy, name: &str) -> Result<ArrayD<f32>, LoadError> {
    let (initializer, bytes) = graph.stored(name)?;
    let values: Vec<f32> = match initializer.element {
        Element::I8 => bytes.iter().map(|&byte| f32::from(byte as i8)).collect(),
        Element::U8 => bytes.iter().map(|&byte| f32::from(byte)).collect(),
        other => return Err(graph.fault(format!("{name} must hold 8-bit integers, got {other:?}"))),
    };
    ArrayD::from_shape_vec(IxDyn(&initializer.shape), values).map_err(|error| graph.fault(format!("{name}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::{apart, golden};
    use crate::onnx::Weight as Place;

    const MODULE: &str = "text_model.encoder.layers.0.self_attn.q_proj";

    fn weight(graph: &str) -> (Anatomy, Place) {
        let graph = Anatomy::read(&golden(graph)).unwrap();
        let place = graph.modules.get(MODULE, "weight").unwrap().clone();
        (graph, place)
    }

    #[test]
    fn weights_of_8_bits_are_those_of_the_exported_graph_within_a_step() {
        let (exported, place) = weight("families/sd1/model/text_encoder/model.onnx");
        let numbers = exported.weight(&place).unwrap();
        for graph in ["edits/dynamic.onnx", "edits/static.onnx"] {
            let (quantised, place) = weight(graph);
            assert!(place.quantised.is_some(), "{graph}");
            assert!(apart(&quantised.weight(&place).unwrap(), &numbers) < 0.01, "{graph}");
        }
    }

    #[test]
    fn changed_weights_are_integers_again_and_unchanged_ones_the_same() {
        for graph in ["edits/dynamic.onnx", "edits/static.onnx"] {
            let (mut quantised, place) = weight(graph);
            let numbers = quantised.weight(&place).unwrap();
            let before = quantised.stored(&place.initializer).unwrap().1;
            for factor in [1.0, 0.5, 3.0] {
                let wanted = numbers.mapv(|number| number * factor);
                for weight in quantised.replaced(&place, wanted.clone()).unwrap() {
                    quantised.skeleton.put(&weight.name, weight.bytes());
                }
                assert!(apart(&quantised.weight(&place).unwrap(), &wanted) < 0.02, "{graph} {factor}");
                let same = quantised.stored(&place.initializer).unwrap().1 == before;
                // Three times as much may have the same integers with a scale three times as large.
                assert!(factor == 3.0 || same == (factor == 1.0), "{graph} {factor}");
            }
        }
    }
}
