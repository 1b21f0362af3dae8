//! The U-Net, as the samplers call it.

mod embedding;
mod prompted;
mod reuse;

use ndarray::{Array2, ArrayD, Ix4, arr0};

pub use self::prompted::Prompted;
pub use self::reuse::Kept;

use self::reuse::Shallow;

use super::adapters::{UnetAdapters, UnetPlan};
use super::engine::{Engine, Graph, Seat};
use super::error::{LoadError, PassError};
use super::folder::{Folder, UnetFacts};
use super::session::{Feed, Port, Ports};
use crate::diffusion::Latents;

/// The U-Net of a model.
pub struct Unet {
    graph: Graph,
    /// The part of it that runs in every step, if it was cut in two.
    shallow: Option<Shallow>,
    inputs: Inputs,
    output: Port,
    facts: UnetFacts,
    /// Channels of the latents, and of what joins them.
    channels: (usize, usize),
    /// Pixels a side for each latent.
    downscale: u32,
    /// Latents of one channel that a pass may hold.
    room: usize,
}

/// The inputs; the last four only where the model has them.
struct Inputs {
    sample: Port,
    timestep: Port,
    context: Port,
    guidance: Option<Port>,
    pooled: Option<Port>,
    sizes: Option<Port>,
    /// How much each hypernetwork counts.
    strengths: Vec<Port>,
}

/// What a pass is given, all with the same batch: the latents with what joins them, the text, the text as a whole.
struct Given {
    sample: ArrayD<f32>,
    context: ArrayD<f32>,
    pooled: Option<ArrayD<f32>>,
}

impl Unet {
    /// Loads `unet/model.onnx`, or the two graphs that it was cut in, with adapters in it, and holds what it declares
    /// against the folder.
    pub fn load(engine: &Engine, folder: &Folder, adapters: &UnetAdapters<'_>) -> Result<Self, LoadError> {
        let UnetPlan { full, shallow, strengths } = adapters.plan(folder, engine.options().joins)?;
        let graph = engine.build(full)?;
        let (latents, facts) = (folder.channels, folder.unet);
        let channels = (latents, facts.extra.channels(latents));
        let ports = (|| {
            let inputs = Inputs::of(&graph.ports, &facts, &strengths)?;
            let output = graph.ports.output(&["out_sample", "sample"], &[4])?;
            sized(&inputs.sample, 1, channels.0 + channels.1, "in_channels")?;
            sized(&inputs.context, 2, facts.context, "cross_attention_dim")?;
            sized(output, 1, latents, "out_channels")?;
            Ok((inputs, output.clone()))
        })();
        let (inputs, output) = ports.map_err(|reason| graph.fault(reason))?;
        let shallow = match shallow {
            Some(shallow) => Some(Shallow::new(engine.build(shallow)?, &graph, &inputs)?),
            None => None,
        };
        let (downscale, room) = (folder.vae.downscale, engine.options().room());
        Ok(Self { graph, shallow, inputs, output, facts, channels, downscale, room })
    }

    /// Whether it was cut in two, so that most steps can do without its deep layers.
    pub fn reuses(&self) -> bool {
        self.shallow.is_some()
    }

    /// To be held by who runs it step after step, so that the passes of all who do that can be joined.
    pub fn seat(&self) -> Seat {
        Seat::at([&self.graph].into_iter().chain(self.shallow.as_ref().map(|shallow| &shallow.graph)))
    }

    /// Width and height in latents, if the graph was exported for one size only.
    pub fn fixed_size(&self) -> Option<(usize, usize)> {
        match self.inputs.sample.shape[..] {
            [_, _, Some(height), Some(width)] => Some((width, height)),
            _ => None,
        }
    }

    /// How many tokens a text must have, if the graph was exported for one length only.
    pub fn fixed_tokens(&self) -> Option<usize> {
        self.inputs.context.shape[1]
    }

    /// How many pictures of so many latents are best made together, with both passes of guidance.
    pub fn pictures_at_once(&self, latents: usize) -> usize {
        (self.room / (2 * latents).max(1)).max(1)
    }

    /// How many of `passes` passes of `pictures` pictures of so many latents go into one batch.
    fn passes_at_once(&self, passes: usize, pictures: usize, latents: usize) -> usize {
        match self.inputs.sample.batch() {
            // A batch that is as large anyway is better full.
            Some(fixed) if fixed > pictures => passes,
            _ => (self.room / (pictures * latents).max(1)).clamp(1, passes.max(1)),
        }
    }

