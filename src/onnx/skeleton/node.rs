//! The nodes of a graph.

use std::io::Cursor;

use prost::Message;

use super::super::messages;
use super::super::messages::Attribute;
use super::Malformed;
use super::wire::{self, Source};

/// A node: what is understood of it, and all of it as it is written again.
#[derive(Clone, Debug)]
pub(in super::super) struct Node {
    said: messages::Node,
    raw: Vec<u8>,
}

impl Node {
    /// A new one.
    pub(in super::super) fn new(name: &str, operator: &str, inputs: &[&str], output: &str) -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Self::from(messages::Node {
            inputs: texts(inputs),
            outputs: texts(&[output]),
            name: name.to_owned(),
            operator: operator.to_owned(),
            ..messages::Node::default()
        })
    }

    /// The same with a number among its attributes.
    pub(in super::super) fn with_integer(mut self, name: &str, integer: i64) -> Self {
        let attribute = Attribute { name: name.to_owned(), integer, kind: 2, ..Attribute::default() };
        self.said.attributes.push(attribute);
        Self::from(self.said)
    }

    /// The same with a number among its attributes.
    pub(in super::super) fn with_float(mut self, name: &str, float: f32) -> Self {
        let attribute = Attribute { name: name.to_owned(), float, kind: 1, ..Attribute::default() };
        self.said.attributes.push(attribute);
        Self::from(self.said)
    }

    /// The same with numbers among its attributes.
    pub(in super::super) fn with_integers(mut self, name: &str, integers: &[i64]) -> Self {
        let integers = integers.to_vec();
        let attribute = Attribute { name: name.to_owned(), integers, kind: 7, ..Attribute::default() };
        self.said.attributes.push(attribute);
        Self::from(self.said)
    }

    pub(super) fn decode(raw: Vec<u8>) -> Result<Self, Malformed> {
        let said = messages::Node::decode(raw.as_slice()).map_err(|error| Malformed(error.to_string()))?;
        Ok(Self { said, raw })
    }

    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }

    pub(in super::super) fn name(&self) -> &str {
        &self.said.name
    }

    /// The operator, with its domain unless it is ONNX's own.
    pub(in super::super) fn operator(&self) -> &str {
        &self.said.operator
    }

    pub(in super::super) fn inputs(&self) -> &[String] {
        &self.said.inputs
    }

    pub(in super::super) fn input(&self, index: usize) -> Option<&str> {
        self.said.inputs.get(index).map(String::as_str)
    }

    pub(in super::super) fn outputs(&self) -> &[String] {
        &self.said.outputs
    }

    pub(in super::super) fn output(&self) -> &str {
        self.said.outputs.first().map_or("", String::as_str)
    }

    pub(in super::super) fn integer(&self, name: &str) -> Option<i64> {
        self.attribute(name).map(|attribute| attribute.integer)
    }

    pub(in super::super) fn integers(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|attribute| attribute.integers.as_slice())
    }

    /// Takes another value for an input.
    pub(in super::super) fn rewire(&mut self, index: usize, value: &str) {
        if let Some(input) = self.said.inputs.get_mut(index) {
            input.clear();
            input.push_str(value);
            self.raw = replaced(&self.raw, 1, &self.said.inputs);
        }
    }

    /// Takes another value wherever it takes this one.
    pub(in super::super) fn replace(&mut self, from: &str, to: &str) {
        for index in 0..self.said.inputs.len() {
            if self.input(index) == Some(from) {
                self.rewire(index, to);
            }
        }
    }

    /// The same node under another name, making other values.
    pub(in super::super) fn renamed(&self, name: &str, outputs: Vec<String>) -> Self {
        let raw = replaced(&replaced(&self.raw, 3, &[name.to_owned()]), 2, &outputs);
        Self { said: messages::Node { name: name.to_owned(), outputs, ..self.said.clone() }, raw }
    }

    /// Whether graphs are among its attributes, which may use any value of the graph around them.
    pub(in super::super) fn has_graph(&self) -> bool {
        self.said.attributes.iter().any(|attribute| matches!(attribute.kind, 5 | 10))
    }

    fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.said.attributes.iter().find(|attribute| attribute.name == name)
    }
}

impl From<messages::Node> for Node {
    fn from(said: messages::Node) -> Self {
        Self { raw: said.encode_to_vec(), said }
    }
}

/// A message with other texts in the field `tag`; all else stays byte for byte.
fn replaced(message: &[u8], tag: u32, texts: &[String]) -> Vec<u8> {
    let mut bytes: Vec<u8> = texts.iter().flat_map(|text| wire::field(tag, text.as_bytes())).collect();
    if let Ok((mut source, end)) = Source::new(Cursor::new(message)) {
        while let Ok(Some(head)) = source.head(end) {
            let Ok(whole) = source.keep(head) else { break };
            if head.tag != tag {
                bytes.extend(whole);
            }
        }
    }
    bytes
}
