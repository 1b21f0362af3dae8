//! The file, as it is written.

use serde::Deserialize;

use super::{Class, Preprocessor, Resize};
use crate::picture::Filter;

/// The file. Absent keys have the defaults of the class.
#[derive(Deserialize)]
pub(super) struct Raw {
    image_processor_type: Option<String>,
    feature_extractor_type: Option<String>,
    do_resize: Option<bool>,
    size: Option<Sides>,
    resample: Option<u8>,
    keep_aspect_ratio: Option<bool>,
    ensure_multiple_of: Option<u32>,
    do_center_crop: Option<bool>,
    crop_size: Option<Sides>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    do_normalize: Option<bool>,
    image_mean: Option<Channels>,
    image_std: Option<Channels>,
    do_pad: Option<bool>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Sides {
    One(u32),
    /// Height and width.
    Two([u32; 2]),
    Shortest {
        shortest_edge: u32,
    },
    Both {
        height: u32,
        width: u32,
    },
}

#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Channels {
    All(f32),
    Each([f32; 3]),
}

impl Raw {
    /// What the file means; an error where this version cannot do as it says.
    pub(super) fn meaning(&self, usual: Class) -> Result<Preprocessor, String> {
        if self.do_pad == Some(true) {
            return Err("do_pad must be false in this version, got true".to_owned());
        }
        let class = self.class(usual)?;
        let [mean, std] = self.normal(class)?;
        let rescale = if self.do_rescale.unwrap_or(true) { self.rescale_factor.unwrap_or(1.0 / 255.0) } else { 1.0 };
        Ok(Preprocessor { resize: self.resize(class)?, crop: self.crop(class)?, rescale, mean, std })
    }

    fn class(&self, usual: Class) -> Result<Class, String> {
        let name = self.image_processor_type.as_ref().or(self.feature_extractor_type.as_ref());
        match name.map(|name| name.trim_end_matches("Fast")) {
            None => Ok(usual),
            Some("DPTImageProcessor" | "DPTFeatureExtractor") => Ok(Class::Dpt),
            Some("CLIPImageProcessor" | "CLIPFeatureExtractor") => Ok(Class::Clip),
            Some(other) => {
                Err(format!("image_processor_type must be DPTImageProcessor or CLIPImageProcessor, got {other}"))
            }
        }
    }

    fn resize(&self, class: Class) -> Result<Option<(Resize, Filter)>, String> {
        if self.do_resize == Some(false) {
            return Ok(None);
        }
        let multiple = self.ensure_multiple_of.unwrap_or(1);
        let both = |sides| match class {
            Class::Dpt => Resize::Both { sides, multiple, keep: self.keep_aspect_ratio.unwrap_or(false) },
            Class::Clip => Resize::Both { sides, multiple: 1, keep: false },
        };
        let resize = match (class, self.size) {
            (Class::Dpt, None) => both([384, 384]),
            (Class::Clip, None) => Resize::Shortest(224),
            (Class::Clip, Some(Sides::One(side) | Sides::Shortest { shortest_edge: side })) => Resize::Shortest(side),
            (Class::Dpt, Some(Sides::Shortest { .. })) => return Err("size must be height and width".to_owned()),
            (_, Some(sides)) => both(sides.both()),
        };
        let least = match resize {
            Resize::Shortest(side) => side,
            Resize::Both { sides, multiple, .. } => sides[0].min(sides[1]).min(multiple),
        };
        if least == 0 {
            return Err("size and ensure_multiple_of must be at least 1, got 0".to_owned());
        }
        let number = self.resample.unwrap_or(3);
        let filter = Filter::of_pillow(number);
        Ok(Some((resize, filter.ok_or_else(|| format!("resample must be between 0 and 3, got {number}"))?)))
    }

    fn crop(&self, class: Class) -> Result<Option<[u32; 2]>, String> {
        if class == Class::Dpt || self.do_center_crop == Some(false) {
            return Ok(None);
        }
        match self.crop_size.map_or([224, 224], Sides::both) {
            [0, _] | [_, 0] => Err("crop_size must be at least 1, got 0".to_owned()),
            sides => Ok(Some(sides)),
        }
    }

    /// Mean and standard deviation.
    fn normal(&self, class: Class) -> Result<[[f32; 3]; 2], String> {
        if self.do_normalize == Some(false) {
            return Ok([[0.0; 3], [1.0; 3]]);
        }
        let usual = match class {
            Class::Dpt => [[0.5; 3]; 2],
            Class::Clip => [[0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_54, 0.261_302_6, 0.275_777_1]],
        };
        let [mean, std] = [(self.image_mean, usual[0]), (self.image_std, usual[1])].map(|(own, usual)| match own {
            None => usual,
            Some(Channels::All(value)) => [value; 3],
            Some(Channels::Each(values)) => values,
        });
        match std.iter().find(|value| !value.is_normal()) {
            Some(value) => Err(format!("image_std must be numbers other than 0, got {value}")),
            None => Ok([mean, std]),
        }
    }
}

impl Sides {
    /// Height and width.
    fn both(self) -> [u32; 2] {
        match self {
            Self::One(side) | Self::Shortest { shortest_edge: side } => [side; 2],
            Self::Two(sides) => sides,
            Self::Both { height, width } => [height, width],
        }
    }
}
