//! A timestep for every entry of the batch.

use super::super::Skeleton;
use super::super::messages::{Dimension, Shape};
use super::super::skeleton::{Node, Port};
use super::Unfit;

/// Lets an input that is one number for all entries be a number for each: rank 1 instead of 0, its size free.
///
/// Exporters trace `timestep[None].expand(batch)`, as diffusers' U-Nets begin, into `Unsqueeze`, maybe `Cast`, and
/// `Expand`. Without the first of these the others keep as many numbers as there are entries.
pub fn own_times(skeleton: &mut Skeleton, input: &str) -> Result<(), Unfit> {
    let port = skeleton.inputs.iter().position(|port| port.said.name == input);
    let Some(port) = port else { return Err(Unfit(format!("an input {input} was looked for, got none"))) };
    let mut said = skeleton.inputs[port].said.clone();
    let shape = said.kind.as_mut().and_then(|kind| kind.tensor.as_mut()).and_then(|tensor| tensor.shape.as_mut());
    match shape {
        Some(shape) if shape.dimensions.is_empty() => *shape = Shape { dimensions: vec![Dimension { size: None }] },
        _ => return Err(Unfit(format!("{input} must be one number for all entries"))),
    }
    let (before, place) = unsqueeze(skeleton, input)?;
    let node = skeleton.nodes.remove(place);
    skeleton.redirect(node.output(), &before);
    // ONNX Runtime warns of constants that nobody uses.
    let is_used = |name: &String| skeleton.nodes.iter().any(|node| node.inputs().contains(name));
    let idle: Vec<String> = node.inputs().iter().filter(|name| !is_used(name)).cloned().collect();
    skeleton.initializers.retain(|initializer| !idle.contains(&initializer.name));
    skeleton.inputs[port] = Port::from(said);
    Ok(())
}

/// The node that makes a list of the number, with the value that it takes; behind it the list becomes one for each entry.
fn unsqueeze(skeleton: &Skeleton, input: &str) -> Result<(String, usize), Unfit> {
    let (mut value, mut found) = (input, None);
    // A graph without a circle ends sooner; one with a circle runs nowhere.
    for _ in 0..skeleton.nodes.len() {
        // Graphs inside of a node may use any value.
        let uses = |node: &Node| node.has_graph() || node.inputs().iter().any(|input| input == value);
        let users: Vec<usize> = (0..skeleton.nodes.len()).filter(|place| uses(&skeleton.nodes[*place])).collect();
        let [user] = users[..] else { break };
        let node = &skeleton.nodes[user];
        match (node.operator(), found.take()) {
            ("Cast" | "Identity", before) => found = before,
            ("Unsqueeze", None) => found = Some((value.to_owned(), user)),
            ("Expand", Some(found)) => return Ok(found),
            _ => break,
        }
        value = node.output();
    }
    Err(Unfit(format!("Unsqueeze and Expand were looked for behind {input}")))
}
