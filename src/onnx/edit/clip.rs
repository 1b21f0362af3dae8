//! Earlier states of a CLIP text encoder, for graphs that give out only the last.

use super::super::modules::module_of;
use super::super::skeleton::{Node, Port};
use super::super::{Element, Skeleton};
use super::{Unfit, cone};

/// The output that takes its place among the states.
const LAST: &str = "last_hidden_state";

/// Lets `last_hidden_state` skip so many layers: it becomes the state that many layers before the last one, through the
/// final layer norm, as diffusers' `clip_skip` has it. 0 changes nothing; all layers leaves the embeddings.
///
/// The norm is doubled for it, so that the pooled outputs, which belong to the last state, stay what they are.
pub fn clip_skip(skeleton: &mut Skeleton, layers: usize) -> Result<(), Unfit> {
    if layers == 0 {
        return Ok(());
    }
    let states = states(skeleton)?;
    let (last, state) = (last(&states)?, before_last(&states, layers)?);
    let norm = cone::between(skeleton, last, LAST);
    let Some(&end) = norm.last() else {
        return Err(Unfit(format!("the final layer norm was looked for between {last} and the output {LAST}")));
    };
    let (mut copies, made) = cone::copies(skeleton, &norm, last, state, "skipped");
    // The new state goes out under the old one's name.
    let full = format!("{LAST}/full");
    let renamed = |node: &Node, from: &str, to: &str| {
        let outputs = node.outputs().iter().map(|name| if name == from { to.to_owned() } else { name.clone() });
        node.renamed(node.name(), outputs.collect())
    };
    skeleton.nodes[end] = renamed(&skeleton.nodes[end], LAST, &full);
    skeleton.redirect(LAST, &full);
    if let Some(copy) = copies.last_mut() {
        *copy = renamed(copy, &made, LAST);
    }
    skeleton.insert(end + 1, copies);
    Ok(())
}

/// Gives out the state that many layers before the last one, without the final layer norm, and says under which name;
/// 1 is the penultimate state, which SDXL wants. It takes the type and shape that `last_hidden_state` declares.
pub fn states_before_last(skeleton: &mut Skeleton, layers: usize) -> Result<String, Unfit> {
    let states = states(skeleton)?;
    let state = before_last(&states, layers)?;
    if skeleton.outputs.iter().any(|port| port.said.name == *state) {
        return Ok(state.to_owned());
    }
    let name = format!("hidden_states.{}", states.len() - 1 - layers);
    if skeleton.has_value(&name) {
        return Err(Unfit(format!("it has a value called {name} that is not that state")));
    }
    let port = skeleton.outputs.iter().find(|port| port.said.name == LAST);
    let port = port.map_or_else(
        || Port::tensor(&name, Element::F32, &[None, None, None]),
        |port| Port::from(super::super::messages::Port { name: name.clone(), ..port.said.clone() }),
    );
    let node = Node::new(&format!("/{name}"), "Identity", &[state], &name);
    skeleton.nodes.push(node);
    skeleton.outputs.push(port);
    Ok(name)
}

/// The embeddings and the state after each layer.
fn states(skeleton: &Skeleton) -> Result<Vec<String>, Unfit> {
    let mut states = Vec::new();
    while let Some(state) = entry(skeleton, &format!("text_model.encoder.layers.{}.layer_norm1", states.len())) {
        states.push(state.to_owned());
    }
    states.extend(entry(skeleton, "text_model.final_layer_norm").map(str::to_owned));
    if states.len() >= 2 {
        return Ok(states);
    }
    let exported = |index: &usize| {
        let name = format!("hidden_states.{index}");
        skeleton.outputs.iter().any(|port| port.said.name == name).then_some(name)
    };
    let states: Vec<String> = (0..).map_while(|index| exported(&index)).collect();
    if states.len() >= 2 {
        return Ok(states);
    }
    Err(Unfit(
        "the nodes of text_model/encoder/layers.N/layer_norm1 and of text_model/final_layer_norm or outputs hidden_states.N \
         were looked for, got neither"
            .to_owned(),
    ))
}

/// What a norm is given. Nodes that only give its weights another name are no part of it.
fn entry<'a>(skeleton: &'a Skeleton, module: &str) -> Option<&'a str> {
    let given = |node: &'a Node| node.input(0).filter(|input| skeleton.initializer(input).is_none());
    let of_module = |node: &&Node| module_of(node).as_deref() == Some(module);
    skeleton.nodes.iter().filter(of_module).find_map(given)
}

fn last(states: &[String]) -> Result<&String, Unfit> {
    states.last().ok_or_else(|| Unfit("it has no states".to_owned()))
}

fn before_last(states: &[String], layers: usize) -> Result<&String, Unfit> {
    let place = states.len().checked_sub(layers + 1).and_then(|place| states.get(place));
    place.ok_or_else(|| {
        Unfit(format!("at most {} layers can be skipped, which is all it has, got {layers}", states.len() - 1))
    })
}
