//! Pictures into files and into what panels show: one file a family of formats, and one table.
//!
//! A picture is turned, brought to size, dithered if the format has few colours, and written, in this order.

mod dither;
mod epd;
mod exif;
mod format;
mod grey;
mod jpeg;
mod light;
mod lossless;
mod pack;
mod png;
mod rgb565;
mod size;
mod within;

use super::Picture;

pub use dither::Dither;
pub use format::Format;
pub use size::{Framing, Sizing, Turn};

/// How a picture is to be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding<'a> {
    /// The file format.
    pub format: Format,
    /// Quality of lossy formats, 1 to 100.
    pub quality: u8,
    /// Turning and size.
    pub sizing: Sizing,
    /// How colours that the format lacks are made of those that it has; formats with every colour ignore it.
    pub dither: Dither,
    /// Size in bytes that the file must not exceed: quality falls first, then the picture is scaled down, unless its
    /// size was asked for.
    pub max_bytes: Option<u32>,
    /// Text that tells how the picture was made, to be put into files that have a place for it.
    pub parameters: Option<&'a str>,
}

impl Encoding<'_> {
    /// A good picture of its own size in `format`.
    pub fn of(format: Format) -> Self {
        let dither = format.default_dither();
        Self { format, quality: 90, sizing: Sizing::default(), dither, max_bytes: None, parameters: None }
    }
}

/// An encoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The file.
    pub bytes: Vec<u8>,
    /// Width of the encoded picture in pixels; smaller than the original's if it had to be scaled down.
    pub width: u32,
    /// Height of the encoded picture in pixels.
    pub height: u32,
    /// The file format.
    pub format: Format,
}

/// Why a picture cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Even the smallest picture is larger than `max_bytes`.
    #[error("the picture cannot be made as small as {max_bytes} bytes, {width}x{height} {format} still has {bytes}")]
    TooLarge {
        /// What was asked for.
        max_bytes: u32,
        /// Bytes of the smallest attempt.
        bytes: usize,
        /// Width of the smallest attempt.
        width: u32,
        /// Height of the smallest attempt.
        height: u32,
        /// Name of the format.
        format: &'static str,
    },
    /// The encoder refused.
    #[error("the picture cannot be encoded as {format}: {reason}")]
    Encoder {
        /// Name of the format.
        format: &'static str,
        /// The encoder's sentence.
        reason: String,
    },
}

/// Encodes `picture`; within `max_bytes` if that is given.
pub fn encode(picture: &Picture, encoding: &Encoding<'_>) -> Result<Encoded, EncodeError> {
    let sized = encoding.sizing.applied(picture, encoding.format.background());
    match encoding.max_bytes {
        None => Encoded::new(&sized, encoding, encoding.quality),
        Some(max_bytes) => within::within(max_bytes, &sized, encoding),
    }
}

impl Encoded {
    /// Bytes of a row; 0 if the format has no rows of fixed size. See [`Format::stride`].
    pub fn stride(&self) -> usize {
        self.format.stride(self.width)
    }

    fn new(picture: &Picture, encoding: &Encoding<'_>, quality: u8) -> Result<Self, EncodeError> {
        let format = encoding.format;
        let bytes = format
            .write(picture, quality, encoding.dither, encoding.parameters)
            .map_err(|reason| EncodeError::Encoder { format: format.name(), reason })?;
        Ok(Self { bytes, width: picture.width(), height: picture.height(), format })
    }
}
