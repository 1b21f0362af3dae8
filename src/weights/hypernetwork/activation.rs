//! The activations that the web UI offers: its own names, and PyTorch's classes in lower case.

use crate::weights::WeightsError;

/// Slope of the negative side of `RReLU`, which is drawn from [1/8, 1/3] in training and is the mean of both otherwise.
const MEAN_SLOPE: f32 = (1.0 / 8.0 + 1.0 / 3.0) / 2.0;

/// Klambauer et al. 2017, "Self-Normalizing Neural Networks", to the digits that PyTorch has.
const SELU_ALPHA: f32 = 1.673_263_2;
const SELU_SCALE: f32 = 1.050_701;

/// A function of each value by itself, with PyTorch's default parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
    /// x, or the slope times x where x is negative; also `PReLU` and `RReLU`.
    LeakyRelu(f32),
    /// x, or e^x - 1 where x is negative; also `CELU`.
    Elu,
    /// 1.0507 x, or 1.0507 * 1.6733 (e^x - 1) where x is negative.
    Selu,
    /// x Φ(x), by the error function.
    Gelu,
    /// x sigmoid(x).
    Silu,
    /// x tanh(softplus(x)).
    Mish,
    /// ln(1 + e^x).
    Softplus,
    /// ln(sigmoid(x)).
    LogSigmoid,
    /// 1 / (1 + e^-x).
    Sigmoid,
    /// tanh(x).
    Tanh,
    /// x - tanh(x).
    Tanhshrink,
    /// x / (1 + |x|).
    Softsign,
    /// x moved by 0.5 towards zero, and zero where it is nearer.
    Softshrink,
    /// x, and zero where |x| is at most 0.5.
    Hardshrink,
    /// min(max(x, -1), 1).
    Hardtanh,
    /// min(max(x + 3, 0), 6) / 6.
    Hardsigmoid,
    /// x min(max(x + 3, 0), 6) / 6; the web UI calls it swish.
    Hardswish,
}

impl Activation {
    /// The activation of that name in a file. `prelu` is not among them: it has a parameter.
    pub(super) fn named(name: &str) -> Result<Self, WeightsError> {
        Ok(match name {
            "relu" => Self::Relu,
            "relu6" => Self::Relu6,
            "leakyrelu" => Self::LeakyRelu(0.01),
            "rrelu" => Self::LeakyRelu(MEAN_SLOPE),
            "elu" | "celu" => Self::Elu,
            "selu" => Self::Selu,
            "gelu" => Self::Gelu,
            "silu" => Self::Silu,
            "mish" => Self::Mish,
            "softplus" => Self::Softplus,
            "logsigmoid" => Self::LogSigmoid,
            "sigmoid" => Self::Sigmoid,
            "tanh" => Self::Tanh,
            "tanhshrink" => Self::Tanhshrink,
            "softsign" => Self::Softsign,
            "softshrink" => Self::Softshrink,
            "hardshrink" => Self::Hardshrink,
            "hardtanh" => Self::Hardtanh,
            "hardsigmoid" => Self::Hardsigmoid,
            "hardswish" | "swish" => Self::Hardswish,
            // Softmax and its kin would mix the pictures of a batch, others want arguments that the web UI does not give.
            _ => return Err(WeightsError::Unsupported(format!("the activation {name:?} of a hypernetwork"))),
        })
    }

    /// The function's value.
    pub fn of(self, x: f32) -> f32 {
        match self {
            Self::Relu => x.max(0.0),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::LeakyRelu(slope) => x.max(0.0) + slope * x.min(0.0),
            Self::Elu => x.max(0.0) + x.min(0.0).exp_m1(),
            Self::Selu => SELU_SCALE * (x.max(0.0) + SELU_ALPHA * x.min(0.0).exp_m1()),
            Self::Gelu => x * (0.5 + 0.5 * erf(f64::from(x) * std::f64::consts::FRAC_1_SQRT_2)) as f32,
            Self::Silu => x * sigmoid(x),
            Self::Mish => x * softplus(x).tanh(),
            Self::Softplus => softplus(x),
            Self::LogSigmoid => -softplus(-x),
            Self::Sigmoid => sigmoid(x),
            Self::Tanh => x.tanh(),
            Self::Tanhshrink => x - x.tanh(),
            Self::Softsign => x / (1.0 + x.abs()),
            Self::Softshrink => x - x.clamp(-0.5, 0.5),
            Self::Hardshrink => {
                if x.abs() > 0.5 {
                    x
                } else {
                    0.0
                }
            }
            Self::Hardtanh => x.clamp(-1.0, 1.0),
            Self::Hardsigmoid => (x + 3.0).clamp(0.0, 6.0) / 6.0,
            Self::Hardswish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
        }
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The error function, by its series e^(-x^2) sum 2^n x^(2n+1) / (2n+1)!! (Abramowitz and Stegun 7.1.6), whose terms all have
/// one sign. Beyond 4 it is one to more digits than an f32 has.
fn erf(x: f64) -> f64 {
    if x.abs() > 4.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..100 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    sum * (-x * x).exp() * std::f64::consts::FRAC_2_SQRT_PI
}
