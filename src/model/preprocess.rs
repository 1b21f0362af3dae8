//! Pictures as vision nets take them: `feature_extractor/preprocessor_config.json`.
//!
//! As transformers' image processors, in their order: resize, crop, rescale, normalise.

mod raw;

use ndarray::Array4;

use self::raw::Raw;
use super::error::{LoadError, PassError};
use super::folder::Folder;
use crate::picture::{Filter, Picture};

/// What a preprocessor configuration says. One that exists can be worked with.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Preprocessor {
    resize: Option<(Resize, Filter)>,
    /// Height and width that are cut out of the middle.
    crop: Option<[u32; 2]>,
    rescale: f64,
    mean: [f32; 3],
    std: [f32; 3],
}

/// The class of an image processor, which decides what a file means and what it need not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// `DPTImageProcessor`, of depth nets.
    Dpt,
    /// `CLIPImageProcessor`.
    Clip,
}

/// How the new size is found.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Resize {
    /// The shorter side gets this length.
    Shortest(u32),
    /// Height and width, each brought to a multiple; with the proportions kept, one of them decides.
    Both { sides: [u32; 2], multiple: u32, keep: bool },
}

impl Preprocessor {
    /// Reads the file of a model folder; one that does not name its class is of `usual`.
    pub(super) fn open(folder: &Folder, usual: Class) -> Result<Self, LoadError> {
        let name = "feature_extractor/preprocessor_config.json";
        let raw: Raw = folder.json(name)?;
        raw.meaning(usual).map_err(|reason| LoadError::folder(folder.path.join(name), reason))
    }

    /// What the net takes, [1, 3, height, width].
    pub(super) fn planes(&self, picture: &Picture) -> Result<Array4<f32>, PassError> {
        let wrong = |error: &dyn std::fmt::Display| PassError::Failed(format!("a picture cannot be prepared: {error}"));
        let resized = self.resize.map(|(resize, filter)| {
            let [height, width] = resize.size(picture);
            picture.resized(width, height, filter)
        });
        let resized = resized.as_ref().unwrap_or(picture);
        let cropped = self.crop.map(|sides| middle(resized, sides)).transpose().map_err(|error| wrong(&error))?;
        let picture = cropped.as_ref().unwrap_or(resized);
        let shape = [1, 3, picture.height() as usize, picture.width() as usize];
        Array4::from_shape_vec(shape, picture.normalised_planes(self.mean, self.std, self.rescale))
            .map_err(|error| wrong(&error))
    }
}

impl Resize {
    /// Height and width of what becomes of `picture`.
    fn size(self, picture: &Picture) -> [u32; 2] {
        let old = [picture.height(), picture.width()];
        match self {
            Self::Shortest(short) => {
                let shorter = u64::from(old[0].min(old[1]));
                old.map(|side| u32::try_from(u64::from(short) * u64::from(side) / shorter).unwrap_or(u32::MAX))
            }
            Self::Both { sides, multiple, keep } => {
                let mut scales = [0, 1].map(|axis| f64::from(sides[axis]) / f64::from(old[axis]));
                if keep {
                    // As little as possible is scaled.
                    let [height, width] = scales;
                    scales = [if (1.0 - width).abs() < (1.0 - height).abs() { width } else { height }; 2];
                }
                let multiple = f64::from(multiple);
                [0, 1].map(|axis| {
                    let exact = scales[axis] * f64::from(old[axis]);
                    ((exact / multiple).round_ties_even() * multiple).max(multiple) as u32
                })
            }
        }
    }
}

/// The middle of a picture; black where it does not reach.
fn middle(picture: &Picture, [height, width]: [u32; 2]) -> Result<Picture, crate::picture::PictureError> {
    let (top, left) = (before(picture.height(), height), before(picture.width(), width));
    let pixel = |row: i64, column: i64| {
        let inside =
            (0..i64::from(picture.height())).contains(&row) && (0..i64::from(picture.width())).contains(&column);
        let at = 3 * (row * i64::from(picture.width()) + column);
        if inside { picture.pixels()[at as usize..][..3].try_into().unwrap_or_default() } else { [0; 3] }
    };
    let rows = 0..i64::from(height);
    let pixels = rows.flat_map(|row| (0..i64::from(width)).flat_map(move |column| pixel(row + top, column + left)));
    Picture::new(width, height, pixels.collect())
}

/// How much of `side` lies before its middle `length`; less than nothing where it is shorter.
fn before(side: u32, length: u32) -> i64 {
    (i64::from(side) - i64::from(length)).div_euclid(2)
}

#[cfg(test)]
mod tests;
