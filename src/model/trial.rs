//! Whether an accelerator really works: a small graph on it, beside the same on the processor.

use std::collections::BTreeMap;

use ndarray::{Array4, ArrayD};
use ort::logging::LogLevel;
use ort::session::Session;
use ort::value::Tensor;

use super::accelerator::{Accelerator, Choice, Placements};
use super::error::LoadError;
use super::library::Runtime;

/// A convolution, an activation, a product of matrices and a softmax, of one fixed shape (`tests/golden/trial.py`).
const GRAPH: &[u8] = include_bytes!("trial.onnx");

/// How an accelerator did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// Nodes that ran elsewhere.
    pub elsewhere: usize,
    /// The largest difference from the processor, as a share of the largest value.
    pub apart: f32,
}

impl Trial {
    /// Runs the graph on an accelerator and on the processor. Fails if the accelerator cannot be had or does not work.
    pub fn new(runtime: &Runtime, choice: &Choice) -> Result<Self, LoadError> {
        // Sizes are those of a model's graph, and a single pass needs no recording.
        let choice = Choice { dimensions: BTreeMap::new(), cuda_graph: false, ..choice.clone() };
        let heard = Placements::default();
        let got = pass(runtime, &choice, &heard)?;
        let expected = pass(runtime, &Accelerator::Cpu.into(), &Placements::default())?;
        let is_elsewhere = |on: &str| !choice.accelerator.takes(on);
        let elsewhere = heard.all().iter().filter(|(on, _)| is_elsewhere(on)).map(|(_, nodes)| nodes).sum();
        Ok(Self { elsewhere, apart: apart(&got, &expected) })
    }
}

/// The largest difference from what was expected, as a share of the largest value there. Values of another shape, or that
/// are no numbers, are as far away as can be.
pub(super) fn apart(got: &ArrayD<f32>, expected: &ArrayD<f32>) -> f32 {
    if got.shape() != expected.shape() || !got.iter().all(|value| value.is_finite()) {
        return f32::INFINITY;
    }
    let largest = |values: &ArrayD<f32>| values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    largest(&(got - expected)) / largest(expected)
}

fn pass(runtime: &Runtime, choice: &Choice, heard: &Placements) -> Result<ArrayD<f32>, LoadError> {
    let providers = choice.providers(None, None)?;
    let input = Array4::from_shape_fn([1, 4, 8, 8], |(_, c, y, x)| ((c * 64 + y * 8 + x) as f32).sin());
    let values = (|| -> ort::Result<_> {
        let mut session = Session::builder(runtime.environment())?
            .with_logger(heard.listener())?
            .with_log_level(LogLevel::Verbose)?
            .with_execution_providers(providers)?
            .commit_from_memory(GRAPH)?;
        let outputs = session.run(ort::inputs!["x" => Tensor::from_array(input)?])?;
        Ok(outputs["y"].try_extract_array::<f32>()?.to_owned())
    })();
    values.map_err(|error| LoadError::Accelerator { name: choice.accelerator.name(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::runtime;

    #[test]
    fn what_is_no_number_or_has_another_shape_is_as_far_away_as_can_be() {
        let values = |numbers: &[f32]| ArrayD::from_shape_vec(vec![numbers.len()], numbers.to_vec()).unwrap();
        let expected = values(&[1.0, -4.0]);
        assert_eq!(apart(&values(&[0.0, -4.0]), &expected), 0.25);
        assert_eq!(apart(&values(&[f32::NAN, -4.0]), &expected), f32::INFINITY);
        assert_eq!(apart(&values(&[1.0]), &expected), f32::INFINITY);
    }

    #[test]
    fn the_processor_agrees_with_itself_and_what_the_library_has_not_is_told() {
        assert_eq!(Trial::new(runtime(), &Accelerator::Cpu.into()).unwrap(), Trial { elsewhere: 0, apart: 0.0 });
        let error = Trial::new(runtime(), &Accelerator::Qnn.into()).unwrap_err().to_string();
        assert!(error.contains("this ONNX Runtime was made without it, it has: cpu"), "{error}");
    }
}
