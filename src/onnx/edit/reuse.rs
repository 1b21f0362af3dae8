//! A U-Net in two: the whole graph, which also gives out what its deep part made, and a shallow one that takes it.
//!
//! DeepCache (Ma, Fang and Wang 2023): between two steps the deep layers' output changes little, so most steps need only
//! the first layers of the way down and the last ones of the way up.

use std::collections::HashSet;

use super::super::skeleton::{Node, Port};
use super::super::{Element, Skeleton};
use super::{Unfit, cone};

/// The name of the value that goes from one graph to the other.
pub const FEATURE: &str = "deep_feature";

/// Under this key a graph notes how many layers of the way up are in the shallow one.
const NOTE: &str = "diffused.cut";

/// A U-Net in two.
#[derive(Debug)]
pub struct Halves {
    /// Everything, with [`FEATURE`] among the outputs.
    pub full: Skeleton,
    /// What depends on more than the feature, with [`FEATURE`] among the inputs; all other inputs and the outputs stay.
    pub shallow: Skeleton,
    /// Layers of the way up that are in the shallow graph.
    pub layers: usize,
    /// Layers of the way up in all.
    pub of: usize,
}

/// Cuts a U-Net before the last `layers` layers of its way up, by default before those of its last block.
///
/// A layer is a resnet with its attention, and takes two values side by side: what the layers below made, which is the
/// feature, and what the way down left for it. Weights stay in their files, which both graphs refer to.
pub fn halves(skeleton: &Skeleton, layers: Option<usize>) -> Result<Halves, Unfit> {
    if let Some(node) = skeleton.nodes.iter().find(|node| node.has_graph()) {
        return Err(Unfit(format!("the node {} of the type {} has graphs in itself", node.name(), node.operator())));
    }
    let joints = joints(skeleton)?;
    let (last, of) = (joints.last().map_or(0, |joint| joint.block), joints.len());
    let layers = layers.unwrap_or_else(|| joints.iter().filter(|joint| joint.block == last).count());
    let joint = of.checked_sub(layers).and_then(|place| joints.get(place));
    let joint = joint.ok_or_else(|| Unfit(format!("the cut must be between 1 and {of} layers, got {layers}")))?;
    if skeleton.has_value(FEATURE) {
        return Err(Unfit(format!("it already has a value called {FEATURE}")));
    }
    let mut halves = Halves { full: full(skeleton, joint), shallow: shallow(skeleton, joint)?, layers, of };
    halves.full.note(NOTE, &layers.to_string());
    halves.shallow.note(NOTE, &layers.to_string());
    Ok(halves)
}

/// Before how many layers a graph of [`halves`] was cut.
pub fn cut(skeleton: &Skeleton) -> Option<usize> {
    skeleton.noted(NOTE)?.parse().ok()
}

/// Where a layer of the way up takes what the layers below made.
struct Joint {
    block: usize,
    layer: usize,
    value: String,
    element: Element,
}

/// All of them, in their order. Only the layers of the way up widen what they are given, and so all have a shortcut.
fn joints(skeleton: &Skeleton) -> Result<Vec<Joint>, Unfit> {
    let mut joints: Vec<Joint> = skeleton.nodes.iter().filter_map(|node| joint(skeleton, node)).collect();
    joints.sort_by_key(|joint| (joint.block, joint.layer));
    match joints.is_empty() {
        false => Ok(joints),
        true => {
            Err(Unfit("Concat nodes before up_blocks.N.resnets.N.conv_shortcut were looked for, got none".to_owned()))
        }
    }
}

fn joint(skeleton: &Skeleton, node: &Node) -> Option<Joint> {
    let module = super::super::modules::module_of(node).filter(|_| node.operator() == "Conv")?;
    let [block, layer] = match module.split('.').collect::<Vec<_>>()[..] {
        ["up_blocks", block, "resnets", layer, "conv_shortcut"] => [block.parse().ok()?, layer.parse().ok()?],
        _ => return None,
    };
    let mut concat = skeleton.maker(node.input(0)?)?;
    while matches!(concat.operator(), "Cast" | "Identity" | "QuantizeLinear" | "DequantizeLinear") {
        concat = skeleton.maker(concat.input(0)?)?;
    }
    let is_joint = concat.operator() == "Concat" && concat.inputs().len() == 2 && concat.integer("axis") == Some(1);
    let value = concat.input(0).filter(|_| is_joint)?.to_owned();
    Some(Joint { block, layer, value, element: cone::element(skeleton, node.input(1)?) })
}

fn full(skeleton: &Skeleton, joint: &Joint) -> Skeleton {
    let mut full = skeleton.clone();
    full.nodes.push(Node::new(&format!("/{FEATURE}"), "Identity", &[&joint.value], FEATURE));
    full.outputs.push(port(skeleton, joint));
    full
}

