//! The pixels of a PNG, read by the `png` crate.

use std::io::Cursor;

/// Width, height and the RGB pixels in rows.
pub struct Pixels {
    pub width: u32,
    pub height: u32,
    pub rgb: Vec<[u8; 3]>,
}

impl Pixels {
    pub fn of_png(bytes: &[u8]) -> Self {
        let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
        let mut buffer = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut buffer).unwrap();
        assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
        let rgb = buffer[..info.buffer_size()].chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        Self { width: info.width, height: info.height, rgb }
    }

    /// Every pixel with its column and row.
    pub fn placed(&self) -> impl Iterator<Item = (u32, u32, [u8; 3])> + '_ {
        (0..).zip(&self.rgb).map(|(index, pixel): (u32, _)| (index % self.width, index / self.width, *pixel))
    }
}
