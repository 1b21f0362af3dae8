//! Portable Network Graphics.

use png::{BitDepth, ColorType, Compression, Encoder, EncodingError};

use super::Picture;
use super::format::{Kind, Row};

pub(super) const ROW: Row = Row {
    name: "png",
    content_type: "image/png",
    extension: "png",
    kind: Kind::File { lowest_quality: None, parameters: true, encode },
};

/// The keyword under which common web interfaces look for the generation parameters.
const KEYWORD: &str = "parameters";

fn encode(picture: &Picture, _quality: u8, parameters: Option<&str>) -> Result<Vec<u8>, String> {
    let mut file = Vec::new();
    write(picture, parameters, &mut file).map_err(|error| error.to_string())?;
    Ok(file)
}

fn write(picture: &Picture, parameters: Option<&str>, file: &mut Vec<u8>) -> Result<(), EncodingError> {
    let mut encoder = Encoder::new(file, picture.width(), picture.height());
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Balanced);
    match parameters {
        // A plain text chunk is read by more programs, but holds Latin-1 only.
        Some(text) if text.chars().all(|letter| u32::from(letter) < 256) => {
            encoder.add_text_chunk(KEYWORD.to_owned(), text.to_owned())?;
        }
        Some(text) => encoder.add_itxt_chunk(KEYWORD.to_owned(), text.to_owned())?,
        None => {}
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(picture.pixels())?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(file: &[u8]) -> (png::Info<'static>, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        (reader.info().clone(), pixels)
    }

    fn three_pixels() -> Picture {
        Picture::new(3, 1, vec![255, 0, 0, 0, 255, 0, 9, 8, 7]).unwrap()
    }

    #[test]
    fn the_pixels_come_back() {
        let (info, pixels) = decoded(&encode(&three_pixels(), 1, None).unwrap());
        assert_eq!((info.width, info.height), (3, 1));
        assert_eq!(pixels, three_pixels().pixels());
        assert!(info.uncompressed_latin1_text.is_empty() && info.utf8_text.is_empty());
    }

    #[test]
    fn latin_text_goes_into_a_plain_chunk() {
        let (info, _) = decoded(&encode(&three_pixels(), 1, Some("a café\nSteps: 4")).unwrap());
        assert_eq!(info.uncompressed_latin1_text[0].keyword, "parameters");
        assert_eq!(info.uncompressed_latin1_text[0].text, "a café\nSteps: 4");
    }

    #[test]
    fn other_text_goes_into_an_international_chunk() {
        let (info, _) = decoded(&encode(&three_pixels(), 1, Some("雪 ❄")).unwrap());
        assert_eq!(info.utf8_text[0].get_text().unwrap(), "雪 ❄");
    }
}