fn shallow(skeleton: &Skeleton, joint: &Joint) -> Result<Skeleton, Unfit> {
    let mut shallow = skeleton.clone();
    shallow.redirect(&joint.value, FEATURE);
    shallow.inputs.push(port(skeleton, joint));
    shallow.keep_needed();
    if shallow.has_value(&joint.value) {
        return Err(Unfit(format!("after the cut at {} it still needs what makes that value", joint.value)));
    }
    Ok(shallow)
}

/// The feature as an input or output; the number of entries is fixed where the graph's is.
fn port(skeleton: &Skeleton, joint: &Joint) -> Port {
    let batch = skeleton.outputs.first().and_then(|port| skeleton.output(&port.said.name));
    let batch = batch.and_then(|shape| shape.first().copied().flatten()).and_then(|size| i64::try_from(size).ok());
    Port::tensor(FEATURE, joint.element, &[batch, None, None, None])
}

impl Skeleton {
    /// The node that makes a value.
    fn maker(&self, value: &str) -> Option<&Node> {
        self.producer(value).map(|place| &self.nodes[place])
    }

    /// Leaves out all nodes and weights that no output needs. Nodes must stand in an order in which every value is made
    /// before it is used.
    fn keep_needed(&mut self) {
        let mut needed: HashSet<String> = self.outputs.iter().map(|port| port.said.name.clone()).collect();
        let mut kept = Vec::new();
        for node in std::mem::take(&mut self.nodes).into_iter().rev() {
            if node.outputs().iter().any(|output| needed.contains(output)) {
                needed.extend(node.inputs().iter().cloned());
                kept.push(node);
            }
        }
        kept.reverse();
        self.nodes = kept;
        let gone: HashSet<String> =
            self.initializers.iter().map(|it| it.name.clone()).filter(|name| !needed.contains(name)).collect();
        self.initializers.retain(|initializer| !gone.contains(&initializer.name));
        // Old exporters list the weights among the inputs.
        self.inputs.retain(|port| !gone.contains(&port.said.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> Skeleton {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        Skeleton::parse(&std::fs::read(file).unwrap()).unwrap()
    }

    fn uses(skeleton: &Skeleton, module: &str) -> bool {
        skeleton.nodes.iter().any(|node| node.name().contains(module))
    }

    #[test]
    fn the_shallow_graph_has_only_the_outermost_layers() {
        let whole = golden("toy/unet/model.onnx");
        let Halves { full, shallow, layers, of } = halves(&whole, None).unwrap();
        assert_eq!((layers, of), (3, 12));
        assert_eq!(full.nodes.len(), whole.nodes.len() + 1);
        for (module, is_there) in [
            ("/conv_in/", true),
            ("/down_blocks.0/resnets.1/", true),
            ("/down_blocks.0/downsamplers.0/", false),
            ("/mid_block/", false),
            ("/up_blocks.2/", false),
            ("/up_blocks.3/resnets.0/", true),
        ] {
            assert_eq!(uses(&shallow, module), is_there, "{module}");
        }
        assert!(shallow.inputs.len() == 4 && shallow.initializers.len() < whole.initializers.len() / 2);
    }

    #[test]
    fn every_cut_is_a_little_deeper() {
        let whole = golden("toy/unet/model.onnx");
        let nodes = |layers| halves(&whole, Some(layers)).unwrap().shallow.nodes.len();
        let sizes: Vec<usize> = (1..=12).map(nodes).collect();
        assert!(sizes.is_sorted() && sizes[0] * 4 < whole.nodes.len() && sizes[11] < whole.nodes.len(), "{sizes:?}");
    }

    #[test]
    fn the_graphs_know_where_they_were_cut() {
        let halves = halves(&golden("toy/unet/model.onnx"), Some(2)).unwrap();
        for half in [&halves.full, &halves.shallow] {
            assert_eq!(cut(&Skeleton::parse(&half.to_bytes()).unwrap()), Some(2));
        }
        assert_eq!(cut(&golden("toy/unet/model.onnx")), None);
    }

    #[test]
    fn a_cut_that_is_not_there_and_another_kind_of_graph_are_refused() {
        let refused = |graph, layers| halves(&golden(graph), layers).unwrap_err().to_string();
        for layers in [0, 13] {
            let message = refused("toy/unet/model.onnx", Some(layers));
            assert!(message.ends_with(&format!("between 1 and 12 layers, got {layers}")), "{message}");
        }
        let message = refused("toy/text_encoder/model.onnx", None);
        assert!(message.contains("up_blocks.N.resnets.N.conv_shortcut were looked for"), "{message}");
    }
}
