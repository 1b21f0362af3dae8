//! How the networks of a hypernetwork are built, and the numbers under which their parameters stand.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayD, Ix1, Ix2};

use super::{Activation, Layer, Mlp};
use crate::weights::{Tensor, Value, WeightsError};

/// Networks of more than ten layers have not been seen.
const MOST_WIDTHS: usize = 64;

/// What the file says beside the parameters; it is the same for all its networks.
#[derive(Debug)]
pub(super) struct Structure {
    /// The width before the first linear layer and after each, in multiples of the width that goes in.
    widths: Vec<f64>,
    /// The activation's name, unless there is none.
    activation: Option<String>,
    activate_output: bool,
    layer_norm: bool,
    /// Whether a dropout follows the layer that gives the width of the same place. It does nothing, but it is counted.
    dropout: Vec<bool>,
}

impl Structure {
    /// Reads what the file says; what it leaves out is as in the web UI.
    pub(super) fn of(file: &Value) -> Result<Self, WeightsError> {
        let is = |name: &str, absent: bool| file.get(name).map_or(absent, Value::is_true);
        let widths = numbers(file, "layer_structure")?.unwrap_or_else(|| vec![1.0, 2.0, 1.0]);
        let (length, ends) = (widths.len(), [widths.first(), widths.last()]);
        if !(2..=MOST_WIDTHS).contains(&length) || ends != [Some(&1.0); 2] {
            let expected = format!("layer_structure must be 2 to {MOST_WIDTHS} numbers, the first and the last 1");
            return Err(WeightsError::Malformed(format!(
                "{expected}, got {length} from {:?} to {:?}",
                ends[0], ends[1]
            )));
        }
        let dropout = match numbers(file, "dropout_structure")? {
            Some(rates) => rates.iter().map(|rate| *rate > 0.0).collect(),
            None => usual_dropout(widths.len(), is("use_dropout", false), is("last_layer_dropout", false)),
        };
        if dropout.len() != widths.len() {
            let (widths, dropout) = (widths.len(), dropout.len());
            let message =
                format!("dropout_structure must have as many numbers as layer_structure, {widths}, got {dropout}");
            return Err(WeightsError::Malformed(message));
        }
        let activation = match file.get("activation_func") {
            None | Some(Value::None) => None,
            Some(Value::Text(name)) => Some(name.clone()).filter(|name| name != "linear"),
            Some(_) => return Err(WeightsError::malformed("activation_func must be a text")),
        };
        let (activate_output, layer_norm) = (is("activate_output", true), is("is_layer_norm", false));
        Ok(Self { widths, activation, activate_output, layer_norm, dropout })
    }

    /// A network that takes and gives `width` numbers, from its parameters.
    pub(super) fn network(&self, width: usize, state: &Value) -> Result<Mlp, WeightsError> {
        let mut parameters = Parameters::of(state)?;
        let mut layers = Vec::new();
        let sides: Vec<usize> = self.widths.iter().map(|times| (width as f64 * times) as usize).collect();
        for (place, pair) in sides.windows(2).enumerate() {
            let &[inputs, outputs] = pair else { continue };
            let weight = parameters.matrix([outputs, inputs])?;
            layers.push(Layer::Linear { weight, bias: parameters.vector("bias", outputs)? });
            parameters.next += 1;
            let is_last = place + 2 == sides.len();
            if let Some(name) = self.activation.as_ref().filter(|_| !is_last || self.activate_output) {
                layers.push(Layer::Activation(match name.as_str() {
                    // The only one with a parameter: the slope of the negative side.
                    "prelu" => Activation::LeakyRelu(parameters.vector("weight", 1)?.sum()),
                    name => Activation::named(name)?,
                }));
                parameters.next += 1;
            }
            if self.layer_norm {
                let weight = parameters.vector("weight", outputs)?;
                layers.push(Layer::LayerNorm { weight, bias: parameters.vector("bias", outputs)? });
                parameters.next += 1;
            }
            parameters.next += usize::from(self.dropout.get(place + 1) == Some(&true));
        }
        parameters.finish()?;
        Ok(Mlp::new(layers))
    }
}

/// Where a dropout stands by the two switches that came before `dropout_structure`: not around the first and last layer, and
/// after the one before the last only if that is switched on.
fn usual_dropout(places: usize, used: bool, before_last: bool) -> Vec<bool> {
    let with = |place: usize| used && place > 0 && (place + 2 < places || before_last && place + 2 == places);
    (0..places).map(with).collect()
}

/// A list of numbers, if the file has one of that name.
fn numbers(file: &Value, name: &str) -> Result<Option<Vec<f64>>, WeightsError> {
    let list = match file.get(name) {
        None | Some(Value::None) => return Ok(None),
        Some(value) => {
            value.elements().and_then(|list| list.iter().map(Value::as_number).collect::<Option<Vec<f64>>>())
        }
    };
    let list = list.filter(|list| list.iter().all(|number| number.is_finite() && *number >= 0.0));
    list.map(Some)
        .ok_or_else(|| WeightsError::Malformed(format!("{name} must be a list of numbers that are not negative")))
}

/// The parameters of a network, `linear.{number}.weight` and `.bias`, taken in order.
struct Parameters<'a> {
    left: BTreeMap<&'a str, &'a Tensor>,
    /// The number of the layer that comes next.
    next: usize,
}

impl<'a> Parameters<'a> {
    fn of(state: &'a Value) -> Result<Self, WeightsError> {
        let entries = state.entries().ok_or_else(|| WeightsError::malformed("the parameters must be a dictionary"))?;
        let tensors = entries.iter().map(|(name, tensor)| Some((name.as_text()?, tensor.as_tensor()?)));
        let left = tensors.collect::<Option<_>>();
        Ok(Self {
            left: left.ok_or_else(|| WeightsError::malformed("the parameters must be tensors by name"))?,
            next: 0,
        })
    }

    fn matrix(&mut self, shape: [usize; 2]) -> Result<Array2<f32>, WeightsError> {
        let values = self.take("weight", &shape)?.into_dimensionality::<Ix2>();
        values.map_err(|error| WeightsError::malformed(error.to_string()))
    }

    fn vector(&mut self, kind: &str, length: usize) -> Result<Array1<f32>, WeightsError> {
        let values = self.take(kind, &[length])?.into_dimensionality::<Ix1>();
        values.map_err(|error| WeightsError::malformed(error.to_string()))
    }

    fn take(&mut self, kind: &str, shape: &[usize]) -> Result<ArrayD<f32>, WeightsError> {
        let name = format!("linear.{}.{kind}", self.next);
        // The first files had two layers and no list of them.
        let old = format!("linear{}.{kind}", self.next + 1);
        let tensor = self.left.remove(name.as_str()).or_else(|| self.left.remove(old.as_str()));
        let tensor = tensor.ok_or_else(|| WeightsError::Malformed(format!("the parameter {name} is missing")))?;
        if tensor.shape() != shape {
            return Err(WeightsError::Shape { name, expected: format!("{shape:?}"), got: tensor.shape().to_vec() });
        }
        tensor.to_f32(&name)
    }

    /// An error if a parameter was not taken: the network was another one then.
    fn finish(self) -> Result<(), WeightsError> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => Err(WeightsError::Malformed(format!("the parameter {name} has no place in the network"))),
        }
    }
}
