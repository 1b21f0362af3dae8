//! What encoder and decoder have in common.

use std::path::Path;

use ndarray::{Array4, Axis, Ix4};

use super::tiles::Tiles;
use crate::job::Watch;
use crate::model::batch;
use crate::model::engine::{Engine, Graph};
use crate::model::error::{LoadError, PassError};
use crate::model::session::{Feed, Port};

/// A graph from one [batch, channels, height, width] to another; large ones go through it in tiles.
pub(super) struct Half {
    graph: Graph,
    input: Port,
    output: Port,
    tiles: Tiles,
}

impl Half {
    /// Loads the graph that takes so many channels, whose ports have one of these names each, or are the only ones with four dimensions.
    pub(super) fn load(
        engine: &Engine,
        file: &Path,
        inputs: &[&str],
        outputs: &[&str],
        channels: usize,
        tiles: Tiles,
    ) -> Result<Self, LoadError> {
        let graph = engine.load(file)?;
        let ports = (|| {
            let input = graph.ports.input(inputs, &[4])?;
            graph.ports.only(&[input])?;
            if let Some(got) = input.shape[1].filter(|got| *got != channels) {
                return Err(format!("the input {} must have {channels} channels, got {got}", input.name));
            }
            Ok((input.clone(), graph.ports.output(outputs, &[4])?.clone()))
        })();
        let (input, output) = ports.map_err(|reason| graph.fault(reason))?;
        // A graph for one size takes tiles of that size.
        let tiles = tiles.exported_for(input.shape[2], input.shape[3]);
        Ok(Self { graph, input, output, tiles })
    }

    /// The name of the output.
    pub(super) fn output(&self) -> &str {
        &self.output.name
    }

    /// Height and width that the graph wants, if it takes no others.
    pub(super) fn fixed_sides(&self) -> Option<[usize; 2]> {
        Some([self.input.shape[2]?, self.input.shape[3]?])
    }

    /// The graph's output for `values`.
    pub(super) fn run(&self, values: &Array4<f32>, watch: &dyn Watch) -> Result<Array4<f32>, PassError> {
        self.tiles.fitting(values, |tile| match watch.stop() {
            Some(stop) => Err(PassError::Stopped(stop)),
            None => self.pass(tile, watch),
        })
    }

    fn pass(&self, values: Array4<f32>, watch: &dyn Watch) -> Result<Array4<f32>, PassError> {
        let entries = values.len_of(Axis(0));
        let feed = Feed { port: self.input.clone(), value: values.into_dyn() };
        let output = batch::run(&self.graph, entries, vec![feed], &self.output, watch)?;
        output
            .into_dimensionality::<Ix4>()
            .map_err(|error| PassError::Failed(format!("the autoencoder's values have the wrong shape: {error}")))
    }
}
