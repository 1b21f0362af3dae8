//! Files into pictures: PNG, JPEG, WebP and BMP, told apart by their content, within limits.

mod jpeg;

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};

use super::grid::Grid;
use super::{Gray, Picture};

/// What a file may ask for. All of it is known without decoding, and checked before anything is allocated for pixels.
/// From the pixels follows how many scans a JPEG may have: 100, but 20 if it has all the pixels that it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Pixels of the picture.
    pub pixels: u64,
    /// Pixels of its longer side.
    pub side: u32,
    /// Bytes that decoding may take at its height, the file itself aside: 10 to 17 a pixel.
    pub memory: u64,
}

/// Why a file is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It asks for more than a limit allows.
    #[error("the picture may have at most {limit} {what}, got {got}")]
    TooLarge {
        /// What is limited: "pixels", "pixels a side", "bytes while it is decoded" or "scans at its size".
        what: &'static str,
        /// The limit.
        limit: u64,
        /// What the file asks for.
        got: u64,
    },
    /// It is damaged, or no PNG, JPEG, WebP or BMP file.
    #[error("the picture must be a whole PNG, JPEG, WebP or BMP file, got {0}")]
    Unreadable(String),
}

impl Picture {
    /// The picture in a file, turned as its Exif orientation says.
    ///
    /// Grey becomes RGB, what is transparent lies on white, and 16 bits are rounded to 8. Of an animation it is the
    /// first frame. Colour profiles are ignored, as Pillow does.
    pub fn decode(file: &[u8], limits: &DecodeLimits) -> Result<Self, DecodeError> {
        let image = decoded(file, limits)?;
        let width = image.width();
        let pixels = if image.color().has_alpha() {
            image.into_rgba16().pixels().map(|pixel| on_white(pixel.0)).collect()
        } else {
            image.into_rgb8().pixels().map(|pixel| pixel.0).collect()
        };
        Ok(Self { grid: Grid::new(width, pixels) })
    }
}

impl Gray {
    /// The grey picture in a file, turned as its Exif orientation says.
    ///
    /// Grey of 8 and 16 bits is kept exactly: value/255 and value/65535. Colour becomes `(299 red + 587 green + 114
    /// blue) / 1000`, as Pillow's mode "L", but not rounded. Transparency is ignored, likewise as Pillow does.
    pub fn decode(file: &[u8], limits: &DecodeLimits) -> Result<Self, DecodeError> {
        const WHITE: f32 = u16::MAX as f32;
        let image = decoded(file, limits)?;
        let width = image.width();
        let values = if image.color().has_color() {
            image.into_rgb16().pixels().map(|pixel| luma(pixel.0)).collect()
        } else {
            // A byte's 16-bit form is 257 times itself, so that the quotient is the same.
            image.into_luma16().pixels().map(|pixel| f32::from(pixel.0[0]) / WHITE).collect()
        };
        Ok(Self::within(Grid::new(width, values)))
    }
}

fn luma(pixel: [u16; 3]) -> f32 {
    let [red, green, blue] = pixel.map(u64::from);
    ((299 * red + 587 * green + 114 * blue) as f64 / (1000.0 * f64::from(u16::MAX))) as f32
}

/// A pixel of 16 bits (red, green, blue, alpha) on white, rounded once.
fn on_white(pixel: [u16; 4]) -> [u8; 3] {
    const WHITE: u64 = u16::MAX as u64;
    let [red, green, blue, alpha] = pixel.map(u64::from);
    [red, green, blue].map(|value| {
        let sum = value * alpha + WHITE * (WHITE - alpha);
        ((sum + WHITE * 257 / 2) / (WHITE * 257)) as u8
    })
}

/// Decodes a file that may be hostile. A decoder that panics over it must not take the service down: the broker would
/// send the file again after every start.
fn decoded(file: &[u8], limits: &DecodeLimits) -> Result<DynamicImage, DecodeError> {
    let gave_up = |_| Err(DecodeError::Unreadable("a file that its decoder cannot cope with".to_owned()));
    std::panic::catch_unwind(|| trusting(file, limits)).unwrap_or_else(gave_up)
}

fn trusting(file: &[u8], limits: &DecodeLimits) -> Result<DynamicImage, DecodeError> {
    let (file, scans) = if jpeg::is_jpeg(file) {
        let breaks_off = || DecodeError::Unreadable("a JPEG file that breaks off".to_owned());
        let whole = jpeg::whole(file).ok_or_else(breaks_off)?;
        (whole, jpeg::scans(whole))
    } else {
        (file, 0)
    };
    let mut reader =
        ImageReader::new(Cursor::new(file)).with_guessed_format().map_err(|error| unreadable(error.into()))?;
    let mut allowed = Limits::no_limits();
    allowed.max_alloc = Some(limits.memory);
    reader.limits(allowed);
    let mut decoder = reader.into_decoder().map_err(|error| match error {
        ImageError::Limits(_) => too_many_pixels(file, limits),
        error => unreadable(error),
    })?;
    check(&decoder, scans, limits)?;
    let orientation = decoder.orientation().map_err(unreadable)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// The decoder itself found the picture too large, before its size could be asked for.
fn too_many_pixels(file: &[u8], limits: &DecodeLimits) -> DecodeError {
    // Only the header is read this time.
    let size = ImageReader::new(Cursor::new(file)).with_guessed_format().ok().and_then(|mut reader| {
        reader.no_limits();
        reader.into_dimensions().ok()
    });
    match size {
        Some((width, height)) => {
            let got = u64::from(width) * u64::from(height);
            DecodeError::TooLarge { what: "pixels", limit: limits.pixels, got }
        }
        None => DecodeError::Unreadable("a file that asks for more memory than it may".to_owned()),
    }
}

/// Bytes a pixel that decoding takes at most besides the decoder's result: for the decoder's own tables, for turning,
/// for our form. Measured with every format; the most was 8.5, by a progressive CMYK JPEG.
const WORKING: u64 = 9;

/// Scans that a JPEG file may have at most. Encoders write up to 18, and each goes over the whole picture for a few
/// bytes, so that a small file could keep the decoder busy for minutes.
const SCANS: u64 = 100;
/// Scans that it may have as a picture of as many pixels as are allowed.
const SCANS_OF_THE_LARGEST: u64 = 20;

fn check(decoder: &impl ImageDecoder, scans: u64, limits: &DecodeLimits) -> Result<(), DecodeError> {
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    let memory = decoder.total_bytes().saturating_add(pixels.saturating_mul(WORKING));
    let most_scans = SCANS.min(limits.pixels.saturating_mul(SCANS_OF_THE_LARGEST) / pixels.max(1));
    let asked = [
        ("pixels a side", u64::from(limits.side), u64::from(width.max(height))),
        ("pixels", limits.pixels, pixels),
        ("bytes while it is decoded", limits.memory, memory),
        ("scans at its size", most_scans, scans),
    ];
    match asked.into_iter().find(|(_, limit, got)| got > limit) {
        Some((what, limit, got)) => Err(DecodeError::TooLarge { what, limit, got }),
        None if pixels == 0 => Err(DecodeError::Unreadable(format!("{width}x{height} pixels"))),
        None => Ok(()),
    }
}

fn unreadable(error: ImageError) -> DecodeError {
    match error {
        ImageError::Unsupported(_) => DecodeError::Unreadable("another kind of file".to_owned()),
        error => DecodeError::Unreadable(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
