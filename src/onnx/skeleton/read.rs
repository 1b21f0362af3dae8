//! Walks through a file and steps over what is large.

use std::io::{Read, Seek};

use prost::Message;

use super::super::{Element, messages};
use super::wire::{self, Source};
use super::{Initializer, Kept, Malformed, Node, Port, Skeleton};

/// Values of fewer bytes are kept in the graph: they are shapes and scales, which ONNX Runtime wants to see early.
pub(super) const LARGE: u64 = 1024;

/// What of a file stays outside.
struct Outside<'a> {
    /// The name of the file.
    name: &'a str,
    /// Values of so many bytes and more.
    from: u64,
}

/// Reads a `ModelProto`, and leaves values of `from` bytes and more outside.
pub(super) fn model(file: &mut (impl Read + Seek), name: &str, from: u64) -> Result<Skeleton, Malformed> {
    let (mut source, end) = Source::new(file)?;
    let outside = Outside { name, from };
    let mut skeleton = Skeleton {
        model: Vec::new(),
        nodes: Vec::new(),
        initializers: Vec::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        rest: Vec::new(),
    };
    let mut has_graph = false;
    while let Some(head) = source.head(end)? {
        match (head.tag, head.length()) {
            (7, Some(length)) => {
                has_graph = true;
                let end = source.at() + length;
                graph(&mut source, end, &outside, &mut skeleton)?;
            }
            (tag, _) => skeleton.model.push(Kept { tag, bytes: source.keep(head)? }),
        }
    }
    if has_graph { Ok(skeleton) } else { Err(Malformed("it has no graph".to_owned())) }
}

/// Reads a `GraphProto`.
fn graph<R: Read + Seek>(
    source: &mut Source<R>,
    end: u64,
    outside: &Outside,
    skeleton: &mut Skeleton,
) -> Result<(), Malformed> {
    while let Some(head) = source.head(end)? {
        match (head.tag, head.length()) {
            (1, Some(length)) => {
                let end = source.at() + length;
                skeleton.nodes.push(node(source, end)?);
            }
            (5, Some(length)) => {
                let end = source.at() + length;
                skeleton.initializers.push(tensor(source, end, outside)?);
            }
            (11, Some(length)) => skeleton.inputs.push(port(source.take(length)?)?),
            (12, Some(length)) => skeleton.outputs.push(port(source.take(length)?)?),
            (tag, _) => skeleton.rest.push(Kept { tag, bytes: source.keep(head)? }),
        }
    }
    Ok(())
}

/// Reads a `NodeProto`, field by field, so that many empty ones cost what they take in memory.
fn node<R: Read + Seek>(source: &mut Source<R>, end: u64) -> Result<Node, Malformed> {
    let mut raw = Vec::new();
    while let Some(head) = source.head(end)? {
        raw.extend(source.keep(head)?);
    }
    Node::decode(raw)
}

fn port(raw: Vec<u8>) -> Result<Port, Malformed> {
    let said = messages::Port::decode(raw.as_slice()).map_err(|error| Malformed(error.to_string()))?;
    Ok(Port { said, raw })
}

/// Values that were stepped over.
struct Gap {
    tag: u32,
    offset: u64,
    length: u64,
}

/// Reads a `TensorProto`.
fn tensor<R: Read + Seek>(source: &mut Source<R>, end: u64, outside: &Outside) -> Result<Initializer, Malformed> {
    let mut kept = Vec::new();
    let mut gaps = Vec::new();
    while let Some(head) = source.head(end)? {
        match (head.tag, head.length()) {
            (tag @ (4 | 9 | 10), Some(length)) if length >= outside.from => {
                gaps.push(Gap { tag, offset: source.at(), length });
                let after = source.at() + length;
                source.go(after)?;
            }
            _ => kept.extend(source.keep(head)?),
        }
    }
    if let [gap] = gaps.as_slice()
        && stays(&kept, gap.tag)?
    {
        return Initializer::left_behind(kept, outside.name, gap.offset, gap.length);
    }
    for gap in gaps {
        source.go(gap.offset)?;
        kept.extend(wire::field(gap.tag, &source.take(gap.length)?));
    }
    source.go(end)?;
    Initializer::decode(kept)
}

/// Whether values in the field `tag` lie in the file as in memory, and no others belong to the same tensor.
fn stays(kept: &[u8], tag: u32) -> Result<bool, Malformed> {
    let tensor = messages::Tensor::decode(kept).map_err(|error| Malformed(error.to_string()))?;
    let alone = tensor.location == 0 && tensor.floats.is_empty() && tensor.doubles.is_empty() && tensor.raw.is_empty();
    let fits = match Element::of(tensor.element) {
        Element::F32 => tag == 4 || tag == 9,
        Element::F64 => tag == 10 || tag == 9,
        // Texts.
        Element::Other(8) => false,
        _ => tag == 9,
    };
    Ok(alone && fits)
}
