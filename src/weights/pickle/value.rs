//! What a file may hold.

use crate::weights::Tensor;

/// A value of Python that is data only.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A 64-bit floating point number.
    Float(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list, or a set.
    List(Vec<Value>),
    /// A tuple, or a `torch.Size`.
    Tuple(Vec<Value>),
    /// A dictionary or one of its kin (`OrderedDict`, `ParameterDict`), in the order of insertion.
    Dict(Vec<(Value, Value)>),
    /// A tensor or a parameter.
    Tensor(Tensor),
}

impl Value {
    /// The entry of a dictionary; the last one where a name comes twice, as in Python.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let (_, value) = self.entries()?.iter().rfind(|(key, _)| key.as_text() == Some(name))?;
        Some(value)
    }

    /// The entries of a dictionary.
    pub fn entries(&self) -> Option<&[(Self, Self)]> {
        if let Self::Dict(entries) = self { Some(entries) } else { None }
    }

    /// The elements of a list or tuple.
    pub fn elements(&self) -> Option<&[Self]> {
        if let Self::List(elements) | Self::Tuple(elements) = self { Some(elements) } else { None }
    }

    /// The text.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The tensor.
    pub fn as_tensor(&self) -> Option<&Tensor> {
        if let Self::Tensor(tensor) = self { Some(tensor) } else { None }
    }

    /// The number, whole or not.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// Whether Python would take it for true: `None`, `False`, zero and what is empty are not.
    pub fn is_true(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Bytes(bytes) => !bytes.is_empty(),
            Self::List(elements) | Self::Tuple(elements) => !elements.is_empty(),
            Self::Dict(entries) => !entries.is_empty(),
            Self::Tensor(tensor) => tensor.bytes().iter().any(|byte| *byte != 0),
        }
    }
}
