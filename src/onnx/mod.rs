//! Exported graphs as data: what an ONNX file says of itself, without ONNX Runtime.
//!
//! Needed where an exporter wrote no configuration beside its graphs, so that only the graph can tell what model it is.

mod graph;
mod messages;

pub use graph::{Graph, Malformed};
