//! Edits of graphs: each a function that changes a [`Skeleton`] in one respect, or says why it cannot.

mod clip;
mod cone;
mod grow;
mod hypernetwork;
mod ids;
mod mlp;
mod reuse;
mod times;
mod unshare;

pub use clip::{clip_skip, states_before_last};
pub use grow::grow;
pub use hypernetwork::{Net, hypernetworks};
pub use ids::own_ids;
pub use mlp::{Activation, Layer, Mlp};
pub use reuse::{FEATURE, Halves, cut, halves};
pub use times::own_times;
pub use unshare::unshare;

use super::Skeleton;
use super::skeleton::Node;

/// The graph is not of the form that an edit needs.
#[derive(Debug, thiserror::Error)]
#[error("the graph cannot be edited: {0}")]
pub struct Unfit(String);

impl Skeleton {
    /// The place of the node that makes a value.
    fn producer(&self, value: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.outputs().iter().any(|output| output == value))
    }

    /// Lets every user of a value take another one.
    fn redirect(&mut self, from: &str, to: &str) {
        self.nodes.iter_mut().for_each(|node| node.replace(from, to));
    }

    /// Puts nodes before the one at `place`.
    fn insert(&mut self, place: usize, nodes: impl IntoIterator<Item = Node>) {
        self.nodes.splice(place..place, nodes);
    }

    /// Whether a value of that name exists.
    fn has_value(&self, name: &str) -> bool {
        self.inputs.iter().any(|port| port.said.name == name)
            || self.initializer(name).is_some()
            || self.producer(name).is_some()
    }
}

#[cfg(test)]
mod tests;
