//! Weights of their own for parameters that share one.

use super::super::Skeleton;

/// Gives every value that is only another name of an initializer an initializer of its own, with the same values, and says
/// how many there were.
///
/// Exporters keep equal parameters once: most biases of a fresh model are zeros. A value in a file is not doubled by this,
/// as both refer to the same place. Afterwards each parameter can be changed alone.
pub fn unshare(skeleton: &mut Skeleton) -> usize {
    let before = skeleton.nodes.len();
    let nodes = std::mem::take(&mut skeleton.nodes);
    for node in nodes {
        let is_output = skeleton.outputs.iter().any(|port| node.outputs().contains(&port.said.name));
        let source = node.input(0).filter(|_| node.operator() == "Identity" && !is_output);
        match source.and_then(|source| skeleton.initializer(source)).map(|tensor| tensor.named(node.output())) {
            Some(tensor) => skeleton.initializers.push(tensor),
            None => skeleton.nodes.push(node),
        }
    }
    before - skeleton.nodes.len()
}
