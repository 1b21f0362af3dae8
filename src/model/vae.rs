//! The autoencoder: latents to pixels.

use ndarray::{ArrayD, Axis, Ix4};

use super::batch;
use super::engine::{Engine, Graph};
use super::error::{LoadError, PassError};
use super::folder::{Folder, VaeFacts};
use super::session::{Feed, Port};
use crate::diffusion::Latents;
use crate::job::Watch;

/// Pictures before they are rounded, [batch, 3, height, width], nominally from -1 to 1.
pub type Planes = ndarray::Array4<f32>;

/// The decoder of a model's autoencoder.
pub struct Decoder {
    graph: Graph,
    latents: Port,
    planes: Port,
    facts: VaeFacts,
}

impl Decoder {
    /// Loads `vae_decoder/model.onnx`.
    pub fn load(engine: &Engine, folder: &Folder) -> Result<Self, LoadError> {
        let graph = engine.load(&folder.path.join("vae_decoder/model.onnx"))?;
        let ports = (|| {
            let latents = graph.ports.input(&["latent_sample", "latent"], &[4])?;
            graph.ports.only(&[latents])?;
            Ok((latents.clone(), graph.ports.output(&["sample", "images"], &[4])?.clone()))
        })();
        let (latents, planes) = ports.map_err(|reason| graph.fault(reason))?;
        Ok(Self { graph, latents, planes, facts: folder.vae })
    }

    /// The pictures of a sampler's final latents.
    pub fn decode(&self, latents: &Latents, watch: &dyn Watch) -> Result<Planes, PassError> {
        let VaeFacts { scaling_factor, shift_factor, .. } = self.facts;
        let value: ArrayD<f32> = latents.mapv(|value| value / scaling_factor + shift_factor).into_dyn();
        let feed = Feed { port: self.latents.clone(), value };
        let planes = batch::run(&self.graph, latents.len_of(Axis(0)), vec![feed], &self.planes, watch)?;
        planes
            .into_dimensionality::<Ix4>()
            .map_err(|error| PassError::Failed(format!("the decoder's values have the wrong shape: {error}")))
    }
}