    /// What a pass is fed. `scales` are the guidance scale and the strengths of the hypernetworks.
    fn feeds(&self, given: Given, timestep: f64, scales: (f32, &[f32])) -> Result<Vec<Feed>, PassError> {
        let [entries, _, height, width] = given.sample.shape()[..] else { return Err(wrong_rank()) };
        let inputs = &self.inputs;
        let all = |row: Vec<f32>| rows(&row, entries);
        let feed = |port: &Port, value: ArrayD<f32>| Feed { port: port.clone(), value };
        let mut feeds = vec![
            feed(&inputs.sample, given.sample),
            feed(&inputs.timestep, times(&inputs.timestep, timestep, entries)),
            feed(&inputs.context, given.context),
        ];
        if let (Some(port), Some(size)) = (&inputs.guidance, self.facts.guidance) {
            feeds.push(feed(port, all(embedding::guidance(scales.0, size))));
        }
        if let (Some(port), Some(pooled)) = (&inputs.pooled, given.pooled) {
            feeds.push(feed(port, pooled));
        }
        if let Some(port) = &inputs.sizes {
            feeds.push(feed(port, all(self.sizes(height, width).to_vec())));
        }
        // One that nobody speaks of counts nothing.
        let strengths = scales.1.iter().copied().chain(std::iter::repeat(0.0));
        feeds.extend(inputs.strengths.iter().zip(strengths).map(|(port, it)| feed(port, arr0(it).into_dyn())));
        Ok(feeds)
    }

    /// SDXL's sizes in pixels, of latents of that height and width: height and width of the original, top and left of the
    /// part that was cut out of it, height and width of the result. Nothing is cut out of ours.
    fn sizes(&self, height: usize, width: usize) -> [f32; 6] {
        let [height, width] = [height, width].map(|side| (side * self.downscale as usize) as f32);
        [height, width, 0.0, 0.0, height, width]
    }
}

impl Inputs {
    fn of(ports: &Ports, facts: &UnetFacts, strengths: &[String]) -> Result<Self, String> {
        let optional = |name: &str, wanted: Option<usize>, key: &str| {
            let port = ports.input_named(name, 2)?;
            match (port, wanted) {
                (Some(port), Some(size)) => sized(port, 1, size, key).map(|()| Some(port.clone())),
                (None, Some(size)) => {
                    Err(format!("the graph must have an input {name} of width {size} for {key}, it has none"))
                }
                // One that is not wanted is reported below.
                (_, None) => Ok(None),
            }
        };
        let sdxl = "addition_embed_type text_time";
        let inputs = Self {
            sample: ports.input(&["sample", "latent"], &[4])?.clone(),
            timestep: ports.input(&["timestep", "t"], &[0, 1])?.clone(),
            context: ports.input(&["encoder_hidden_states"], &[3])?.clone(),
            guidance: optional("timestep_cond", facts.guidance, "time_cond_proj_dim")?,
            pooled: optional("text_embeds", facts.pooled, sdxl)?,
            sizes: optional("time_ids", facts.pooled.map(|_| 6), sdxl)?,
            strengths: strengths.iter().map(|name| ports.input(&[name], &[0]).cloned()).collect::<Result<_, _>>()?,
        };
        ports.only(&inputs.all())?;
        Ok(inputs)
    }

    fn all(&self) -> Vec<&Port> {
        let optional = [&self.guidance, &self.pooled, &self.sizes];
        let always = [&self.sample, &self.timestep, &self.context].into_iter();
        always.chain(optional.into_iter().flatten()).chain(&self.strengths).collect()
    }
}

/// A port must have that size in a dimension, unless it is free there.
fn sized(port: &Port, dimension: usize, expected: usize, key: &str) -> Result<(), String> {
    match port.shape.get(dimension).copied().flatten() {
        Some(got) if got != expected => {
            let (name, shape) = (&port.name, shown(port));
            Err(format!("dimension {dimension} of {name} must be {expected} as {key} says, got {got} in {shape}"))
        }
        _ => Ok(()),
    }
}

/// The shape of a port; a question mark where it is free.
fn shown(port: &Port) -> String {
    let sizes = port.shape.iter().map(|size| size.map_or("?".to_owned(), |size| size.to_string()));
    format!("[{}]", sizes.collect::<Vec<_>>().join(", "))
}

/// The timestep as the port wants it: a number, one for all entries, or one for each.
fn times(port: &Port, timestep: f64, entries: usize) -> ArrayD<f32> {
    match (port.shape.len(), port.batch()) {
        (0, _) => arr0(timestep as f32).into_dyn(),
        (_, Some(1)) => ArrayD::from_elem(vec![1], timestep as f32),
        _ => ArrayD::from_elem(vec![entries], timestep as f32),
    }
}

/// The same row for every entry.
fn rows(row: &[f32], entries: usize) -> ArrayD<f32> {
    Array2::from_shape_fn([entries, row.len()], |(_, column)| row[column]).into_dyn()
}

/// What came out, like the latents that went in: [batch, channels, height, width].
fn latents(values: ArrayD<f32>) -> Result<Latents, PassError> {
    values.into_dimensionality::<Ix4>().map_err(wrong)
}

fn wrong(error: ndarray::ShapeError) -> PassError {
    PassError::Failed(format!("the U-Net's values have the wrong shape: {error}"))
}

fn wrong_rank() -> PassError {
    PassError::Failed("the U-Net's latents must have four dimensions".to_owned())
}

#[cfg(test)]
mod tests;
