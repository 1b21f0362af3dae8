//! Follows initializers through the nodes that only change their form, to the nodes that use them.

use std::collections::HashMap;

use super::super::skeleton::Node;
use super::super::{Element, Initializer, Skeleton};
use super::path;
use super::role::{Form, Role, roles};
use super::{Layout, Quantised, Weight};

/// A parameter that was found: its module, its name and where it is.
type Found = (String, &'static str, Weight);

/// A value that is an initializer, perhaps in another form.
#[derive(Clone)]
struct View<'a> {
    initializer: &'a Initializer,
    transposed: bool,
    reshaped: bool,
    folded: bool,
    quantised: Option<Quantised>,
}

/// Every use of an initializer as a parameter, in the order of the nodes.
pub(super) fn weights(skeleton: &Skeleton) -> Vec<Found> {
    let view = |initializer| View { initializer, transposed: false, reshaped: false, folded: false, quantised: None };
    let mut views: HashMap<&str, View> =
        skeleton.initializers.iter().map(|tensor| (tensor.name.as_str(), view(tensor))).collect();
    let mut found = Vec::new();
    for node in &skeleton.nodes {
        match changed(node, &views) {
            Some(view) => drop(views.insert(node.output(), view)),
            None => found.extend(roles(node).iter().flat_map(|role| used(node, role, &views))),
        }
    }
    found
}

/// What a node makes of an initializer, if it only changes its form.
fn changed<'a>(node: &Node, views: &HashMap<&str, View<'a>>) -> Option<View<'a>> {
    let view = View { folded: true, ..views.get(node.input(0)?)?.clone() };
    match node.operator() {
        "Identity" | "Cast" => Some(view),
        "Transpose" if view.initializer.shape.len() == 2 && node.integers("perm").unwrap_or(&[1, 0]) == [1, 0] => {
            Some(View { transposed: !view.transposed, ..view })
        }
        "Reshape" | "Unsqueeze" | "Squeeze" => Some(View { reshaped: true, ..view }),
        // Blocks with scales of their own, of graphs with weights of few bits, are not known here.
        "DequantizeLinear" if node.integer("block_size").unwrap_or(0) != 0 => None,
        "DequantizeLinear" => {
            let rank = view.initializer.shape.len() as i64;
            let axis = node.integer("axis").unwrap_or(1);
            let quantised = Quantised {
                scale: node.input(1)?.to_owned(),
                zero_point: node.input(2).filter(|name| !name.is_empty()).map(str::to_owned),
                axis: usize::try_from(if axis < 0 { axis + rank } else { axis }).ok()?,
            };
            Some(View { quantised: Some(quantised), ..view })
        }
        _ => None,
    }
}

/// A node's input as the parameter that its role makes of it, under the name it kept and under the path of its node.
fn used(node: &Node, role: &Role, views: &HashMap<&str, View>) -> Vec<Found> {
    let Some(name) = node.input(role.input) else { return Vec::new() };
    let Some(weight) = views.get(name).and_then(|view| weight(node, role, view, views)) else { return Vec::new() };
    let by_node = path::of_node(node.name()).map(|module| (module, role.parameter));
    let by_name = path::of_value(name).or_else(|| path::of_value(&weight.initializer));
    let mut places = Vec::from_iter(by_name);
    places.extend(by_node.filter(|place| !places.contains(place)));
    places.into_iter().map(|(module, parameter)| (module, parameter, weight.clone())).collect()
}

fn weight(node: &Node, role: &Role, view: &View, views: &HashMap<&str, View>) -> Option<Weight> {
    let Initializer { name, element, shape, .. } = view.initializer;
    let quantised = match element {
        Element::I8 | Element::U8 => Some(view.quantised.clone().or_else(|| scaled(node, role, name, shape, views))?),
        element => element.is_float().then_some(None)?,
    };
    let (layout, shape) = match (role.form, shape.as_slice()) {
        (Form::Vector, [_]) => (Layout::Plain, shape.clone()),
        (Form::Vector, [length, ones @ ..]) if ones.iter().all(|&one| one == 1) => (Layout::Reshaped, vec![*length]),
        (Form::Vector, _) => return None,
        (form, [rows, columns]) if (form == Form::Transposed) != view.transposed => {
            (Layout::Transposed, vec![*columns, *rows])
        }
        // A table of embeddings has two dimensions, and no matrix has more.
        (Form::Transposed, _) => (shape.len() == 2).then(|| (Layout::Plain, shape.clone()))?,
        (Form::Plain, _) if node.operator() == "Gather" && shape.len() != 2 => return None,
        (Form::Plain, _) => (Layout::Plain, shape.clone()),
    };
    let layout = if view.reshaped { Layout::Reshaped } else { layout };
    Some(Weight { initializer: name.clone(), layout, shape, quantised, folded: view.folded, shared: false })
}

/// Scale and zero point of a weight that a node takes as integers.
fn scaled(node: &Node, role: &Role, name: &str, shape: &[usize], views: &HashMap<&str, View>) -> Option<Quantised> {
    let known = |name: &str| views.contains_key(name).then(|| name.to_owned());
    // onnxruntime.quantization calls them after the weight, and multiplies with the scale only later.
    let stem = name.strip_suffix("_quantized").unwrap_or(name);
    let at = |input: Option<usize>| input.and_then(|input| node.input(input)).and_then(known);
    let scale = at(role.scale).or_else(|| known(&format!("{stem}_scale")))?;
    let zero_point = at(role.zero_point).or_else(|| known(&format!("{stem}_zero_point")));
    let axis = if role.form == Form::Transposed { shape.len().saturating_sub(1) } else { 0 };
    Some(Quantised { scale, zero_point, axis })
}
