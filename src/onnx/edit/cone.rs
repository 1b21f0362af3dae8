//! The nodes between two values.

use std::collections::{HashMap, HashSet};

use super::super::skeleton::Node;
use super::super::{Element, Skeleton};

/// The places of the nodes that lie on a way from one value to another, in the order of the graph; none if there is no way.
///
/// Nodes must stand in an order in which every value is made before it is used.
pub(super) fn between(skeleton: &Skeleton, from: &str, to: &str) -> Vec<usize> {
    let mut after = HashSet::from([from]);
    let mut touched = Vec::new();
    for (place, node) in skeleton.nodes.iter().enumerate() {
        if node.inputs().iter().any(|input| after.contains(input.as_str())) {
            after.extend(node.outputs().iter().map(String::as_str));
            touched.push(place);
        }
    }
    let mut wanted = HashSet::from([to]);
    let mut cone = Vec::new();
    for place in touched.into_iter().rev() {
        let node = &skeleton.nodes[place];
        if node.outputs().iter().any(|output| wanted.contains(output.as_str())) {
            wanted.extend(node.inputs().iter().map(String::as_str));
            cone.push(place);
        }
    }
    cone.reverse();
    cone
}

/// Copies of the nodes at `places` that begin with the value `start` instead of `from`, and the name of what the last makes.
pub(super) fn copies(
    skeleton: &Skeleton,
    places: &[usize],
    from: &str,
    start: &str,
    mark: &str,
) -> (Vec<Node>, String) {
    let mut names: HashMap<String, String> = HashMap::from([(from.to_owned(), start.to_owned())]);
    let mut last = start.to_owned();
    let copy = |&place: &usize| {
        let mut node = skeleton.nodes[place].clone();
        for index in 0..node.inputs().len() {
            if let Some(name) = node.input(index).and_then(|input| names.get(input)) {
                node.rewire(index, &name.clone());
            }
        }
        let outputs: Vec<String> = node.outputs().iter().map(|output| format!("{output}/{mark}")).collect();
        last = outputs.first().cloned().unwrap_or_default();
        names.extend(node.outputs().iter().cloned().zip(outputs.iter().cloned()));
        node.renamed(&format!("{}/{mark}", node.name()), outputs)
    };
    (places.iter().map(copy).collect(), last)
}

/// The names under which an initializer goes: its own, and those that nodes give it that keep its rows.
pub(super) fn same<'a>(skeleton: &'a Skeleton, initializer: &'a str) -> Vec<&'a str> {
    let mut names = vec![initializer];
    for node in &skeleton.nodes {
        let keeps = matches!(node.operator(), "Identity" | "Cast" | "DequantizeLinear");
        if keeps && node.input(0).is_some_and(|input| names.contains(&input)) {
            names.push(node.output());
        }
    }
    names
}

/// The type of the numbers that a weight is used as: its own, or what it is cast to; f32 for one of 8 bits.
pub(super) fn element(skeleton: &Skeleton, weight: &str) -> Element {
    let own = |name: &str| skeleton.initializer(name).map(|tensor| tensor.element).filter(|element| element.is_float());
    if let Some(element) = own(weight) {
        return element;
    }
    let Some(node) = skeleton.producer(weight).map(|place| &skeleton.nodes[place]) else { return Element::F32 };
    match (node.operator(), node.integer("to")) {
        ("Cast", Some(code)) => i32::try_from(code).map_or(Element::F32, Element::of),
        ("Identity" | "Transpose", _) => node.input(0).and_then(own).unwrap_or(Element::F32),
        ("DequantizeLinear", _) => node.input(1).and_then(own).unwrap_or(Element::F32),
        _ => Element::F32,
    }
}
