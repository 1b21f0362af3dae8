//! Pictures into files: one file a format, and one table.

mod fit;
mod jpeg;
mod png;

use super::Picture;

/// The file formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Portable Network Graphics, lossless.
    Png,
    /// Baseline JPEG.
    Jpeg,
}

/// How a picture is to be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding<'a> {
    /// The file format.
    pub format: Format,
    /// Quality of lossy formats, 1 to 100.
    pub quality: u8,
    /// Size in bytes that the file must not exceed: quality falls first, then the picture is scaled down.
    pub max_bytes: Option<u32>,
    /// Text that tells how the picture was made, to be put into the file.
    pub parameters: Option<&'a str>,
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
    match encoding.max_bytes {
        None => Encoded::new(picture, encoding, encoding.quality),
        Some(max_bytes) => fit::within(max_bytes, picture, encoding),
    }
}

impl Encoded {
    fn new(picture: &Picture, encoding: &Encoding<'_>, quality: u8) -> Result<Self, EncodeError> {
        let format = encoding.format;
        let bytes = (format.row().encode)(picture, quality, encoding.parameters)
            .map_err(|reason| EncodeError::Encoder { format: format.name(), reason })?;
        Ok(Self { bytes, width: picture.width(), height: picture.height(), format })
    }
}

/// What the table knows of a format.
struct Row {
    name: &'static str,
    content_type: &'static str,
    extension: &'static str,
    /// The lowest quality worth looking at; none for lossless formats.
    lowest_quality: Option<u8>,
    encode: Encode,
}

/// Picture, quality and parameters to a file, or the encoder's complaint.
type Encode = fn(&Picture, u8, Option<&str>) -> Result<Vec<u8>, String>;

impl Format {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Png, Self::Jpeg];

    fn row(self) -> &'static Row {
        match self {
            Self::Png => &png::ROW,
            Self::Jpeg => &jpeg::ROW,
        }
    }

    /// The contract's name.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The format of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The format that the end of a file's name stands for, upper or lower case.
    pub fn of_extension(extension: &str) -> Option<Self> {
        let extension = extension.to_ascii_lowercase();
        let wanted = if extension == "jpeg" { "jpg" } else { &extension };
        Self::ALL.into_iter().find(|format| format.extension() == wanted)
    }

    /// The media type.
    pub fn content_type(self) -> &'static str {
        self.row().content_type
    }

    /// The end of a file's name, without the dot.
    pub fn extension(self) -> &'static str {
        self.row().extension
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_found_by_its_name_and_by_a_files_name() {
        for format in Format::ALL {
            assert_eq!(Format::find(format.name()), Some(format));
            assert_eq!(Format::of_extension(format.extension()), Some(format));
        }
        assert_eq!(Format::of_extension("JPEG"), Some(Format::Jpeg));
        assert_eq!(Format::find("jpg"), None);
    }
}
