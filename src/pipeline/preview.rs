//! What a picture looks like while it is being made: the clean latents that the sampler believes in, as a small picture.

use std::sync::OnceLock;

use ndarray::{Axis, Slice};

use super::canvas::{Canvas, picture};
use super::fault::failure;
use super::loaded::Loaded;
use crate::diffusion::{Input, LatentRgb, Latents};
use crate::job::{Failure, Watch};
use crate::model::{Decoder, PassError, Planes};
use crate::picture::Picture;

/// Shows the pictures of a run to whoever looks on, and does nothing where nobody does.
pub(super) struct Previews<'a> {
    model: &'a Loaded,
    canvas: &'a Canvas,
    watch: &'a dyn Watch,
    /// Index of the first picture.
    first: usize,
    /// The step, counted from 1, that was looked at last: a sampler may call several times a step.
    looked: usize,
    /// What cannot be had once is not tried again.
    off: bool,
}

impl<'a> Previews<'a> {
    pub(super) fn new(model: &'a Loaded, canvas: &'a Canvas, watch: &'a dyn Watch, first: usize) -> Self {
        Self { model, canvas, watch, first, looked: 0, off: false }
    }

    /// Shows what is wanted of a step. A preview that cannot be made is no reason to give up the picture.
    pub(super) fn show(&mut self, input: Input<'_>, clean: &dyn Fn() -> Latents) {
        let step = input.step + 1;
        if self.off || self.looked == step {
            return;
        }
        self.looked = step;
        let pictures = 0..input.latents.len_of(Axis(0));
        let wanted: Vec<usize> = pictures.filter(|index| self.watch.wants_preview(self.first + index, step)).collect();
        if wanted.is_empty() {
            return;
        }
        let clean = clean();
        for index in wanted {
            let one = clean.slice_axis(Axis(0), Slice::from(index..index + 1)).to_owned();
            match self.picture(&one) {
                Ok(picture) => self.watch.preview(self.first + index, step, picture),
                Err(failure) => {
                    if failure.stop.is_none() {
                        tracing::warn!(error = failure.message, "no previews of this picture");
                    }
                    self.off = true;
                    return;
                }
            }
        }
    }

    fn picture(&self, latents: &Latents) -> Result<Picture, Failure> {
        let planes = self.model.sight.planes(self.model, latents, self.watch).map_err(failure)?;
        self.canvas.finished(picture(planes)?)
    }
}

/// How a model's latents are seen without its large decoder. Found out with the first preview.
#[derive(Default)]
pub(super) struct Sight {
    /// The small decoder, if the folder has one that can be loaded.
    tiny: OnceLock<Option<Decoder>>,
    linear: OnceLock<LatentRgb>,
}

impl Sight {
    /// A picture of one latent a pixel, or larger, [1, 3, height, width]: by the small decoder where there is one, else by
    /// the coefficients of the model's makers, else by coefficients fitted to one pass of the large decoder.
    fn planes(&self, model: &Loaded, latents: &Latents, watch: &dyn Watch) -> Result<Planes, PassError> {
        if let Some(tiny) = self.tiny.get_or_init(|| tiny(model)) {
            return tiny.decode(latents, watch);
        }
        if let Some(linear) = model.folder.preview.as_ref().or_else(|| self.linear.get()) {
            return Ok(linear.planes(latents));
        }
        let linear = model.decoder.preview(model.folder.channels, watch)?;
        Ok(self.linear.get_or_init(|| linear).planes(latents))
    }
}

fn tiny(model: &Loaded) -> Option<Decoder> {
    let loaded = Decoder::load_tiny(&model.engine, &model.folder);
    loaded.inspect_err(|error| tracing::warn!(%error, "previews do without taesd_decoder")).ok().flatten()
}
