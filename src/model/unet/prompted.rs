//! The U-Net with all that it is given besides latents and timestep, for one run of a sampler.

use ndarray::{ArrayD, ArrayViewD, Axis, concatenate};

use super::super::batch::{self, repeated};
use super::super::conditioning::{Conditioning, Timeline};
use super::super::error::PassError;
use super::super::session::Feed;
use super::{Given, Kept, Unet, latents, wrong};
use crate::diffusion::{Halt, Input, Latents, Pass, Predict};
use crate::job::Watch;

/// The U-Net with all that it is given besides latents and timestep, for one run of a sampler.
pub struct Prompted<'a> {
    /// The graph.
    pub unet: &'a Unet,
    /// The conditions: the prompt, or the parts of a composed one.
    pub conditional: Vec<&'a Timeline>,
    /// The negative prompt.
    pub unconditional: &'a Timeline,
    /// The channels that join the latents, in the order of [`Extra`](super::super::Extra), [1 or pictures, channels, height,
    /// width]; none for most models.
    pub extra: Option<&'a Latents>,
    /// The guidance scale, for models that take it as an input.
    pub scale: f32,
    /// How much each of the U-Net's hypernetworks counts.
    pub strengths: &'a [f32],
    /// What the deep layers made in earlier steps; only U-Nets that were cut in two keep it.
    pub kept: Kept<'a>,
    /// Who is asked whether to stop.
    pub watch: &'a dyn Watch,
}

impl Predict for Prompted<'_> {
    fn predict(&mut self, input: Input<'_>, passes: &[Pass]) -> Result<Vec<Latents>, Halt> {
        let pictures = input.latents.len_of(Axis(0));
        let sample = self.joined(input.latents).map_err(Halt::new)?;
        let (_, _, height, width) = input.latents.dim();
        let mut outputs = Vec::new();
        for some in passes.chunks(self.unet.passes_at_once(passes.len(), pictures, height * width)) {
            let made = fitting(some, |some| self.batch(&sample, input, some));
            outputs.extend(made.map_err(Halt::new)?);
        }
        Ok(outputs)
    }
}

impl<'a> Prompted<'a> {
    /// The latents with the channels that join them.
    fn joined(&self, latents: &Latents) -> Result<ArrayD<f32>, PassError> {
        let (expected, got) = (self.unet.channels.1, self.extra.map_or(0, |extra| extra.len_of(Axis(1))));
        if expected != got {
            return Err(PassError::Failed(format!("{expected} channels must join the latents, got {got}")));
        }
        let Some(extra) = self.extra else { return Ok(latents.clone().into_dyn()) };
        let times = latents.len_of(Axis(0)) / extra.len_of(Axis(0)).max(1);
        let extra = repeated(extra.view().into_dyn(), times);
        concatenate(Axis(1), &[latents.view().into_dyn(), extra.view()]).map_err(wrong)
    }

    /// Some of the passes as one batch, which the graph takes as one pass if its batch is free.
    fn batch(&mut self, sample: &ArrayD<f32>, input: Input<'_>, passes: &[Pass]) -> Result<Vec<Latents>, PassError> {
        let pictures = sample.len_of(Axis(0));
        let texts = passes.iter().map(|pass| self.text(pass, input.progress)).collect::<Result<Vec<_>, _>>()?;
        let contexts: Vec<_> = texts.iter().map(|text| text.context.view().into_dyn()).collect();
        let pooled: Vec<_> = texts.iter().flat_map(|text| &text.pooled).map(|whole| whole.view().into_dyn()).collect();
        let given = Given {
            sample: repeated(sample.view(), passes.len()),
            context: for_each(&contexts, pictures)?,
            pooled: if pooled.is_empty() { None } else { Some(for_each(&pooled, pictures)?) },
        };
        let feeds = self.unet.feeds(given, input.timestep, (self.scale, self.strengths))?;
        let expected = passes.len() * pictures;
        let outputs = self.run(feeds, input, passes, &texts)?;
        let got = outputs.len_of(Axis(0));
        if got != expected {
            return Err(PassError::Failed(format!("the U-Net must give {expected} entries, got {got}")));
        }
        Ok(outputs.axis_chunks_iter(Axis(0), pictures).map(|output| output.to_owned()).collect())
    }

