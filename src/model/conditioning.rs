//! The text encoder: token ids to what the U-Net is conditioned on.

use ndarray::{Array2, Array3, Ix3};

use super::batch;
use super::engine::{Engine, Graph};
use super::error::{LoadError, PassError};
use super::folder::Folder;
use super::session::{Feed, Port};
use crate::job::Watch;

/// What the U-Net is conditioned on, [texts, tokens, width].
pub type Embeddings = Array3<f32>;

/// The text encoder of a model.
pub struct TextEncoder {
    graph: Graph,
    ids: Port,
    states: Port,
}

impl TextEncoder {
    /// Loads `text_encoder/model.onnx`.
    pub fn load(engine: &Engine, folder: &Folder) -> Result<Self, LoadError> {
        let graph = engine.load(&folder.path.join("text_encoder/model.onnx"))?;
        let ports = (|| {
            let ids = graph.ports.input(&["input_ids"], &[2])?;
            graph.ports.only(&[ids])?;
            Ok((ids.clone(), graph.ports.output(&["last_hidden_state"], &[3])?.clone()))
        })();
        let (ids, states) = ports.map_err(|reason| graph.fault(reason))?;
        Ok(Self { graph, ids, states })
    }

    /// The last hidden states of `texts`, each a row of token ids of the same length.
    pub fn encode(&self, texts: &[Vec<u32>], watch: &dyn Watch) -> Result<Embeddings, PassError> {
        let length = texts.first().map_or(0, Vec::len);
        let ids = texts.iter().flatten().map(|&id| id as f32).collect();
        let ids = Array2::from_shape_vec((texts.len(), length), ids).map_err(wrong)?.into_dyn();
        let feed = Feed { port: self.ids.clone(), value: ids };
        let states = batch::run(&self.graph, texts.len(), vec![feed], &self.states, watch)?;
        states.into_dimensionality::<Ix3>().map_err(wrong)
    }
}

fn wrong(error: ndarray::ShapeError) -> PassError {
    PassError::Failed(format!("the text encoder's values have the wrong shape: {error}"))
}
