//! Which weight of a graph is which parameter of the torch module that was exported.
//!
//! Exporters keep the names of some parameters. Others lose them when constants are folded: weights of linear layers are
//! transposed and given to a MatMul, scale and shift of a group norm are reshaped and given to a Mul and an Add. Those are
//! found through the node that uses them, whose name still spells the module's path.

mod path;
mod role;
mod trace;

use std::collections::BTreeMap;

use super::Skeleton;
pub(super) use path::module_of;

/// The parameters of the modules of a graph.
///
/// Paths are those of diffusers and transformers, whatever an exporter's wrapper put before them: they begin with
/// `down_blocks`, `text_model`, `encoder` and the like.
#[derive(Clone, Debug, Default)]
pub struct Modules {
    /// By module and parameter.
    weights: BTreeMap<String, BTreeMap<&'static str, Weight>>,
}

/// Where the values of a parameter are.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// The name of the initializer, or of the output of a `Constant` node.
    pub initializer: String,
    /// How its values lie, compared with the torch parameter's.
    pub layout: Layout,
    /// The torch parameter's shape.
    pub shape: Vec<usize>,
    /// What turns its integers into numbers, if it has 8 bits.
    pub quantised: Option<Quantised>,
    /// Whether nodes stand between the initializer and its use.
    ///
    /// ONNX Runtime computes those beforehand, from what the model holds: a value that is put in place with
    /// `AddInitializer` then comes too late and is ignored, one put in place with `AddExternalInitializers` is not.
    pub folded: bool,
    /// Whether other parameters share the initializer, as equal ones do in some exports.
    pub shared: bool,
}

/// How an initializer's values lie, compared with those of the torch parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As torch has them.
    Plain,
    /// A matrix with rows and columns exchanged.
    Transposed,
    /// In the same order under another shape.
    Reshaped,
}

/// Integers that stand for `scale * (integer - zero_point)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantised {
    /// The initializer of the scale, one number or one for each index of `axis`.
    pub scale: String,
    /// The initializer of the zero point, of the weight's type and the scale's shape; 0 if absent.
    pub zero_point: Option<String>,
    /// The axis of the initializer that the scale follows, if it is more than one number.
    pub axis: usize,
}

impl Modules {
    /// All that can be found.
    pub fn of(skeleton: &Skeleton) -> Self {
        let mut this = Self::default();
        for (module, parameter, weight) in trace::weights(skeleton) {
            // What is used first in the order of the graph stands.
            this.weights.entry(module).or_default().entry(parameter).or_insert(weight);
        }
        this.mark_shared();
        this
    }

    /// Where a parameter's values are: `weight` or `bias` of a module.
    pub fn get(&self, module: &str, parameter: &str) -> Option<&Weight> {
        self.weights.get(module)?.get(parameter)
    }

    /// The paths of all modules that have a weight, in alphabetical order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.weights.iter().filter(|(_, parameters)| parameters.contains_key("weight")).map(|(path, _)| path.as_str())
    }

    /// Every parameter with its module and name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &Weight)> {
        self.weights.iter().flat_map(|(module, parameters)| {
            parameters.iter().map(move |(&parameter, weight)| (module.as_str(), parameter, weight))
        })
    }

    fn mark_shared(&mut self) {
        let mut users: BTreeMap<String, usize> = BTreeMap::new();
        for (_, _, weight) in self.iter() {
            *users.entry(weight.initializer.clone()).or_default() += 1;
        }
        for weight in self.weights.values_mut().flat_map(BTreeMap::values_mut) {
            weight.shared = users.get(&weight.initializer).is_some_and(|&users| users > 1);
        }
    }
}

#[cfg(test)]
mod tests;
