//! Grey pictures: depth maps and masks as they come in.

use std::ops::Deref;

use super::fit::{Fit, fitted};
use super::grid::Grid;
use super::{Filter, Map, PictureError, Region};

/// A grey picture: a map whose numbers are between 0 (black) and 1 (white).
///
/// It can do what a [`Map`] can; what may leave 0 to 1 then is a map.
#[derive(Clone, Debug, PartialEq)]
pub struct Gray {
    map: Map,
}

impl Gray {
    /// A grey picture of `values`: rows from the top, from 0 to 1.
    pub fn new(width: u32, height: u32, values: Vec<f32>) -> Result<Self, PictureError> {
        if let Some((index, value)) = values.iter().enumerate().find(|(_, value)| !(0.0..=1.0).contains(*value)) {
            return Err(PictureError::NotGray { value: *value, index });
        }
        Ok(Self { map: Map::new(width, height, values)? })
    }

    /// At the wanted size, by a bilinear filter (Pillow's, mode "F"), which adds no light or dark fringes to depths.
    pub fn fitted(&self, width: u32, height: u32, fit: Fit) -> Self {
        Self::within(fitted(self.grid(), width, height, fit, Filter::Bilinear))
    }

    /// As [`Map::resized_nearest`]; the values stay grey.
    pub fn resized_nearest(&self, width: u32, height: u32) -> Self {
        Self { map: self.map.resized_nearest(width, height) }
    }

    /// The part that `region` covers; an error if it does not lie inside.
    pub fn cropped(&self, region: Region) -> Result<Self, PictureError> {
        Ok(Self::within(self.grid().cropped(region)?))
    }

    /// A grey picture of values that are known to be between 0 and 1, but for roundings.
    pub(super) fn within(grid: Grid<f32>) -> Self {
        Self { map: Map::of(grid.map(|value| value.clamp(0.0, 1.0))) }
    }
}

impl Deref for Gray {
    type Target = Map;

    fn deref(&self) -> &Map {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_is_between_black_and_white() {
        for value in [-0.01, 1.01, f32::NAN] {
            let error = Gray::new(2, 1, vec![0.5, value]).unwrap_err().to_string();
            assert_eq!(error, format!("the values of a grey picture must be between 0 and 1, got {value} at index 1"));
        }
        assert!(Gray::new(2, 2, vec![0.5; 3]).is_err());
        assert_eq!(Gray::new(2, 1, vec![0.0, 1.0]).unwrap().values(), [0.0, 1.0]);
    }

    #[test]
    fn fitted_depths_stay_between_what_was_there() {
        let step = Gray::new(4, 1, vec![0.25, 0.25, 0.75, 0.75]).unwrap();
        for fit in Fit::ALL {
            assert!(step.fitted(9, 5, fit).values().iter().all(|value| (0.25..=0.75).contains(value)));
        }
        // The control: cubic interpolation overshoots, so its result is a map.
        assert!(step.resized_bicubic(9, 1).values().iter().any(|value| *value > 0.75));
    }
}
