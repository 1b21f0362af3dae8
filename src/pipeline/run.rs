//! One recipe, from text to pictures.

use ndarray::{Axis, Slice};

use super::canvas::{Canvas, picture};
use super::fault::{failure, halted, internal};
use super::loaded::Loaded;
use super::observed::Observed;
use super::plan::plan;
use super::preview::Previews;
use super::sets::Set;
use super::start::Ground;
use super::texts::{Texts, texts};
use super::trace::Trace;
use crate::diffusion::{self, Latents, Noise, Plan, Steering};
use crate::job::{Code, Failure, Made, Progress, Recipe, Stage, Watch};
use crate::model::{Kept, Labelled, PassError, Prompted};
use crate::picture::Picture;

/// Makes the pictures of `recipe`, as many at once as the model's memory allows.
pub(super) fn pictures(
    model: &Loaded,
    set: &Set,
    recipe: &Recipe,
    watch: &dyn Watch,
    trace: &mut Trace,
) -> Result<Vec<Made>, Failure> {
    let run = Run::new(model, set, recipe, watch)?;
    run.begin(Stage::Text, 0, 0)?;
    let texts = texts(set, recipe, !run.plan.guidance.is_none(), watch, trace)?;
    if recipe.canvas.init.is_some() {
        run.begin(Stage::Encode, 0, 0)?;
    }
    let canvas = Canvas::new(model, recipe, watch)?;
    let ground = Ground::new(model, recipe, &canvas, watch)?;
    let mut made = Vec::new();
    let mut most = model.at_once(&set.unet, recipe.size);
    while made.len() < usize::from(recipe.count.get()) {
        let first = made.len() as u8;
        let some = (recipe.count.get() - first).min(most);
        match run.batch(&texts, (&canvas, &ground), first, some, trace) {
            Ok(latents) => made.extend(run.finished(&latents, &canvas, first, trace)?),
            // What does not fit the memory together may fit one by one.
            Err(failure) if failure.code == Code::OutOfMemory && some > 1 => most = some / 2,
            Err(failure) => return Err(failure),
        }
    }
    Ok(made)
}

/// A recipe that is being made.
struct Run<'a> {
    model: &'a Loaded,
    set: &'a Set,
    recipe: &'a Recipe,
    watch: &'a dyn Watch,
    plan: Plan,
    /// Steps of the sampler, those of extra reverse work included.
    steps: usize,
}

impl<'a> Run<'a> {
    fn new(model: &'a Loaded, set: &'a Set, recipe: &'a Recipe, watch: &'a dyn Watch) -> Result<Self, Failure> {
        let plan = plan(model, recipe);
        let steps = plan.total_steps(&model.folder.scheduler, recipe.canvas.strength()).map_err(internal)?;
        Ok(Self { model, set, recipe, watch, plan, steps })
    }

    /// The final latents of `some` pictures from `first` on.
    fn batch(
        &self,
        texts: &Texts,
        (canvas, ground): (&Canvas, &Ground),
        first: u8,
        some: u8,
        trace: &mut Trace,
    ) -> Result<Latents, Failure> {
        let (model, recipe) = (self.model, self.recipe);
        let mut noise = self.noise(first, some);
        let drawn = ground.drawn(&mut noise)?;
        drawn.traced().for_each(|(name, latents)| trace.keep_each(usize::from(first), name, latents));
        let prompted = Prompted {
            unet: &self.set.unet,
            conditional: texts.conditional.iter().collect(),
            unconditional: texts.unconditional.as_ref().unwrap_or(&texts.conditional[0]),
            extra: drawn.extra.as_ref(),
            scale: recipe.guidance.scale.get() as f32,
            strengths: &self.set.strengths,
            kept: recipe.reuse.map_or_else(Kept::nothing, |interval| Kept::for_steps(interval.get().into())),
            watch: self.watch,
        };
        let previews = Previews::new(model, canvas, self.watch, usize::from(first));
        let mut predict = Observed::new(prompted, self.watch, previews, usize::from(first), trace);
        let mut classifier = self.classifier()?;
        let steering = classifier.as_mut().map(|(steer, scale)| Steering { steer, scale: *scale });
        let scheduler = &model.folder.scheduler;
        let _seat = self.set.unet.seat();
        let latents = diffusion::sample(&mut predict, scheduler, &self.plan, drawn.start(), steering, &mut noise);
        let latents = latents.map_err(halted)?;
        trace.keep_each(usize::from(first), "latents", &latents);
        Ok(latents)
    }

    /// The random streams of `some` pictures from `first` on.
    fn noise(&self, first: u8, some: u8) -> Noise {
        let (seed, wish) = (self.recipe.seed, &self.recipe.noise);
        let pictures = first..first + some;
        match wish.variation {
            None => Noise::from_source(wish.source, &pictures.map(|k| seed.plus(k).get()).collect::<Vec<_>>()),
            Some(variation) => {
                let pair = |k| (seed.plus(k).get(), variation.seed.plus(k).get());
                Noise::varied(wish.source, &pictures.map(pair).collect::<Vec<_>>(), variation.strength.get() as f32)
            }
        }
    }

    /// The classifier that the recipe asks for, aimed at its label, and how much it counts.
    fn classifier(&self) -> Result<Option<(Labelled<'_>, f32)>, Failure> {
        let Some(wish) = &self.recipe.guidance.classifier else { return Ok(None) };
        let known = self.model.classifier.as_ref().and_then(|it| Some((it, it.find(&wish.label)?)));
        let (classifier, label) = known.ok_or_else(|| internal("the classifier of the job is not loaded any more"))?;
        Ok(Some((Labelled { classifier, label, watch: self.watch }, wish.scale.get() as f32)))
    }

    /// Decodes pictures one by one, so that only one needs memory, and looks whether they may be shown.
    fn finished(&self, latents: &Latents, canvas: &Canvas, first: u8, trace: &mut Trace) -> Result<Vec<Made>, Failure> {
        let mut made = Vec::new();
        for k in first..first + latents.len_of(Axis(0)) as u8 {
            let one = usize::from(k - first);
            let latents = latents.slice_axis(Axis(0), Slice::from(one..one + 1)).to_owned();
            let decoded = self.decoded(&latents, k, trace)?;
            self.checked(&decoded)?;
            made.push(Made { picture: canvas.finished(decoded)?, seed: self.recipe.seed.plus(k) });
        }
        Ok(made)
    }

    fn decoded(&self, latents: &Latents, k: u8, trace: &mut Trace) -> Result<Picture, Failure> {
        self.begin(Stage::Decode, self.steps, k)?;
        let planes = self.model.decoder.decode(latents, self.watch).map_err(failure)?;
        trace.keep(&format!("{k}.planes"), planes.view().into_dyn());
        picture(planes)
    }

    /// Fails if the model's safety checker objects.
    fn checked(&self, picture: &Picture) -> Result<(), Failure> {
        let Some(checker) = &self.model.safety else { return Ok(()) };
        let flags = checker.flags(std::slice::from_ref(picture), self.watch).map_err(failure)?;
        if flags.contains(&true) {
            return Err(Failure::new(Code::UnsafeContent, "the safety checker objected to the picture"));
        }
        Ok(())
    }

    /// A new stage begins, unless the work is to stop.
    fn begin(&self, stage: Stage, step: usize, k: u8) -> Result<(), Failure> {
        if let Some(stop) = self.watch.stop() {
            return Err(failure(PassError::Stopped(stop)));
        }
        self.watch.progress(Progress { stage, step, steps: self.steps, k: usize::from(k) });
        Ok(())
    }
}
