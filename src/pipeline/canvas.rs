//! What a run starts from besides noise, brought to size: the init image, its mask, its depth map.

use ndarray::{Array4, ArrayViewMut4, Axis};

use super::fault::{failure, internal};
use super::loaded::Loaded;
use crate::job::units::Size;
use crate::job::{self, Code, Failure, MaskWish, Recipe, Watch};
use crate::model::Planes;
use crate::picture::{Filter, Fit, Map, Mask, Picture, Region};

/// What a run starts from besides noise, at the size of the run.
#[derive(Default)]
pub(super) struct Canvas {
    /// The init image, or the part of it that is worked on.
    picture: Option<Picture>,
    /// Which part of that is to be painted anew.
    mask: Option<Mask>,
    /// What is near and what is far, at any size.
    depth: Option<Map>,
    /// How the result is put back into the whole picture.
    paste: Option<Paste>,
}

/// How a part that was painted is put back.
struct Paste {
    whole: Picture,
    at: Region,
    mask: Mask,
}

impl Canvas {
    pub(super) fn new(model: &Loaded, recipe: &Recipe, watch: &dyn Watch) -> Result<Self, Failure> {
        let size = recipe.size;
        let mut canvas = Self::default();
        let mut region = None;
        if let Some(init) = &recipe.canvas.init {
            let whole = init.photo.shown().fitted(size.width(), size.height(), recipe.canvas.fit);
            match &init.mask {
                Some(mask) => region = canvas.masked(whole, mask, recipe.canvas.fit, size)?,
                None => canvas.picture = Some(whole),
            }
        }
        canvas.depth = match &recipe.canvas.depth {
            None => None,
            Some(job::Depth::Estimate) => Some(canvas.estimated(model, watch)?),
            Some(job::Depth::Given(photo)) => {
                let map = photo.shown().fitted(size.width(), size.height(), recipe.canvas.fit);
                let part = match region {
                    Some(region) => map.cropped(region).map_err(internal)?,
                    None => map,
                };
                Some(Map::clone(&part))
            }
        };
        Ok(canvas)
    }

    /// Cuts out the part of the picture to be worked on, and remembers how to put it back.
    fn masked(&mut self, whole: Picture, wish: &MaskWish, fit: Fit, size: Size) -> Result<Option<Region>, Failure> {
        let (width, height) = (size.width(), size.height());
        let mask = Mask::from(wish.photo.shown()).fitted(width, height, fit);
        let feather = wish.feather.get() as f32;
        let soft = mask.feathered(feather);
        let around = |margin: u32| Some(soft.bounds()?.grown(margin, (width, height), (width, height)));
        let region = wish.crop.and_then(|margin| around(margin.get()));
        let at = region.or(Region::new(0, 0, width, height)).ok_or_else(|| internal("a picture without pixels"))?;
        self.mask = Some(mask.cropped(at).map_err(internal)?.fitted(width, height, Fit::Stretch).binary());
        self.picture = Some(whole.cropped(at).map_err(internal)?.resized(width, height, Filter::Lanczos));
        if region.is_some() || feather > 0.0 {
            self.paste = Some(Paste { whole, at, mask: soft });
        }
        Ok(region)
    }

    fn estimated(&self, model: &Loaded, watch: &dyn Watch) -> Result<Map, Failure> {
        match (&model.depth, &self.picture) {
            (Some(net), Some(picture)) => net.estimate(picture, watch).map_err(failure),
            _ => Err(internal("depth needs an init image and a depth net to be estimated")),
        }
    }

    /// The init image as the autoencoder takes it, [1, 3, height, width].
    pub(super) fn planes(&self) -> Result<Option<Planes>, Failure> {
        let planes = |picture: &Picture| {
            let shape = (1, 3, picture.height() as usize, picture.width() as usize);
            Planes::from_shape_vec(shape, picture.to_planes()).map_err(internal)
        };
        self.picture.as_ref().map(planes).transpose()
    }

    /// The same with grey in the place of what is to be painted anew: everything if there is no mask.
    pub(super) fn masked_planes(&self, size: Size) -> Result<Planes, Failure> {
        let nothing = || Planes::zeros((1, 3, size.height() as usize, size.width() as usize));
        let (Some(mut planes), Some(mask)) = (self.planes()?, &self.mask) else { return Ok(nothing()) };
        grey_out(planes.view_mut(), mask);
        Ok(planes)
    }

    /// 1 where latents are to be painted anew, [1, 1, height, width] for latents of that size; none without a mask.
    pub(super) fn latent_mask(&self, (height, width): (usize, usize)) -> Result<Option<Array4<f32>>, Failure> {
        self.mask.as_ref().map(|mask| nearest(mask, height, width)).transpose()
    }

    /// What is near and what is far, -1 to 1, [1, 1, height, width] for latents of that size.
    pub(super) fn latent_depth(&self, (height, width): (usize, usize)) -> Result<Option<Array4<f32>>, Failure> {
        let latents = |map: &Map| {
            let small = map.resized_bicubic(width as u32, height as u32).normalised();
            Array4::from_shape_vec((1, 1, height, width), small.values().to_vec()).map_err(internal)
        };
        self.depth.as_ref().map(latents).transpose()
    }

    /// What was made, put back into the whole picture.
    pub(super) fn finished(&self, made: Picture) -> Result<Picture, Failure> {
        let Some(Paste { whole, at, mask }) = &self.paste else { return Ok(made) };
        whole.pasted(&made, *at, mask).map_err(internal)
    }
}

/// What a decoder made, [1, 3, height, width].
pub(super) fn picture(planes: Planes) -> Result<Picture, Failure> {
    let (_, _, height, width) = planes.dim();
    let values: Vec<f32> = planes.into_iter().collect();
    // Neither side can be more than a request asks for, and that is far below 2^32.
    Picture::from_planes(width as u32, height as u32, &values)
        .map_err(|error| Failure::new(Code::Inference, format!("the decoder gave no picture: {error}")))
}

/// Grey is 0 to the autoencoder.
fn grey_out(mut planes: ArrayViewMut4<'_, f32>, mask: &Mask) {
    for mut plane in planes.axis_iter_mut(Axis(1)) {
        let painted = |(value, mask): (&mut f32, &u8)| {
            if *mask > 0 {
                *value = 0.0;
            }
        };
        plane.iter_mut().zip(mask.values()).for_each(painted);
    }
}

fn nearest(mask: &Mask, height: usize, width: usize) -> Result<Array4<f32>, Failure> {
    let small = mask.to_gray().resized_nearest(width as u32, height as u32);
    Array4::from_shape_vec((1, 1, height, width), small.values().to_vec()).map_err(internal)
}
