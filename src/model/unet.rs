//! The U-Net, as the samplers call it.

use ndarray::{ArrayD, Axis, Ix4, arr0, concatenate};

use super::batch;
use super::conditioning::Embeddings;
use super::engine::{Engine, Graph};
use super::error::{LoadError, PassError};
use super::folder::Folder;
use super::session::{Feed, Port};
use crate::diffusion::{Both, Halt, Input, Latents, Pass, Predict};
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
    fn predict(&mut self, input: Input<'_>, pass: Pass) -> Result<Latents, Halt> {
        let text = match pass {
            Pass::Conditional => self.conditional,
            Pass::Unconditional => self.unconditional,
        };
        let context = batch::repeated(text.view().into_dyn(), input.latents.len_of(Axis(0)));
        let latents = input.latents.clone().into_dyn();
        self.unet.pass(latents, input.timestep, context, self.watch).map_err(Halt::new)
    }

    /// Both passes as one batch, which the graph takes as one pass if its batch is free.
    fn predict_both(&mut self, input: Input<'_>) -> Result<Both, Halt> {
        let pictures = input.latents.len_of(Axis(0));
        let one = |text: &Embeddings| batch::repeated(text.view().into_dyn(), pictures);
        let (without, with) = (one(self.unconditional), one(self.conditional));
        let context = concatenate(Axis(0), &[without.view(), with.view()]).map_err(|error| Halt::new(wrong(error)))?;
        let latents = batch::repeated(input.latents.view().into_dyn(), 2);
        let both = self.unet.pass(latents, input.timestep, context, self.watch).map_err(Halt::new)?;
        if both.len_of(Axis(0)) != 2 * pictures {
            let got = both.len_of(Axis(0));
            return Err(Halt::new(PassError::Failed(format!(
                "the U-Net must give {} entries, got {got}",
                2 * pictures
            ))));
        }
        let (unconditional, conditional) = both.view().split_at(Axis(0), pictures);
        Ok(Both { unconditional: unconditional.to_owned(), conditional: conditional.to_owned() })
    }
}

fn wrong(error: ndarray::ShapeError) -> PassError {
    PassError::Failed(format!("the U-Net's values have the wrong shape: {error}"))
}
