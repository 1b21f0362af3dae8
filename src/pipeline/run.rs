//! One recipe, from text to pictures.

use ndarray::{Axis, Slice};

use super::loaded::Loaded;
use super::observed::Observed;
use super::trace::Trace;
use crate::diffusion::{self, Guidance, Halt, Latents, Noise, Plan};
use crate::job::units::Seed;
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
    let latent_size = latent_size(model, recipe)?;
    let steps = usize::from(recipe.steps.get());
    begin(watch, Progress { stage: Stage::Text, step: 0, steps, k: 0 })?;
    let texts = texts(model, recipe, watch, trace)?;
    let picture = |k: u8| {
        let seed = recipe.seed.plus(k);
        let latents = latents(model, recipe, &texts, (k, seed), latent_size, watch, trace)?;
        begin(watch, Progress { stage: Stage::Decode, step: steps, steps, k: usize::from(k) })?;
        Ok(Made { picture: decoded(model, &latents, watch)?, seed })
    };
    (0..recipe.count.get()).map(picture).collect()
}

/// Embeddings of the prompt and the negative prompt, each [1, tokens, width].
struct Texts {
    conditional: Embeddings,
    unconditional: Embeddings,
}

fn texts(model: &Loaded, recipe: &Recipe, watch: &dyn Watch, trace: &mut Trace) -> Result<Texts, Failure> {
    let ids = [&recipe.prompt, &recipe.negative_prompt].map(|text| model.tokenizer.encode(text));
    let both = model.text_encoder.encode(&ids, watch).map_err(failure)?;
    let [conditional, unconditional] =
        [0, 1].map(|text| both.slice_axis(Axis(0), Slice::from(text..text + 1)).to_owned());
    for (name, ids, embeddings) in [("conditional", &ids[0], &conditional), ("unconditional", &ids[1], &unconditional)]
    {
        trace.keep_ids(&format!("tokens.{name}"), ids);
        trace.keep(&format!("embeddings.{name}"), embeddings.view().into_dyn());
    }
    Ok(Texts { conditional, unconditional })
}

/// The final latents of picture k, [1, channels, height, width].
fn latents(
    model: &Loaded,
    recipe: &Recipe,
    texts: &Texts,
    (k, seed): (u8, Seed),
    latent_size: [usize; 3],
    watch: &dyn Watch,
    trace: &mut Trace,
) -> Result<Latents, Failure> {
    let plan = plan(model, recipe);
    let mut noise = Noise::new(&[seed.get()]);
    if trace.is_on() {
        // The sampler draws the same again as its first act.
        trace.keep(&format!("{k}.noise"), noise.clone().draw(latent_size).view().into_dyn());
    }
    let prompted =
        Prompted { unet: &model.unet, conditional: &texts.conditional, unconditional: &texts.unconditional, watch };
    let mut predict = Observed::new(prompted, watch, (usize::from(k), plan.steps), trace);
    let latents = diffusion::sample(&mut predict, &model.folder.scheduler, &plan, latent_size, &mut noise);
    let latents = latents.map_err(halted)?;
    trace.keep(&format!("{k}.latents"), latents.view().into_dyn());
    Ok(latents)
}

fn plan(model: &Loaded, recipe: &Recipe) -> Plan {
    Plan {
        sampler: recipe.sampler,
        schedule: recipe.schedule,
        steps: usize::from(recipe.steps.get()),
        guidance: match model.folder.defaults.guidance {
            Guided::Cfg => Guidance::from_scale(recipe.guidance_scale.get()),
            Guided::None => Guidance::None,
        },
        eta: recipe.eta.map(|eta| eta.get()),
    }
}

fn decoded(model: &Loaded, latents: &Latents, watch: &dyn Watch) -> Result<Picture, Failure> {
    let planes = model.decoder.decode(latents, watch).map_err(failure)?;
    let (_, _, height, width) = planes.dim();
    let values: Vec<f32> = planes.into_iter().collect();
    // Neither side can be more than a request asks for, and that is far below 2^32.
    Picture::from_planes(width as u32, height as u32, &values)
        .map_err(|error| Failure::new(Code::Inference, format!("the decoder gave no picture: {error}")))
}

/// The shape of a picture's latents, [channels, height, width].
fn latent_size(model: &Loaded, recipe: &Recipe) -> Result<[usize; 3], Failure> {
    let multiple = model.folder.multiple;
    let (width, height) = (recipe.size.width(), recipe.size.height());
    if width % multiple != 0 || height % multiple != 0 {
        let message = format!("this model makes pictures with sides in multiples of {multiple}, got {}", recipe.size);
        return Err(Failure::new(Code::SizeNotSupported, message));
    }
    let side = |pixels: u32| (pixels / model.folder.vae.downscale) as usize;
    Ok([model.folder.channels, side(height), side(width)])
}

/// A new stage begins, unless the work is to stop.
fn begin(watch: &dyn Watch, progress: Progress) -> Result<(), Failure> {
    match watch.stop() {
        Some(stop) => Err(Failure::stopped(stop)),
        None => {
            watch.progress(progress);
            Ok(())
        }
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
