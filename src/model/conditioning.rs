//! From text to what the U-Net is conditioned on.

use std::sync::Arc;

use ndarray::{Array1, Array2, Array3, Axis, Ix2, Ix3, concatenate};

use super::batch;
use super::engine::{Engine, Graph};
use super::error::{LoadError, PassError};
use super::folder::{Folder, Layer, TextFacts};
use super::session::{Feed, Port, Ports};
use super::tokenizer::Tokenizer;
use crate::job::Watch;

/// States of texts, [texts, tokens, width].
pub type Embeddings = Array3<f32>;

/// What the U-Net is conditioned on for one text.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditioning {
    /// A state for each token, [1, tokens, width].
    pub context: Embeddings,
    /// The text as a whole, [1, width], for U-Nets that take that too.
    pub pooled: Option<Array2<f32>>,
}

impl Conditioning {
    /// The same shapes without any content.
    fn zeroed(self) -> Self {
        Self { context: self.context * 0.0, pooled: self.pooled.map(|pooled| pooled * 0.0) }
    }
}

/// A text as it was read, and what it became.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// The token ids that each encoder was given, padding included.
    pub tokens: Vec<Vec<u32>>,
    /// What the U-Net is conditioned on.
    pub conditioning: Conditioning,
}

/// The text encoders of a model with their tokenizers: one, or two whose outputs stand side by side.
pub struct TextEncoders {
    encoders: Vec<TextEncoder>,
    /// That of the first encoder.
    tokenizer: Arc<Tokenizer>,
    zeros: bool,
}

impl TextEncoders {
    /// Loads the encoders' graphs and the tokenizers' files.
    pub fn load(engine: &Engine, folder: &Folder) -> Result<Self, LoadError> {
        let load = |facts: &TextFacts| TextEncoder::load(engine, folder, facts);
        let encoders = folder.texts.iter().map(load).collect::<Result<Vec<_>, _>>()?;
        let none = || LoadError::folder(&folder.path, "the model must have a text encoder");
        let tokenizer = encoders.first().map(|encoder| Arc::clone(&encoder.tokenizer)).ok_or_else(none)?;
        Ok(Self { encoders, tokenizer, zeros: folder.force_zeros_for_empty_prompt })
    }

    /// The tokenizer that counts a prompt's tokens.
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// What a prompt becomes; each encoder makes one pass.
    pub fn encode(&self, prompt: &str, watch: &dyn Watch) -> Result<Encoded, PassError> {
        let mut tokens = Vec::new();
        let mut states = Vec::new();
        let mut pooled = None;
        for encoder in &self.encoders {
            let ids = encoder.tokenizer.encode(prompt);
            let (own, whole) = encoder.encode(&ids, watch)?;
            states.push(own);
            pooled = whole.or(pooled);
            tokens.push(ids);
        }
        let views: Vec<_> = states.iter().map(|states| states.view()).collect();
        let context = concatenate(Axis(2), &views).map_err(wrong)?;
        Ok(Encoded { tokens, conditioning: Conditioning { context, pooled } })
    }

    /// What a negative prompt becomes: like any prompt, but an empty one is nothing at all for models trained so.
    pub fn encode_negative(&self, prompt: &str, watch: &dyn Watch) -> Result<Encoded, PassError> {
        let Encoded { tokens, conditioning } = self.encode(prompt, watch)?;
        let zeros = self.zeros && prompt.is_empty();
        Ok(Encoded { tokens, conditioning: if zeros { conditioning.zeroed() } else { conditioning } })
    }
}

/// A tokenizer and the graph that reads its ids.
struct TextEncoder {
    tokenizer: Arc<Tokenizer>,
    graph: Graph,
    ids: Port,
    states: Port,
    pooled: Option<Port>,
}

impl TextEncoder {
    fn load(engine: &Engine, folder: &Folder, facts: &TextFacts) -> Result<Self, LoadError> {
        let tokenizer = Arc::new(Tokenizer::open(&folder.path.join(facts.tokenizer), facts)?);
        let graph = engine.load(&folder.graph(facts.encoder))?;
        let ports = (|| {
            let ids = graph.ports.input(&["input_ids"], &[2])?;
            graph.ports.only(&[ids])?;
            if let Some(length) = ids.shape[1].filter(|length| *length != facts.length) {
                return Err(format!("the input {} must take {} tokens a text, got {length}", ids.name, facts.length));
            }
            let states = states(&graph.ports, facts)?;
            let pooled = facts.pooled.then(|| graph.ports.output_named("text_embeds", 2)).transpose()?;
            Ok((ids.clone(), states.clone(), pooled.cloned()))
        })();
        let (ids, states, pooled) = ports.map_err(|reason| graph.fault(reason))?;
        Ok(Self { tokenizer, graph, ids, states, pooled })
    }

    /// The states of one text, [1, tokens, width], and the text as a whole, [1, width].
    fn encode(&self, ids: &[u32], watch: &dyn Watch) -> Result<(Embeddings, Option<Array2<f32>>), PassError> {
        let ids = ids.iter().map(|&id| id as f32).collect::<Array1<f32>>().insert_axis(Axis(0)).into_dyn();
        let feed = Feed { port: self.ids.clone(), value: ids };
        let outputs: Vec<&Port> = std::iter::once(&self.states).chain(&self.pooled).collect();
        let mut values = batch::run_for(&self.graph, 1, vec![feed], &outputs, watch)?.into_iter();
        let states = values.next().unwrap_or_default().into_dimensionality::<Ix3>().map_err(wrong)?;
        let pooled = values.next().map(|whole| whole.into_dimensionality::<Ix2>().map_err(wrong)).transpose()?;
        Ok((states, pooled))
    }
}

/// The output with the states that count.
fn states<'a>(ports: &'a Ports, facts: &TextFacts) -> Result<&'a Port, String> {
    let states = match facts.layer {
        Layer::Last => ports.output(&["last_hidden_state"], &[3])?,
        Layer::Penultimate => {
            // State 0 is that before the first layer, the last one that after the last.
            let count = (0..).take_while(|index| ports.has_output(&format!("hidden_states.{index}"))).count();
            let name = format!("hidden_states.{}", count.saturating_sub(2));
            ports
                .output_named(&name, 3)
                .map_err(|reason| format!("{reason} (to be exported with output_hidden_states)"))?
        }
    };
    match states.shape[2] {
        Some(width) if width != facts.width => {
            Err(format!("the output {} must be {} wide as hidden_size says, got {width}", states.name, facts.width))
        }
        _ => Ok(states),
    }
}

fn wrong(error: ndarray::ShapeError) -> PassError {
    PassError::Failed(format!("the text encoder's values have the wrong shape: {error}"))
}

#[cfg(test)]
mod tests;
