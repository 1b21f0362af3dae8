//! Pictures as the numbers that graphs take and give: [3, height, width].

use super::grid::Grid;
use super::{Picture, PictureError};

impl Picture {
    /// A picture from a decoder's output, shape [3, height, width], nominally from -1 to 1.
    ///
    /// Values outside are clamped; the rest is rounded to the nearest of 256, halves to the even one, as diffusers does.
    pub fn from_planes(width: u32, height: u32, planes: &[f32]) -> Result<Self, PictureError> {
        PictureError::check_size(width, height, 3, planes.len())?;
        PictureError::check_finite(planes)?;
        let plane = planes.len() / 3;
        let pixels = (0..plane).map(|at| [planes[at], planes[plane + at], planes[2 * plane + at]].map(byte));
        Ok(Self { grid: Grid::new(width, pixels.collect()) })
    }

    /// What an image encoder takes, shape [3, height, width], from -1 to 1: `2 * (value / 255) - 1` in float32, as
    /// diffusers' `VaeImageProcessor`.
    ///
    /// [`Picture::from_planes`] gives the same picture back.
    pub fn to_planes(&self) -> Vec<f32> {
        self.planes(|_, value| 2.0 * (f32::from(value) / 255.0) - 1.0)
    }

    /// What CLIP and depth nets take, shape [3, height, width]: `(value * rescale - mean) / std` for each channel, with
    /// the numbers of a `preprocessor_config.json` (`rescale_factor`, `image_mean`, `image_std`).
    ///
    /// As transformers' image processors: the product in double precision, the rest in single.
    pub fn normalised_planes(&self, mean: [f32; 3], std: [f32; 3], rescale: f64) -> Vec<f32> {
        self.planes(|channel, value| ((f64::from(value) * rescale) as f32 - mean[channel]) / std[channel])
    }

    fn planes(&self, number: impl Fn(usize, u8) -> f32) -> Vec<f32> {
        let number = &number;
        (0..3).flat_map(|channel| self.grid.pixels().iter().map(move |pixel| number(channel, pixel[channel]))).collect()
    }
}

fn byte(value: f32) -> u8 {
    ((value / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8
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
    fn every_byte_comes_back_from_its_plane() {
        let every: Vec<u8> = (0..=255).flat_map(|value| [value, 255 - value, value / 2]).collect();
        let picture = Picture::new(16, 16, every).unwrap();
        assert_eq!(Picture::from_planes(16, 16, &picture.to_planes()).unwrap(), picture);
        let brighter: Vec<f32> = picture.to_planes().iter().map(|value| value + 0.005).collect();
        assert_ne!(Picture::from_planes(16, 16, &brighter).unwrap(), picture);
    }
}
