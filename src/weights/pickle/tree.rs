//! From the graph of objects to a tree of values, within a budget.

use super::graph::{Graph, Id, Object, Objects};
use super::storage::Storages;
use super::value::Value;
use crate::weights::WeightsError;

/// Real files nest about five deep. A list that contains itself has no end.
const DEEPEST: u32 = 32;

/// A list that is recalled twice by each of twenty lists is a million lists.
const MOST_VALUES: u64 = 1_000_000;

/// The value of the graph's root; its texts, bytes and tensors take at most `budget` bytes.
pub(super) fn grow(graph: &Graph, storages: &Storages, budget: u64) -> Result<Value, WeightsError> {
    Tree { objects: &graph.objects, storages, budget, values: 0, bytes: 0 }.value(graph.root, 0)
}

struct Tree<'a> {
    objects: &'a Objects,
    storages: &'a Storages<'a>,
    budget: u64,
    values: u64,
    bytes: u64,
}

impl Tree<'_> {
    fn value(&mut self, id: Id, depth: u32) -> Result<Value, WeightsError> {
        WeightsError::check_limit("the depth of the values in the file", DEEPEST.into(), depth.into())?;
        self.count(1)?;
        Ok(match self.objects.get(id) {
            Object::None => Value::None,
            Object::Bool(value) => Value::Bool(*value),
            Object::Int(number) => Value::Int(*number),
            Object::Float(number) => Value::Float(*number),
            Object::Text(text) => {
                self.spend(text.len() as u64)?;
                Value::Text(text.clone())
            }
            Object::Bytes(bytes) => {
                self.spend(bytes.len() as u64)?;
                Value::Bytes(bytes.clone())
            }
            Object::List(elements) => Value::List(self.values(elements, depth)?),
            Object::Tuple(elements) => Value::Tuple(self.values(elements, depth)?),
            Object::Dict(entries) => Value::Dict(self.entries(entries, depth)?),
            Object::ParameterDict(state) => Value::Dict(self.parameters(*state, depth)?),
            Object::Tensor(view) => {
                self.spend(view.dtype.bytes(&view.shape)? as u64)?;
                Value::Tensor(self.storages.tensor(self.objects.text(view.key).unwrap_or_default(), view)?)
            }
            Object::Callable(_) | Object::Storage { .. } => {
                return Err(WeightsError::malformed(
                    "the file holds a class or a bare storage where a value should stand",
                ));
            }
        })
    }

    fn values(&mut self, ids: &[Id], depth: u32) -> Result<Vec<Value>, WeightsError> {
        ids.iter().map(|id| self.value(*id, depth + 1)).collect()
    }

    fn entries(&mut self, ids: &[(Id, Id)], depth: u32) -> Result<Vec<(Value, Value)>, WeightsError> {
        ids.iter().map(|(key, value)| Ok((self.value(*key, depth + 1)?, self.value(*value, depth + 1)?))).collect()
    }

    /// The entries of a `ParameterDict`, which PyTorch keeps in the state under `_parameters`.
    fn parameters(&mut self, state: Option<Id>, depth: u32) -> Result<Vec<(Value, Value)>, WeightsError> {
        let Some(state) = state else { return Ok(Vec::new()) };
        if let Object::Dict(state) = self.objects.get(state) {
            self.count(state.len() as u64)?;
            let own = state.iter().find(|(key, _)| self.objects.text(*key) == Some("_parameters"));
            if let Some(Object::Dict(entries)) = own.map(|(_, parameters)| self.objects.get(*parameters)) {
                return self.entries(entries, depth);
            }
        }
        Err(WeightsError::malformed("a ParameterDict in the file has no parameters"))
    }

    fn count(&mut self, values: u64) -> Result<(), WeightsError> {
        self.values = self.values.saturating_add(values);
        WeightsError::check_limit("the number of values in the file", MOST_VALUES, self.values)
    }

    fn spend(&mut self, bytes: u64) -> Result<(), WeightsError> {
        self.bytes = self.bytes.saturating_add(bytes);
        WeightsError::check_limit("the bytes of the values in the file", self.budget, self.bytes)
    }
}
