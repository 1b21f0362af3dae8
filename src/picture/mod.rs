//! Pictures, masks and maps, and their files. Pure: bytes in, bytes out.
//!
//! | type | what it is |
//! |---|---|
//! | [`Picture`] | RGB, a byte a channel |
//! | [`Mask`] | one byte a pixel: how much of it is to be repainted |
//! | [`Gray`] | one number a pixel, from 0 to 1: a depth map or a mask as it comes in |
//! | [`Map`] | one number a pixel, any: what a depth net makes |
//!
//! Where Pillow, torch, diffusers or transformers do the same thing, they decide how it is done: resizing, fitting,
//! feathering, pasting and the numbers for the graphs give what they give.

mod blur;
mod decode;
mod encode;
mod error;
mod fit;
#[cfg(test)]
mod golden;
mod gray;
mod grid;
mod interpolate;
mod map;
mod mask;
mod planes;
mod region;
mod resample;

pub use decode::{DecodeError, DecodeLimits};
pub use encode::{Dither, EncodeError, Encoded, Encoding, Format, Framing, Sizing, Turn, encode};
pub use error::PictureError;
pub use fit::Fit;
pub use gray::Gray;
pub use map::Map;
pub use mask::Mask;
pub use region::Region;
pub use resample::Filter;

use grid::Grid;

/// An RGB picture, 8 bits a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    grid: Grid<[u8; 3]>,
}

impl Picture {
    /// A picture of `pixels`: rows from the top, three bytes (red, green, blue) a pixel, no gaps.
    pub fn new(width: u32, height: u32, pixels: Vec<u8>) -> Result<Self, PictureError> {
        PictureError::check_size(width, height, 3, pixels.len())?;
        Ok(Self { grid: Grid::new(width, pixels.as_chunks().0.to_vec()) })
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.grid.width() as u32
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.grid.height() as u32
    }

    /// Rows from the top, three bytes a pixel.
    pub fn pixels(&self) -> &[u8] {
        self.grid.pixels().as_flattened()
    }

    /// At another size, the proportions aside; to the byte what Pillow's `Image.resize` gives.
    ///
    /// A side of zero counts as one, here and in [`Picture::fitted`].
    pub fn resized(&self, width: u32, height: u32, filter: Filter) -> Self {
        Self { grid: fit::fitted(&self.grid, width, height, Fit::Stretch, filter) }
    }

    /// At the wanted size, by Lanczos' filter as diffusers' `VaeImageProcessor.resize`.
    pub fn fitted(&self, width: u32, height: u32, fit: Fit) -> Self {
        Self { grid: fit::fitted(&self.grid, width, height, fit, Filter::Lanczos) }
    }

    /// The part that `region` covers; an error if it does not lie inside.
    pub fn cropped(&self, region: Region) -> Result<Self, PictureError> {
        Ok(Self { grid: self.grid.cropped(region)? })
    }

    /// This picture with `part`, fitted into the region `at`, laid over it as far as `mask` is white.
    ///
    /// Outside the region, and where the mask is black, the picture stays as it is to the byte. Between black and white
    /// each byte is `(part * mask + own * (255 - mask)) / 255`, rounded to the nearest, as Pillow's `Image.composite`.
    /// The mask covers this picture, not the part. Where the region's proportions are not the part's (they differ by a
    /// rounding at most after [`Region::grown`]), the part is cropped.
    pub fn pasted(&self, part: &Self, at: Region, mask: &Mask) -> Result<Self, PictureError> {
        self.grid.holds(at)?;
        let (expected, got) = ((self.width(), self.height()), (mask.width(), mask.height()));
        if expected != got {
            return Err(PictureError::Mask { expected, got });
        }
        let part = part.fitted(at.width(), at.height(), Fit::Crop);
        Ok(Self { grid: self.grid.overlaid(&part.grid, at, mask.values()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(width: u32, height: u32, pixel: [u8; 3]) -> Picture {
        Picture::new(width, height, pixel.repeat((width * height) as usize)).unwrap()
    }

    #[test]
    fn the_number_of_values_must_follow_from_the_size() {
        let error = Picture::new(2, 2, vec![0; 11]).unwrap_err();
        assert_eq!(error.to_string(), "a picture of 2x2 must have 12 values, got 11");
        assert!(Picture::new(0, 7, Vec::new()).is_err());
        assert!(Picture::new(u32::MAX, u32::MAX, Vec::new()).is_err());
    }

    #[test]
    fn a_pasted_part_shows_where_the_mask_is_white_and_nowhere_else() {
        let (own, part) = (flat(4, 2, [10, 20, 30]), flat(8, 8, [110, 220, 130]));
        let mask = Mask::new(4, 2, vec![255, 0, 255, 128, 255, 255, 255, 51]).unwrap();
        let pasted = own.pasted(&part, Region::new(2, 0, 4, 2).unwrap(), &mask).unwrap();
        let (before, after) = ([10, 20, 30], [110, 220, 130]);
        // 128 of 255 are 50.2 %, 51 are a fifth.
        let expected = [before, before, after, [60, 120, 80], before, before, after, [30, 60, 50]];
        assert_eq!(pasted.pixels(), expected.as_flattened());
    }

    #[test]
    fn a_region_beyond_the_picture_and_a_foreign_mask_are_refused() {
        let own = flat(4, 2, [0; 3]);
        let beyond = Region::new(2, 0, 5, 2).unwrap();
        let error = own.cropped(beyond).unwrap_err().to_string();
        assert_eq!(error, "the region must lie in the picture of 4x2, got columns 2 to 5 and rows 0 to 2");
        let mask = Mask::new(2, 4, vec![0; 8]).unwrap();
        assert!(own.pasted(&own, beyond, &mask).is_err());
        let error = own.pasted(&own, Region::new(0, 0, 1, 1).unwrap(), &mask).unwrap_err().to_string();
        assert_eq!(error, "the mask must be as large as the picture, 4x2, got 2x4");
    }

    #[test]
    fn a_cropped_part_put_back_changes_nothing() {
        let picture = Picture::new(5, 4, (0..60).collect()).unwrap();
        let region = Region::new(1, 1, 4, 3).unwrap();
        let part = picture.cropped(region).unwrap();
        assert_eq!(part.pixels()[..3], picture.pixels()[3 * 6..3 * 7]);
        let white = Mask::new(5, 4, vec![255; 20]).unwrap();
        assert_eq!(picture.pasted(&part, region, &white).unwrap(), picture);
    }
}
