//! Hypernetworks as the graph's edits take them.

use crate::onnx::edit;
use crate::weights::{Activation, Hypernetwork, Layer, Mlp};

/// A hypernetwork as the graph's edits take it.
pub(super) fn net(network: &Hypernetwork) -> edit::Net {
    let mlps = network.layers().iter().map(|(width, [key, value])| (*width, [mlp(key), mlp(value)]));
    edit::Net { widths: mlps.collect() }
}

fn mlp(mlp: &Mlp) -> edit::Mlp {
    let layer = |layer: &Layer| match layer.clone() {
        Layer::Linear { weight, bias } => edit::Layer::Linear { weight, bias },
        Layer::LayerNorm { weight, bias } => edit::Layer::LayerNorm { weight, bias },
        Layer::Activation(function) => edit::Layer::Activation(activation(function)),
    };
    edit::Mlp { layers: mlp.layers().iter().map(layer).collect() }
}

/// Both floors name the functions as torch does.
fn activation(function: Activation) -> edit::Activation {
    match function {
        Activation::LeakyRelu(slope) => edit::Activation::LeakyRelu(slope),
        Activation::Relu => edit::Activation::Relu,
        Activation::Relu6 => edit::Activation::Relu6,
        Activation::Elu => edit::Activation::Elu,
        Activation::Selu => edit::Activation::Selu,
        Activation::Gelu => edit::Activation::Gelu,
        Activation::Silu => edit::Activation::Silu,
        Activation::Mish => edit::Activation::Mish,
        Activation::Softplus => edit::Activation::Softplus,
        Activation::LogSigmoid => edit::Activation::LogSigmoid,
        Activation::Sigmoid => edit::Activation::Sigmoid,
        Activation::Tanh => edit::Activation::Tanh,
        Activation::Tanhshrink => edit::Activation::Tanhshrink,
        Activation::Softsign => edit::Activation::Softsign,
        Activation::Softshrink => edit::Activation::Softshrink,
        Activation::Hardshrink => edit::Activation::Hardshrink,
        Activation::Hardtanh => edit::Activation::Hardtanh,
        Activation::Hardsigmoid => edit::Activation::Hardsigmoid,
        Activation::Hardswish => edit::Activation::Hardswish,
    }
}
