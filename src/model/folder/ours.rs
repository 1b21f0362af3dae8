//! `diffused.json`, our own file, which may be absent: what the model's makers recommend.

use serde::Deserialize;

use super::{Defaults, Guided, UnetFacts};
use crate::diffusion::{LatentRgb, Sampler, SchedulerConfig, sampler};
use crate::job::units::{ClipSkip, GuidanceScale, Size, Steps};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Diffused {
    steps: Option<i64>,
    guidance_scale: Option<f64>,
    sampler: Option<String>,
    width: Option<i64>,
    height: Option<i64>,
    guidance: Option<Guided>,
    clip_skip: i64,
    latent_rgb_factors: Option<Vec<[f32; 3]>>,
    latent_rgb_bias: Option<[f32; 3]>,
}

impl Diffused {
    pub(super) fn check(&self) -> Result<(), String> {
        ClipSkip::try_from(self.clip_skip).map(drop).map_err(|error| error.message)
    }

    /// Its own values over what the other files tell; `size` is the U-Net's, in latents.
    pub(super) fn defaults(
        &self,
        scheduler: &SchedulerConfig,
        unet: &UnetFacts,
        size: (u32, u32),
        downscale: u32,
    ) -> Result<Defaults, String> {
        let guidance = self.guidance(unet)?;
        // As the makers of the first models of each kind recommend.
        let (steps, scale) = match guidance {
            Guided::Cfg => (20, 7.5),
            Guided::Embedded => (4, 8.5),
            Guided::None => (20, 1.0),
        };
        let side = |own: Option<i64>, latents: u32| own.unwrap_or(i64::from(latents) * i64::from(downscale));
        let (width, height) = (side(self.width, size.0), side(self.height, size.1));
        Ok(Defaults {
            steps: Steps::try_from(self.steps.unwrap_or(steps)).map_err(|error| error.message)?,
            guidance_scale: GuidanceScale::try_from(self.guidance_scale.unwrap_or(scale))
                .map_err(|error| error.message)?,
            guidance,
            sampler: self.sampler(scheduler)?,
            size: Size::new(width, height).map_err(|error| error.message)?,
            clip_skip: ClipSkip::try_from(self.clip_skip).map_err(|error| error.message)?,
        })
    }

    /// Coefficients for previews of latents of so many channels.
    pub(super) fn preview(&self, channels: usize) -> Result<Option<LatentRgb>, String> {
        match (&self.latent_rgb_factors, self.latent_rgb_bias) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err("latent_rgb_bias needs latent_rgb_factors beside it".to_owned()),
            (Some(factors), bias) if factors.len() == channels => {
                Ok(Some(LatentRgb { factors: factors.clone(), bias: bias.unwrap_or_default() }))
            }
            (Some(factors), _) => {
                let got = factors.len();
                Err(format!("latent_rgb_factors must have a row for each of the {channels} channels, got {got}"))
            }
        }
    }

    /// A U-Net that takes the scale as an input wants it, and no other can have it so.
    fn guidance(&self, unet: &UnetFacts) -> Result<Guided, String> {
        match (self.guidance, unet.guidance) {
            (None | Some(Guided::Embedded), Some(_)) => Ok(Guided::Embedded),
            (Some(other), Some(_)) => {
                Err(format!("guidance must be embedded for a U-Net with time_cond_proj_dim, got {}", other.name()))
            }
            (Some(Guided::Embedded), None) => {
                Err("guidance must be cfg or none for a U-Net without time_cond_proj_dim, got embedded".to_owned())
            }
            (own, None) => Ok(own.unwrap_or(Guided::Cfg)),
        }
    }

    /// Its own sampler, else the one that the scheduler configuration names.
    fn sampler(&self, scheduler: &SchedulerConfig) -> Result<&'static Sampler, String> {
        let names = || sampler::SAMPLERS.iter().map(|sampler| sampler.name).collect::<Vec<_>>().join(", ");
        if let Some(name) = &self.sampler {
            return sampler::find(name).ok_or_else(|| format!("sampler must be one of {}, got {name}", names()));
        }
        sampler::of_config(scheduler).ok_or_else(|| {
            let class = scheduler.class_name.as_deref().unwrap_or_default();
            format!("the scheduler {class} has no counterpart here, this file must name a sampler out of {}", names())
        })
    }
}
