//! One recipe, from text to pictures.

use ndarray::{Axis, Slice};

use super::loaded::Loaded;
use super::observed::Observed;
use super::trace::Trace;
use crate::diffusion::{self, Guidance, Halt, Latents, Noise, Options, Plan, Start};
use crate::job::{Code, Failure, Made, Progress, Recipe, Stage, Watch};
use crate::model::{Embeddings, Guided, PassError, Prompted};
use crate::picture::Picture;

/// Makes the pictures of `recipe`, one after another.
pub(super) fn pictures(
    model: &Loaded,
    recipe: &Recipe,
    watch: &dyn Watch,
    trace: &mut Trace,
) -> Result<Vec<Made>, Failure> {
    let run = Run { model, recipe, watch };
    let texts = run.texts(trace)?;
    let picture = |k| {
        let latents = run.latents(&texts, k, trace)?;
        Ok(Made { picture: run.decoded(&latents, k)?, seed: recipe.seed.plus(k) })
    };
    (0..recipe.count.get()).map(picture).collect()
}

/// A recipe that is being made.
struct Run<'a> {
    model: &'a Loaded,
    recipe: &'a Recipe,
    watch: &'a dyn Watch,
}

/// Embeddings of the prompt and the negative prompt, each [1, tokens, width].
struct Texts {
    conditional: Embeddings,
    unconditional: Embeddings,
}

impl Run<'_> {
    fn texts(&self, trace: &mut Trace) -> Result<Texts, Failure> {
        self.begin(Stage::Text, 0, 0)?;
        let ids = [&self.recipe.prompt, &self.recipe.negative_prompt].map(|text| self.model.tokenizer.encode(text));
        let both = self.model.text_encoder.encode(&ids, self.watch).map_err(failure)?;
        let [conditional, unconditional] =
            [0, 1].map(|text| both.slice_axis(Axis(0), Slice::from(text..text + 1)).to_owned());
        trace.keep_ids("tokens.conditional", &ids[0]);
        trace.keep_ids("tokens.unconditional", &ids[1]);
        trace.keep("embeddings.conditional", conditional.view().into_dyn());
        trace.keep("embeddings.unconditional", unconditional.view().into_dyn());
        Ok(Texts { conditional, unconditional })
    }

    /// The final latents of picture k, [1, channels, height, width].
    fn latents(&self, texts: &Texts, k: u8, trace: &mut Trace) -> Result<Latents, Failure> {
        let (plan, shape) = (self.plan(), self.latent_shape());
        let mut noise = Noise::new(&[self.recipe.seed.plus(k).get()]);
        let first = noise.draw(shape);
        trace.keep(&format!("{k}.noise"), first.view().into_dyn());
        let Texts { conditional, unconditional } = texts;
        let prompted = Prompted { unet: &self.model.unet, conditional, unconditional, watch: self.watch };
        let mut predict = Observed::new(prompted, self.watch, usize::from(k), trace);
        let scheduler = &self.model.folder.scheduler;
        let start = Start { noise: &first, init: None };
        let latents = diffusion::sample(&mut predict, scheduler, &plan, start, None, &mut noise).map_err(halted)?;
        trace.keep(&format!("{k}.latents"), latents.view().into_dyn());
        Ok(latents)
    }

    fn plan(&self) -> Plan {
        let recipe = self.recipe;
        let guidance = match self.model.folder.defaults.guidance {
            Guided::Cfg => Guidance::of_scale(recipe.guidance_scale.get()),
            Guided::None => Guidance::none(),
        };
        let options = Options { eta: recipe.eta.map(|eta| eta.get()), ..Options::default() };
        Plan { options, ..Plan::new(recipe.sampler, recipe.schedule, usize::from(recipe.steps.get()), guidance) }
    }

    /// The shape of a picture's latents, [channels, height, width].
    fn latent_shape(&self) -> [usize; 3] {
        let (folder, size) = (&self.model.folder, self.recipe.size);
        let side = |pixels: u32| (pixels / folder.vae.downscale) as usize;
        [folder.channels, side(size.height()), side(size.width())]
    }

    fn decoded(&self, latents: &Latents, k: u8) -> Result<Picture, Failure> {
        self.begin(Stage::Decode, usize::from(self.recipe.steps.get()), k)?;
        let planes = self.model.decoder.decode(latents, self.watch).map_err(failure)?;
        let (_, _, height, width) = planes.dim();
        let values: Vec<f32> = planes.into_iter().collect();
        // Neither side can be more than a request asks for, and that is far below 2^32.
        Picture::from_planes(width as u32, height as u32, &values)
            .map_err(|error| Failure::new(Code::Inference, format!("the decoder gave no picture: {error}")))
    }

    /// A new stage begins, unless the work is to stop.
    fn begin(&self, stage: Stage, step: usize, k: u8) -> Result<(), Failure> {
        if let Some(stop) = self.watch.stop() {
            return Err(Failure::stopped(stop));
        }
        let steps = usize::from(self.recipe.steps.get());
        self.watch.progress(Progress { stage, step, steps, k: usize::from(k) });
        Ok(())
    }
}

fn halted(Halt(error): Halt) -> Failure {
    match error.downcast::<PassError>() {
        Ok(error) => failure(*error),
        Err(error) => Failure::new(Code::Internal, error.to_string()),
    }
}

fn failure(error: PassError) -> Failure {
    match error {
        PassError::Stopped(stop) => Failure::stopped(stop),
        PassError::OutOfMemory(_) => Failure::new(Code::OutOfMemory, error.to_string()),
        PassError::Failed(_) => Failure::new(Code::Inference, error.to_string()),
    }
}
