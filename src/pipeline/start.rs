//! What a run starts from: noise, the init image's latents, and what the U-Net sees beside its latents.
//!
//! Every random number comes from the pictures' own streams, in the order in which diffusers' pipelines draw them: the
//! autoencoder's sample of the init image, the noise to start from, the autoencoder's sample of the masked image.

use ndarray::{Array4, Axis, concatenate};

use super::canvas::Canvas;
use super::fault::{failure, internal};
use super::loaded::Loaded;
use crate::diffusion::{Init, Latents, Noise, Start};
use crate::job::{Code, Failure, Recipe, Watch};
use crate::model::{Extra, Planes, Posterior};

/// What a recipe's runs start from, whatever their seeds.
pub(super) struct Ground {
    /// The init image, where the run does not start from nothing but noise.
    init: Option<Posterior>,
    /// The masked init image, for inpainting models.
    masked: Option<Posterior>,
    /// Whether the random numbers of a masked image are drawn all the same.
    passes_over: bool,
    /// 1 where the picture is to be painted anew, for models that are not made for inpainting.
    kept: Option<Array4<f32>>,
    /// Mask or depth, as the U-Net takes it.
    beside: Option<Array4<f32>>,
    strength: f64,
    shape: [usize; 3],
}

/// What the runs of some pictures start from.
pub(super) struct Drawn {
    noise: Latents,
    init: Option<Latents>,
    kept: Option<Array4<f32>>,
    /// What the U-Net sees after its latents, channel by channel.
    pub(super) extra: Option<Array4<f32>>,
    strength: f64,
}

impl Ground {
    pub(super) fn new(model: &Loaded, recipe: &Recipe, canvas: &Canvas, watch: &dyn Watch) -> Result<Self, Failure> {
        let extra = model.folder.unet.extra;
        let inpainting = extra == Extra::Inpaint;
        let shape = model.latent_shape(recipe.size);
        let sides = (shape[1], shape[2]);
        let encoded = |planes: Planes| encoded(model, &planes, shape, watch);
        let mask = canvas.latent_mask(sides)?;
        let strength = recipe.canvas.strength();
        // From nothing but noise only what stays under a mask needs the init image.
        let wanted = strength < 1.0 || (mask.is_some() && !inpainting);
        let init = canvas.planes()?.filter(|_| wanted).map(encoded).transpose()?;
        let all = || Array4::ones((1, 1, sides.0, sides.1));
        let beside = match extra {
            Extra::None => None,
            Extra::Inpaint => Some(mask.clone().unwrap_or_else(all)),
            Extra::Depth => canvas.latent_depth(sides)?,
        };
        Ok(Self {
            // Diffusers encodes the masked image for every model; others only need to pass over its random numbers.
            passes_over: mask.is_some() && !inpainting && matches!(init, Some(Posterior::Gaussian { .. })),
            init,
            masked: if inpainting { Some(encoded(canvas.masked_planes(recipe.size)?)?) } else { None },
            kept: mask.filter(|_| !inpainting),
            beside,
            strength,
            shape,
        })
    }

    /// Draws what the pictures of `noise` start from.
    pub(super) fn drawn(&self, noise: &mut Noise) -> Result<Drawn, Failure> {
        let init = self.init.as_ref().map(|posterior| self.sampled(posterior, noise));
        let start = noise.start(self.shape);
        let masked = self.masked.as_ref().map(|posterior| self.sampled(posterior, noise));
        if self.passes_over {
            noise.draw(self.shape);
        }
        let beside = self.beside.as_ref().map(|beside| repeated(beside, start.len_of(Axis(0))));
        let extra = match (beside, masked) {
            (Some(mask), Some(masked)) => Some(concatenate(Axis(1), &[mask.view(), masked.view()]).map_err(internal)?),
            (beside, _) => beside,
        };
        Ok(Drawn { noise: start, init, kept: self.kept.clone(), extra, strength: self.strength })
    }

    /// One sample for each picture, each from its own stream.
    fn sampled(&self, posterior: &Posterior, noise: &mut Noise) -> Latents {
        let pictures = noise.pictures();
        let sample = posterior.sample(|shape| noise.draw(shape));
        if sample.len_of(Axis(0)) == pictures { sample } else { repeated(&sample, pictures) }
    }
}

impl Drawn {
    pub(super) fn start(&self) -> Start<'_> {
        let init =
            |latents| Init { latents, strength: self.strength, mask: self.kept.as_ref().map(|mask| mask.view()) };
        Start { noise: &self.noise, init: self.init.as_ref().map(init) }
    }

    /// What a trace keeps of it, by name.
    pub(super) fn traced(&self) -> impl Iterator<Item = (&'static str, &Latents)> {
        [("noise", Some(&self.noise)), ("init", self.init.as_ref()), ("extra", self.extra.as_ref())]
            .into_iter()
            .filter_map(|(name, latents)| Some((name, latents?)))
    }
}

fn repeated(one: &Array4<f32>, times: usize) -> Array4<f32> {
    one.select(Axis(0), &vec![0; times])
}

/// An init image through the model's encoder.
fn encoded(model: &Loaded, planes: &Planes, shape: [usize; 3], watch: &dyn Watch) -> Result<Posterior, Failure> {
    let Some(encoder) = &model.encoder else { return Err(internal("an init image needs a vae_encoder")) };
    let posterior = encoder.encode(planes, watch).map_err(failure)?;
    let (expected, got) = (&[1, shape[0], shape[1], shape[2]][..], posterior.mode().shape());
    if expected == got {
        return Ok(posterior);
    }
    Err(Failure::new(Code::Inference, format!("the encoder must give latents of shape {expected:?}, got {got:?}")))
}
