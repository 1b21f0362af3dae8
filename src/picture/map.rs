//! Maps: one number a pixel, as a depth net gives them.

use super::grid::Grid;
use super::{PictureError, interpolate};

/// One finite number a pixel.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    grid: Grid<f32>,
}

impl Map {
    /// A map of `values`: rows from the top, finite numbers of any size.
    pub fn new(width: u32, height: u32, values: Vec<f32>) -> Result<Self, PictureError> {
        PictureError::check_size(width, height, 1, values.len())?;
        PictureError::check_finite(&values)?;
        Ok(Self { grid: Grid::new(width, values) })
    }

    /// A map of finite numbers.
    pub(super) fn of(grid: Grid<f32>) -> Self {
        Self { grid }
    }

    pub(super) fn grid(&self) -> &Grid<f32> {
        &self.grid
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.grid.width() as u32
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.grid.height() as u32
    }

    /// Rows from the top.
    pub fn values(&self) -> &[f32] {
        self.grid.pixels()
    }

    /// The value that lies under the upper left corner of the new one; torch's `interpolate(mode="nearest")`.
    ///
    /// A side of zero counts as one, as with the other sizes here.
    pub fn resized_nearest(&self, width: u32, height: u32) -> Self {
        Self { grid: interpolate::nearest(&self.grid, width, height) }
    }

    /// Cubic interpolation between the sixteen nearest values; torch's `interpolate(mode="bicubic",
    /// align_corners=False, antialias=False)`. It may overshoot what was there.
    pub fn resized_bicubic(&self, width: u32, height: u32) -> Self {
        Self { grid: interpolate::bicubic(&self.grid, width, height) }
    }

    /// Spread over -1 to 1: `2 * (value - lowest) / (highest - lowest) - 1`, as diffusers does with depth maps.
    ///
    /// A flat map becomes -1 everywhere. Diffusers divides by zero there; the code that Stable Diffusion's depth model
    /// was trained with adds a small number to the divisor, which gives -1.
    pub fn normalised(&self) -> Self {
        let lowest = f64::from(self.values().iter().copied().fold(f32::INFINITY, f32::min));
        let highest = f64::from(self.values().iter().copied().fold(f32::NEG_INFINITY, f32::max));
        // In double precision the ends cannot lie too far apart.
        let spread = |value: f32| match highest - lowest {
            0.0 => -1.0,
            range => (2.0 * (f64::from(value) - lowest) / range - 1.0) as f32,
        };
        Self { grid: self.grid.map(spread) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overflow_of_the_depth_net_is_no_map() {
        let error = Map::new(2, 1, vec![0.0, f32::INFINITY]).unwrap_err();
        assert_eq!(error.to_string(), "the values of a picture must be finite, got inf at index 1");
        assert!(Map::new(2, 2, vec![0.0; 3]).is_err());
    }

    #[test]
    fn depths_are_spread_over_minus_one_to_one() {
        let depths = Map::new(4, 1, vec![10.0, 30.0, 20.0, 12.5]).unwrap();
        assert_eq!(depths.normalised().values(), [-1.0, 1.0, 0.0, -0.75]);
    }

    #[test]
    fn a_flat_depth_map_is_far_everywhere() {
        assert_eq!(Map::new(2, 1, vec![7.0; 2]).unwrap().normalised().values(), [-1.0, -1.0]);
    }

    #[test]
    fn depths_at_the_ends_of_the_numbers_stay_finite() {
        let depths = Map::new(3, 1, vec![f32::MIN, 0.0, f32::MAX]).unwrap();
        assert_eq!(depths.normalised().values(), [-1.0, 0.0, 1.0]);
    }
}
