//! Token ids of their own for the table of embeddings.

use super::super::Skeleton;
use super::super::skeleton::Port;
use super::{Unfit, cone};

/// The name of the new input.
const NAME: &str = "embedding_ids";

/// Lets the rows of the token embeddings be chosen by an input of their own, of the same type and shape as the one that
/// chose them before, which all other nodes keep.
///
/// Ids of rows that were appended to the table then choose these, while the end of the text is still found in the first
/// input: as the largest id in most exports, which an appended row's would exceed. `table` is the initializer of the table;
/// the answer is the name of the new input.
pub fn own_ids(skeleton: &mut Skeleton, table: &str) -> Result<String, Unfit> {
    let tables = cone::same(skeleton, table);
    let looks_up = |place: &usize| {
        let node = &skeleton.nodes[*place];
        node.operator() == "Gather" && node.input(0).is_some_and(|input| tables.contains(&input))
    };
    let gathers: Vec<usize> = (0..skeleton.nodes.len()).filter(looks_up).collect();
    let [gather] = gathers[..] else {
        return Err(Unfit(format!("one Gather of {table} was looked for, got {}", gathers.len())));
    };
    let ids = skeleton.nodes[gather].input(1).unwrap_or_default().to_owned();
    let (root, way) = way(skeleton, &ids);
    let Some(port) = skeleton.inputs.iter().find(|port| port.said.name == root) else {
        return Err(Unfit(format!("the ids that choose rows of {table} were looked for among the inputs, got {root}")));
    };
    if skeleton.has_value(NAME) {
        return Err(Unfit(format!("it already has a value called {NAME}")));
    }
    let mut said = port.said.clone();
    NAME.clone_into(&mut said.name);
    let (copies, chosen) = cone::copies(skeleton, &way, &root, NAME, NAME);
    skeleton.inputs.push(Port::from(said));
    skeleton.nodes[gather].rewire(1, &chosen);
    skeleton.insert(gather, copies);
    Ok(NAME.to_owned())
}

/// The value that ids are made of by nodes that keep them as they are, and those nodes in their order.
fn way(skeleton: &Skeleton, ids: &str) -> (String, Vec<usize>) {
    let (mut value, mut way) = (ids, Vec::new());
    // A graph without a circle ends sooner; one with a circle runs nowhere.
    while way.len() < skeleton.nodes.len() {
        let Some(place) = skeleton.producer(value) else { break };
        let node = &skeleton.nodes[place];
        match node.operator() {
            "Reshape" | "Cast" | "Identity" | "Unsqueeze" | "Squeeze" | "Flatten" => {
                value = node.input(0).unwrap_or("")
            }
            _ => break,
        }
        way.push(place);
    }
    way.reverse();
    (value.to_owned(), way)
}
