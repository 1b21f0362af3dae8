//! The U-Net, as the samplers call it.

use ndarray::{ArrayD, Axis, Ix4, arr0, concatenate};

use super::batch;
use super::conditioning::Embeddings;
use super::engine::{Engine, Graph};
use super::error::{LoadError, PassError};
use super::folder::Folder;
use super::session::{Feed, Port};
use crate::diffusion::{Halt, Input, Latents, Pass, Predict};
use crate::job::Watch;

/// The U-Net of a model.
pub struct Unet {
    graph: Graph,
    sample: Port,
    timestep: Port,
    context: Port,
    output: Port,
}

impl Unet {
    /// Loads `unet/model.onnx`.
    pub fn load(engine: &Engine, folder: &Folder) -> Result<Self, LoadError> {
        let graph = engine.load(&folder.path.join("unet/model.onnx"))?;
        let ports = (|| {
            let sample = graph.ports.input(&["sample", "latent"], &[4])?;
            let timestep = graph.ports.input(&["timestep", "t"], &[0, 1])?;
            let context = graph.ports.input(&["encoder_hidden_states"], &[3])?;
            graph.ports.only(&[sample, timestep, context])?;
            let output = graph.ports.output(&["out_sample", "sample"], &[4])?;
            Ok((sample.clone(), timestep.clone(), context.clone(), output.clone()))
        })();
        let (sample, timestep, context, output) = ports.map_err(|reason| graph.fault(reason))?;
        Ok(Self { graph, sample, timestep, context, output })
    }

    /// Width and height in latents, if the graph was exported for one size only.
    pub fn fixed_size(&self) -> Option<(usize, usize)> {
        match self.sample.shape[..] {
            [_, _, Some(height), Some(width)] => Some((width, height)),
            _ => None,
        }
    }

    /// One pass: `latents` [batch, channels, height, width], `context` [batch, tokens, width]; the result like `latents`.
    fn pass(
        &self,
        latents: ArrayD<f32>,
        timestep: f64,
        context: ArrayD<f32>,
        watch: &dyn Watch,
    ) -> Result<Latents, PassError> {
        let entries = latents.len_of(Axis(0));
        let timestep = match (self.timestep.shape.len(), self.timestep.batch()) {
            (0, _) => arr0(timestep as f32).into_dyn(),
            // One for all entries, else one for each.
            (_, Some(1)) => ArrayD::from_elem(vec![1], timestep as f32),
            _ => ArrayD::from_elem(vec![entries], timestep as f32),
        };
        let feeds = vec![
            Feed { port: self.sample.clone(), value: latents },
            Feed { port: self.timestep.clone(), value: timestep },
            Feed { port: self.context.clone(), value: context },
        ];
        let output = batch::run(&self.graph, entries, feeds, &self.output, watch)?;
        output.into_dimensionality::<Ix4>().map_err(wrong)
    }
}

/// The U-Net with its two texts, for one run of a sampler.
pub struct Prompted<'a> {
    /// The graph.
    pub unet: &'a Unet,
    /// The prompt, [1, tokens, width].
    pub conditional: &'a Embeddings,
    /// The negative prompt, [1, tokens, width].
    pub unconditional: &'a Embeddings,
    /// Who is asked whether to stop.
    pub watch: &'a dyn Watch,
}

impl Predict for Prompted<'_> {
    /// All passes as one batch, which the graph takes as one pass if its batch is free.
    fn predict(&mut self, input: Input<'_>, passes: &[Pass]) -> Result<Vec<Latents>, Halt> {
        let pictures = input.latents.len_of(Axis(0));
        let text = |pass: &Pass| match pass {
            Pass::Conditional(_) => self.conditional,
            Pass::Unconditional => self.unconditional,
        };
        let texts: Vec<_> = passes.iter().map(|pass| batch::repeated(text(pass).view().into_dyn(), pictures)).collect();
        let views: Vec<_> = texts.iter().map(|text| text.view()).collect();
        let context = concatenate(Axis(0), &views).map_err(|error| Halt::new(wrong(error)))?;
        let latents = batch::repeated(input.latents.view().into_dyn(), passes.len());
        let outputs = self.unet.pass(latents, input.timestep, context, self.watch).map_err(Halt::new)?;
        let expected = passes.len() * pictures;
        if outputs.len_of(Axis(0)) != expected {
            let got = outputs.len_of(Axis(0));
            return Err(Halt::new(PassError::Failed(format!("the U-Net must give {expected} entries, got {got}"))));
        }
        Ok(outputs.axis_chunks_iter(Axis(0), pictures).map(|output| output.to_owned()).collect())
    }
}

fn wrong(error: ndarray::ShapeError) -> PassError {
    PassError::Failed(format!("the U-Net's values have the wrong shape: {error}"))
}
