//! One network of a hypernetwork.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::Activation;

/// PyTorch's default, added to the variance.
const NORM_EPSILON: f32 = 1e-5;

/// Layers in the order in which they run. What goes in is as wide as what comes out.
#[derive(Clone, Debug, PartialEq)]
pub struct Mlp {
    layers: Vec<Layer>,
}

/// A layer with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// x W^T + b.
    Linear {
        /// [outputs, inputs].
        weight: Array2<f32>,
        /// One number an output.
        bias: Array1<f32>,
    },
    /// A function of each value.
    Activation(Activation),
    /// Every row brought to mean 0 and variance 1 (epsilon 1e-5), then scaled and moved.
    LayerNorm {
        /// One number a column.
        weight: Array1<f32>,
        /// One number a column.
        bias: Array1<f32>,
    },
}

impl Mlp {
    pub(super) fn new(layers: Vec<Layer>) -> Self {
        Self { layers }
    }

    /// The layers in the order in which they run.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// `x` + `strength` * network(`x`) for the rows of `x`, [tokens, width], as the web UI's `HypernetworkModule.forward`.
    pub fn apply(&self, x: ArrayView2<f32>, strength: f32) -> Array2<f32> {
        let change = self.layers.iter().fold(x.to_owned(), |values, layer| layer.run(values));
        &x + &(change * strength)
    }
}

impl Layer {
    fn run(&self, mut values: Array2<f32>) -> Array2<f32> {
        match self {
            Self::Linear { weight, bias } => values.dot(&weight.t()) + bias,
            Self::Activation(activation) => values.mapv_into(|value| activation.of(value)),
            Self::LayerNorm { weight, bias } => {
                for mut row in values.axis_iter_mut(Axis(0)) {
                    let mean = row.sum() / row.len() as f32;
                    row -= mean;
                    let variance = row.dot(&row) / row.len() as f32;
                    row /= (variance + NORM_EPSILON).sqrt();
                }
                values * weight + bias
            }
        }
    }
}
