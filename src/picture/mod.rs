//! RGB pictures and their encoders. Pure: bytes in, bytes out.

mod encode;

pub use encode::{EncodeError, Encoded, Encoding, Format, encode};

/// An RGB picture, 8 bits a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

/// Why numbers are not a picture.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PictureError {
    /// Width or height is zero, or the number of values does not follow from them.
    #[error("a picture of {width}x{height} must have {} values, got {got}", values(*width, *height))]
    Size {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
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
}

impl Picture {
    /// A picture of `pixels`: rows from the top, three bytes (red, green, blue) a pixel, no gaps.
    pub fn new(width: u32, height: u32, pixels: Vec<u8>) -> Result<Self, PictureError> {
        checked(width, height, pixels.len())?;
        Ok(Self { width, height, pixels })
    }

    /// A picture from a decoder's output, shape [3, height, width], nominally from -1 to 1.
    ///
    /// Values outside are clamped; the rest is rounded to the nearest of 256, halves to the even one, as diffusers does.
    pub fn from_planes(width: u32, height: u32, planes: &[f32]) -> Result<Self, PictureError> {
        checked(width, height, planes.len())?;
        if let Some((index, value)) = planes.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(PictureError::NotFinite { value: *value, index });
        }
        let plane = planes.len() / 3;
        let pixels = (0..plane).flat_map(|at| [planes[at], planes[plane + at], planes[2 * plane + at]]);
        Ok(Self { width, height, pixels: pixels.map(byte).collect() })
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Rows from the top, three bytes a pixel.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }
}

fn byte(value: f32) -> u8 {
    ((value / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8
}

fn values(width: u32, height: u32) -> u64 {
    3 * u64::from(width) * u64::from(height)
}

fn checked(width: u32, height: u32, got: usize) -> Result<(), PictureError> {
    if got != 0 && got as u64 == values(width, height) {
        return Ok(());
    }
    Err(PictureError::Size { width, height, got })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoders_output_is_clamped_and_rounded_as_diffusers_does() {
        // One pixel a column: below the range, its ends, the middle (127.5 goes to the even 128), above the range.
        let row = [-3.0, -1.0, 0.0, 1.0, 7.0];
        let picture = Picture::from_planes(5, 1, &[row, row, row].concat()).unwrap();
        let red: Vec<u8> = picture.pixels().iter().step_by(3).copied().collect();
        assert_eq!(red, [0, 0, 128, 255, 255]);
    }

    #[test]
    fn planes_become_interleaved() {
        let picture = Picture::from_planes(2, 1, &[1.0, -1.0, -1.0, 1.0, -1.0, -1.0]).unwrap();
        assert_eq!(picture.pixels(), [255, 0, 0, 0, 255, 0]);
    }

    #[test]
    fn an_overflow_is_no_black_picture() {
        let error = Picture::from_planes(1, 1, &[0.0, f32::NAN, 0.0]).unwrap_err();
        assert_eq!(error.to_string(), "the values of a picture must be finite, got NaN at index 1");
    }

    #[test]
    fn the_number_of_values_must_follow_from_the_size() {
        let error = Picture::new(2, 2, vec![0; 11]).unwrap_err();
        assert_eq!(error.to_string(), "a picture of 2x2 must have 12 values, got 11");
        assert!(Picture::new(0, 7, Vec::new()).is_err());
        assert!(Picture::new(u32::MAX, u32::MAX, Vec::new()).is_err());
    }
}
