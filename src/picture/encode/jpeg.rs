//! Baseline JPEG.

use image::ImageEncoder;
use image::codecs::jpeg::JpegEncoder;

use super::format::{Kind, Row};
use super::{Picture, exif};

pub(super) const ROW: Row = Row {
    name: "jpeg",
    content_type: "image/jpeg",
    extension: "jpg",
    kind: Kind::File { lowest_quality: Some(30), parameters: true, encode },
};

fn encode(picture: &Picture, quality: u8, parameters: Option<&str>) -> Result<Vec<u8>, String> {
    let mut file = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut file, quality);
    if let Some(text) = parameters {
        encoder.set_exif_metadata(exif::user_comment(text)).map_err(|error| error.to_string())?;
    }
    encoder
        .write_image(picture.pixels(), picture.width(), picture.height(), image::ExtendedColorType::Rgb8)
        .map_err(|error| error.to_string())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use image::ImageDecoder;
    use image::codecs::jpeg::JpegDecoder;

    use super::*;

    fn grey(side: u32) -> Picture {
        Picture::new(side, side, vec![120; (3 * side * side) as usize]).unwrap()
    }

    #[test]
    fn flat_colours_come_back() {
        let file = encode(&grey(16), 90, None).unwrap();
        let decoder = JpegDecoder::new(std::io::Cursor::new(file)).unwrap();
        let mut pixels = vec![0; decoder.total_bytes() as usize];
        decoder.read_image(&mut pixels).unwrap();
        assert!(pixels.iter().all(|value| value.abs_diff(120) <= 2));
    }

    #[test]
    fn the_parameters_stand_in_the_exif_user_comment() {
        let file = encode(&grey(8), 90, Some("雪, Steps: 4")).unwrap();
        let mut decoder = JpegDecoder::new(std::io::Cursor::new(file)).unwrap();
        let block = decoder.exif_metadata().unwrap().unwrap();
        let units: Vec<u16> = block[52..].chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        assert_eq!(&block[44..52], b"UNICODE\0");
        assert_eq!(String::from_utf16(&units).unwrap(), "雪, Steps: 4");
    }
}
