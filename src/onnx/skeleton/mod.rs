//! A graph without its weights.

mod initializer;
mod node;
mod read;
mod wire;

use std::io::{Cursor, Read, Seek};

use prost::Message;

pub use initializer::{Initializer, Place};
pub(super) use node::Node;
use wire::Part;

use super::Element;
use super::messages;
use super::messages::{Dimension, Entry, OperatorSet, Shape, Size, TensorType, Type};

/// The bytes are no ONNX model.
#[derive(Debug, thiserror::Error)]
#[error("it must be an ONNX model: {0}")]
pub struct Malformed(pub(super) String);

/// A model's graph whose large weights stay where they are: each refers to its place in the file it was read from.
///
/// What is not understood here is kept as it is, so that reading and writing changes nothing but where weights are found.
#[derive(Clone, Debug)]
pub struct Skeleton {
    /// The fields of the model other than the graph.
    model: Vec<Kept>,
    pub(super) nodes: Vec<Node>,
    pub(super) initializers: Vec<Initializer>,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    /// The fields of the graph other than those.
    rest: Vec<Kept>,
}

/// The number of `ModelProto`'s field for notes.
const NOTE: u32 = 14;

/// A field that is written again as it was read, key included.
#[derive(Clone, Debug)]
struct Kept {
    tag: u32,
    bytes: Vec<u8>,
}

impl Kept {
    fn part(&self) -> Part<'_> {
        Part::whole(self.tag, &self.bytes)
    }
}

/// An input or output of the graph.
#[derive(Clone, Debug)]
pub(super) struct Port {
    pub(super) said: messages::Port,
    raw: Vec<u8>,
}

impl Skeleton {
    /// Reads an ONNX file, and leaves weights of 1 KiB and more in it: they become external data of `file_name`, which must
    /// be its name in the folder that ONNX Runtime will be told of.
    pub fn read(source: &mut (impl Read + Seek), file_name: &str) -> Result<Self, Malformed> {
        read::model(source, file_name, read::LARGE)
    }

    /// The same, but small weights stay in the file too: for whoever wants to know where each is, and will not run it.
    pub fn outside(source: &mut (impl Read + Seek), file_name: &str) -> Result<Self, Malformed> {
        read::model(source, file_name, 1)
    }

    /// The same for a file that is in memory and will not be run.
    pub fn parse(file: &[u8]) -> Result<Self, Malformed> {
        Self::read(&mut Cursor::new(file), "model.onnx")
    }

    /// The model as bytes, for ONNX Runtime's session option `session.model_external_initializers_file_folder_path` and
    /// the folder in which the files of its weights are.
    pub fn to_bytes(&self) -> Vec<u8> {
        let graph = self.graph();
        let (before, after): (Vec<Part>, Vec<Part>) = self.model.iter().map(Kept::part).partition(|part| part.tag < 7);
        let length = wire::size(&graph);
        // Room for all of it at once: a hypernetwork adds some hundred megabytes.
        let mut bytes = Vec::with_capacity(wire::size(&before) + wire::size(&after) + length + 16);
        wire::write(&mut bytes, before);
        bytes.extend(wire::head(7, length));
        wire::write(&mut bytes, graph);
        wire::write(&mut bytes, after);
        bytes
    }

    fn graph(&self) -> Vec<Part<'_>> {
        let mut parts: Vec<Part> = self.rest.iter().map(Kept::part).collect();
        parts.extend(self.nodes.iter().map(|node| Part::value(1, node.raw())));
        parts.extend(self.initializers.iter().map(|tensor| Part::values(5, tensor.raw())));
        parts.extend(self.inputs.iter().map(|port| Part::value(11, &port.raw)));
        parts.extend(self.outputs.iter().map(|port| Part::value(12, &port.raw)));
        parts
    }

    /// All weights and other constants that stand beside the nodes.
    pub fn initializers(&self) -> &[Initializer] {
        &self.initializers
    }

    /// The bytes that all initializers take, as far as their types have a fixed size. A file may claim more than there can be.
    pub fn weight_bytes(&self) -> u64 {
        self.initializers.iter().filter_map(Initializer::size).fold(0, u64::saturating_add)
    }

    /// The initializer of that name.
    pub fn initializer(&self, name: &str) -> Option<&Initializer> {
        self.initializers.iter().find(|tensor| tensor.name == name)
    }

    /// Puts other values, little-endian, in the place of an initializer's; type and shape stay. Whether there is one.
    pub fn put(&mut self, name: &str, values: Vec<u8>) -> bool {
        let Some(initializer) = self.initializers.iter_mut().find(|initializer| initializer.name == name) else {
            return false;
        };
        *initializer = Initializer::inline(name, initializer.element, &initializer.shape, values);
        true
    }

    /// Adds a note for people and programs to the model (`metadata_props`).
    pub(super) fn note(&mut self, key: &str, value: &str) {
        let entry = Entry { key: key.to_owned(), value: value.to_owned() };
        self.model.push(Kept { tag: NOTE, bytes: wire::field(NOTE, &entry.encode_to_vec()) });
    }

    /// What such a note says.
    pub(super) fn noted(&self, key: &str) -> Option<String> {
        let notes = self.model.iter().filter(|kept| kept.tag == NOTE);
        let mut notes = notes.filter_map(|kept| Entry::decode(wire::payload(&kept.bytes)).ok());
        notes.find(|entry| entry.key == key).map(|entry| entry.value)
    }

    /// The version of ONNX's operators that it uses.
    pub fn opset(&self) -> i64 {
        let sets = self.model.iter().filter(|kept| kept.tag == 8);
        let sets = sets.filter_map(|kept| OperatorSet::decode(wire::payload(&kept.bytes)).ok());
        sets.filter(|set| set.domain.is_empty() || set.domain == "ai.onnx").map(|set| set.version).max().unwrap_or(1)
    }
}

impl Port {
    /// A tensor; sizes that are `None` are free.
    pub(super) fn tensor(name: &str, element: Element, sizes: &[Option<i64>]) -> Self {
        let dimensions = sizes.iter().map(|size| Dimension { size: size.map(Size::Fixed) }).collect();
        let tensor = TensorType { element: element.code(), shape: Some(Shape { dimensions }) };
        Self::from(messages::Port { name: name.to_owned(), kind: Some(Type { tensor: Some(tensor) }) })
    }
}

impl From<messages::Port> for Port {
    fn from(said: messages::Port) -> Self {
        Self { raw: said.encode_to_vec(), said }
    }
}

#[cfg(test)]
mod tests;
