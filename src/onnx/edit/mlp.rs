//! Small networks as nodes.

use ndarray::{Array1, Array2};

use super::super::skeleton::Node;
use super::super::{Element, Initializer, Skeleton};

/// Layers that run one after the other on the last axis of a tensor.
#[derive(Clone, Debug)]
pub struct Mlp {
    /// In the order in which they run.
    pub layers: Vec<Layer>,
}

/// A layer of an [`Mlp`].
#[derive(Clone, Debug)]
pub enum Layer {
    /// `weight x + bias`.
    Linear {
        /// Shape `[outputs, inputs]`.
        weight: Array2<f32>,
        /// Shape `[outputs]`.
        bias: Array1<f32>,
    },
    /// A function of each number.
    Activation(Activation),
    /// torch's `LayerNorm` over the last axis, with its own epsilon of 1e-5.
    LayerNorm {
        /// Shape `[width]`.
        weight: Array1<f32>,
        /// Shape `[width]`.
        bias: Array1<f32>,
    },
}

/// torch's activations, with the settings that they have by default.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Activation {
    Linear,
    Relu,
    /// With its slope below 0; that of torch's `LeakyReLU` is 0.01.
    LeakyRelu(f32),
    Relu6,
    Elu,
    Selu,
    Celu,
    Gelu,
    Silu,
    Mish,
    Hardswish,
    Hardsigmoid,
    Hardtanh,
    Hardshrink,
    Softshrink,
    Softplus,
    Softsign,
    Tanh,
    Tanhshrink,
    Sigmoid,
    LogSigmoid,
}

