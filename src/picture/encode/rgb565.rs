//! Two bytes a pixel, as TFT controllers (ILI9341, ST7789 and their like) take it.

use super::Picture;
use super::dither::{Dither, Screen, Shade, dithered, picked};
use super::format::{Kind, RAW, Row};
use super::light::{Light, Tone};

pub(super) const BIG_ENDIAN: Row = row("rgb565", |picture, dither| bytes(picture, dither, u16::to_be_bytes));
pub(super) const LITTLE_ENDIAN: Row = row("rgb565le", |picture, dither| bytes(picture, dither, u16::to_le_bytes));

const fn row(name: &'static str, encode: fn(&Picture, Dither) -> Vec<u8>) -> Row {
    // 65536 colours are enough for most pictures, and noise costs more than it gives.
    let kind = Kind::Panel { bits: 16, planes: 1, dither: Dither::None, background: [0; 3], encode };
    Row { name, content_type: RAW, extension: name, kind }
}

fn bytes(picture: &Picture, dither: Dither, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    dithered(picture, dither, &Words).into_iter().flat_map(order).collect()
}

/// Red in the upper five bits, green in the middle six, blue in the lower five.
struct Words;

/// The highest level of each channel.
const MOST: [f32; 3] = [31.0, 63.0, 31.0];

impl Screen for Words {
    fn like(&self, seen: Tone) -> Shade {
        shade(std::array::from_fn(|channel| (seen[channel] * MOST[channel]).round()))
    }

    /// Each channel by itself.
    fn patterned(&self, pixel: [u8; 3], threshold: f32, light: &Light) -> Shade {
        let wanted = light.of(pixel);
        let seen = light.seen(wanted);
        shade(std::array::from_fn(|channel| {
            let below = (seen[channel] * MOST[channel]).floor();
            let levels = [below, (below + 1.0).min(MOST[channel])];
            let around = levels.map(|level| (light.of([byte(level, channel); 3])[0], level));
            picked(around, wanted[channel], threshold)
        }))
    }
}

fn shade(levels: [f32; 3]) -> Shade {
    let [red, green, blue] = levels.map(|level| level as u16);
    Shade { code: red << 11 | green << 5 | blue, colour: std::array::from_fn(|channel| byte(levels[channel], channel)) }
}

fn byte(level: f32, channel: usize) -> u8 {
    (level / MOST[channel] * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_pixels() {
        let pixels = [
            [255, 0, 0],
            [0, 255, 0],
            [0, 0, 255],
            [255, 255, 255],
            [0, 0, 0],
            [128, 128, 128],
            [255, 128, 0],
            [8, 4, 8],
        ];
        let picture = Picture::new(8, 1, pixels.concat()).unwrap();
        let words = [0xf800, 0x07e0, 0x001f, 0xffff, 0x0000, 0x8410, 0xfc00, 0x0821_u16];
        assert_eq!(bytes(&picture, Dither::None, u16::to_be_bytes), words.map(u16::to_be_bytes).concat());
        assert_eq!(bytes(&picture, Dither::None, u16::to_le_bytes), words.map(u16::to_le_bytes).concat());
    }
}
