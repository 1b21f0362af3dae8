//! What a graph tells of the model that it is.

use std::collections::BTreeSet;

use super::messages::{Dimension, Size};
use super::skeleton::{Node, Port};
use super::{Element, Skeleton};

impl Skeleton {
    /// The declared sizes of an input, `None` where they are free.
    pub fn input(&self, name: &str) -> Option<Vec<Option<usize>>> {
        shape(&self.inputs, name)
    }

    /// The declared sizes of an output, `None` where they are free.
    pub fn output(&self, name: &str) -> Option<Vec<Option<usize>>> {
        shape(&self.outputs, name)
    }

    /// The names of the dimensions that its inputs leave free.
    pub fn free_dimensions(&self) -> BTreeSet<&str> {
        let shapes = self.inputs.iter().filter_map(|port| port.said.kind.as_ref()?.tensor.as_ref()?.shape.as_ref());
        let names = shapes.flat_map(|shape| &shape.dimensions).filter_map(|dimension| match &dimension.size {
            Some(Size::Free(name)) => Some(name.as_str()),
            _ => None,
        });
        names.collect()
    }

    /// The kernel's shape, [outputs, inputs, height, width], of the convolution that takes the input `name`.
    pub fn first_kernel(&self, name: &str) -> Option<Vec<usize>> {
        // Exporters of other precisions put a cast between an input and the first layer.
        let mut values = vec![name];
        // Nodes stand in an order in which every value is made before it is used.
        for node in &self.nodes {
            if !node.input(0).is_some_and(|input| values.contains(&input)) {
                continue;
            }
            match node.operator() {
                "Conv" => return self.initializer(node.input(1)?).map(|kernel| kernel.shape.clone()),
                "Cast" | "Identity" => values.extend(node.outputs().iter().map(String::as_str)),
                _ => {}
            }
        }
        None
    }

    /// How many convolutions halve both sides of what they are given.
    pub fn halvings(&self) -> usize {
        let halves = |node: &&Node| node.operator() == "Conv" && node.integers("strides") == Some(&[2, 2]);
        self.nodes.iter().filter(halves).count()
    }

    /// The type that most of the weights' elements are stored in; `None` without weights.
    pub fn stored(&self) -> Option<Element> {
        let mut counts: Vec<(Element, usize)> = Vec::new();
        for initializer in &self.initializers {
            let elements: usize = initializer.shape.iter().product();
            match counts.iter_mut().find(|(element, _)| *element == initializer.element) {
                Some((_, count)) => *count += elements,
                None => counts.push((initializer.element, elements)),
            }
        }
        counts.into_iter().max_by_key(|&(_, count)| count).map(|(element, _)| element)
    }

    /// Whether the graph has a node of this kind.
    pub fn has(&self, operator: &str) -> bool {
        self.nodes.iter().any(|node| node.operator() == operator)
    }
}

fn shape(ports: &[Port], name: &str) -> Option<Vec<Option<usize>>> {
    let port = ports.iter().find(|port| port.said.name == name)?;
    let shape = port.said.kind.as_ref()?.tensor.as_ref()?.shape.as_ref()?;
    let size = |dimension: &Dimension| match dimension.size {
        Some(Size::Fixed(size)) => usize::try_from(size).ok(),
        _ => None,
    };
    Some(shape.dimensions.iter().map(size).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> Skeleton {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        Skeleton::parse(&std::fs::read(file).unwrap()).unwrap()
    }

    #[test]
    fn free_and_fixed_sizes_are_told_apart() {
        let graph = golden("graphs/unet_fixed_size.onnx");
        assert_eq!(graph.input("sample"), Some(vec![None, Some(4), Some(8), Some(16)]));
        assert_eq!(graph.input("timestep"), Some(vec![]));
        assert_eq!(graph.output("out_sample"), Some(vec![None, Some(4), Some(8), Some(16)]));
        assert_eq!((graph.input("out_sample"), graph.output("sample")), (None, None));
    }

    #[test]
    fn the_first_kernel_tells_the_channels_that_the_input_leaves_free() {
        let graph = golden("graphs/unet_legacy_9.onnx");
        assert_eq!(graph.input("sample"), Some(vec![None; 4]));
        assert_eq!(graph.first_kernel("sample"), Some(vec![4, 9, 1, 1]));
        assert_eq!(graph.first_kernel("timestep"), None);
        assert_eq!(golden("graphs/unet.onnx").first_kernel("sample"), None);
    }

    #[test]
    fn a_real_unet_tells_how_often_it_halves() {
        let graph = golden("toy/unet/model.onnx");
        assert_eq!((graph.halvings(), graph.first_kernel("sample")), (3, Some(vec![16, 4, 3, 3])));
        // Its activation is made of a sigmoid.
        let text = golden("toy/text_encoder/model.onnx");
        assert!(text.has("Sigmoid") && !text.has("Erf"));
    }

    #[test]
    fn what_most_weights_are_stored_in_is_told_whatever_the_small_ones_are() {
        let stored = |name| golden(name).stored().and_then(Element::precision);
        assert_eq!(stored("toy/unet/model.onnx"), Some("fp32"));
        assert_eq!(stored("graphs/unet_fixed_size.onnx"), None);
        for graph in ["edits/static.onnx", "edits/dynamic.onnx"] {
            assert_eq!(stored(graph), Some("int8"), "{graph}");
        }
    }

    #[test]
    fn other_bytes_are_no_model() {
        for bytes in [&b""[..], b"no graph", &[0x3a, 0xff]] {
            let message = Skeleton::parse(bytes).unwrap_err().to_string();
            assert!(message.starts_with("it must be an ONNX model: "), "{message}");
        }
    }

    #[test]
    fn free_dimensions_have_names() {
        let names = |name: &str| golden(name).free_dimensions().into_iter().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(names("graphs/unet.onnx"), ["b", "h", "s", "w"]);
        assert_eq!(names("graphs/unet_fixed_size.onnx"), ["b", "s"]);
    }
}