/// Writes nodes that stand together, with values in one element type.
pub(super) struct Writer<'a> {
    skeleton: &'a mut Skeleton,
    /// What all names begin with.
    prefix: String,
    element: Element,
    nodes: Vec<Node>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(skeleton: &'a mut Skeleton, prefix: String, element: Element) -> Self {
        Self { skeleton, prefix, element, nodes: Vec::new() }
    }

    /// The nodes that were written.
    pub(super) fn nodes(self) -> Vec<Node> {
        self.nodes
    }

    /// Writes a node; its output's name.
    pub(super) fn node(&mut self, operator: &str, inputs: &[&str]) -> String {
        self.push(operator, inputs, |node| node)
    }

    /// A strength in the type of the values.
    pub(super) fn strength(&mut self, input: &str) -> String {
        match self.element {
            Element::F32 => input.to_owned(),
            other => self.push("Cast", &[input], |node| node.with_integer("to", other.code().into())),
        }
    }

    /// Writes a node of the graph once more, for another first input; its outputs' names.
    pub(super) fn again(&mut self, node: &Node, x: &str) -> Vec<String> {
        let outputs: Vec<String> = node.outputs().iter().map(|output| format!("{}{output}", self.prefix)).collect();
        let mut node = node.renamed(&format!("{}{}", self.prefix, node.name()), outputs.clone());
        node.rewire(0, x);
        self.nodes.push(node);
        outputs
    }

    /// Writes a network whose weights go by `weights`, which other writers may have placed; its output's name.
    pub(super) fn mlp(&mut self, mlp: &Mlp, weights: &str, x: &str) -> String {
        let mut x = x.to_owned();
        for (index, layer) in mlp.layers.iter().enumerate() {
            let name = |part: &str| format!("{weights}.{index}.{part}");
            x = match layer {
                Layer::Linear { weight, bias } => {
                    let shape = [weight.ncols(), weight.nrows()];
                    let weight = self.shared(name("weight"), &shape, weight.t().iter().copied());
                    let bias = self.shared(name("bias"), &[bias.len()], bias.iter().copied());
                    let product = self.node("MatMul", &[&x, &weight]);
                    self.node("Add", &[&product, &bias])
                }
                Layer::Activation(activation) => self.activation(*activation, &x),
                Layer::LayerNorm { weight, bias } => {
                    let weight = self.shared(name("weight"), &[weight.len()], weight.iter().copied());
                    let bias = self.shared(name("bias"), &[bias.len()], bias.iter().copied());
                    self.layer_norm(&x, &weight, &bias)
                }
            };
        }
        x
    }

    fn activation(&mut self, activation: Activation, x: &str) -> String {
        match activation {
            Activation::Linear => x.to_owned(),
            Activation::Relu => self.node("Relu", &[x]),
            Activation::LeakyRelu(slope) => self.push("LeakyRelu", &[x], |node| node.with_float("alpha", slope)),
            Activation::Relu6 => self.clip(x, 0.0, 6.0),
            // With their default setting of 1 they are the same.
            Activation::Elu | Activation::Celu => self.node("Elu", &[x]),
            Activation::Selu => self.node("Selu", &[x]),
            Activation::Gelu => self.gelu(x),
            Activation::Silu => self.times(x, "Sigmoid", x),
            Activation::Mish => {
                let softplus = self.node("Softplus", &[x]);
                self.times(x, "Tanh", &softplus)
            }
            Activation::Hardswish => {
                let gate = self.hard_sigmoid(x);
                self.node("Mul", &[x, &gate])
            }
            Activation::Hardsigmoid => self.hard_sigmoid(x),
            Activation::Hardtanh => self.clip(x, -1.0, 1.0),
            Activation::Hardshrink => self.push("Shrink", &[x], |node| node.with_float("lambd", 0.5)),
            Activation::Softshrink => {
                self.push("Shrink", &[x], |node| node.with_float("lambd", 0.5).with_float("bias", 0.5))
            }
            Activation::Softplus => self.node("Softplus", &[x]),
            Activation::Softsign => self.node("Softsign", &[x]),
            Activation::Tanh => self.node("Tanh", &[x]),
            Activation::Tanhshrink => {
                let tanh = self.node("Tanh", &[x]);
                self.node("Sub", &[x, &tanh])
            }
            Activation::Sigmoid => self.node("Sigmoid", &[x]),
            Activation::LogSigmoid => {
                let negative = self.node("Neg", &[x]);
                let softplus = self.node("Softplus", &[&negative]);
                self.node("Neg", &[&softplus])
            }
        }
    }

    /// x/2 * (1 + erf(x / sqrt(2))); the operator of that name is younger than most exports.
    fn gelu(&mut self, x: &str) -> String {
        let (root, one, half) = (self.number(std::f32::consts::SQRT_2), self.number(1.0), self.number(0.5));
        let scaled = self.node("Div", &[x, &root]);
        let erf = self.node("Erf", &[&scaled]);
        let gate = self.node("Add", &[&erf, &one]);
        let product = self.node("Mul", &[x, &gate]);
        self.node("Mul", &[&product, &half])
    }

    fn hard_sigmoid(&mut self, x: &str) -> String {
        self.push("HardSigmoid", &[x], |node| node.with_float("alpha", 1.0 / 6.0).with_float("beta", 0.5))
    }

    fn clip(&mut self, x: &str, least: f32, most: f32) -> String {
        let (least, most) = (self.number(least), self.number(most));
        self.node("Clip", &[x, &least, &most])
    }

    fn times(&mut self, x: &str, function: &str, of: &str) -> String {
        let gate = self.node(function, &[of]);
        self.node("Mul", &[x, &gate])
    }

    /// One node where the opset has it, else its definition.
    fn layer_norm(&mut self, x: &str, weight: &str, bias: &str) -> String {
        const EPSILON: f32 = 1e-5;
        if self.skeleton.opset() >= 17 {
            let finish = |node: Node| node.with_integer("axis", -1).with_float("epsilon", EPSILON);
            return self.push("LayerNormalization", &[x, weight, bias], finish);
        }
        let epsilon = self.number(EPSILON);
        let mean = self.push("ReduceMean", &[x], |node| node.with_integers("axes", &[-1]));
        let centred = self.node("Sub", &[x, &mean]);
        let square = self.node("Mul", &[&centred, &centred]);
        let variance = self.push("ReduceMean", &[&square], |node| node.with_integers("axes", &[-1]));
        let sum = self.node("Add", &[&variance, &epsilon]);
        let deviation = self.node("Sqrt", &[&sum]);
        let normal = self.node("Div", &[&centred, &deviation]);
        let scaled = self.node("Mul", &[&normal, weight]);
        self.node("Add", &[&scaled, bias])
    }

    fn push(&mut self, operator: &str, inputs: &[&str], finish: impl FnOnce(Node) -> Node) -> String {
        let name = format!("{}/{}_{operator}", self.prefix, self.nodes.len());
        let output = format!("{name}_output");
        self.nodes.push(finish(Node::new(&name, operator, inputs, &output)));
        output
    }

    fn number(&mut self, value: f32) -> String {
        self.shared(format!("hypernetwork/{value}"), &[], std::iter::once(value))
    }

    /// An initializer that is placed once, whoever asks for it.
    fn shared(&mut self, name: String, shape: &[usize], values: impl Iterator<Item = f32>) -> String {
        let name = format!("{name}:{}", self.element.code());
        if self.skeleton.initializer(&name).is_none() {
            let bytes = self.element.encode(values);
            self.skeleton.initializers.push(Initializer::inline(&name, self.element, shape, bytes));
        }
        name
    }
}