    /// The whole U-Net, or its outermost layers alone where what the others made was kept.
    fn run(
        &mut self,
        mut feeds: Vec<Feed>,
        input: Input<'_>,
        passes: &[Pass],
        texts: &[&'a Conditioning],
    ) -> Result<Latents, PassError> {
        let (unet, watch) = (self.unet, self.watch);
        let entries = passes.len() * input.latents.len_of(Axis(0));
        let Some(shallow) = unet.shallow.as_ref().filter(|_| self.kept.wants()) else {
            return latents(batch::run(&unet.graph, entries, feeds, &unet.output, watch)?);
        };
        if let Some(value) = self.kept.of(input, passes, texts)? {
            feeds.push(Feed { port: shallow.taken.clone(), value });
            return latents(batch::run(&shallow.graph, entries, feeds, &unet.output, watch)?);
        }
        let mut values = batch::run_for(&unet.graph, entries, feeds, &[&unet.output, &shallow.given], watch)?;
        match (values.pop(), values.pop()) {
            (Some(feature), Some(output)) if feature.len_of(Axis(0)) == entries => {
                self.kept.keep(input, passes, texts, &feature);
                latents(output)
            }
            _ => Err(PassError::Failed(format!("the U-Net must give {entries} entries of what its deep layers made"))),
        }
    }

    fn text(&self, pass: &Pass, progress: f64) -> Result<&'a Conditioning, PassError> {
        let text = match *pass {
            Pass::Unconditional => Some(self.unconditional),
            Pass::Conditional(index) => self.conditional.get(index).copied(),
        };
        text.map(|text| text.at(progress)).ok_or_else(|| PassError::Failed(format!("there is no text for {pass:?}")))
    }
}

/// What `run` makes of all the passes together, or of one by one where there is not the memory for that.
fn fitting<T>(passes: &[Pass], mut run: impl FnMut(&[Pass]) -> Result<Vec<T>, PassError>) -> Result<Vec<T>, PassError> {
    match run(passes) {
        Err(PassError::OutOfMemory(_)) if passes.len() > 1 => {
            let alone: Vec<Vec<T>> = passes.chunks(1).map(run).collect::<Result<_, _>>()?;
            Ok(alone.into_iter().flatten().collect())
        }
        outcome => outcome,
    }
}

/// Each of `values` for every picture, one after another along the first dimension.
fn for_each(values: &[ArrayViewD<'_, f32>], pictures: usize) -> Result<ArrayD<f32>, PassError> {
    let repeated: Vec<_> = values.iter().map(|value| repeated(value.clone(), pictures)).collect();
    let views: Vec<_> = repeated.iter().map(|value| value.view()).collect();
    concatenate(Axis(0), &views).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_that_do_not_fit_the_memory_together_are_made_one_by_one() {
        let made = |most: usize| {
            let mut runs = 0;
            let outcome = fitting(&[Pass::Unconditional, Pass::Conditional(0), Pass::Conditional(1)], |passes| {
                runs += 1;
                match passes.len() <= most {
                    true => Ok(passes.iter().map(|pass| format!("{pass:?}")).collect()),
                    false => Err(PassError::OutOfMemory("no".to_owned())),
                }
            });
            (runs, outcome.map(|all| all.join(" ")).map_err(|error| error.to_string()))
        };
        let all = Ok("Unconditional Conditional(0) Conditional(1)".to_owned());
        assert_eq!((made(3), made(1)), ((1, all.clone()), (4, all)));
        assert_eq!(made(0), (2, Err("not enough memory for a pass: no".to_owned())));
    }
}
