//! Why numbers are not a picture.

use super::Region;

/// Why numbers are not a picture, or pictures do not go together.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PictureError {
    /// Width or height is zero, or the number of values does not follow from them.
    #[error("a picture of {width}x{height} must have {expected} values, got {got}")]
    Size {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Number of values that follows from them.
        expected: u64,
        /// Number of values that came.
        got: usize,
    },
    /// A value is infinite or not a number, as a graph gives when its half-precision arithmetic overflows.
    #[error("the values of a picture must be finite, got {value} at index {index}")]
    NotFinite {
        /// The value.
        value: f32,
        /// Where it stands.
        index: usize,
    },
    /// A value is neither black nor white nor between them.
    #[error("the values of a grey picture must be between 0 and 1, got {value} at index {index}")]
    NotGray {
        /// The value.
        value: f32,
        /// Where it stands.
        index: usize,
    },
    /// A region reaches beyond the picture.
    #[error("the region must lie in the picture of {width}x{height}, got {region}")]
    Outside {
        /// The region.
        region: Region,
        /// Width of the picture in pixels.
        width: u32,
        /// Height of the picture in pixels.
        height: u32,
    },
    /// A mask is not as large as its picture.
    #[error("the mask must be as large as the picture, {0}x{1}, got {2}x{3}", expected.0, expected.1, got.0, got.1)]
    Mask {
        /// Width and height of the picture.
        expected: (u32, u32),
        /// Width and height of the mask.
        got: (u32, u32),
    },
}

impl PictureError {
    /// An error unless `got` is the number of values of a picture of that size, of which no side may be zero.
    pub(super) fn check_size(width: u32, height: u32, channels: u64, got: usize) -> Result<(), Self> {
        let pixels = u64::from(width) * u64::from(height);
        let expected = pixels.saturating_mul(channels);
        if got != 0 && got as u64 == expected {
            return Ok(());
        }
        Err(Self::Size { width, height, expected, got })
    }

    /// An error if a value is infinite or not a number.
    pub(super) fn check_finite(values: &[f32]) -> Result<(), Self> {
        match values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            Some((index, value)) => Err(Self::NotFinite { value: *value, index }),
            None => Ok(()),
        }
    }
}
