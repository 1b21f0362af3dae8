//! A text encoder's graph with textual inversions, LoRAs and fewer layers.

use super::merge::changed;
use crate::model::anatomy::Anatomy;
use crate::model::blueprint::Blueprint;
use crate::model::conditioning::TextAdapters;
use crate::model::error::LoadError;
use crate::model::folder::{Folder, Layer};
use crate::onnx::{Skeleton, edit};
use crate::weights::names::Part;

/// Where a text encoder's ports are, if not under the usual names.
#[derive(Debug, Default)]
pub(in crate::model) struct Outputs {
    /// The input of ids for the token table alone.
    pub(in crate::model) own_ids: Option<String>,
    /// The output of states.
    pub(in crate::model) states: Option<String>,
}

/// What the session of a folder's encoder number `place` is made of.
pub(in crate::model) fn blueprint(
    folder: &Folder,
    place: usize,
    adapters: &TextAdapters<'_>,
) -> Result<(Blueprint, Outputs), LoadError> {
    let facts = &folder.texts[place];
    let file = folder.graph(facts.encoder);
    let plain = adapters.embeddings.is_empty() && adapters.loras.is_empty() && adapters.clip_skip == 0;
    if plain && facts.layer == Layer::Last {
        return Ok((Blueprint::as_exported(&file), Outputs::default()));
    }
    let mut graph = Anatomy::read(&file)?;
    let states = states(&mut graph.skeleton, facts.layer, adapters.clip_skip);
    let (states, cut) = states.map_err(|unfit| graph.fault(unfit.to_string()))?;
    let mut weights = changed(&mut graph, Part::Text(place), adapters.loras)?;
    let mut own_ids = None;
    if !adapters.embeddings.is_empty() {
        let (input, table) = graph.grown(|rows| adapters.embeddings.appended(rows, place))?;
        weights.push(table);
        own_ids = Some(input);
    }
    let blueprint = match cut || !weights.is_empty() {
        true => Blueprint::changed(graph.file, &mut graph.skeleton, weights),
        false => Blueprint::as_exported(&file),
    };
    Ok((blueprint, Outputs { own_ids, states }))
}

/// The output with the states that count, and whether the graph had to be changed to have it.
fn states(graph: &mut Skeleton, layer: Layer, skip: usize) -> Result<(Option<String>, bool), edit::Unfit> {
    match layer {
        Layer::Last if skip == 0 => Ok((None, false)),
        Layer::Last => edit::clip_skip(graph, skip).map(|()| (None, true)),
        Layer::Penultimate => {
            // State 0 is that before the first layer, the last one that after the last.
            let count = (0..).take_while(|index| graph.output(&format!("hidden_states.{index}")).is_some()).count();
            match count.checked_sub(2 + skip) {
                Some(state) => Ok((Some(format!("hidden_states.{state}")), false)),
                None => edit::states_before_last(graph, 1 + skip).map(|name| (Some(name), true)),
            }
        }
    }
}

/// How many layers can be left out, up to `most`.
pub(in crate::model) fn most_clip_skip(graph: &Anatomy, layer: Layer, most: usize) -> usize {
    let can = |skip: &usize| states(&mut graph.skeleton.clone(), layer, *skip).is_ok();
    (1..=most).rev().find(can).unwrap_or(0)
}
