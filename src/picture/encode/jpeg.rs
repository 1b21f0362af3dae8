//! Baseline JPEG.

use image::ImageEncoder;
use image::codecs::jpeg::JpegEncoder;

use super::{Picture, Row};

pub(super) const ROW: Row =
    Row { name: "jpeg", content_type: "image/jpeg", extension: "jpg", lowest_quality: Some(30), encode };

fn encode(picture: &Picture, quality: u8, parameters: Option<&str>) -> Result<Vec<u8>, String> {
    let mut file = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut file, quality);
    if let Some(text) = parameters {
        encoder.set_exif_metadata(user_comment(text)).map_err(|error| error.to_string())?;
    }
    encoder
        .write_image(picture.pixels(), picture.width(), picture.height(), image::ExtendedColorType::Rgb8)
        .map_err(|error| error.to_string())?;
    Ok(file)
}

/// An Exif block with nothing but a user comment, where common web interfaces look for the generation parameters.
fn user_comment(text: &str) -> Vec<u8> {
    const LONG: u16 = 4;
    const UNDEFINED: u16 = 7;
    let comment: Vec<u8> = b"UNICODE\0".iter().copied().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect();
    let mut block = b"MM\0\x2a\0\0\0\x08".to_vec();
    // The first directory points to the second at byte 26, which points to the comment at byte 44.
    block.extend(directory(0x8769, LONG, 1, 26));
    block.extend(directory(0x9286, UNDEFINED, comment.len() as u32, 44));
    block.extend(comment);
    block
}

/// An image file directory with one entry and no successor.
fn directory(tag: u16, kind: u16, count: u32, value: u32) -> Vec<u8> {
    let mut bytes = vec![0, 1];
    bytes.extend(tag.to_be_bytes());
    bytes.extend(kind.to_be_bytes());
    bytes.extend(count.to_be_bytes());
    bytes.extend(value.to_be_bytes());
    bytes.extend([0; 4]);
    bytes
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
