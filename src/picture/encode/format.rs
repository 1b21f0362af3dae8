//! The table of formats.

use super::dither::Dither;
use super::{Picture, epd, grey, jpeg, lossless, png, rgb565};

/// The formats: files that say themselves what they are, and raw bytes for panels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Portable Network Graphics, lossless.
    Png,
    /// Baseline JPEG.
    Jpeg,
    /// WebP, lossless.
    Webp,
    /// Windows bitmap, 24 bits a pixel.
    Bmp,
    /// Quite OK Image, lossless.
    Qoi,
    /// Two bytes a pixel, the high one first: 5 bits red, 6 green, 5 blue.
    Rgb565,
    /// The same, the low byte first.
    Rgb565Le,
    /// Four greys, 2 bits a pixel.
    Gray2,
    /// Sixteen greys, 4 bits a pixel.
    Gray4,
    /// Black and white, 1 bit a pixel.
    Mono,
    /// Black, white and red: two planes of 1 bit a pixel.
    EpdBwr,
    /// Black, white and yellow: two planes of 1 bit a pixel.
    EpdBwy,
    /// Seven colours, 4 bits a pixel.
    Epd7c,
    /// Six colours (Spectra 6), 4 bits a pixel.
    EpdE6,
}

/// What the table knows of a format.
pub(super) struct Row {
    /// The contract's name.
    pub(super) name: &'static str,
    /// The media type.
    pub(super) content_type: &'static str,
    /// The end of a file's name.
    pub(super) extension: &'static str,
    /// What else depends on the kind.
    pub(super) kind: Kind,
}

/// Picture, quality and generation parameters to a file, or the encoder's complaint.
type Encode = fn(&Picture, u8, Option<&str>) -> Result<Vec<u8>, String>;

/// The two kinds of formats.
pub(super) enum Kind {
    /// A file with a header, in every colour.
    File {
        /// The lowest quality worth looking at; none for lossless formats.
        lowest_quality: Option<u8>,
        /// Whether it has a place for the generation parameters.
        parameters: bool,
        /// Writes it.
        encode: Encode,
    },
    /// Rows without a header, in the panel's colours.
    Panel {
        /// Bits a pixel in each plane; rows are padded to whole bytes.
        bits: usize,
        /// Planes, one after the other.
        planes: usize,
        /// How colours are mixed unless the request says otherwise.
        dither: Dither,
        /// What an empty part of the panel looks like.
        background: [u8; 3],
        /// Picture to rows.
        encode: fn(&Picture, Dither) -> Vec<u8>,
    },
}

const BLACK: [u8; 3] = [0; 3];

/// The media type of what has no header.
pub(super) const RAW: &str = "application/octet-stream";

impl Format {
    /// Every format.
    pub const ALL: [Self; 14] = [
        Self::Png,
        Self::Jpeg,
        Self::Webp,
        Self::Bmp,
        Self::Qoi,
        Self::Rgb565,
        Self::Rgb565Le,
        Self::Gray2,
        Self::Gray4,
        Self::Mono,
        Self::EpdBwr,
        Self::EpdBwy,
        Self::Epd7c,
        Self::EpdE6,
    ];

    fn row(self) -> &'static Row {
        match self {
            Self::Png => &png::ROW,
            Self::Jpeg => &jpeg::ROW,
            Self::Webp => &lossless::WEBP,
            Self::Bmp => &lossless::BMP,
            Self::Qoi => &lossless::QOI,
            Self::Rgb565 => &rgb565::BIG_ENDIAN,
            Self::Rgb565Le => &rgb565::LITTLE_ENDIAN,
            Self::Gray2 => &grey::GRAY2,
            Self::Gray4 => &grey::GRAY4,
            Self::Mono => &grey::MONO,
            Self::EpdBwr => &epd::BWR,
            Self::EpdBwy => &epd::BWY,
            Self::Epd7c => &epd::SEVEN,
            Self::EpdE6 => &epd::SIX,
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

    /// Whether it is rows without a header, whose size follows from the picture's alone.
    pub fn is_raw(self) -> bool {
        matches!(self.row().kind, Kind::Panel { .. })
    }

    /// Whether a lower quality makes the file smaller.
    pub fn is_lossy(self) -> bool {
        self.lowest_quality().is_some()
    }

    /// Whether the file has a place for the text that tells how the picture was made.
    pub fn has_parameters(self) -> bool {
        matches!(self.row().kind, Kind::File { parameters: true, .. })
    }

    /// How colours are mixed unless the request says otherwise.
    pub fn default_dither(self) -> Dither {
        match self.row().kind {
            Kind::File { .. } => Dither::None,
            Kind::Panel { dither, .. } => dither,
        }
    }

    /// Bytes of a row of `width` pixels; 0 where rows are of no fixed size.
    ///
    /// Of a format with two planes it is a row of one plane; such a picture is `2 * height` rows.
    pub fn stride(self, width: u32) -> usize {
        match self.row().kind {
            Kind::File { .. } => 0,
            Kind::Panel { bits, .. } => (width as usize * bits).div_ceil(8),
        }
    }

    /// Bytes of a picture of that size, where they follow from the size alone.
    pub fn fixed_bytes(self, width: u32, height: u32) -> Option<usize> {
        match self.row().kind {
            Kind::Panel { planes, .. } => Some(self.stride(width) * planes * height as usize),
            Kind::File { .. } => None,
        }
    }

    /// What stands beside a picture that does not cover the wanted size: paper is white, a screen is dark.
    pub(super) fn background(self) -> [u8; 3] {
        match self.row().kind {
            Kind::File { .. } => BLACK,
            Kind::Panel { background, .. } => background,
        }
    }

    /// The lowest quality worth looking at; none for lossless formats.
    pub(super) fn lowest_quality(self) -> Option<u8> {
        match self.row().kind {
            Kind::File { lowest_quality, .. } => lowest_quality,
            Kind::Panel { .. } => None,
        }
    }

    /// The file, or the encoder's complaint.
    pub(super) fn write(
        self,
        picture: &Picture,
        quality: u8,
        dither: Dither,
        parameters: Option<&str>,
    ) -> Result<Vec<u8>, String> {
        match self.row().kind {
            Kind::File { encode, .. } => encode(picture, quality, parameters),
            Kind::Panel { encode, .. } => Ok(encode(picture, dither)),
        }
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

    #[test]
    fn a_raw_picture_has_as_many_bytes_as_its_size_says() {
        let picture = Picture::new(13, 3, vec![90; 13 * 3 * 3]).unwrap();
        for format in Format::ALL {
            let bytes = format.write(&picture, 90, format.default_dither(), None).unwrap();
            assert_eq!(format.fixed_bytes(13, 3).is_some(), format.is_raw());
            assert!(format.fixed_bytes(13, 3).is_none_or(|fixed| fixed == bytes.len()), "{}", format.name());
        }
    }

    #[test]
    fn the_sizes_of_common_panels() {
        let bytes = |name, width, height| Format::find(name).unwrap().fixed_bytes(width, height).unwrap();
        assert_eq!(bytes("mono", 800, 480), 48_000);
        assert_eq!(bytes("mono", 122, 250), 4_000);
        assert_eq!(bytes("epd_bwr", 800, 480), 96_000);
        assert_eq!(bytes("epd_7c", 600, 448), 134_400);
        assert_eq!(bytes("epd_e6", 1200, 1600), 960_000);
        assert_eq!(bytes("gray2", 800, 480), 96_000);
        assert_eq!(bytes("gray4", 1872, 1404), 1_314_144);
        assert_eq!(bytes("rgb565", 320, 240), 153_600);
    }
}
