//! One text encoder: a tokenizer and the graph that reads its ids.

use std::sync::Arc;

use ndarray::{Array2, ArrayD, Axis, Ix2, Ix3};

use super::super::adapters::Scaled;
use super::super::adapters::text::{Outputs, blueprint};
use super::super::batch;
use super::super::engine::{Engine, Graph};
use super::super::error::{LoadError, PassError};
use super::super::folder::{Folder, TextFacts};
use super::super::session::{Feed, Port};
use super::super::tokenizer::Tokenizer;
use super::super::vocabulary::Vocabulary;
use super::{Embeddings, Reader, wrong};
use crate::job::Watch;
use crate::prompt::chunks::Chunk;
use crate::prompt::emphasis::reweigh;

/// What text encoders are loaded with.
#[derive(Clone, Copy, Debug)]
pub struct TextAdapters<'a> {
    /// Textual inversions.
    pub embeddings: &'a Vocabulary,
    /// Changes of their weights.
    pub loras: &'a [Scaled],
    /// Layers that are left out, counted from the one that the model takes.
    pub clip_skip: usize,
    /// Chunks that the U-Net takes, where it was exported for a fixed number of tokens.
    pub most_chunks: Option<usize>,
}

pub(super) struct TextEncoder {
    /// How it reads prompts.
    pub(super) reader: Reader,
    tokenizer: Arc<Tokenizer>,
    graph: Graph,
    ids: Port,
    /// Where the table's ids go, if there are rows in it that no other part of the graph may see.
    own_ids: Option<Port>,
    /// The first of those rows.
    first_row: u32,
    states: Port,
    pooled: Option<Port>,
}

/// What one encoder makes of a text.
pub(super) struct States {
    /// The ids of all chunks, one after another.
    pub(super) ids: Vec<u32>,
    /// [1, tokens, width].
    pub(super) states: Embeddings,
    /// The text as a whole, [1, width]: that of the first chunk.
    pub(super) pooled: Option<Array2<f32>>,
}

/// Takes the place of ids that the rest of the graph does not know: never the end token, by which some graphs find the end.
const STAND_IN: u32 = 0;

impl TextEncoder {
    pub(super) fn load(
        engine: &Engine,
        folder: &Folder,
        place: usize,
        adapters: &TextAdapters<'_>,
    ) -> Result<Self, LoadError> {
        let facts = &folder.texts[place];
        let tokenizer = Arc::new(Tokenizer::open(&folder.path.join(facts.tokenizer), facts)?);
        let reader = Reader::new(Arc::clone(&tokenizer), adapters.embeddings, adapters.most_chunks);
        let (blueprint, names) = blueprint(folder, place, adapters)?;
        let graph = engine.build(blueprint)?;
        let ports = (|| {
            let ids = graph.ports.input(&["input_ids"], &[2])?;
            let own_ids = names.own_ids.as_ref().map(|name| graph.ports.input(&[name], &[2])).transpose()?;
            graph.ports.only(&[ids].into_iter().chain(own_ids).collect::<Vec<_>>())?;
            if let Some(length) = ids.shape[1].filter(|length| *length != facts.length) {
                return Err(format!("the input {} must take {} tokens a text, got {length}", ids.name, facts.length));
            }
            let states = states(&graph, &names, facts)?;
            let pooled = facts.pooled.then(|| graph.ports.output_named("text_embeds", 2)).transpose()?;
            Ok((ids.clone(), own_ids.cloned(), states.clone(), pooled.cloned()))
        })();
        let (ids, own_ids, states, pooled) = ports.map_err(|reason| graph.fault(reason))?;
        Ok(Self { reader, tokenizer, graph, ids, own_ids, first_row: adapters.embeddings.first(), states, pooled })
    }

    /// The states of all chunks, each encoded alone and its tokens weighed.
    pub(super) fn encode(&self, chunks: &[Chunk], watch: &dyn Watch) -> Result<States, PassError> {
        let rows: Vec<Vec<u32>> = chunks.iter().map(|chunk| self.tokenizer.row(&chunk.ids)).collect();
        let known = |id: u32| if self.own_ids.is_some() && id >= self.first_row { STAND_IN } else { id };
        let mut feeds = vec![Feed { port: self.ids.clone(), value: table(&rows, known) }];
        feeds.extend(self.own_ids.iter().map(|port| Feed { port: port.clone(), value: table(&rows, |id| id) }));
        let outputs: Vec<&Port> = std::iter::once(&self.states).chain(&self.pooled).collect();
        let mut values = batch::run_for(&self.graph, chunks.len(), feeds, &outputs, watch)?.into_iter();
        let states = values.next().unwrap_or_default().into_dimensionality::<Ix3>().map_err(wrong)?;
        let pooled = values.next().map(|whole| whole.into_dimensionality::<Ix2>().map_err(wrong)).transpose()?;
        Ok(States {
            states: weighed(states, chunks)?,
            pooled: pooled.map(|whole| whole.select(Axis(0), &[0])),
            ids: rows.concat(),
        })
    }
}

/// Token ids as a graph takes them, [chunks, tokens].
fn table(rows: &[Vec<u32>], known: impl Fn(u32) -> u32) -> ArrayD<f32> {
    let length = rows.first().map_or(0, Vec::len);
    Array2::from_shape_fn([rows.len(), length], |(row, place)| known(rows[row][place]) as f32).into_dyn()
}

/// The states of chunks, [chunks, tokens, width], each token times its weight, as one text, [1, all tokens, width].
fn weighed(states: Embeddings, chunks: &[Chunk]) -> Result<Embeddings, PassError> {
    let (count, tokens, width) = states.dim();
    if count != chunks.len() {
        return Err(PassError::Failed(format!("the text encoder must give {} texts, got {count}", chunks.len())));
    }
    let mut states = states;
    for (mut states, chunk) in states.axis_iter_mut(Axis(0)).zip(chunks) {
        // The begin token stands before them.
        let weights: Vec<f32> = std::iter::once(1.0).chain(chunk.weights.iter().copied()).collect();
        let mut weighed = states.to_owned();
        reweigh(&mut weighed, &weights);
        states.assign(&weighed);
    }
    let states = states.as_standard_layout().into_owned();
    states.into_shape_with_order([1, count * tokens, width]).map_err(wrong)
}

/// The output with the states that count.
fn states<'a>(graph: &'a Graph, names: &Outputs, facts: &TextFacts) -> Result<&'a Port, String> {
    let states = match &names.states {
        Some(name) => graph.ports.output_named(name, 3)?,
        None => graph.ports.output(&["last_hidden_state"], &[3])?,
    };
    match states.shape[2] {
        Some(width) if width != facts.width => {
            Err(format!("the output {} must be {} wide as hidden_size says, got {width}", states.name, facts.width))
        }
        _ => Ok(states),
    }
}
