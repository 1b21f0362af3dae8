//! Masks: which part of a picture is painted anew.

use super::blur::gaussian;
use super::fit::{Fit, fitted};
use super::grid::Grid;
use super::{Filter, Gray, PictureError, Region};

/// How much of each pixel is to be repainted: 0 (black) keeps it, 255 (white) repaints it.
///
/// Bytes, as in Pillow's mode "L", so that scaling, feathering and pasting give the reference's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    grid: Grid<u8>,
}

/// The smallest byte that is at least a half.
const HALF: u8 = 128;

impl Mask {
    /// A mask of `values`: rows from the top, one byte a pixel.
    pub fn new(width: u32, height: u32, values: Vec<u8>) -> Result<Self, PictureError> {
        PictureError::check_size(width, height, 1, values.len())?;
        Ok(Self { grid: Grid::new(width, values) })
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.grid.width() as u32
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.grid.height() as u32
    }

    /// Rows from the top, one byte a pixel.
    pub fn values(&self) -> &[u8] {
        self.grid.pixels()
    }

    /// The mask for a picture that is fitted in the same way, by Lanczos' filter as diffusers does.
    pub fn fitted(&self, width: u32, height: u32, fit: Fit) -> Self {
        Self { grid: fitted(&self.grid, width, height, fit, Filter::Lanczos) }
    }

    /// Black and white only: white from 0.5 on, as diffusers' mask processor.
    pub fn binary(&self) -> Self {
        Self { grid: self.grid.map(|value| if value < HALF { 0 } else { 255 }) }
    }

    /// With soft edges: a Gaussian blur whose standard deviation is `radius` pixels, so that an edge is nearly as wide
    /// as four radii. A radius of zero or less changes nothing.
    ///
    /// Pillow's `GaussianBlur(radius)`, which is A1111's "mask blur" and diffusers' `VaeImageProcessor.blur`.
    pub fn feathered(&self, radius: f32) -> Self {
        if radius > 0.0 { Self { grid: gaussian(&self.grid, radius) } } else { self.clone() }
    }

    /// The smallest region outside which nothing at all is repainted; none if the mask is black.
    pub fn bounds(&self) -> Option<Region> {
        let (width, height) = (self.grid.width(), self.grid.height());
        let in_row = |row: &usize| self.grid.row(*row).iter().any(|value| *value > 0);
        let in_column = |column: &usize| (0..height).any(|row| self.grid.row(row)[*column] > 0);
        let (top, bottom) = ((0..height).find(in_row)?, (0..height).rfind(in_row)?);
        let (left, right) = ((0..width).find(in_column)?, (0..width).rfind(in_column)?);
        Region::new(left as u32, top as u32, right as u32 + 1, bottom as u32 + 1)
    }

    /// The part that `region` covers; an error if it does not lie inside.
    pub fn cropped(&self, region: Region) -> Result<Self, PictureError> {
        Ok(Self { grid: self.grid.cropped(region)? })
    }

    /// The same as numbers from 0 to 1, for a mask of latents: `mask.binary().to_gray().resized_nearest(..)`.
    pub fn to_gray(&self) -> Gray {
        Gray::within(self.grid.map(|value| f32::from(value) / 255.0))
    }
}

impl From<&Gray> for Mask {
    /// Rounded to the nearest byte.
    fn from(gray: &Gray) -> Self {
        Self { grid: gray.grid().map(|value| (value * 255.0).round() as u8) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A white square of 4x4 in the middle of 8x8.
    fn square() -> Mask {
        let white = |at: u32| (2..6).contains(&(at % 8)) && (2..6).contains(&(at / 8));
        Mask::new(8, 8, (0..64).map(|at| if white(at) { 255 } else { 0 }).collect()).unwrap()
    }

    #[test]
    fn half_is_repainted_and_less_is_kept() {
        let gray = Gray::new(4, 1, vec![0.0, 0.49, 0.5, 1.0]).unwrap();
        assert_eq!(Mask::from(&gray).binary().values(), [0, 0, 255, 255]);
        assert_eq!(Mask::new(2, 1, vec![127, 128]).unwrap().binary().values(), [0, 255]);
    }

    #[test]
    fn a_black_mask_has_no_bounds() {
        assert_eq!(Mask::new(3, 2, vec![0; 6]).unwrap().bounds(), None);
        assert_eq!(square().bounds(), Region::new(2, 2, 6, 6));
        assert_eq!(square().cropped(Region::new(2, 2, 6, 6).unwrap()).unwrap().values(), [255; 16]);
    }

    #[test]
    fn everything_that_a_soft_mask_touches_lies_in_its_bounds() {
        let soft = square().feathered(0.5);
        assert!(soft.values()[0] == 0 && soft.values()[3] > 0);
        assert_eq!(soft.bounds(), Region::new(0, 0, 8, 8));
    }

    #[test]
    fn no_radius_spoils_a_mask() {
        for radius in [0.0, -1.0, f32::NAN] {
            assert_eq!(square().feathered(radius), square());
        }
        let flat = square().feathered(f32::INFINITY);
        assert!(flat.values().iter().all(|value| *value == flat.values()[0]), "{:?}", flat.values());
    }

    #[test]
    fn a_mask_becomes_numbers_and_a_mask_again() {
        let every = Mask::new(16, 16, (0..=255).collect()).unwrap();
        assert_eq!(every.to_gray().values()[255], 1.0);
        assert_eq!(Mask::from(&every.to_gray()), every);
    }
}
