//! Rows of pixels: what pictures, masks and maps are made of.

use super::{PictureError, Region};

/// Rows of pixels from the top; neither side is zero and no row is shorter than another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grid<P> {
    width: usize,
    pixels: Vec<P>,
}

impl<P: Copy> Grid<P> {
    /// The rows that `pixels` holds, each `width` long; see [`PictureError::check_size`].
    pub(super) fn new(width: u32, pixels: Vec<P>) -> Self {
        debug_assert!(!pixels.is_empty() && pixels.len().is_multiple_of(width as usize));
        Self { width: width as usize, pixels }
    }

    /// Makes row after row; each must be `width` long and neither side zero.
    pub(super) fn made<R: Iterator<Item = P>>(width: usize, height: usize, row: impl FnMut(usize) -> R) -> Self {
        let mut pixels = Vec::with_capacity(width * height);
        pixels.extend((0..height).flat_map(row));
        debug_assert!(pixels.len() == width * height && !pixels.is_empty());
        Self { width, pixels }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn height(&self) -> usize {
        self.pixels.len() / self.width
    }

    pub(super) fn pixels(&self) -> &[P] {
        &self.pixels
    }

    pub(super) fn row(&self, row: usize) -> &[P] {
        &self.pixels[row * self.width..][..self.width]
    }
}

impl<P: Copy> Grid<P> {
    /// The part of it that `region` covers; an error if it does not lie inside.
    pub(super) fn cropped(&self, region: Region) -> Result<Self, PictureError> {
        self.holds(region)?;
        let (left, top) = (region.left() as usize, region.top() as usize);
        let (width, height) = (region.width() as usize, region.height() as usize);
        Ok(Self::made(width, height, |row| self.row(top + row)[left..][..width].iter().copied()))
    }

    /// An error if `region` does not lie inside.
    pub(super) fn holds(&self, region: Region) -> Result<(), PictureError> {
        if region.right() as usize <= self.width() && region.bottom() as usize <= self.height() {
            return Ok(());
        }
        Err(PictureError::Outside { region, width: self.width() as u32, height: self.height() as u32 })
    }

    /// Every pixel made into another.
    pub(super) fn map<Q>(&self, other: impl FnMut(P) -> Q) -> Grid<Q> {
        Grid { width: self.width, pixels: self.pixels.iter().copied().map(other).collect() }
    }

    /// Rows become columns.
    pub(super) fn transposed(&self) -> Self {
        Self::made(self.height(), self.width(), |column| self.pixels[column..].iter().step_by(self.width).copied())
    }
}

impl Grid<[u8; 3]> {
    /// With `part`, which has the size of the region `at` inside, blended in by `mask`, a byte a pixel of the whole.
    pub(super) fn overlaid(&self, part: &Self, at: Region, mask: &[u8]) -> Self {
        let mut whole = self.clone();
        let (left, width) = (at.left() as usize, at.width() as usize);
        for row in 0..part.height() {
            let start = (at.top() as usize + row) * self.width + left;
            let below = &mut whole.pixels[start..][..width];
            for ((below, above), share) in below.iter_mut().zip(part.row(row)).zip(&mask[start..]) {
                for (own, other) in below.iter_mut().zip(above) {
                    *own = blended(*own, *other, *share);
                }
            }
        }
        whole
    }
}

/// `other` as far as `share` says, of 255, and `own` for the rest; rounded to the nearest.
fn blended(own: u8, other: u8, share: u8) -> u8 {
    let sum = u32::from(other) * u32::from(share) + u32::from(own) * u32::from(255 - share);
    ((sum + 127) / 255) as u8
}
