//! WebP, BMP and QOI: every pixel as it is.

use image::codecs::bmp::BmpEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::format::{Kind, Row};
use super::{Picture, exif};

pub(super) const WEBP: Row = Row {
    name: "webp",
    content_type: "image/webp",
    extension: "webp",
    kind: Kind::File { lowest_quality: None, parameters: true, encode: webp },
};

pub(super) const BMP: Row = Row {
    name: "bmp",
    content_type: "image/bmp",
    extension: "bmp",
    kind: Kind::File { lowest_quality: None, parameters: false, encode: bmp },
};

pub(super) const QOI: Row = Row {
    name: "qoi",
    content_type: "image/qoi",
    extension: "qoi",
    kind: Kind::File { lowest_quality: None, parameters: false, encode: qoi },
};

fn webp(picture: &Picture, _quality: u8, parameters: Option<&str>) -> Result<Vec<u8>, String> {
    let mut file = Vec::new();
    let mut encoder = WebPEncoder::new_lossless(&mut file);
    if let Some(text) = parameters {
        encoder.set_exif_metadata(exif::user_comment(text)).map_err(|error| error.to_string())?;
    }
    written(encoder, picture)?;
    Ok(file)
}

fn bmp(picture: &Picture, _quality: u8, _parameters: Option<&str>) -> Result<Vec<u8>, String> {
    let mut file = Vec::new();
    written(BmpEncoder::new(&mut file), picture)?;
    Ok(file)
}

fn qoi(picture: &Picture, _quality: u8, _parameters: Option<&str>) -> Result<Vec<u8>, String> {
    ::qoi::encode_to_vec(picture.pixels(), picture.width(), picture.height()).map_err(|error| error.to_string())
}

fn written(encoder: impl ImageEncoder, picture: &Picture) -> Result<(), String> {
    encoder
        .write_image(picture.pixels(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> Picture {
        Picture::new(5, 3, (0..45).map(|value| value * 5).collect()).unwrap()
    }

    #[test]
    fn every_pixel_comes_back() {
        let formats =
            [(webp(&ramp(), 1, None), image::ImageFormat::WebP), (bmp(&ramp(), 1, None), image::ImageFormat::Bmp)];
        for (file, format) in formats {
            let decoded = image::load_from_memory_with_format(&file.unwrap(), format).unwrap().into_rgb8();
            assert_eq!((decoded.dimensions(), decoded.as_raw().as_slice()), ((5, 3), ramp().pixels()), "{format:?}");
        }
        let (header, pixels) = ::qoi::decode_to_vec(qoi(&ramp(), 1, None).unwrap()).unwrap();
        assert_eq!((header.width, header.height, pixels.as_slice()), (5, 3, ramp().pixels()));
    }

    #[test]
    fn a_webp_file_holds_its_parameters() {
        let file = webp(&ramp(), 1, Some("Steps: 4")).unwrap();
        let expected = exif::user_comment("Steps: 4");
        assert!(file.windows(expected.len()).any(|part| part == expected));
    }
}
