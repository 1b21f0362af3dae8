//! What a run starts from besides noise: an init image, a mask, a depth map.

use serde_json::{Value, json};

use super::photo::{Album, Photo};
use crate::job::fields::Fields;
use crate::job::outcome::{Code, Rejection};
use crate::job::rules::{Mode, ModelFacts};
use crate::job::units::{MaskCrop, MaskFeather, Strength, shown};
use crate::picture::{Fit, Gray, Picture};

/// What a run starts from besides noise. Empty for text-to-image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Canvas {
    /// The init image.
    pub init: Option<Init>,
    /// How it, its mask and the depth map are brought to the size of the result.
    pub fit: Fit,
    /// What is near and what is far.
    pub depth: Option<Depth>,
}

/// An init image and what becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Init {
    /// The picture.
    pub photo: Photo<Picture>,
    /// How much of it is lost.
    pub strength: Strength,
    /// Which part is to be painted anew; all of it if absent.
    pub mask: Option<MaskWish>,
}

/// Which part of an init image is to be painted anew.
#[derive(Clone, Debug, PartialEq)]
pub struct MaskWish {
    /// White is painted anew.
    pub photo: Photo<Gray>,
    /// Radius of its soft edge in pixels; 0 is a hard edge.
    pub feather: MaskFeather,
    /// Set to paint only the masked part at full size, with this margin around it in pixels.
    pub crop: Option<MaskCrop>,
}

/// Where a depth map comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Depth {
    /// It came with the request; bright is near.
    Given(Photo<Gray>),
    /// The model's depth net looks at the init image.
    Estimate,
}

impl Canvas {
    pub(super) fn take(fields: &mut Fields, model: &ModelFacts, album: &Album<'_>) -> Result<Self, Rejection> {
        let fit = fit(fields.text("init_fit")?)?;
        let init = Init::take(fields, model, album)?;
        let depth = depth(fields, model, album, init.is_some())?;
        // Where nothing is fitted, all ways to fit are the same.
        let fit = if init.is_some() || depth.is_some() { fit } else { Fit::default() };
        Ok(Self { init, fit, depth })
    }

    /// Denoising strength: 1, nothing but noise, without an init image.
    pub fn strength(&self) -> f64 {
        self.init.as_ref().map_or(1.0, |init| init.strength.get())
    }

    pub(super) fn to_fields(&self) -> Vec<(&'static str, Value)> {
        let mut fields = self.init.as_ref().map_or_else(Vec::new, Init::to_fields);
        if self.init.is_some() || self.depth.is_some() {
            fields.push(("init_fit", json!(self.fit.name())));
        }
        match &self.depth {
            Some(Depth::Given(photo)) => fields.push(("depth", photo.to_json())),
            Some(Depth::Estimate) => fields.push(("depth", json!("estimate"))),
            None => {}
        }
        fields
    }
}

impl Init {
    fn take(fields: &mut Fields, model: &ModelFacts, album: &Album<'_>) -> Result<Option<Self>, Rejection> {
        let photo = Photo::init(fields.given("init_image"), album)?;
        let strength = fields.real("strength")?;
        let mask = MaskWish::take(fields, album)?;
        let Some(photo) = photo else {
            if mask.is_some() {
                return Err(Rejection::field("mask", "mask needs an init_image"));
            }
            return Ok(None);
        };
        model.can(if mask.is_some() { Mode::Inpaint } else { Mode::Image }, "init_image")?;
        let strength = strength.map_or_else(|| Strength::try_from(0.75), Ok)?;
        Ok(Some(Self { photo, strength, mask }))
    }

    fn to_fields(&self) -> Vec<(&'static str, Value)> {
        let mut fields = vec![("init_image", self.photo.to_json()), ("strength", json!(self.strength.get()))];
        if let Some(mask) = &self.mask {
            fields.push(("mask", mask.photo.to_json()));
            fields.push(("mask_feather", json!(mask.feather.get())));
            fields.extend(mask.crop.map(|margin| ("mask_crop", json!(margin.get()))));
        }
        fields
    }
}

impl MaskWish {
    fn take(fields: &mut Fields, album: &Album<'_>) -> Result<Option<Self>, Rejection> {
        let photo = fields.given("mask").map(|value| Photo::gray("mask", value, album)).transpose()?;
        let feather = fields.real("mask_feather")?.map_or_else(|| MaskFeather::try_from(0.0), Ok)?;
        let crop = fields.whole("mask_crop")?;
        Ok(photo.map(|photo| Self { photo, feather, crop }))
    }
}

fn fit(name: Option<String>) -> Result<Fit, Rejection> {
    let Some(name) = name else { return Ok(Fit::default()) };
    Fit::find(&name).ok_or_else(|| {
        Rejection::field("init_fit", format!("init_fit must be crop, pad or stretch, got {}", shown(&name)))
    })
}

/// A model that works with depth must have it; without a word it is estimated from the init image.
fn depth(
    fields: &mut Fields,
    model: &ModelFacts,
    album: &Album<'_>,
    has_init: bool,
) -> Result<Option<Depth>, Rejection> {
    let depth = match fields.given("depth") {
        None if !model.modes.contains(&Mode::Depth) => return Ok(None),
        None => Depth::Estimate,
        Some(Value::String(word)) if word == "estimate" => Depth::Estimate,
        Some(value @ Value::Object(_)) => Depth::Given(Photo::gray("depth", value, album)?),
        Some(other) => {
            let message = format!("depth must be a picture or \"estimate\", got {}", shown(&other.to_string()));
            return Err(Rejection::field("depth", message));
        }
    };
    model.can(Mode::Depth, "depth")?;
    if depth == Depth::Estimate {
        if !has_init {
            return Err(Rejection::field(
                "depth",
                "depth must be a picture where there is no init_image to estimate it from",
            ));
        }
        if !model.estimates_depth {
            let message = "this model has no depth_estimator, depth must be a picture";
            return Err(Rejection::of_field(Code::UnsupportedMode, "depth", message));
        }
    }
    Ok(Some(depth))
}
